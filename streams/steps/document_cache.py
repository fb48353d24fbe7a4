"""The documents of one partition as a batch sees them: those in the store, plus the changes of the batch so far."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from google.protobuf.message import Message

from headrace.schemas.documents import DocumentCodec, DocumentError
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import SnapshotTooLarge, TooLarge
from headrace.streams.steps.store import Store

Project = Callable[[Message, Record, bytes, Any], object]
"""Changes a document of an id because of an event, which came in a record."""
Event = tuple[Message, Record]


class LiveDocument:
    """A document after the latest event: that of `data`, which `events` have changed.

    `data` is None where there is none, and `last` where this batch has not changed it.
    """

    __slots__ = ("data", "document", "events", "last")

    def __init__(self, document: Any, data: bytes | None) -> None:
        self.document, self.data = document, data
        self.events: list[Event] = []
        self.last: Record | None = None


class DocumentCache:
    """Loads documents, and keeps the latest `live` of them between batches."""

    def __init__(self, codec: DocumentCodec[Any], project: Project, store: Store, room: int, live: int) -> None:
        self._codec, self._project, self._store, self._room, self._most = codec, project, store, room, live
        self._live: dict[bytes, LiveDocument] = {}
        self._touched: dict[bytes, LiveDocument] = {}

    def use(self, document_id: bytes, batch: Batch) -> LiveDocument:
        """The document for an event. If the event is rolled back, so are its changes of the document."""
        live = self._live.get(document_id)
        if live is None:
            data = self._store.document(document_id)
            live = self._live[document_id] = LiveDocument(self._object(data), data)
        batch.undo.append((self._restore, document_id, live, live.data, live.events, len(live.events), live.last))
        return live

    def keep(
        self, document_id: bytes, live: LiveDocument, event: Message, record: Record, batch: Batch, *, exists: bool
    ) -> None:
        """Note what an event has made of a document.

        It is written at the end of the batch, once for all its events, and after each event only where the batch is
        handled with `enforce_state_size`. Then it raises TooLarge, and DocumentError for what JSON cannot hold.
        """
        if not exists:
            live.document, live.data, live.events = self._codec.new(), None, []
        elif batch.enforce_state_size:
            live.data, live.events = self._encoded(document_id, live), []
        else:
            live.events.append((event, record))
        live.last = record
        self._touched[document_id] = live

    def changed_by(self, record: Record, document_id: bytes) -> bool:
        """Whether a document is as it is because of this record."""
        live = self._touched.get(document_id)
        return live is not None and live.last is record

    def changed(self) -> Iterator[tuple[bytes, bytes | None, Record]]:
        """Documents that the batch has changed, in JSON (None: removed), with the record of the last such event.

        SnapshotTooLarge for one that cannot be written.
        """
        for document_id, live in self._touched.items():
            if live.events:
                try:
                    live.data = self._encoded(document_id, live)
                except (DocumentError, TooLarge) as error:
                    raise SnapshotTooLarge(document_id) from error
            assert live.last is not None
            yield document_id, live.data, live.last

    def committed(self) -> None:
        """The batch is committed: the store has the documents that it changed."""
        live = self._live
        for document in self._touched.values():
            document.events.clear()
            document.last = None
        if len(live) > self._most:
            for document_id in self._touched:  # the most recently used go to the end
                live[document_id] = live.pop(document_id)
            for document_id in list(islice(live, len(live) - self._most)):
                del live[document_id]
        self._touched.clear()

    def rolled_back(self) -> None:
        """Drop each document, since the batch may have changed it."""
        self._live.clear()
        self._touched.clear()

    def _restore(
        self,
        document_id: bytes,
        live: LiveDocument,
        data: bytes | None,
        events: list[Event],
        count: int,
        last: Record | None,
    ) -> None:
        """Make a document again as it was before an event, by the events before that."""
        del events[count:]
        live.data, live.events, live.last = data, events, last
        if last is None:
            self._touched.pop(document_id, None)
        live.document = self._object(data)
        try:
            for event, record in events:
                self._project(event, record, document_id, live.document)
        except Exception as error:  # it has not raised before
            raise SnapshotTooLarge(document_id) from error

    def _encoded(self, document_id: bytes, live: LiveDocument) -> bytes:
        data: bytes = self._codec.encode(live.document)
        if len(data) > self._room:
            name = document_id.decode()
            raise TooLarge(f"document {name} of {len(data)} bytes is above the limit of {self._room}")
        return data

    def _object(self, data: bytes | None) -> Any:
        return self._codec.new() if data is None else self._codec.decode(data)
