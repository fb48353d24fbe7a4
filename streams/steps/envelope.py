"""The attributes that all records of one component have in common."""

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import CONTENT_TYPE, SOURCE, SPECVERSION, TYPE, Headers
from headrace.streams.steps.context import StepContext
from headrace.topology.names import source


class Envelope:
    """Makes the headers with which the records of a component begin."""

    def __init__(self, component: str, context: StepContext) -> None:
        self.source = source(context.edition, component)

    def headers(self, type_name: str) -> Headers:
        """For a protobuf message of this type."""
        return [(SPECVERSION, "1.0"), (SOURCE, self.source), (TYPE, type_name), (CONTENT_TYPE, PROTOBUF)]
