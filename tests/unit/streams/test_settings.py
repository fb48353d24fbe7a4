"""Settings that have had another name."""

import pytest
from pydantic import ValidationError

from headrace.cli.errors import settings_text
from headrace.streams.settings import Settings


@pytest.mark.parametrize("variable", ["HEADRACE_RESULTS_KEPT", "HEADRACE_ANSWERS_KEPT"])
def test_results_kept_by_its_name_and_its_former_name(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "5")
    assert Settings().results_kept == 5
    assert Settings(results_kept=3).results_kept == 3


def test_only_variables_with_the_prefix_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESULTS_KEPT", "5")
    assert Settings().results_kept == 7 * 24 * 3600


def test_a_wrong_value_names_the_variable_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_RESULTS_KEPT", "-1")
    monkeypatch.setenv("HEADRACE_BATCH", "0")
    with pytest.raises(ValidationError) as wrong:
        Settings()
    said = settings_text(wrong.value.errors())
    assert [one.partition(":")[0] for one in said.split("; ")] == ["HEADRACE_BATCH", "HEADRACE_RESULTS_KEPT"]
