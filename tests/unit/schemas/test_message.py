"""Messages declared in Python are what protoc makes of the same .proto file."""

import importlib
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google import protobuf
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from headrace import Aggregate, Enum, Message, applies, field, handles, has, schemas
from headrace import testing as headrace_testing
from headrace.cli.main import app
from headrace.schemas import codecs
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.message import MessageError, check_complete
from headrace.schemas.proto_text import proto_text
from headrace.testing import TopologyDriver
from headrace.topology.topology import Topology

PACKAGE = "messages_in_python.v1"


class Suit(Enum, package=PACKAGE):
    CLUBS = 0
    SPADES = 3


class Card(Message, package=PACKAGE):
    """One of fifty-two."""

    suit: Suit = field(1)
    rank: int = field(2, kind="uint32")


class Shapes(Message, package=PACKAGE, reserved=(20, 21)):
    class Node(Message):
        name: str = field(1)
        next: "Shapes.Node | None" = field(2)
        whole: "Shapes" = field(3)
        links: list["Shapes.Edge"] = field(4)

    class Edge(Message):
        ends: dict[str, "Shapes.Node"] = field(1)

    text: str = field(1)
    raw: bytes = field(2)
    yes: bool = field(3)
    number: int = field(4)
    small: int = field(5, kind="sint32")
    fixed: int = field(6, kind="fixed64")
    real: float = field(7)
    half: float = field(8, kind="float")
    cards: list[Card] = field(9)
    words: list[str] = field(10)
    counts: dict[str, int] = field(11)
    by_number: dict[int, Card] = field(12)
    note: str | None = field(13)
    phone: str = field(14, oneof="contact")
    mail: str = field(15, oneof="contact")
    when: Timestamp = field(16)
    parent: "Shapes | None" = field(17)
    first: Node = field(18)
    suits: list[Suit] = field(19)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> DescriptorPool:
    """The exported file, as protoc reads it."""
    folder = tmp_path_factory.mktemp("proto")
    (folder / "m.proto").write_text(proto_text(PACKAGE, [Card, Shapes]))
    include = Path(protoc.__file__).parent / "_proto"
    out = folder / "set"
    arguments = [
        f"--proto_path={folder}",
        f"--proto_path={include}",
        "--include_imports",
        f"--descriptor_set_out={out}",
    ]
    assert protoc.main(["protoc", *arguments, "m.proto"]) == 0
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return pool


def twin(pool: DescriptorPool, message: type[ProtobufMessage]) -> Any:
    return GetMessageClass(pool.FindMessageTypeByName(message.DESCRIPTOR.full_name))


@pytest.mark.parametrize("message", [Card, Shapes, Shapes.Node, Shapes.Edge])
def test_protoc_makes_the_same_of_the_exported_file(compiled: DescriptorPool, message: type[ProtobufMessage]) -> None:
    assert fingerprint(twin(compiled, message)) == fingerprint(message)


SHAPES = st.builds(
    Shapes,
    text=st.text(),
    raw=st.binary(),
    yes=st.booleans(),
    number=st.integers(-(2**63), 2**63 - 1),
    small=st.integers(-(2**31), 2**31 - 1),
    fixed=st.integers(0, 2**64 - 1),
    real=st.floats(allow_nan=False),
    cards=st.lists(st.builds(Card, suit=st.sampled_from(list(Suit)), rank=st.integers(0, 13)), max_size=3),
    words=st.lists(st.text(), max_size=3),
    counts=st.dictionaries(st.text(), st.integers(-9, 9), max_size=3),
    by_number=st.dictionaries(st.integers(0, 9), st.builds(Card, rank=st.integers(0, 9)), max_size=2),
    note=st.none() | st.text(),
    mail=st.text(),
    when=st.builds(Timestamp, seconds=st.integers(0, 2**33)),
    suits=st.lists(st.sampled_from(list(Suit)), max_size=2),
)


@given(shapes=SHAPES)
def test_the_bytes_are_those_of_protoc_both_ways(compiled: DescriptorPool, shapes: Any) -> None:
    data = shapes.SerializeToString(deterministic=True)
    other = twin(compiled, Shapes).FromString(data)
    assert other.SerializeToString(deterministic=True) == data
    assert Shapes.FromString(other.SerializeToString()) == shapes


@given(shapes=SHAPES)
def test_every_codec_carries_them(shapes: Any) -> None:
    for content_type in codecs.content_types():
        if content_type != codecs.AVRO:  # a message that holds itself has no Avro schema of ours with maps of it
            assert codecs.decode(codecs.encode(shapes, content_type), Shapes, content_type) == shapes
    card = Card(suit=Suit.SPADES, rank=7)
    assert codecs.decode(codecs.encode(card, codecs.AVRO), Card, codecs.AVRO) == card


