"""In which order files of tests run, and which together: all that start heavy servers, so that one of these runs."""

from xdist.scheduler import LoadFileScheduling

_HEAVY = ("tests/containers/", "tests/kafka/sinks/")
"""Search servers, Connect workers, databases, containers."""
_LONGEST = (
    "tests/kafka/sinks/",
    *(f"tests/kafka/test_{name}.py" for name in ("room_chaos", "exactly_once", "projectors", "refused_input", "bench")),
)
"""They begin first, so that no process is still at work when the others have nothing left."""


def place(nodeid: str) -> int:
    """Where a test stands in the order: those of the longest files first, all others behind them."""
    return next((at for at, begin in enumerate(_LONGEST) if nodeid.startswith(begin)), len(_LONGEST))


class OneHeavyServer(LoadFileScheduling):  # type: ignore[misc]
    """One file after the other of those with heavy servers, and others beside them."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy servers" if nodeid.startswith(_HEAVY) else str(super()._split_scope(nodeid))
