"""Errors of a client and its connection to the brokers. What the engine answers is a `Reply`, not an error."""

from collections.abc import Sequence

from headrace.topology.reply import Reply


class OutcomeUnknown(TimeoutError):
    """No answer came before the deadline. The command may have been handled already, or may be later.

    `command_id` may be sent again safely.
    """

    def __init__(self, command_id: str, root: str, seconds: float) -> None:
        super().__init__(
            f"no answer for {root} within {seconds:g} s, so the outcome of command {command_id} is unknown; "
            "send it again with the same command_id, which is safe: it is decided once. Is a worker running?"
        )
        self.command_id = command_id


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


class SendFailed(RuntimeError):
    """The brokers did not accept some of what was sent."""


class ClientNotUsable(RuntimeError):
    """A client was used before it was opened, after it was closed, on another event loop or in a forked process."""
