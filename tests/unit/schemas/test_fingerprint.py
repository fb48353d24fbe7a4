"""What changes a fingerprint, and what does not."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

from headrace.schemas.fingerprint import canonical, fingerprint
from tests.support import shapes_pb2

MAIN = """
syntax = "proto3";
package hands;
import "cards.proto";

message Unrelated { int32 x = 1; }

message State {
  string name = 1;
  int64 stack = 2;
  repeated string seats = 3;
  map<string, int64> bets = 4;
  optional int32 limit = 5;
  oneof last { string text = 6; Action action = 7; }
  cards.Card card = 8;
}

message Action {
  enum Kind { KIND_UNSPECIFIED = 0; FOLD = 1; CALL = 2; }
  Kind kind = 1;
  State before = 2;
}
"""
CARDS = """
syntax = "proto3";
package cards;
enum Suit { CLUBS = 0; SPADES = 1; }
enum Colour { RED = 0; BLACK = 1; }
message Card { Suit suit = 1; }
"""


@cache
def compiled(main: str, cards: str = CARDS, file: str = "main.proto", name: str = "hands.State") -> Descriptor:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, file).write_text(main)
        Path(folder, "cards.proto").write_text(cards)
        out = Path(folder, "set")
        arguments = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
        assert protoc.main(["protoc", f"--proto_path={folder}", *arguments, file]) == 0
        files = FileDescriptorSet.FromString(out.read_bytes())
    pool = DescriptorPool()
    for description in files.file:
        pool.Add(description)
    found: Descriptor = pool.FindMessageTypeByName(name)
    return found


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string name = 1", "string nick = 1"),
        ("string name = 1", "string name = 9"),
        ("string name = 1", "bytes name = 1"),
        ("int64 stack = 2", "sint64 stack = 2"),
        ("int64 stack = 2", "optional int64 stack = 2"),
        ("int64 stack = 2;", "int64 stack = 2; bool folded = 9;"),
        ("  int64 stack = 2;\n", ""),
        ("repeated string seats", "string seats"),
        ("map<string, int64> bets", "map<string, uint64> bets"),
        ("map<string, int64> bets", "map<int32, int64> bets"),
        ("optional int32 limit", "int32 limit"),
        ("oneof last { string text = 6;", "string text = 6; oneof last {"),
        ("oneof last", "oneof latest"),
        ("cards.Card card", "cards.Suit card"),
        ("CALL = 2", "CALL = 3"),
        ("CALL = 2", "CHECK = 2"),
        ("CALL = 2;", "CALL = 2; RAISE = 3;"),
        ("Kind kind = 1", "repeated Kind kind = 1"),
        ("State before = 2", "Unrelated before = 2"),
    ],
)
def test_changes_that_count(old: str, new: str) -> None:
    assert fingerprint(compiled(replaced(MAIN, old, new))) != fingerprint(compiled(MAIN))


@pytest.mark.parametrize(
    ("old", "new"), [("Suit suit = 1", "Colour suit = 1"), ("SPADES = 1", "SPADES = 2"), ("Suit suit = 1", "")]
)
def test_changes_in_an_imported_file_count(old: str, new: str) -> None:
    assert fingerprint(compiled(MAIN, replaced(CARDS, old, new))) != fingerprint(compiled(MAIN))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string name = 1;", "// who it is\n  string name = 1;  // a name"),
        ("string name = 1;\n  int64 stack = 2;", "int64 stack = 2; string name = 1;"),
        ("FOLD = 1; CALL = 2;", "CALL = 2; FOLD = 1;"),
        ("int32 x = 1", "int64 y = 2"),
        ("message Unrelated { int32 x = 1; }", "message Other {} message Unrelated {}"),
        ("message State {", "message State {\n  reserved 100;"),
        ("int64 stack = 2", "int64 stack = 2 [deprecated = true]"),
    ],
)
def test_changes_that_do_not_count(old: str, new: str) -> None:
    assert fingerprint(compiled(replaced(MAIN, old, new))) == fingerprint(compiled(MAIN))


def test_the_file_and_unused_types_of_an_import_do_not_count() -> None:
    assert fingerprint(compiled(MAIN, file="other.proto")) == fingerprint(compiled(MAIN))
    assert fingerprint(compiled(MAIN, replaced(CARDS, "RED", "GREEN"))) == fingerprint(compiled(MAIN))


def test_types_that_use_each_other_differ() -> None:
    assert fingerprint(compiled(MAIN, name="hands.Action")) != fingerprint(compiled(MAIN))


def test_class_and_descriptor_agree() -> None:
    descriptor: Any = shapes_pb2.Shapes.DESCRIPTOR
    assert fingerprint(shapes_pb2.Shapes) == fingerprint(descriptor)


def test_fingerprints_stay_what_they_are() -> None:
    """Were they to change with a release, every snapshot would be dropped and every history folded again."""
    assert canonical(shapes_pb2.Tree).splitlines() == [
        "message tests.Tree",
        "  1 leaf TYPE_MESSAGE tests.Leaf presence",
        "  2 only TYPE_MESSAGE tests.Tree presence",
        "  3 branches TYPE_MESSAGE tests.Tree repeated",
        "  4 named TYPE_MESSAGE tests.Tree.NamedEntry repeated",
        "message tests.Leaf",
        "  1 name TYPE_STRING",
        "  2 rank TYPE_INT32 presence oneof _rank",
        "map entry tests.Tree.NamedEntry",
        "  1 key TYPE_STRING",
        "  2 value TYPE_MESSAGE tests.Tree presence",
    ]
    assert fingerprint(shapes_pb2.Tree) == "70b696c4b7d7943c"
