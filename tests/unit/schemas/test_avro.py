"""Avro as other programs see it: the schema, and bytes that fastavro alone writes and reads with it."""

import contextlib
import json
import tracemalloc
from io import BytesIO
from typing import Any

import fastavro
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.schemas.codecs import AVRO, DecodeError, avro, decode, encode
from tests.support import shapes_pb2 as pb


def published(message_type: Any) -> Any:
    """The schema as another program gets it: as JSON text."""
    return json.loads(json.dumps(avro.schema(message_type)))


def test_schema() -> None:
    assert published(pb.Leaf) == {
        "type": "record",
        "name": "tests.Leaf",
        "fields": [{"name": "name", "type": "string"}, {"name": "rank", "type": ["null", "int"]}],
    }


def test_schema_of_every_shape() -> None:
    types = {field["name"]: field["type"] for field in published(pb.Shapes)["fields"]}
    assert list(types)[:3] == ["a_bool", "an_int32", "an_int64"]
    assert types["a_uint64"] == "long"
    assert types["suit"] == {"type": "enum", "name": "tests.Suit", "symbols": ["TRUMP", "NONE", "CLUBS", "SPADES"]}
    assert types["maybe_suit"] == ["null", "tests.Suit"]
    assert types["leaves"] == {"type": "array", "items": "tests.Leaf"}
    assert types["suit_by_number"] == {"type": "map", "values": "tests.Suit"}
    assert types["chosen"] == ["null", "tests.Leaf"]
    assert types["time"][1]["fields"] == [{"name": "seconds", "type": "long"}, {"name": "nanos", "type": "int"}]


def test_a_recursive_message_is_named_within_itself() -> None:
    types = {field["name"]: field["type"] for field in published(pb.Tree)["fields"]}
    assert types["only"] == ["null", "tests.Tree"]
    assert types["branches"] == {"type": "array", "items": "tests.Tree"}
    assert types["named"] == {"type": "map", "values": "tests.Tree"}


def test_others_read_what_we_write() -> None:
    message = pb.Shapes(
        an_int64=-1,
        a_uint64=2**64 - 1,
        suit=pb.SPADES,
        leaf=pb.Leaf(name="mike"),
        time=Timestamp(seconds=1, nanos=5),
        leaves=[pb.Leaf(rank=0)],
        suit_by_number={-3: pb.CLUBS},
        uint64_by_bool={True: 7},
        text="",
    )
    plain: Any = fastavro.schemaless_reader(BytesIO(encode(message, AVRO)), published(pb.Shapes), None)
    set_fields = {name: value for name, value in plain.items() if value not in (None, 0, "", b"", "NONE", [], {})}
    assert set_fields == {
        "an_int64": -1,
        "a_uint64": -1,
        "suit": "SPADES",
        "leaf": {"name": "mike", "rank": None},
        "time": {"seconds": 1, "nanos": 5},
        "leaves": [{"name": "", "rank": 0}],
        "suit_by_number": {"-3": "CLUBS"},
        "uint64_by_bool": {"true": 7},
    }
    assert plain["text"] == ""
    assert plain["maybe_string"] is None


def plain_shapes(**values: Any) -> dict[str, Any]:
    """Every field of Shapes as an Avro producer has it: a value, or null where the schema lets it."""
    plain: Any = fastavro.schemaless_reader(BytesIO(encode(pb.Shapes(), AVRO)), published(pb.Shapes), None)
    return {**plain, **values}


def written_elsewhere(schema: Any, plain: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, plain)
    return out.getvalue()


def test_we_read_what_others_write() -> None:
    plain = plain_shapes(
        a_uint64=-1,
        maybe_uint64=5,
        leaf={"name": "mike", "rank": 3},
        empties=[{}, None],
        bytes_by_number={"7": b"\0"},
        trump="TRUMP",
    )
    assert decode(written_elsewhere(published(pb.Shapes), plain), pb.Shapes, AVRO) == pb.Shapes(
        a_uint64=2**64 - 1,
        maybe_uint64=5,
        leaf=pb.Leaf(name="mike", rank=3),
        empties=[pb.Empty(), pb.Empty()],
        bytes_by_number={7: b"\0"},
        trump=pb.TRUMP,
    )


def test_blocks_may_give_their_size() -> None:
    """Java writes long arrays so: minus the count, then the block's bytes."""
    two_leaves = b"\x03\x08" + b"\x02a\x00" + b"\x00\x00" + b"\x00"
    schema = {"type": "array", "items": published(pb.Leaf)}
    plain: Any = fastavro.schemaless_reader(BytesIO(two_leaves), schema, None)
    assert [leaf["name"] for leaf in plain] == ["a", ""]
    tree = b"\x00" + b"\x00" + b"\x01\x08" + b"\x00\x00\x00\x00" + b"\x00" + b"\x00"
    assert decode(tree, pb.Tree, AVRO) == pb.Tree(branches=[pb.Tree()])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"an_int32": 2**31}, "an_int32: "),
        ({"a_uint32": -1}, "a_uint32: "),
        ({"text": "a", "number": 1}, "number: choice holds text already"),
        ({"suit_by_number": {"one": "CLUBS"}}, "suit_by_number: "),
        ({"suit_by_number": {"01": "CLUBS"}}, "suit_by_number: "),
        ({"uint64_by_bool": {"True": 1}}, "uint64_by_bool: "),
        ({"leaf": {"name": "", "rank": 2**31}}, "leaf: rank: "),
    ],
)
def test_values_that_a_field_cannot_hold(values: dict[str, Any], field: str) -> None:
    wide = json.loads(json.dumps(published(pb.Shapes)).replace('"int"', '"long"'))  # the bytes are the same
    with pytest.raises(DecodeError, match=f"tests.Shapes as application/avro: {field}"):
        decode(written_elsewhere(wide, plain_shapes(**values)), pb.Shapes, AVRO)


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(DecodeError, match="2 bytes are left over"):
        decode(encode(pb.Leaf(name="x"), AVRO) + b"\0\0", pb.Leaf, AVRO)


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # zigzag varint, 2**62 - 1


@pytest.mark.parametrize("message_type", [pb.Leaf, pb.Tree, pb.Shapes])
def test_huge_lengths_allocate_nothing(message_type: Any) -> None:
    """Wherever a length or count stands, the memory taken stays in the order of the data's size."""
    good = encode(message_type(), AVRO)
    tracemalloc.start()
    for position in range(len(good)):
        with contextlib.suppress(DecodeError):
            decode(good[:position] + HUGE + bytes(100), message_type, AVRO)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_message_that_holds_itself_is_read_up_to_a_limit() -> None:
    """Its reader takes the square of a number's length: 900 KB of one byte took half a minute."""
    with pytest.raises(DecodeError, match="at most 100000 are read"):
        decode(b"\xff" * 900_000, pb.Shapes, "application/avro")
