"""Strategies for commands whose expected sequence is not the root's."""

from enum import Enum


class Merge(Enum):
    """What to do with a command whose expected sequence is not the root's."""

    COMMUTATIVE = "commutative"
    """Refuse, as retryable, only if fields changed since then are fields that this command changes."""
    STRICT = "strict"
    """Refuse, as retryable, with the events since the expected sequence."""
    AGGREGATE_HANDLES = "aggregate-handles"
    """Do not check; the handler knows what to do."""
    MANUAL = "manual"
    """To the dead letters, for a person to decide."""
