"""Strategies for commands whose expected sequence is not the root's."""

from enum import Enum


class Merge(Enum):
    """What to do with a command whose expected sequence is not the root's."""

    COMMUTATIVE = "commutative"
    """Reject it, as retryable, only if it changes a field that has changed since the expected sequence."""
    STRICT = "strict"
    """Reject it, as retryable, with the events since the expected sequence."""
    AGGREGATE_HANDLES = "aggregate-handles"
    """Do not check; the handler decides."""
    MANUAL = "manual"
    """Put it into the dead letters, for a person to decide."""
