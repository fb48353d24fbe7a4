"""What is marked while it is handled, and what the next process makes of a mark that was left behind."""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.schemas.headers import ID
from headrace.schemas.record import Record
from headrace.streams.runtime import suspects as module
from headrace.streams.runtime.suspects import ALL, DEATHS, SIZE, Suspect, Suspects, in_file, place
from headrace.streams.steps.errors import HandlerError

COMMANDS, INBOX = "main.account.commands", "main.account.inbox"


def record(offset: int, partition: int = 0, topic: str = COMMANDS, id_: bytes = b"", key: bytes = b"r") -> Record:
    return Record(topic, partition, offset, 0, key, b"", {ID: id_ or b"%d" % offset})


def mark(its: Suspects, *records: Record) -> None:
    """Let these be a batch, and the last of them at work."""
    its.begin({(one.topic, one.partition): (one.offset, one.offset + 1) for one in records})
    its.at[0] = place(records[-1])[2]


class Machine:
    """A state folder, and the processes that come and go there."""

    def __init__(self) -> None:
        self.memory = bytearray(SIZE)

    def start(self, *topics: str) -> Suspects:
        return Suspects(self.memory, topics or (COMMANDS, INBOX))

    def dies_at(self, record: Record) -> None:
        """One more process does."""
        mark(self.start(), record)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_what_was_handled_in_order_is_nobodys_suspect(machine: Machine) -> None:
    its = machine.start()
    assert not its.busy
    mark(its, record(3))
    assert its.busy
    its.clear()
    assert not its.busy
    assert machine.start().found == []
    assert machine.start().together([record(3), record(4)]) == 2


def test_a_record_busy_when_the_process_ends_is_handled_alone(machine: Machine) -> None:
    machine.dies_at(record(3))
    its = machine.start()
    assert its.found == [Suspect(COMMANDS, 0, 3, 4, 1)]
    assert its.refusal(record(3)) is None
    batch = [record(1), record(2), record(3), record(4)]
    assert (its.together(batch), its.together(batch[2:]), its.together(batch[3:])) == (2, 1, 1)
    assert its.together([record(4), record(5), *batch]) == 4


@pytest.mark.parametrize("other", [record(3, 1), record(3, 0, INBOX), record(2), record(4)])
def test_others_are_not_suspect(other: Record, machine: Machine) -> None:
    machine.dies_at(record(3))
    assert machine.start().together([record(0), other]) == 2


def test_the_third_death_of_one_record_is_its_last(machine: Machine) -> None:
    for deaths in range(1, DEATHS):
        machine.dies_at(record(3))
        its = machine.start()
        assert [one.deaths for one in its.found] == [deaths]
        assert its.refusal(record(3)) is None
    machine.dies_at(record(3))
    refusal = machine.start().refusal(record(3))
    assert isinstance(refusal, HandlerError)
    assert "the worker has ended 3 times" in str(refusal)


def test_kills_at_many_records_refuse_none(machine: Machine) -> None:
    """As by an orchestrator, or chaos: what comes through in between is cleared."""
    for number in range(50):
        its = machine.start()
        assert its.refusal(record(number)) is None
        mark(its, record(number))
        its = machine.start()
        mark(its, record(number))
        its.clear()
        its.passed([record(number)], {(COMMANDS, 0): number + 1})
        assert its.together([record(number)] * 2) == 2


def test_of_a_batch_each_record_is_handled_alone_and_its_death_is_the_first_of_each(machine: Machine) -> None:
    its = machine.start()
    its.begin({(COMMANDS, 0): (4, 7), (INBOX, 1): (9, 10), (INBOX, 0): (-1001, 1)})
    its.at[0] = ALL
    its = machine.start()
    assert its.found == [Suspect(COMMANDS, 0, 4, 7, 1), Suspect(INBOX, 1, 9, 10, 1), Suspect(INBOX, 0, 0, 1, 1)]
    batch = [record(4), record(5), record(6), record(9, 1, INBOX), record(7)]
    assert [its.together(batch[at:]) for at in range(5)] == [1, 1, 1, 1, 1]
    its.passed([record(4)], {(COMMANDS, 0): 5})
    machine.dies_at(record(5))
    machine.dies_at(record(5))
    its = machine.start()
    assert its.found == [Suspect(COMMANDS, 0, 5, 6, 3)]
    assert its.refusal(record(5)) is not None
    assert its.refusal(record(6)) is None
    assert [its.together([record(first), record(7)]) for first in (4, 5, 6)] == [2, 1, 1]


def test_what_is_passed_is_forgotten_also_by_the_next_process(machine: Machine) -> None:
    machine.dies_at(record(3))
    its = machine.start()
    its.passed([], {(COMMANDS, 1): 9, (INBOX, 0): 9, (COMMANDS, 0): 3})
    assert its.together([record(2), record(3)]) == 1
    its.passed([], {(COMMANDS, 0): 4})
    assert its.together([record(2), record(3)]) == 2
    machine.dies_at(record(3))
    assert [one.deaths for one in machine.start().found] == [1]


