"""Errors of a caller who waits for what follows from an accepted command."""

from collections.abc import Sequence

from headrace.topology.reply import Reply


class ProjectionUnknown(TimeoutError):
    """The command was accepted; whether documents have its events is not known. `reply` is its answer."""

    def __init__(self, reply: Reply, missing: Sequence[str], seconds: float) -> None:
        why = (
            "the command was decided before, and is not acknowledged again"
            if reply.already_processed
            else ("is a worker running that has them?")
        )
        super().__init__(
            f"{', '.join(missing)} did not acknowledge the events of {reply.root} within {seconds:g} s; {why}"
        )
        self.reply, self.missing = reply, list(missing)


class ProjectionFailed(RuntimeError):
    """The command was accepted, and a projector could not handle one of its events. `reply` is the answer."""

    def __init__(self, reply: Reply, projectors: Sequence[str]) -> None:
        names = ", ".join(projectors)
        super().__init__(
            f"{names}: an event of {reply.root} is in the dead letters, or waits behind another one that is; "
            "`headrace dead-letters list` shows it, and replaying it heals the document"
        )
        self.reply, self.projectors = reply, list(projectors)


class CascadeUnknown(TimeoutError):
    """The command was accepted; whether all that it leads to is handled is not known. `reply` is its answer."""

    def __init__(self, reply: Reply, missing: Sequence[str], seconds: float) -> None:
        why = "it was decided before, and is not reported again" if reply.already_processed else "it goes on"
        some = "; ".join(missing[:5]) + (f"; and {len(missing) - 5} more" if len(missing) > 5 else "")
        super().__init__(f"after {seconds:g} s not all that follows from {reply.root} is handled ({why}): {some}")
        self.reply, self.missing = reply, list(missing)


class CascadeFailed(RuntimeError):
    """The command was accepted, and something that it led to was rejected or is dead. `reply` has its failures."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.failures[0]))
        self.reply = reply
