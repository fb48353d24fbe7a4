"""Components at work, without Kafka: one module per kind, and what they are composed of."""

from headrace.streams.steps import aggregate, feed, process_manager, saga

__all__ = ["aggregate", "feed", "process_manager", "saga"]
