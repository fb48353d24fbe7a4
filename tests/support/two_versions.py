"""The bank's cards in two versions, both in Redis."""

from headrace import Sinks
from headrace.connectors.redis import Redis
from tests.support.bank import reactions
from tests.support.bank.projectors import Cards, LaterCards

topology = reactions.versions
sinks = Sinks(Redis(Cards), Redis(LaterCards))
