from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("type", "sequence", "data", "content_type", "time", "correlation_id", "causation_id", "fact_id", "version")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    FACT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    type: str
    sequence: int
    data: bytes
    content_type: str
    time: str
    correlation_id: str
    causation_id: str
    fact_id: str
    version: int
    def __init__(self, type: _Optional[str] = ..., sequence: _Optional[int] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., time: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., fact_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("sequence", "state", "fingerprint", "recorded", "first", "every")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    state: bytes
    fingerprint: str
    recorded: int
    first: int
    every: int
    def __init__(self, sequence: _Optional[int] = ..., state: _Optional[bytes] = ..., fingerprint: _Optional[str] = ..., recorded: _Optional[int] = ..., first: _Optional[int] = ..., every: _Optional[int] = ...) -> None: ...

class CommandResults(_message.Message):
    __slots__ = ("keys", "values")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., values: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("command_id", "status", "root", "sequence", "events", "reason", "code", "retryable", "already_processed", "correlation_id")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Reply.Status]
        ACCEPTED: _ClassVar[Reply.Status]
        REJECTED: _ClassVar[Reply.Status]
        FAILED: _ClassVar[Reply.Status]
    STATUS_UNSPECIFIED: Reply.Status
    ACCEPTED: Reply.Status
    REJECTED: Reply.Status
    FAILED: Reply.Status
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    status: Reply.Status
    root: str
    sequence: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    reason: str
    code: str
    retryable: bool
    already_processed: bool
    correlation_id: str
    def __init__(self, command_id: _Optional[str] = ..., status: _Optional[_Union[Reply.Status, str]] = ..., root: _Optional[str] = ..., sequence: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., reason: _Optional[str] = ..., code: _Optional[str] = ..., retryable: _Optional[bool] = ..., already_processed: _Optional[bool] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class Projected(_message.Message):
    __slots__ = ("component", "sequence", "documents", "failed", "sink", "document")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    component: str
    sequence: int
    documents: int
    failed: bool
    sink: str
    document: str
    def __init__(self, component: _Optional[str] = ..., sequence: _Optional[int] = ..., documents: _Optional[int] = ..., failed: _Optional[bool] = ..., sink: _Optional[str] = ..., document: _Optional[str] = ...) -> None: ...

class Handled(_message.Message):
    __slots__ = ("component", "record", "status", "root", "type", "reason", "code", "follows", "documents", "first", "undo", "undo_at")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    UNDO_AT_FIELD_NUMBER: _ClassVar[int]
    component: str
    record: str
    status: Reply.Status
    root: str
    type: str
    reason: str
    code: str
    follows: _containers.RepeatedCompositeFieldContainer[Follows]
    documents: int
    first: bool
    undo: Rejection
    undo_at: str
    def __init__(self, component: _Optional[str] = ..., record: _Optional[str] = ..., status: _Optional[_Union[Reply.Status, str]] = ..., root: _Optional[str] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., code: _Optional[str] = ..., follows: _Optional[_Iterable[_Union[Follows, _Mapping]]] = ..., documents: _Optional[int] = ..., first: _Optional[bool] = ..., undo: _Optional[_Union[Rejection, _Mapping]] = ..., undo_at: _Optional[str] = ...) -> None: ...

class Follows(_message.Message):
    __slots__ = ("component", "record", "event_type")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    component: str
    record: str
    event_type: str
    def __init__(self, component: _Optional[str] = ..., record: _Optional[str] = ..., event_type: _Optional[str] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("state", "from_sequence", "limit", "as_of_sequence", "as_of_time")
    STATE_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    state: bool
    from_sequence: int
    limit: int
    as_of_sequence: int
    as_of_time: int
    def __init__(self, state: _Optional[bool] = ..., from_sequence: _Optional[int] = ..., limit: _Optional[int] = ..., as_of_sequence: _Optional[int] = ..., as_of_time: _Optional[int] = ...) -> None: ...

class QueryResult(_message.Message):
    __slots__ = ("root", "sequence", "state_type", "state", "events", "reason", "as_of", "unfinished")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    root: str
    sequence: int
    state_type: str
    state: bytes
    events: _containers.RepeatedCompositeFieldContainer[Event]
    reason: str
    as_of: bool
    unfinished: bool
    def __init__(self, root: _Optional[str] = ..., sequence: _Optional[int] = ..., state_type: _Optional[str] = ..., state: _Optional[bytes] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., reason: _Optional[str] = ..., as_of: _Optional[bool] = ..., unfinished: _Optional[bool] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("key", "value", "value_missing")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_MISSING_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    value_missing: bool
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ..., value_missing: _Optional[bool] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("topic", "partition", "offset", "timestamp", "key", "key_missing", "value", "value_missing", "headers", "component", "error_class", "error", "detail", "attempts", "first_failed", "last_failed", "omitted")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_MISSING_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_MISSING_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_CLASS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FAILED_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILED_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    key_missing: bool
    value: bytes
    value_missing: bool
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    component: str
    error_class: str
    error: str
    detail: str
    attempts: int
    first_failed: int
    last_failed: int
    omitted: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., timestamp: _Optional[int] = ..., key: _Optional[bytes] = ..., key_missing: _Optional[bool] = ..., value: _Optional[bytes] = ..., value_missing: _Optional[bool] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., component: _Optional[str] = ..., error_class: _Optional[str] = ..., error: _Optional[str] = ..., detail: _Optional[str] = ..., attempts: _Optional[int] = ..., first_failed: _Optional[int] = ..., last_failed: _Optional[int] = ..., omitted: _Optional[int] = ...) -> None: ...

class Positions(_message.Message):
    __slots__ = ("cluster", "partitions", "inputs", "recorded", "cut", "settled")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    partitions: int
    inputs: _containers.RepeatedCompositeFieldContainer[Position]
    recorded: int
    cut: int
    settled: int
    def __init__(self, cluster: _Optional[str] = ..., partitions: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., recorded: _Optional[int] = ..., cut: _Optional[int] = ..., settled: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("topic", "topic_id", "offset")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    TOPIC_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    topic: str
    topic_id: str
    offset: int
    def __init__(self, topic: _Optional[str] = ..., topic_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("component", "root", "command_id", "command_type", "command", "content_type", "reason", "code", "retryable", "issuer", "cause", "cascade")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_TYPE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CASCADE_FIELD_NUMBER: _ClassVar[int]
    component: str
    root: str
    command_id: str
    command_type: str
    command: bytes
    content_type: str
    reason: str
    code: str
    retryable: bool
    issuer: str
    cause: str
    cascade: str
    def __init__(self, component: _Optional[str] = ..., root: _Optional[str] = ..., command_id: _Optional[str] = ..., command_type: _Optional[str] = ..., command: _Optional[bytes] = ..., content_type: _Optional[str] = ..., reason: _Optional[str] = ..., code: _Optional[str] = ..., retryable: _Optional[bool] = ..., issuer: _Optional[str] = ..., cause: _Optional[str] = ..., cascade: _Optional[str] = ...) -> None: ...

class Revoked(_message.Message):
    __slots__ = ("sequence", "reason")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: str
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Aborted(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Timer(_message.Message):
    __slots__ = ("root", "name", "type", "data", "cause")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    root: str
    name: str
    type: str
    data: bytes
    cause: str
    def __init__(self, root: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[str] = ..., data: _Optional[bytes] = ..., cause: _Optional[str] = ...) -> None: ...

class StateRead(_message.Message):
    __slots__ = ("domain", "root", "answer")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    domain: str
    root: str
    answer: QueryResult
    def __init__(self, domain: _Optional[str] = ..., root: _Optional[str] = ..., answer: _Optional[_Union[QueryResult, _Mapping]] = ...) -> None: ...

class Settled(_message.Message):
    __slots__ = ("dead_letter_id", "outcome")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    outcome: str
    def __init__(self, dead_letter_id: _Optional[str] = ..., outcome: _Optional[str] = ...) -> None: ...

class EditionRecord(_message.Message):
    __slots__ = ("name", "deleted", "id", "parent", "follow", "moment", "sequences", "created", "expires", "note", "projections", "deleting", "creating")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    PROJECTIONS_FIELD_NUMBER: _ClassVar[int]
    DELETING_FIELD_NUMBER: _ClassVar[int]
    CREATING_FIELD_NUMBER: _ClassVar[int]
    name: str
    deleted: bool
    id: str
    parent: str
    follow: bool
    moment: int
    sequences: _containers.RepeatedCompositeFieldContainer[CutSequence]
    created: int
    expires: int
    note: str
    projections: _containers.RepeatedScalarFieldContainer[str]
    deleting: bool
    creating: bool
    def __init__(self, name: _Optional[str] = ..., deleted: _Optional[bool] = ..., id: _Optional[str] = ..., parent: _Optional[str] = ..., follow: _Optional[bool] = ..., moment: _Optional[int] = ..., sequences: _Optional[_Iterable[_Union[CutSequence, _Mapping]]] = ..., created: _Optional[int] = ..., expires: _Optional[int] = ..., note: _Optional[str] = ..., projections: _Optional[_Iterable[str]] = ..., deleting: _Optional[bool] = ..., creating: _Optional[bool] = ...) -> None: ...

class CutSequence(_message.Message):
    __slots__ = ("component", "root", "sequence")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    component: str
    root: str
    sequence: int
    def __init__(self, component: _Optional[str] = ..., root: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class WorkerRecord(_message.Message):
    __slots__ = ("editions",)
    EDITIONS_FIELD_NUMBER: _ClassVar[int]
    editions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, editions: _Optional[_Iterable[str]] = ...) -> None: ...
