"""Names of the headers that Headrace reads and writes; `docs/record-format.md` says what each of them means."""

SPECVERSION = "ce_specversion"
ID = "ce_id"
SOURCE = "ce_source"
TYPE = "ce_type"
SUBJECT = "ce_subject"
TIME = "ce_time"
SEQUENCE = "ce_sequence"
CORRELATION = "ce_correlationid"
CAUSATION = "ce_causationid"
TRACEPARENT = "ce_traceparent"
FACT = "ce_factid"
EXPECTED = "ce_expectedsequence"
NOW = "ce_now"
"""On a command or fact in an edition: the time at which it is decided, in RFC 3339; else it is that of its record."""
SYNC_MODE = "ce_syncmode"
"""How long the sender of a command waits: `async`, `decision`, `simple` or `cascade`; or `isolated`.

On an event `simple`: projectors acknowledge it to the sender; `isolated`: sagas and process managers pass it over.
"""
REPORT_TO = "ce_reportto"
"""Where each component reports what became of a record that a command led to: `{topic}/{partition}/{command id}`."""
ON_ERROR = "ce_onerror"
"""What becomes of a cascade in which a command is rejected or a record is dead: `fail-fast`, `continue`, …"""
REPLY_TO = "ce_replyto"
PATH = "ce_path"
"""Sagas and process managers that led here, oldest first, each followed by `>`."""
REJECT_TO = "ce_rejectto"
"""Who is notified that the command was rejected: component and root, with a colon between them."""
CASCADE = "ce_cascade"
REPLAY_OF = "ce_replayof"
"""Id of the dead letter that this record is sent again for."""
ATTEMPTS = "ce_attempts"
DISCARD = "ce_discard"
ORIGIN = "ce_origintopic"
"""The topic that the input of a replayed dead letter was on; the record counts as if it came from there."""
AWAITED = "ce_awaited"
"""On a document: for which events of commands somebody waits until a sink has it: see `schemas/awaited.py`."""
CONTENT_TYPE = "content-type"
DATA_CONTENT_TYPE = "ce_datacontenttype"
"""Read in commands and facts where there is no `content-type`, since some programs write it so."""
DATA_SCHEMA = "ce_dataschema"
"""On an event: the version of its type, if there have been others: see `event_schema`."""
UNREADABLE = "\0unreadable"
"""In place of all headers of a record that cannot be read: what is wrong with it.

Nobody can send this name: the client library ends names at a NUL. It is not kept in dead letters.
"""

REQUIRED = (SPECVERSION, ID, SOURCE, TYPE)
REPLAY = frozenset({REPLAY_OF, ATTEMPTS, DISCARD, ORIGIN})
"""Headers that a replay adds to those of its dead letter's input."""
ENGINE_ONLY = frozenset({SEQUENCE, CAUSATION, FACT, PATH, REJECT_TO, CASCADE, REPORT_TO}) | REPLAY
"""Headers that only the engine and operators set. They count in an inbox only; `ce_factid` also in a facts topic."""

Headers = list[tuple[str, str | bytes | None]]
"""Headers as they are produced, in order; a name may occur twice."""
