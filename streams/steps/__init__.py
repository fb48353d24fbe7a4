"""Steps: components that handle records, without Kafka. One module per kind, and the parts that they share."""

from headrace.streams.steps import (
    aggregate,
    cascade_compensation,
    feed,
    process_manager,
    projector,
    projector_feed,
    saga,
)

__all__ = ["aggregate", "cascade_compensation", "feed", "process_manager", "projector", "projector_feed", "saga"]
