"""What authors use for tests: given-when-then for one component, and a driver for a whole topology. Needs no Kafka."""

from headrace.testing.client import DriverClient
from headrace.testing.driver import TopologyDriver
from headrace.testing.given import given
from headrace.testing.history import OfVersion

__all__ = ["DriverClient", "OfVersion", "TopologyDriver", "given"]
