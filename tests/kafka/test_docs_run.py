"""The shell sessions of README and docs, on a real broker: what they show is what one gets."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.pages import PAGES, blocks, commands, write_files
from tests.support.shell import Shell

pytestmark = pytest.mark.kafka

SESSIONS = [page for page in PAGES if any("kafka" in block.words for block in blocks(page))]


def matches(output: str, shown: list[str]) -> bool:
    """Whether an output is what a page shows, where … stands for anything."""
    pattern = "\n".join(re.escape(line.rstrip()).replace("…", ".*") for line in shown)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in output.strip("\n").splitlines())) is not None


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_the_shell_sessions_of_a_page(page: Path, bootstrap: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    named = re.findall(r"^(?:\$ )?export .*HEADRACE_TOPOLOGY=([\w.]+:\w+)", page.read_text(), re.MULTILINE)
    variables = {"HEADRACE_TOPOLOGY": named[0]} if named else {}
    shell = Shell(tmp_path, bootstrap, f"docs-{uuid4().hex[:8]}.", **variables)
    for block in blocks(page):
        if "compile" in block.words:
            assert shell.run(block.text) == ""
    session = [step for block in blocks(page) if "kafka" in block.words for step in commands(block)]
    if not session[0][0].startswith("headrace topics create"):
        session.insert(0, ("headrace topics create > topics.txt", []))
    wrong = []

    def play(command: str, shown: list[str]) -> None:
        output = shell.run(command)
        if not matches(output, shown):
            wrong.append(f"$ {command}\n--- shown\n{chr(10).join(shown)}\n--- got\n{output}")

    play(*session[0])
    with shell.worker():
        for command, shown in session[1:]:
            play(command, shown)
    assert not wrong, "\n\n".join(wrong)
