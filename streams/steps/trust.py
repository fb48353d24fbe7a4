"""Trust follows the topic: where a record counts as coming from, and what its headers may say there."""

from headrace.schemas.headers import ENGINE_ONLY, FACT, ORIGIN, REPLAY, REPLAY_OF
from headrace.schemas.record import Record, RecordError
from headrace.topology.names import Names

_IN_FACTS = ENGINE_ONLY - {FACT}


class Trust:
    """The inputs of one aggregate: `commands` of whoever may ask, `facts`, and the `inbox` of engine and operators."""

    def __init__(self, names: Names, edition: str, component: str) -> None:
        self.commands, self.facts, self.inbox = (
            names.topic(edition, component, kind) for kind in ("commands", "facts", "inbox")
        )

    def origin(self, record: Record) -> str:
        """The input that a record counts as coming from: its topic or, of a replay, that of the dead letter's input.

        Raises RecordError when a header says what only the engine may say there.
        """
        if record.topic == self.commands and ENGINE_ONLY.isdisjoint(record.headers):
            return self.commands  # as most are
        origin, headers = record.topic, record.headers
        if origin == self.inbox and REPLAY_OF in headers:
            origin = (headers.get(ORIGIN) or b"").decode(errors="replace")
            if origin not in (self.commands, self.facts, self.inbox):
                raise RecordError(f"{ORIGIN} is {origin[:99]!r}; a replay names the input that it was first on")
            headers = {name: value for name, value in headers.items() if name not in REPLAY}
        if origin != self.inbox:
            engines = _IN_FACTS if origin == self.facts else ENGINE_ONLY
            if forged := sorted(engines & headers.keys()):
                raise RecordError(f"header {', '.join(forged)} counts in {self.inbox} only; leave it out")
        return origin

    def in_inbox(self, record: Record) -> bool:
        """Whether a record counts as coming from the inbox, whatever else is wrong with it."""
        if record.topic != self.inbox:
            return False
        return REPLAY_OF not in record.headers or record.headers.get(ORIGIN) == self.inbox.encode()
