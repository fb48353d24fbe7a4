"""Keys in Redis. What belongs to one partition has its name in braces, and so lies in one slot of a Redis Cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one deployment. Its prefix and edition, and names of components, hold no braces."""

    prefix: str
    edition: str

    def document(self, component: str, partition: int, document_id: bytes) -> bytes:
        """The key of a document; its id may be any bytes."""
        return self.documents(component, partition) + document_id

    def documents(self, component: str, partition: int) -> bytes:
        """What the keys of a partition's documents begin with."""
        return f"{self._tag(component, partition)}:".encode()

    def all_documents(self, component: str) -> bytes:
        """A pattern, as SCAN takes it, of the keys of all documents of a component."""
        return f"{self._tag(component, '*')}:*".encode()

    def partition(self, key: bytes) -> int:
        """The partition in a document's key."""
        return int(key[: key.index(b"}")].rpartition(b".")[2])

    def position(self, component: str, partition: int) -> str:
        """The key of a hash that says up to where Redis has a partition; no document can have it."""
        return f"{self._tag(component, partition)}/position"

    def serving(self, name: str) -> str:
        """The key that holds the version of a projector that is read."""
        return f"{self.prefix}{self.edition}.{name}:serving"

    def _tag(self, component: str, partition: int | str) -> str:
        return f"{{{self.prefix}{self.edition}.{component}.{partition}}}"
