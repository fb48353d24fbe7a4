"""What bad blocks do to a store's files."""

from pathlib import Path

WHOLE = (0.0, 1.0)


def damage(folder: Path, pattern: str, part: tuple[float, float] = WHOLE) -> int:
    """Damage a part of each file below a folder whose name fits; how many there were.

    What says in an .sst file where its blocks are stands in its last tenth.
    """
    files = list(folder.rglob(pattern))
    for path in files:
        data = bytearray(path.read_bytes())
        for at in range(int(len(data) * part[0]), int(len(data) * part[1]), 40):
            data[at] ^= 0xFF
        path.write_bytes(data)
    return len(files)
