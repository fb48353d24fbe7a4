"""The running example: poker, played with real hands. `topology` is what a deployment of it runs."""

from headrace.examples.poker.hand import Hand
from headrace.examples.poker.player import Player
from headrace.topology import Topology

topology = Topology(Player, Hand)

__all__ = ["Hand", "Player", "topology"]
