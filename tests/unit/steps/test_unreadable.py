"""What could not be read again is not written: a record that would lead to it fails, and hurts nothing else."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from headrace import Aggregate, applies, handles
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.streams.steps.errors import SnapshotTooLarge
from tests.support.shapes_pb2 import Empty, Leaf, Shapes, Tree
from tests.support.step_fixture import StepFixture

DEEPEST = 100
"""Levels of messages that protobuf reads."""


def nested(levels: int) -> Tree:
    """Trees in trees."""
    top = tree = Tree()
    for _ in range(levels):
        tree = tree.only
        tree.SetInParent()
    return top


class Forest(Aggregate[Tree]):
    """Puts what it is given into an event, and all that there is into a larger tree."""

    domain = "forest"

    @handles
    def plant(self, state: Tree, command: Tree) -> Shapes:
        return Shapes(tree=command)

    @handles
    def grow(self, state: Tree, command: Leaf) -> Empty:
        return Empty()

    @applies
    def planted(self, state: Tree, event: Shapes) -> None:
        state.leaf.rank += 1

    @applies
    def grown(self, state: Tree, event: Empty) -> None:
        smaller = Tree()
        smaller.CopyFrom(state)
        state.Clear()
        state.only.CopyFrom(smaller)


def test_an_event_that_nests_too_deeply_is_not_written() -> None:
    """Else each reader of the log, and the root itself after a restart, would find what nobody can read."""
    fixture = StepFixture(Forest)
    Tree.FromString(nested(DEEPEST).SerializeToString())
    with pytest.raises(DecodeError):
        Shapes.FromString(Shapes(tree=nested(DEEPEST)).SerializeToString())
    outcome = fixture.tell(nested(1), nested(DEEPEST), nested(DEEPEST - 1))
    assert [reply.status for reply in outcome.replies] == [Reply.ACCEPTED, Reply.FAILED, Reply.ACCEPTED]
    assert "nested too deeply" in outcome.dead[0].error
    assert [Shapes.FromString(output[1] or b"") for output in outcome.kind("events")] == [
        Shapes(tree=nested(1)),
        Shapes(tree=nested(DEEPEST - 1)),
    ]


def test_a_state_that_nests_too_deeply_is_not_written() -> None:
    fixture = StepFixture(Forest)
    for _ in range(DEEPEST):
        assert fixture.tell(Leaf()).replies[0].status == Reply.ACCEPTED
    outcome = fixture.tell(Leaf(), nested(1))
    assert [reply.status for reply in outcome.replies] == [Reply.FAILED, Reply.ACCEPTED]
    fixture.restart()
    assert fixture.tell(nested(1)).replies[0].status == Reply.ACCEPTED


def needy() -> type[Message]:
    """A message that has to have a field."""
    file = descriptor_pb2.FileDescriptorProto(name="needy.proto", package="needy", syntax="proto2")
    file.message_type.add(name="Needy").field.add(
        name="what", number=1, type=FieldDescriptor.TYPE_STRING, label=FieldDescriptor.LABEL_REQUIRED
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("needy.Needy"))


Needy: Any = needy()


class Poor(Aggregate[Needy]):
    """Has what it needs with a leaf that has a name."""

    domain = "poor"

    @handles
    def give(self, state: Needy, command: Leaf) -> Leaf:
        return command

    @applies
    def given(self, state: Needy, event: Leaf) -> None:
        state.ClearField("what")
        if event.name:
            state.what = event.name


def test_a_state_that_cannot_be_written_hurts_its_record_alone() -> None:
    """It is noticed when the batch ends; then each record is asked, as where a state is too large."""
    fixture = StepFixture(Poor)
    batch = [fixture.record(Leaf(name=name), root=root) for name, root in (("a", "r"), ("", "s"), ("b", "t"))]
    with pytest.raises(SnapshotTooLarge):
        fixture.run(*batch)
    fixture.step.rolled_back()
    fixture.step.enforce_state_size = True
    outcome = fixture.run(*batch)
    assert [reply.status for reply in outcome.replies] == [Reply.ACCEPTED, Reply.FAILED, Reply.ACCEPTED]
    assert "missing required fields: what" in outcome.dead[0].error
