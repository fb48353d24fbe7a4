"""How the author of a state says that its meaning has changed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshots:
    """How the states of an aggregate or process manager are kept: `snapshots = Snapshots(version=2)`.

    A stored state is used as long as its message type and this version are the same; else it is folded anew from the
    events when its root is next used. So increase `version` when an `@applies` method is repaired.
    """

    version: int = 1

    def __post_init__(self) -> None:
        if self.version < 1:
            raise ValueError(f"version={self.version}; versions begin with 1")
