"""A disk for the stores of one worker, which can be full."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

_ROOM = 8 * 1024**3  # bytes; taken only as far as they are written to


class SmallDisk:
    """A file system in memory, mounted on a folder; only root may do that. It is full when it is told to be.

    Full at its present size and no more, so that nothing else on the machine has less room than before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={_ROOM},mode=700", "tmpfs")

    @staticmethod
    def possible(folder: Path) -> bool:
        """Whether this user, in this place, may mount."""
        try:
            SmallDisk(folder).close()
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def fill(self) -> None:
        """Leave no room. To be called again and again: files that are deleted make room, and a write may come first."""
        found = os.statvfs(self.folder)
        taken = (found.f_blocks - found.f_bfree) * found.f_frsize
        with suppress(subprocess.CalledProcessError):  # more is taken by now
            self._mount("-o", f"remount,size={max(taken, found.f_frsize)}")

    def make_room(self) -> None:
        """As before."""
        self._mount("-o", f"remount,size={_ROOM}")

    def close(self) -> None:
        """Take it away, with all that is on it."""
        subprocess.run(["umount", "--lazy", self.folder], check=True, capture_output=True)

    def _mount(self, *how: str) -> None:
        subprocess.run(["mount", *how, self.folder], check=True, capture_output=True)
