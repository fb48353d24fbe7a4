"""Payloads by content type: bytes to a protobuf message, and back."""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message

from headrace.schemas.codecs import avro

PROTOBUF = "application/protobuf"
JSON = "application/json"
AVRO = "application/avro"

M = TypeVar("M", bound=Message)
Decoder = Callable[[bytes | None, type[M]], M]


class DecodeError(ValueError):
    """A payload that cannot be read as the message; the text names message type, content type and reason."""


def content_types() -> tuple[str, ...]:
    """What `encode` takes. `decode` also takes these with parameters, application/x-protobuf, and no content type."""
    return PROTOBUF, JSON, AVRO


def decode(data: bytes | None, message_type: type[M], content_type: str | None = None) -> M:
    """The message in a record's value; None is read as no bytes. Raises DecodeError, and nothing else."""
    message: M = decoder_for(content_type)(data, message_type)
    return message


def encode(message: Message, content_type: str = PROTOBUF) -> bytes:
    """`message` as the value of a record. Raises ValueError if the content type is unknown, or cannot represent it."""
    if content_type == PROTOBUF:
        return message.SerializeToString()
    if content_type == AVRO:
        write: Callable[[Message], bytes] = avro.encode
    elif content_type == JSON:
        write = _to_json
    else:
        raise ValueError(f"content type {content_type!r} is unknown; there are {', '.join(content_types())}")
    try:
        return write(message)
    except Exception as error:
        raise ValueError(f"{message.DESCRIPTOR.full_name} as {content_type}: {error}") from error


def decoder_for(content_type: str | None) -> Decoder[Any]:
    """`decode` for one content type, for callers that have many payloads of it.

    For a content type that is not known, the function returned raises DecodeError.
    """
    decoder = _DECODERS.get(content_type)
    if decoder is None and content_type is not None:
        decoder = _DECODERS.get(content_type.partition(";")[0].strip().lower())
    return decoder or _unknown(content_type)


def _from_protobuf(data: bytes | None, message_type: type[M]) -> M:
    try:
        return message_type.FromString(data or b"")
    except ProtobufError as error:
        raise _failure(message_type, PROTOBUF, error) from None


def _from_json(data: bytes | None, message_type: type[M]) -> M:
    try:
        text = (data or b"").decode()
        # an empty list or string would be read as a message without fields; only Google's own types have such forms
        if not text.lstrip().startswith("{") and message_type.DESCRIPTOR.file.package != "google.protobuf":
            raise json_format.ParseError("is no JSON object" if text.strip() else "is empty")
        return _storable(json_format.Parse(text, message_type()))
    except Exception as error:  # hostile input makes json_format raise more than its own ParseError
        raise _failure(message_type, JSON, error) from None


def _from_avro(data: bytes | None, message_type: type[M]) -> M:
    try:
        return _storable(avro.decode(data or b"", message_type))
    except Exception as error:  # fastavro has no error class of its own for malformed data
        raise _failure(message_type, AVRO, error) from None


def _storable(message: M) -> M:
    """The same message, if protobuf can read its own serialisation; from 100 levels of nesting on it cannot."""
    message.__class__.FromString(message.SerializeToString())
    return message


def _unknown(content_type: str | None) -> Decoder[Any]:
    def refuse(data: bytes | None, message_type: type[M]) -> M:
        known = ", ".join(content_types())
        raise _failure(message_type, repr(content_type), f"this content type is unknown; there are {known}")

    return refuse


def _failure(message_type: type[Message], content_type: str, reason: object) -> DecodeError:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return DecodeError(f"{message_type.DESCRIPTOR.full_name} as {content_type}: {text[:500]}")


def _to_json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()


_DECODERS: dict[str | None, Decoder[Any]] = {
    None: _from_protobuf,
    PROTOBUF: _from_protobuf,
    "application/x-protobuf": _from_protobuf,
    JSON: _from_json,
    AVRO: _from_avro,
}