def test_time_outs_are_told_apart_by_their_ids(machine: Machine) -> None:
    """They have no offset."""
    one, other = (record(-1, 0, INBOX, id_) for id_ in (b"r/one@1", b"r/other@1"))
    for _ in range(DEATHS):
        machine.dies_at(one)
    its = machine.start()
    assert (its.refusal(one) is None, its.refusal(other) is None) == (False, True)
    its.passed([other], {(INBOX, 0): 100})
    assert its.refusal(one) is not None
    its.passed([one], {(INBOX, 0): 100})
    assert its.together([other, one]) == 2
    assert place(one)[2] < 0


def test_time_outs_that_were_not_begun_are_no_suspects(machine: Machine) -> None:
    its = machine.start()
    its.begin({(INBOX, 0): (-1, 0)})
    assert machine.start().found == []
    assert its.busy is False


def test_an_offset_in_several_partitions_is_looked_for_in_each(machine: Machine) -> None:
    its = machine.start()
    its.begin({(COMMANDS, 0): (4, 9), (COMMANDS, 1): (0, 7), (COMMANDS, 2): (7, 9)})
    its.at[0] = 6
    assert machine.start().found == [Suspect(COMMANDS, 0, 6, 7, 1), Suspect(COMMANDS, 1, 6, 7, 1)]


def test_a_record_that_waits_for_the_engine_is_not_busy(machine: Machine) -> None:
    its = machine.start()
    mark(its, record(3))
    with its.waiting():
        assert not its.busy
        assert Suspects(bytearray(machine.memory), [COMMANDS]).found == []
    assert machine.start().found != []


def test_what_was_sent_again_is_refused_with_the_first_one(machine: Machine) -> None:
    """A client that has no answer sends the same command again, before the first one is a dead letter."""
    for _ in range(DEATHS):
        machine.dies_at(record(3, id_=b"deadly"))
    its = machine.start()
    again = record(9, id_=b"deadly")
    assert its.refusal(again) is None
    assert its.refusal(record(3, id_=b"deadly")) is not None
    its.passed([], {(COMMANDS, 0): 4})
    assert its.refusal(again) is not None
    for other in (record(9), record(9, key=b"other", id_=b"deadly"), record(9, topic=INBOX, id_=b"deadly")):
        assert its.refusal(other) is None
    assert machine.start().refusal(again) is None, "perhaps its handler is another one now"


def test_suspects_of_several_components_are_handled_one_after_the_other(machine: Machine) -> None:
    machine.dies_at(record(3))
    its = machine.start()
    with its.alone([record(3)]):
        assert module._alone.locked()
        with its.alone([record(2)]), its.alone([]):
            pass
    assert not module._alone.locked()


@pytest.mark.parametrize(
    "damage",
    [
        {0: b"another0"},
        {8: struct.pack("<q", -1)},
        {8: struct.pack("<q", 1 << 40)},
        {24: struct.pack("<q", 77)},
        {8 * module._CHECKSUM: bytes(8)},
        {8 * module._SUSPECTS: struct.pack("<q", 5)},
    ],
    ids=["release", "negative", "too many", "another topic", "checksum", "suspects"],
)
def test_what_is_not_as_expected_counts_for_nothing(damage: Mapping[int, bytes], machine: Machine) -> None:
    machine.dies_at(record(2))
    machine.dies_at(record(3))
    for at, data in damage.items():
        machine.memory[at : at + len(data)] = data
    its = machine.start()
    assert its.refusal(record(2)) is None
    suspects_lost, mark_lost = max(damage) > 24 or 0 in damage, max(damage) <= 24
    assert its.together([record(0), record(2), record(2)]) == (3 if suspects_lost else 1)
    assert its.together([record(0), record(3), record(3)]) == (3 if mark_lost else 1)
    mark(its, record(5))
    assert Suspect(COMMANDS, 0, 5, 6, 1) in machine.start().found


def test_any_bytes_in_the_file_harm_nothing(machine: Machine) -> None:
    for seed in range(20):
        machine.memory[:] = bytes((seed * 37 + at * 11) % 256 for at in range(SIZE))
        its = machine.start()
        assert (its.found, its.together([record(0), record(1)])) == ([], 2)


def test_more_than_there_is_room_for_is_left_out(machine: Machine) -> None:
    machine.start().begin({(COMMANDS, number): (0, 5) for number in range(5000)})
    assert len(machine.start().found) == module._MOST


def test_it_outlives_the_process(tmp_path: Path) -> None:
    """However that ends, and without a call to the system for each record."""
    path = tmp_path / "account" / "suspects"
    code = (
        "import os, pathlib, signal, sys\n"
        "from headrace.streams.runtime.suspects import Suspects, in_file\n"
        f"its = Suspects(in_file(pathlib.Path(sys.argv[1])), [{COMMANDS!r}])\n"
        f"its.begin({{({COMMANDS!r}, 2): (3, 20)}})\n"
        "its.at[0] = 17\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert Suspects(in_file(path), [COMMANDS]).found == [Suspect(COMMANDS, 2, 17, 18, 1)]
    assert os.stat(path).st_size == SIZE


def test_a_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "suspects"
    path.write_bytes(b"x" * 100)
    assert Suspects(in_file(path), [COMMANDS]).found == []
    assert path.stat().st_size == SIZE
