"""Errors with which a record fails; the text says what is wrong, and why."""


class HandlerError(Exception):
    """A handler broke its contract; the text says which handler, and how."""


class UnknownEvent(LookupError):
    """The log holds an event that this release cannot apply; `root` and `sequence` say which, where that is known."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.root, self.sequence = "", -1

    def at(self, root: str, sequence: int) -> "UnknownEvent":
        """The same error, which now says which event it is."""
        self.root, self.sequence = root, sequence
        return self

    def __str__(self) -> str:
        which = f" as event {self.sequence} of {self.root}" if self.root else ""
        return f"{self.args[0]}{which}; apply it, or add an upcaster for it, unless a newer release has written it"


class InvalidArgument(ValueError):
    """A message, domain or root that this deployment does not know; nothing is stored."""


class HopLimit(Exception):
    """Sagas and aggregates answer each other without end; the text holds the path."""


class WorkflowAborted(Exception):
    """A compensation has decided that nothing more of this root is to be handled."""


class Uncompensated(Exception):
    """A rejection for which there is no compensation, or whose compensation leaves it to a person."""


class TooLarge(Exception):
    """Handling the record would write a record above the broker's limit."""


class RecordTooLarge(TooLarge):
    """The broker, or the producer, does not accept a record of this transaction, because it is too large."""


class SnapshotTooLarge(Exception):
    """A root's state, or a document, is above the broker's limit, or cannot be written at all.

    The batch is to be handled again with `enforce_state_size`.
    """
