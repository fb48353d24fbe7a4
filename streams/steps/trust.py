"""Trust follows the topic: from which topic a record counts as coming, and which headers it may have there."""

from headrace.schemas.headers import ENGINE_ONLY, FACT, ORIGIN, REPLAY, REPLAY_OF
from headrace.schemas.record import Record, RecordError
from headrace.topology.names import Names

_IN_FACTS = ENGINE_ONLY - {FACT}


class Trust:
    """The inputs of one aggregate: `commands` of clients, `facts`, and the `inbox` for the engine and operators."""

    def __init__(self, names: Names, edition: str, component: str) -> None:
        self.commands, self.facts, self.inbox = (
            names.topic(edition, component, kind) for kind in ("commands", "facts", "inbox")
        )

    def origin(self, record: Record) -> str:
        """The input from which a record counts as coming: its topic or, for a replay, that of the dead letter's input.

        Raises RecordError if it has a header that only the engine may set there.
        """
        if record.topic == self.commands and ENGINE_ONLY.isdisjoint(record.headers):
            return self.commands  # the usual case
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
        """Whether a record counts as coming from the inbox, even if something else is wrong with it."""
        if record.topic != self.inbox:
            return False
        return REPLAY_OF not in record.headers or record.headers.get(ORIGIN) == self.inbox.encode()
