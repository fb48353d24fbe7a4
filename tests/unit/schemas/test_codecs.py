"""Payloads of every content type: there and back, and refused with a text that helps."""

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.codecs import (
    AVRO,
    JSON,
    PROTOBUF,
    DecodeError,
    content_types,
    decode,
    decoder_for,
    encode,
)
from tests.support import shapes_pb2 as pb
from tests.support.strategies import messages

every_content_type = pytest.mark.parametrize("content_type", content_types())


@every_content_type
@settings(max_examples=40, deadline=None)
@given(message=messages(pb.Shapes))
def test_there_and_back(content_type: str, message: pb.Shapes) -> None:
    again = decode(encode(message, content_type), pb.Shapes, content_type)
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


@every_content_type
def test_unset_is_told_from_default(content_type: str) -> None:
    unset = pb.Shapes()
    default = pb.Shapes(maybe_uint64=0, maybe_string="", inner=pb.Shapes.Inner(), empty=pb.Empty(), text="")
    assert decode(encode(unset, content_type), pb.Shapes, content_type) == unset
    assert decode(encode(default, content_type), pb.Shapes, content_type) == default


@every_content_type
def test_floats_that_are_no_numbers(content_type: str) -> None:
    message = pb.Shapes(a_double=float("nan"), floats=[float("inf"), float("-inf")])
    again = decode(encode(message, content_type), pb.Shapes, content_type)
    assert again.a_double != again.a_double
    assert list(again.floats) == [float("inf"), float("-inf")]


@pytest.mark.parametrize(
    "content_type", [None, PROTOBUF, "application/x-protobuf", "Application/Protobuf; proto=tests.Leaf"]
)
def test_protobuf_goes_by_several_names(content_type: str | None) -> None:
    assert decode(b"\x0a\x04mike", pb.Leaf, content_type) == pb.Leaf(name="mike")
    assert decode(None, pb.Leaf, content_type) == pb.Leaf()


def test_protobuf_keeps_unknown_fields() -> None:
    newer = pb.Shapes(an_int64=7, a_string="x").SerializeToString()
    assert decode(newer, pb.Empty, PROTOBUF).SerializeToString() == newer


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_mapping(content_type: str) -> None:
    text = '{"anInt64": "-5", "an_int32": 4, "suit": "SPADES", "maybeSuit": 1, "time": "2024-05-01T12:00:00.5Z"}'
    message = decode(text.encode(), pb.Shapes, content_type)
    assert (message.an_int64, message.an_int32, message.suit, message.maybe_suit) == (-5, 4, pb.SPADES, pb.CLUBS)
    assert message.time.ToMilliseconds() == 1_714_564_800_500
    assert json.loads(encode(message, JSON)) == {
        "anInt64": "-5",
        "anInt32": 4,
        "suit": "SPADES",
        "maybeSuit": "CLUBS",
        "time": "2024-05-01T12:00:00.500Z",
    }


@pytest.mark.parametrize(
    ("data", "content_type", "message_type", "texts"),
    [
        (b"\xff\xff", None, pb.Leaf, ["tests.Leaf", PROTOBUF]),
        (b"\x0a\x01\xff", PROTOBUF, pb.Leaf, ["tests.Leaf", PROTOBUF]),
        (b'{"leaf": {"nope": 1}}', JSON, pb.Shapes, ["tests.Shapes", JSON, '"nope"']),
        (b'{"anInt32": 3000000000}', JSON, pb.Shapes, [JSON, "anInt32", "3000000000"]),
        (b'{"suit": "HEARTS"}', JSON, pb.Shapes, [JSON, "suit", "HEARTS"]),
        (b'{"text": "a", "number": "1"}', JSON, pb.Shapes, [JSON, "choice"]),
        (b'"\xff"', JSON, pb.Shapes, [JSON, "utf-8"]),
        (None, JSON, pb.Leaf, ["tests.Leaf", JSON]),
        (b"", AVRO, pb.Leaf, ["tests.Leaf", AVRO, "ends too early"]),
        (b"{}", "text/plain", pb.Leaf, ["tests.Leaf", "'text/plain'", PROTOBUF, JSON, AVRO]),
        (b"", "", pb.Leaf, ["tests.Leaf", "''"]),
    ],
)
def test_refusals_say_what_is_wrong(
    data: bytes | None, content_type: str | None, message_type: type[Message], texts: list[str]
) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(data, message_type, content_type)
    assert [text for text in texts if text not in str(refused.value)] == []
    assert "\n" not in str(refused.value)


def test_encode_knows_its_content_types() -> None:
    with pytest.raises(ValueError, match=r"text/plain.*application/avro"):
        encode(pb.Leaf(), "text/plain")
    unnamed = pb.Shapes()
    unnamed.suits.append(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tests.Shapes as application/avro: suits: 7 has no name in tests.Suit"):
        encode(unnamed, AVRO)


def test_a_decoder_can_be_kept() -> None:
    assert decoder_for(None) is decoder_for(PROTOBUF)
    assert decoder_for(JSON)(b'{"name": "mike"}', pb.Leaf) == pb.Leaf(name="mike")


# ---- hostile input


@st.composite
def damaged(draw: st.DrawFn, content_type: str) -> bytes:
    """A right payload with a piece of it replaced by anything."""
    data = encode(draw(messages(pb.Shapes, 2)), content_type)
    start = draw(st.integers(0, len(data)))
    return data[:start] + draw(st.binary(max_size=6)) + data[start + draw(st.integers(0, 6)) :]


def decodes_or_refuses(data: bytes, message_type: Any, content_type: str) -> None:
    try:
        message = decode(data, message_type, content_type)
    except DecodeError:
        return
    message_type.FromString(message.SerializeToString())


@every_content_type
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_payloads_raise_decode_errors_only(content_type: str, data: st.DataObject) -> None:
    decodes_or_refuses(data.draw(damaged(content_type)), pb.Shapes, content_type)


@every_content_type
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=60))
def test_random_bytes_raise_decode_errors_only(content_type: str, data: bytes) -> None:
    for message_type in (pb.Shapes, pb.Tree, pb.Leaf):
        decodes_or_refuses(data, message_type, content_type)


@pytest.mark.parametrize("levels", [101, 150, 100_000])
@pytest.mark.parametrize(
    ("content_type", "opening", "closing"),
    [(JSON, b'{"only":', b"{}"), (AVRO, b"\x00\x02", b"\x00\x00"), (AVRO, b"\x00\x00\x02", b"\x00\x00")],
)
def test_deep_nesting_is_refused(content_type: str, opening: bytes, closing: bytes, levels: int) -> None:
    """What protobuf could not read again must not be let in; and no depth may end the process."""
    end = b"}" * levels if content_type == JSON else b"\x00\x00" * (levels + 1)
    with pytest.raises(DecodeError):
        decode(opening * levels + closing + end, pb.Tree, content_type)


def test_deep_protobuf_is_refused() -> None:
    data = b""
    for _ in range(150):
        data = pb.Tree(leaf=pb.Leaf(name="x")).SerializeToString() + b"\x12" + _varint(len(data)) + data
    with pytest.raises(DecodeError):
        decode(data, pb.Tree, PROTOBUF)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


@pytest.mark.parametrize("content_type", [JSON, AVRO])
def test_nesting_that_protobuf_can_read_is_taken(content_type: str) -> None:
    tree = pb.Tree()
    for _ in range(90):
        tree = pb.Tree(only=tree)
    assert decode(encode(tree, content_type), pb.Tree, content_type) == tree
