"""The store in dictionaries, under the name by which tests know it."""

from headrace.streams.in_memory.store import MemoryStore

__all__ = ["MemoryStore"]
