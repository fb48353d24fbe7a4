"""The documents of one partition as a batch sees them: those in the store, plus the changes of the batch so far."""

from collections.abc import Iterable
from typing import Any

from headrace.schemas.documents import DocumentCodec
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import TooLarge
from headrace.streams.steps.store import Store


class LiveDocument:
    """A document between two events; `data` is None, and `document` new, where there is none."""

    __slots__ = ("data", "document")

    def __init__(self, document: Any, data: bytes | None) -> None:
        self.document, self.data = document, data


class DocumentCache:
    """Loads documents, and keeps the latest `live` of them between batches."""

    def __init__(self, codec: DocumentCodec[Any], store: Store, room: int, live: int) -> None:
        self._codec, self._store, self._room, self._most = codec, store, room, live
        self._live: dict[bytes, LiveDocument] = {}

    def use(self, document_id: bytes, batch: Batch) -> LiveDocument:
        """The document for an event. If the event is rolled back, so are its changes of the document."""
        live = self._live.get(document_id)
        if live is None:
            data = self._store.document(document_id)
            live = self._live[document_id] = LiveDocument(self._object(data), data)
        batch.undo.append((self._restore, live, live.data))
        return live

    def keep(self, document_id: bytes, live: LiveDocument, batch: Batch, *, exists: bool) -> None:
        """Stage a document as it is after an event. Raises TooLarge, and DocumentError for what JSON cannot hold."""
        if exists:
            live.data = self._codec.encode(live.document)
            if len(live.data) > self._room:
                name = document_id.decode()
                raise TooLarge(f"document {name} of {len(live.data)} bytes is above the limit of {self._room}")
        else:
            live.document, live.data = self._codec.new(), None
        batch.set_document(document_id, live.data)

    def committed(self, changed: Iterable[bytes]) -> None:
        """The batch is committed: the store has the documents that it changed."""
        live = self._live
        if len(live) > self._most:
            for document_id in changed:  # the most recently used go to the end
                live[document_id] = live.pop(document_id)
            for document_id in list(live)[: len(live) - self._most]:
                del live[document_id]

    def rolled_back(self) -> None:
        """Drop each document, since the batch may have changed it."""
        self._live.clear()

    def _restore(self, live: LiveDocument, data: bytes | None) -> None:
        live.document, live.data = self._object(data), data

    def _object(self, data: bytes | None) -> Any:
        return self._codec.new() if data is None else self._codec.decode(data)
