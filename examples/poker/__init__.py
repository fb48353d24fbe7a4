"""The running example: poker, played with real hands.

`topology` is hands and accounts by themselves; `room` is all of it, with tables and the sagas in between.
"""

from headrace import Topology
from headrace.examples.poker.course import Course
from headrace.examples.poker.hand import Hand
from headrace.examples.poker.player import Player
from headrace.examples.poker.sagas import Cashier, Croupier, Dealer, Usher
from headrace.examples.poker.table import Table

topology = Topology(Player, Hand)
room = Topology(Player, Table, Hand, Cashier, Usher, Dealer, Croupier, Course)

__all__ = ["Hand", "Player", "Table", "room", "topology"]