def test_they_are_real_messages() -> None:
    card = Card(suit=Suit.SPADES, rank=12)
    assert isinstance(card, ProtobufMessage)
    assert Card.DESCRIPTOR.full_name == f"{PACKAGE}.Card"
    assert Card.__doc__ == "One of fifty-two."
    assert card.suit == Suit.SPADES
    for one in (card, Shapes.Node(name="n"), Shapes(first=Shapes.Node(name="n"))):
        assert pickle.loads(pickle.dumps(one)) == one


def test_optional_fields_and_groups() -> None:
    shapes = Shapes(note="", mail="m")
    assert (has(shapes, "note"), has(shapes, "parent"), has(shapes, "mail"), has(shapes, "phone")) == (
        True,
        False,
        True,
        False,
    )
    assert Shapes().note == ""
    shapes.phone = "p"
    assert not has(shapes, "mail")
    with pytest.raises(ValueError, match="text"):
        has(shapes, "text")


class Opened(Message, package="messages_in_python.account.v1"):
    owner: str = field(1)


class Open(Message, package="messages_in_python.account.v1"):
    owner: str = field(1)


class Account(Message, package="messages_in_python.account.v1"):
    owner: str = field(1)
    times: dict[str, int] = field(2)


class Accounts(Aggregate[Account]):
    domain = "account"

    @handles
    def open(self, state: Account, command: Open) -> Opened:
        return Opened(owner=command.owner)

    @applies
    def opened(self, state: Account, event: Opened) -> None:
        state.owner = event.owner
        state.times[event.owner] += 1


def test_an_aggregate_of_them() -> None:
    headrace_testing.given(Accounts).when(Open(owner="Ann")).then(Opened(owner="Ann")).then_state(times={"Ann": 1})
    driver = TopologyDriver(Topology(Accounts))
    assert driver.execute(Open(owner="Ann"), root="a").accepted
    assert driver.state("a").times == {"Ann": 1}


