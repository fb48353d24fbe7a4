"""What the documents of the bank's projectors must be, by a fold of the test's own, and what they are."""

import json
from collections import defaultdict
from typing import Any

from tests.support.bank import messages_pb2 as pb
from tests.support.independent_reader import murmur
from tests.support.workflow_deployment import Ledger

Documents = dict[str, dict[str, Any]]


def expected_cards(ledger: Ledger) -> Documents:
    """A card per account, from the events on the log."""
    cards: Documents = {}
    for (domain, root), log in ledger.events.items():
        card: dict[str, Any] = {"owner": "", "balance": 0, "deposits": 0, "notes": []}
        read = 0
        for fact in log if domain == "account" else ():
            event = fact.message
            read += isinstance(event, pb.Opened | pb.Deposited | pb.Withdrawn | pb.Annotated)
            if isinstance(event, pb.Opened):
                card["owner"] = event.owner
            elif isinstance(event, pb.Deposited | pb.Withdrawn):
                card["balance"] = event.balance
                card["deposits"] += isinstance(event, pb.Deposited)
            elif isinstance(event, pb.Annotated):
                card["notes"] = [*card["notes"], event.note]
        if read:
            cards[root] = card
    return cards


def expected_pockets(ledger: Ledger) -> Documents:
    """What is in each pocket, over all accounts."""
    pockets: Documents = defaultdict(lambda: {"amount": 0, "stashed": 0})
    for log in ledger.events.values():
        for stashed in (fact.message for fact in log if isinstance(fact.message, pb.Stashed)):
            for name in stashed.pocket.split("/"):
                pockets[name]["amount"] += stashed.amount
                pockets[name]["stashed"] += 1
    return dict(pockets)


def documents(ledger: Ledger, component: str, partitions: int) -> Documents:
    """The latest document of each id on a projector's topic."""
    found: Documents = {}
    for entry in ledger.entries(component, "documents"):
        assert entry.key is not None
        assert entry.partition == murmur(entry.key, partitions), f"{entry.key!r} lies in {entry.partition}"
        assert entry.headers["ce_source"] == f"/main/{component}".encode()
        assert entry.headers["content-type"] == b"application/json"
        if entry.value is None:
            found.pop(entry.key.decode(), None)
        else:
            found[entry.key.decode()] = json.loads(entry.value)
    return found
