"""The two versions of the cards, and sinks for each: HEADRACE_TOPOLOGY=tests.support.bank.sunk:topology."""

import os

from headrace import Search, Sinks
from headrace.connectors.redis import Redis
from tests.support.bank.projectors import Cards, LaterCards
from tests.support.bank.reactions import versions as topology

__all__ = ["sinks", "topology"]

_URL = os.environ.get("BANK_SEARCH_URL", "http://127.0.0.1:9")
sinks = Sinks(*(sink for cards in (Cards, LaterCards) for sink in (Search(cards, url=_URL), Redis(cards))))
