"""Faults, which the scenarios make and mend."""

from pathlib import Path

from headrace import Transient


class Breakdown(Exception):
    """What a component that is broken for a root raises."""


class Faults:
    """Files in a folder that worker and test both see: for a component and root, how often it is yet to fail."""

    folder = Path("faults")

    def make(self, component: str, root: str, transient: int = 0) -> None:
        """Let a component fail for a root: always, or transiently a number of times."""
        self.folder.mkdir(exist_ok=True)
        self._file(component, root).write_text(str(transient))

    def mend(self, component: str, root: str) -> None:
        """Let it work again."""
        self._file(component, root).unlink()

    def meet(self, component: str, root: str) -> None:
        """Fail if that is planned."""
        file = self._file(component, root)
        if not file.exists():
            return
        left = int(file.read_text())
        if left == 0:
            raise Breakdown(f"{component} is broken")
        if left == 1:
            file.unlink()
        else:
            file.write_text(str(left - 1))
        raise Transient(f"{component} stumbles")

    def _file(self, component: str, root: str) -> Path:
        return self.folder / f"{component}.{root}"


faults = Faults()
