"""Where documents of the poker room go: past hands to be searched, accounts into Redis, rows into Snowflake.

HEADRACE_TOPOLOGY=headrace.examples.poker.sinks:read_side
"""

from headrace import Search, Sinks, Snowflake
from headrace.connectors.redis import Redis
from headrace.examples.poker import read_side
from headrace.examples.poker.projectors import HandFacts, PastHands, PlayerCards

sinks = Sinks(Search(PastHands), Redis(PlayerCards), Snowflake(HandFacts))

__all__ = ["read_side", "sinks"]
