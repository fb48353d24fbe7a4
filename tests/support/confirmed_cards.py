"""The bank's documents in a Redis that says when it has them."""

from headrace import Sinks
from headrace.connectors.redis import Redis
from tests.support.bank import reactions
from tests.support.bank.projectors import Cards, Pockets

topology = reactions.projected
sinks = Sinks(Redis(Cards, confirm=True), Redis(Pockets, confirm=True))
