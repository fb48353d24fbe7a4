"""The running example: poker, played with real hands.

`topology` is hands and accounts by themselves; `room` is all of it, with tables and the sagas in between; `read_side`
is the room and its read models.
"""

from headrace import Topology
from headrace.examples.poker.course import Course
from headrace.examples.poker.hand import Hand
from headrace.examples.poker.past import PlayerPast
from headrace.examples.poker.player import Player
from headrace.examples.poker.projectors import HandFacts, Leaderboard, PastHands, PlayerCards
from headrace.examples.poker.sagas import Cashier, Croupier, Dealer, Usher
from headrace.examples.poker.table import Table

topology = Topology(Player, PlayerPast, Hand)
_room = Player, PlayerPast, Table, Hand, Cashier, Usher, Dealer, Croupier, Course
room = Topology(*_room)
read_side = Topology(*_room, PlayerCards, PastHands, HandFacts, Leaderboard)

__all__ = ["Hand", "Player", "PlayerPast", "Table", "read_side", "room", "topology"]
