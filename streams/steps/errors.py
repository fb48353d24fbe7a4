"""What a record can fail with; the text says which thing, and why."""


class HandlerError(Exception):
    """A handler broke its contract; the text says which one and how."""


class InvalidArgument(ValueError):
    """Something that this deployment does not know was asked of it; nothing of it is stored."""


class HopLimit(Exception):
    """Sagas and aggregates answer each other without end; the text holds the path."""


class WorkflowAborted(Exception):
    """A compensation said that nothing more of this root is to be handled."""


class Uncompensated(Exception):
    """A rejected command whose cause has no handler for that, or whose handler wants a person to look."""


class TooLarge(Exception):
    """A record that this one would write is above the broker's limit."""


class RecordTooLarge(TooLarge):
    """The broker, or the producer, takes no record as large as one of this transaction's."""


class SnapshotTooLarge(Exception):
    """A root's state outgrew the broker's limit; the batch is to be done again with `enforce_state_size`."""
