"""What the demo is given: files of hands and options, refused before anything starts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.demo.play import read_hands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", *arguments])


def test_the_sample_is_there() -> None:
    hands = read_hands(None, None)
    assert len(hands) >= 100
    assert [hand.root for hand in read_hands(None, 2)] == [hand.root for hand in hands[:2]]


def test_a_file_that_cannot_be_read_is_exit_2(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.phhs"):
        result = run(str(path))
        assert result.exit_code == 2
        assert f"{path} cannot be read: " in result.stderr


def test_a_hand_that_cannot_be_played_is_named_before_anything_starts(tmp_path: Path) -> None:
    text = Path(pb.__file__).with_name("sample.phhs").read_text().partition("[2]")[0]
    file = tmp_path / "mine.phhs"
    file.write_text(text + text.replace("[1]", "[2]").replace("'p3 f'", "'p3 jumps'"))
    result = run(str(file), "--json")
    assert result.exit_code == 2
    assert "mine.phhs, hand 2: action 7, 'p3 jumps'" in json.loads(result.stdout)["error"]
    file.write_text("[1]\nvariant = 'PO'\n")
    assert "mine.phhs, hand 1: variant 'PO' is not played here" in run(str(file)).stderr


@pytest.mark.parametrize(
    ("options", "environment", "code", "why"),
    [
        (["--read-side", "--chaos"], {}, 2, "choose one of them"),
        (["--what-if", "--chaos"], {}, 2, "--what-if and --chaos are two demos; choose one of them"),
        (["--what-if", "--redis", "redis://127.0.0.1:1"], {}, 2, "are for --read-side"),
        (["--what-if"], {"HEADRACE_BOOTSTRAP": "127.0.0.1:1"}, 2, "leave out --bootstrap and HEADRACE_BOOTSTRAP"),
        (["--redis", "redis://127.0.0.1:1"], {}, 2, "are for --read-side"),
        (["--read-side"], {"HEADRACE_BOOTSTRAP": "127.0.0.1:1"}, 2, "leave out --bootstrap and HEADRACE_BOOTSTRAP"),
        (["--read-side", "--search", "http://127.0.0.1:1"], {}, 3, "no answer from the search server"),
        (["--read-side", "--search", "nonsense"], {}, 3, "no answer from the search server"),
        (["--read-side"], {"REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}, 3, "no answer from the Redis"),
        (["--read-side", "--redis", "hidden"], {}, 3, "the address of Redis must be redis://"),
    ],
)
def test_what_a_demo_cannot_do_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, options: list[str], environment: dict[str, str], code: int, why: str
) -> None:
    for name in ("HEADRACE_BOOTSTRAP", "SEARCH_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run("--hands", "1", *options)
    assert (result.exit_code, why in result.stderr) == (code, True), result.stderr
    assert "hidden" not in result.output
