import pytest

from headrace.topology.cut import Cut, DomainCut


def test_a_root_comes_before_its_domain_and_that_before_the_moment() -> None:
    cut = Cut(moment=5, domains={"hand": 7}, roots={("hand", "h-1"): 3, ("table", "h-1"): 4})
    assert cut.of("hand") == DomainCut(5, 7, {"h-1": 3})
    assert [cut.of("hand").sequence_of(root) for root in ("h-1", "h-2")] == [3, 7]
    assert [cut.of("table").sequence_of(root) for root in ("h-1", "h-2")] == [4, None]
    assert cut.of("player") == DomainCut(5)


def test_the_default_follows_the_parent() -> None:
    assert Cut().of("hand") == DomainCut(None, None, {})


@pytest.mark.parametrize(
    "wrong",
    [{"moment": -1}, {"domains": {"hand": -2}}, {"roots": {("hand", "h"): -2}}],
)
def test_ends_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"1970|begin with 0"):
        Cut(**wrong)  # type: ignore[arg-type]
