"""Names of topics, and the partition of a root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Names
from headrace.schemas.stored_event import event_key
from headrace.topology.names import KINDS, is_name
from headrace.topology.partitioner import murmur2, partition_of

WORDS = st.text("az09-", max_size=9).map(lambda rest: f"a{rest}")
PREFIXES = st.lists(st.text("azAZ09_-", min_size=1, max_size=5), max_size=2).map(
    lambda components: "".join(f"{word}." for word in components)
)


@given(PREFIXES, WORDS, WORDS, st.sampled_from(KINDS))
def test_a_topic_is_read_back_as_it_was_made(prefix: str, edition: str, domain: str, kind: str) -> None:
    names = Names(prefix)
    topic = names.topic(edition, domain, kind)
    assert topic == f"{prefix}{edition}.{domain}.{kind}"
    assert names.split(topic) == (edition, domain, kind)
    assert names.split("x" + topic) != (edition, domain, kind)


def test_a_prefix_stands_before_every_topic() -> None:
    names = Names("acme.test.")
    assert names.topic("main", "player", "dead-letters") == "acme.test.main.player.dead-letters"
    assert names.replies == "acme.test.headrace.replies"


@pytest.mark.parametrize("prefix", ["acme", ".", "a..", "a b.", "a/", "ä.", "acme.\n"])
def test_an_illegal_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="topic prefix"):
        Names(prefix)


@pytest.mark.parametrize("word", ["", "Main", "1st", "-a", "a_b", "a.b", "a b", "ä", "main\n"])
def test_illegal_editions_and_domains_are_refused(word: str) -> None:
    assert not is_name(word)
    with pytest.raises(ValueError, match=r"must match \[a-z\]"):
        Names().topic(word, "player", "events")
    with pytest.raises(ValueError, match=r"must match \[a-z\]"):
        Names().topic("main", word, "events")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no topic kind 'event'; there are commands, facts"):
        Names().topic("main", "player", "event")


@pytest.mark.parametrize(
    "topic",
    [
        *("", "main.player", "main.player.event", "x.main.player.events", "main.player.events.events"),
        *("Main.player.events", "main.Player.events", "headrace.replies"),
    ],
)
def test_topics_of_others_are_not_ours(topic: str) -> None:
    assert Names().split(topic) is None
    assert Names("acme.").split("main.player.events") is None


def test_event_keys_sort_as_sequences_do() -> None:
    assert event_key("r|1", 7) == "r|1|00000000000000000007"
    assert event_key("r", 9) < event_key("r", 10) < event_key("r", 2**63 - 1)


# ---- the partitioner


@pytest.mark.parametrize(
    ("text", "java"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_as_kafkas_java_client_computes_it(text: str, java: int) -> None:
    assert murmur2(text.encode()) == java % 2**32


@pytest.mark.parametrize("partitions", [1, 2, 7, 12, 1000])
def test_the_sign_is_dropped_before_the_remainder(partitions: int) -> None:
    """Java's toPositive masks the sign bit; a negative hash is not negated."""
    assert partition_of(b"21", partitions) == (-973932308 & 0x7FFFFFFF) % partitions
    assert partition_of(b"abc", partitions) == 479470107 % partitions


@given(st.binary(max_size=40), st.integers(1, 64))
def test_each_root_has_one_partition(root: bytes, partitions: int) -> None:
    """Invariant 6: one root, one partition."""
    assert 0 <= partition_of(root, partitions) < partitions
    assert partition_of(root, partitions) == partition_of(bytes(root), partitions)


def test_roots_are_spread() -> None:
    counts = [0] * 8
    for number in range(8000):
        counts[partition_of(f"root-{number}".encode(), 8)] += 1
    assert min(counts) > 800
