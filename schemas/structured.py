"""What other programs send: CloudEvents in Kafka's structured mode, and small deviations from the binary mode."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Any

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from headrace.schemas.codecs import JSON
from headrace.schemas.headers import CONTENT_TYPE, DATA_CONTENT_TYPE, ID, REPLAY, SOURCE, SPECVERSION, TYPE
from headrace.schemas.record import Record, RecordError, check

STRUCTURED = b"application/cloudevents"
"""What the content type of a record in structured mode begins with."""
_FORMAT = b"application/cloudevents+json"


def understood(record: Record) -> Record:
    """The record in binary mode, with the headers that every CloudEvent needs; otherwise RecordError."""
    headers = record.headers
    get = headers.get
    if CONTENT_TYPE in headers:
        if get(SPECVERSION) == b"1.0" and get(ID) and get(SOURCE) and get(TYPE):
            return record  # the usual case
        if get(CONTENT_TYPE, b"").lower().startswith(STRUCTURED):
            return _unwrapped(record)
    elif (content_type := get(DATA_CONTENT_TYPE)) is not None:
        record = record._replace(headers={**headers, CONTENT_TYPE: content_type})
    check(record.headers)
    return record


def _unwrapped(record: Record) -> Record:
    """A record whose value is the whole event as JSON. Headers of a replay stay; all others say nothing."""
    content_type = record.headers[CONTENT_TYPE]
    if content_type.partition(b";")[0].strip().lower() != _FORMAT:
        raise RecordError(f"{CONTENT_TYPE} is {content_type[:99]!r}; of structured modes, {_FORMAT.decode()} is read")
    headers, data = from_json(record.value or b"")
    kept = {name: value for name, value in record.headers.items() if name in REPLAY}
    return record._replace(value=data, headers=headers | kept)


def from_json(value: bytes) -> tuple[dict[str, bytes], bytes | None]:
    """Headers and data of an event that is JSON as a whole. Raises RecordError."""
    try:
        event = JSONFormat().read(_event, value)
    except CloudEventValidationError as error:
        found = "; ".join(str(one) for errors in error.errors.values() for one in errors)
        raise RecordError(f"the value is no CloudEvent: {found[:500]}") from None
    except Exception as error:  # hostile JSON makes the parser raise whatever there is
        raise RecordError(f"the value is no CloudEvent as JSON: {str(error)[:500] or type(error).__name__}") from None
    data = event.get_data()
    if isinstance(data, bytes) and b'"%s"' % b64encode(data) not in value.replace(b"\\/", b"/"):
        raise RecordError("data_base64 is no base64")  # the package passes over what it does not know
    attributes = event.get_attributes()
    headers = {f"ce_{name}": _text(name, one) for name, one in attributes.items() if name != "datacontenttype"}
    headers[CONTENT_TYPE] = str(event.get_datacontenttype() or JSON).encode()
    try:
        return headers, _data(data, headers[CONTENT_TYPE])
    except ValueError as error:
        raise RecordError(f"data is no JSON: {error}") from None


def _event(attributes: dict[str, Any], data: Any) -> CloudEvent:
    """The package makes an id and a time where they are missing; an id of ours would be another one at each attempt."""
    known = {name: value for name, value in attributes.items() if value is not None}
    event = CloudEvent({"id": "", "specversion": "", "time": datetime.fromtimestamp(0).astimezone(), **known}, data)
    if "time" not in known:
        del event.get_attributes()["time"]
    return event


def _text(name: str, value: Any) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z").encode()
    if not isinstance(value, str | int):
        raise RecordError(f"attribute {name} is {value!r:.99}; an attribute is text, a whole number or a boolean")
    return str(value).encode()


def _data(data: Any, content_type: bytes) -> bytes | None:
    if data is None or isinstance(data, bytes):
        return data
    kind = content_type.partition(b";")[0].strip().lower()
    if isinstance(data, str) and not (kind.endswith((b"/json", b"+json"))):
        return data.encode()
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