def test_the_same_again_is_the_same_class_and_another_one_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    text = 'from headrace import Message, field\nclass Again(Message, package="again.v1"):\n    one: str = field(1)\n'
    (tmp_path / "again_messages.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    module: Any = importlib.import_module("again_messages")
    first = module.Again
    assert importlib.reload(module).Again is first
    (tmp_path / "again_messages.py").write_text(text.replace("one: str", "one: bytes") + "# changed\n")
    with pytest.raises(MessageError, match=r"again\.v1\.Again: there is another message of this name"):
        importlib.reload(module)


W = 'class W(Message, package="w"):\n    '
ONE = 'class E(Enum, package="w"):\n    A = 1\n'
LOCAL = "def local():\n    class W(Message, package='w'):\n        a: 'Later' = field(1)\nlocal()"
WRONG = {
    "class W(Message):\n    a: str = field(1)": "W: names no package; write class W(Message, package=",
    W + "a: str": "W.a: has no number; write a: … = field(1)",
    W + "a = field(1)": "W.a: has no type; write a: str = field(1)",
    W + "a: str = field(0)": "W.a: number 0 is not between 1 and",
    W + "a: str = field(19500)": "W.a: protobuf keeps the numbers 19000 to 19999",
    W + "a: str = field(1)\n    b: str = field(1)": "W.b: number 1 is that of a already",
    W.replace("):", ", reserved=(2,)):") + "a: str = field(2)": "W.a: number 2 is that of a field that was dropped",
    W + "a: complex = field(1)": "W.a: complex is no type of a field; there are str",
    W + "a: str = field(1, kind='int32')": "W.a: str has no kind 'int32'",
    W + "a: int = field(1, kind='int7')": "W.a: int has no kind 'int7'; there are int32",
    W + "a: dict[float, str] = field(1)": "W.a: a map's keys are str, int or bool",
    W + "a: str | int = field(1)": "W.a: a union is `X | None`",
    LOCAL: "W.a: name 'Later' is not defined",
    W + "a: list[str] = field(1, oneof='o')": "W.a: a field in a oneof is neither",
    ONE + W + "a: E = field(1)": "W.a: the first value of E must be 0",
}


@pytest.mark.parametrize("code", WRONG, ids=list(WRONG.values()))
def test_each_mistake_is_named(code: str) -> None:
    with pytest.raises(MessageError) as refused:
        exec(f"from headrace import Enum, Message, field\n{code}", {"__name__": __name__})
    assert WRONG[code] in str(refused.value)


class Folder(Message, package="messages_in_python.files.v1"):
    """Names two that come later; one of them names it, too."""

    name: str = field(1)
    files: list["File"] = field(2)
    owner: "Owner" = field(3)
    kind: "File.Kind" = field(4)


class File(Message, package="messages_in_python.files.v1"):
    name: str = field(1)
    folder: "Folder | None" = field(2)

    class Kind(Message):
        text: str = field(1)


class Owner(Message, package="messages_in_python.files.v1"):
    name: str = field(1)


def test_messages_that_name_each_other() -> None:
    folder = Folder(name="a", files=[File(name="b", folder=Folder(name="c"))], owner=Owner(name="o"))
    folder.kind.text = "k"
    assert Folder.FromString(folder.SerializeToString()) == folder
    assert pickle.loads(pickle.dumps(folder)) == folder
    assert (type(folder.files[0]), type(folder.files[0].folder)) == (File, Folder)
    assert Folder.DESCRIPTOR.file.name == File.DESCRIPTOR.file.name != Owner.DESCRIPTOR.file.name
    check_complete(__name__)


def test_protoc_makes_the_same_of_messages_that_name_each_other(tmp_path: Path) -> None:
    text = proto_text("messages_in_python.files.v1", [Folder, File, Owner])
    (tmp_path / "files.proto").write_text(text)
    assert protoc.main(["protoc", f"-I{tmp_path}", f"-o{tmp_path}/set", "files.proto"]) == 0
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file:
        pool.Add(file)
    theirs = GetMessageClass(pool.FindMessageTypeByName(Folder.DESCRIPTOR.full_name))
    folder = Folder(name="a", files=[File(name="b", folder=Folder(name="c"))], owner=Owner(name="o"))
    assert theirs.FromString(folder.SerializeToString()).SerializeToString() == folder.SerializeToString()


LATER = """
from headrace import Message, field
class Tree(Message, package="waiting_{name}.v1"):
    leaves: list["Leaf"] = field(1)
class Forest(Message, package="waiting_{name}.v1"):
    trees: list[Tree] = field(1)
"""
LEAF = """
class Leaf(Message, package="waiting_{name}.v1"):
    tree: Tree = field(1)
"""


def imported(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A new module of this text."""
    (folder / f"waiting_{name}.py").write_text(text.format(name=name))
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module(f"waiting_{name}")


def test_what_is_never_declared_is_named_at_the_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported("never", LATER, tmp_path, monkeypatch)
    said = r"Tree\.leaves: name 'Leaf' is not defined; declare it at the level of the module"
    for use in (
        module.Tree,
        lambda: module.Tree.FromString(b""),
        module.Forest,
        lambda: check_complete("waiting_never"),
    ):
        with pytest.raises(MessageError, match=said):
            use()
    result = CliRunner().invoke(app, ["proto", "export", "waiting_never"])
    assert result.exit_code == 2
    assert "Tree.leaves: name 'Leaf' is not defined" in result.output


def test_all_that_wait_are_made_with_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported("made", LATER + LEAF, tmp_path, monkeypatch)
    forest = module.Forest(trees=[module.Tree(leaves=[module.Leaf()])])
    assert module.Forest.FromString(forest.SerializeToString()) == forest
    tree = module.Tree
    assert importlib.reload(module).Tree is tree


ELSEWHERE = """
import sys, types
sys.path.append(sys.argv[1])
headrace = types.ModuleType("headrace"); headrace.__path__ = [sys.argv[2]]; sys.modules["headrace"] = headrace
from headrace.schemas.message import Enum, Message, field, has
class Suit(Enum, package="elsewhere.v1"):
    CLUBS = 0
    HEARTS = 1
class Card(Message, package="elsewhere.v1"):
    suit: Suit = field(1)
    marks: list[str] = field(2)
    counts: dict[str, int] = field(3)
    note: str | None = field(4)
    next: "Hand" = field(5)
class Hand(Message, package="elsewhere.v1"):
    cards: list[Card] = field(1)
hand = Hand(cards=[Card(suit=Suit.HEARTS, marks=["a"], counts={"b": 2}, next=Hand())])
again = Hand.FromString(hand.SerializeToString())
assert again == hand and not has(again.cards[0], "note") and has(again.cards[0], "next")
from google.protobuf.internal import api_implementation
print("ok", api_implementation.Type())
"""


def python(version: str) -> str | None:
    """The interpreter of a version that is on PATH, or that pyenv has; None if there is none that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *map(str, root.glob(f"versions/{version}.*/bin/python"))]
    runs = (c for c in candidates if c and not subprocess.run([c, "-c", ""], capture_output=True).returncode)
    return next(runs, None)


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_other_pythons(version: str) -> None:
    """With the protobuf of this one, whose binary is for all versions from here on."""
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"Python {version} is not installed here")
    paths = [str(Path(protobuf.__file__).parents[2]), str(Path(schemas.__file__).parents[1])]
    done = subprocess.run([interpreter, "-c", ELSEWHERE, *paths], capture_output=True, text=True)
    assert done.stdout == "ok upb\n", done.stderr


def test_a_file_of_its_own_for_each_message() -> None:
    file = FileDescriptorProto()
    Shapes.DESCRIPTOR.file.CopyToProto(file)
    assert list(file.dependency) == [
        f"{PACKAGE}.Card.proto",
        "google/protobuf/timestamp.proto",
        f"{PACKAGE}.Suit.proto",
    ]
