"""Brings documents that a sink has set aside to their system again, as they are now."""

from collections import defaultdict
from collections.abc import Iterable

from confluent_kafka import Message

from headrace.connectors.connect.rendering import Rendered
from headrace.connectors.search.declaration import PLUGINS
from headrace.connectors.search.index import IndexAdmin, SearchFailed
from headrace.streams.admin.dead_letters import ListedDeadLetter, NotAccepted, NotReplayable, SettleFailed
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import PartitionId, end_offsets, read_to_end

_Newest = dict[bytes, Message]


class Resend:
    """For the dead letters of declared sinks. Only Headrace's search sink takes single documents.

    What is sent is the newest record of the document, under its own version, as the sink does: a later one that the
    index has already stays, and one that the sink writes meanwhile wins.
    """

    def __init__(self, settings: Settings, declared: Iterable[Rendered], found: Iterable[ListedDeadLetter]) -> None:
        self._settings = settings
        self._declared = {str(one.source.sink): one for one in declared}
        self._wanted: defaultdict[PartitionId, dict[bytes, int]] = defaultdict(dict)
        for one in found:
            keys, key = self._wanted[one.body.topic, one.body.partition], one.body.key
            keys[key] = min(one.body.offset, keys.get(key, one.body.offset))
        self._newest: dict[PartitionId, _Newest] = {}

    def __call__(self, dead_letter: ListedDeadLetter) -> None:
        """Raises NotReplayable, NotAccepted or SettleFailed, with what to do."""
        body, sink = dead_letter.body, self._declared.get(dead_letter.component)
        if sink is None:
            raise NotReplayable(f"{dead_letter.id}: {dead_letter.component} is not declared any more; discard it")
        if sink.index is None or sink.config["connector.class"] != PLUGINS["headrace"]:
            instead = (
                "" if sink.no_reset else f", or have it read all documents again: `headrace connect reset {sink.name}`"
            )
            raise NotReplayable(
                f"{dead_letter.id}: Connect cannot send one document again to {dead_letter.component}; write the "
                f"document anew by its projector and discard this{instead}"
            )
        if body.key_missing or body.topic != sink.source.topic:
            raise NotReplayable(f"{dead_letter.id}: it has no document's id; discard it")
        place = body.topic, body.partition
        if place not in self._newest:
            self._newest[place] = self._read(place)
        message = self._newest[place].get(body.key)
        if message is None:
            return  # it was deleted, so long ago that the topic has forgotten it; the sink has read that
        try:
            index = IndexAdmin(sink.index)
            index.write(body.key.decode(errors="replace"), (message.offset() or 0) + 1, message.value())
        except SearchFailed as error:
            kind = NotAccepted if error.status else SettleFailed
            raise kind(f"{dead_letter.id} stays open: {error}") from None

    def _read(self, place: PartitionId) -> _Newest:
        """The newest record of each wanted document in a partition, from the oldest dead letter on."""
        wanted = self._wanted[place]
        first, end = end_offsets(self._settings, [place])[place]
        unread = {place: (max(first, min(wanted.values())), end)}
        newest: _Newest = {}
        for batch in read_to_end(self._settings, unread, {"group_id": f"{self._settings.prefix}headrace.reader"}):
            newest |= {key: one for one in batch.get(place, ()) if (key := one.key()) is not None and key in wanted}
        return newest
