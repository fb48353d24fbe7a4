"""The README and the pages of docs/: their code blocks, headings and links.

The words after a block's language say what the tests do with it. A file name: the block is that file. `compile`: run
before the page's Python. `kafka`: run against a broker and a worker, by tests/kafka/test_docs_run.py.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")) if p.name != "LICENSE"
)
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block is."""
        return next((word for word in self.words if "." in word), None)


def blocks(page: Path) -> list[Block]:
    """All blocks of a page in order."""
    text = page.read_text()
    return [Block(m[1], tuple(m[2].split()), m[3], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text())


def write_files(page: Path, folder: Path) -> list[Path]:
    """Put the page's files into a folder."""
    made = []
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            assert not path.exists(), f"{page.name} has two blocks {block.file}"
            path.write_text(block.text)
            made.append(path)
    return made


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a block of shell, each with the lines that it shows as output."""
    lines = block.text.splitlines()
    if block.language == "sh":
        return [(line, []) for line in _joined(lines) if not line.startswith("#")]
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line)
    return found


def _joined(lines: list[str]) -> list[str]:
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def anchors(page: Path) -> set[str]:
    """What `#…` in a link to the page may be."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links(page: Path) -> list[str]:
    """Targets of the page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page)) + re.findall(r'(?:src|href)="([^"]+)"', prose(page))
