"""What older releases of the poker room have written, and what it is today."""

from headrace import Upcaster, upcasts
from headrace.examples.poker import poker_pb2 as pb


class PlayerPast(Upcaster):
    """Names were once written as in an address book, the family's first: `Johnson, Linda`."""

    domain = "player"

    @upcasts(version=1)
    def registered(self, event: pb.PlayerRegistered) -> pb.PlayerRegistered:
        family, comma, given = event.name.partition(", ")
        return pb.PlayerRegistered(name=f"{given} {family}" if comma else event.name)
