"""Which tests run in one process: those of a file, and all that start heavy servers, so that one of these runs."""

from xdist.scheduler import LoadFileScheduling

_HEAVY = ("tests/containers/", "tests/kafka/sinks/")
"""Search servers, Connect workers, databases, containers."""


class OneHeavyServer(LoadFileScheduling):  # type: ignore[misc]
    """One file after the other of those with heavy servers, and others beside them."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy servers" if nodeid.startswith(_HEAVY) else str(super()._split_scope(nodeid))
