"""Errors of a client and its connection to the brokers. What the engine answers is a `Reply`, not an error."""


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


class SendFailed(RuntimeError):
    """The brokers did not accept some of what was sent."""


class ClientNotUsable(RuntimeError):
    """A client was used before it was opened, after it was closed, on another event loop or in a forked process."""
