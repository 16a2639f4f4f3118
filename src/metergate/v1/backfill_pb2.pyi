import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate.v1 import error_reason_pb2 as _error_reason_pb2
from metergate.v1 import usage_event_pb2 as _usage_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackfillState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKFILL_STATE_UNSPECIFIED: _ClassVar[BackfillState]
    BACKFILL_STATE_OPEN: _ClassVar[BackfillState]
    BACKFILL_STATE_COMMITTING: _ClassVar[BackfillState]
    BACKFILL_STATE_COMMITTED: _ClassVar[BackfillState]
    BACKFILL_STATE_REVERTING: _ClassVar[BackfillState]
    BACKFILL_STATE_REVERTED: _ClassVar[BackfillState]
    BACKFILL_STATE_DISCARDED: _ClassVar[BackfillState]
BACKFILL_STATE_UNSPECIFIED: BackfillState
BACKFILL_STATE_OPEN: BackfillState
BACKFILL_STATE_COMMITTING: BackfillState
BACKFILL_STATE_COMMITTED: BackfillState
BACKFILL_STATE_REVERTING: BackfillState
BACKFILL_STATE_REVERTED: BackfillState
BACKFILL_STATE_DISCARDED: BackfillState

class BackfillScope(_message.Message):
    __slots__ = ("customers", "subjects", "types", "start_time", "end_time")
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    customers: _containers.RepeatedScalarFieldContainer[str]
    subjects: _containers.RepeatedScalarFieldContainer[str]
    types: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, customers: _Optional[_Iterable[str]] = ..., subjects: _Optional[_Iterable[str]] = ..., types: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Backfill(_message.Message):
    __slots__ = ("id", "state", "reason", "replace", "service", "key_id", "create_time", "update_time", "expire_time", "expired", "pending_count", "applied_count", "duplicate_count", "problem_count", "reverted_count")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    PENDING_COUNT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: BackfillState
    reason: str
    replace: BackfillScope
    service: str
    key_id: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    expired: bool
    pending_count: int
    applied_count: int
    duplicate_count: int
    problem_count: int
    reverted_count: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[BackfillState, str]] = ..., reason: _Optional[str] = ..., replace: _Optional[_Union[BackfillScope, _Mapping]] = ..., service: _Optional[str] = ..., key_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expired: _Optional[bool] = ..., pending_count: _Optional[int] = ..., applied_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., problem_count: _Optional[int] = ..., reverted_count: _Optional[int] = ...) -> None: ...

class OpenBackfillRequest(_message.Message):
    __slots__ = ("reason", "replace", "request_id")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    reason: str
    replace: BackfillScope
    request_id: str
    def __init__(self, reason: _Optional[str] = ..., replace: _Optional[_Union[BackfillScope, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class OpenBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class LoadBackfillRequest(_message.Message):
    __slots__ = ("id", "events")
    ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    events: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageEvent]
    def __init__(self, id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_usage_event_pb2.UsageEvent, _Mapping]]] = ...) -> None: ...

class LoadBackfillResponse(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageReceipt]
    def __init__(self, receipts: _Optional[_Iterable[_Union[_usage_event_pb2.UsageReceipt, _Mapping]]] = ...) -> None: ...

class PreviewBackfillRequest(_message.Message):
    __slots__ = ("id", "page_size", "page_token")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    page_size: int
    page_token: str
    def __init__(self, id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class BackfillDifference(_message.Message):
    __slots__ = ("customer", "meter", "before", "after")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    customer: str
    meter: str
    before: str
    after: str
    def __init__(self, customer: _Optional[str] = ..., meter: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class PreviewBackfillResponse(_message.Message):
    __slots__ = ("differences", "next_page_token", "start_time", "last_time", "new_count", "amended_count", "voided_count", "duplicate_count", "problem_count")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    NEW_COUNT_FIELD_NUMBER: _ClassVar[int]
    AMENDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    VOIDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[BackfillDifference]
    next_page_token: str
    start_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    new_count: int
    amended_count: int
    voided_count: int
    duplicate_count: int
    problem_count: int
    def __init__(self, differences: _Optional[_Iterable[_Union[BackfillDifference, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., new_count: _Optional[int] = ..., amended_count: _Optional[int] = ..., voided_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., problem_count: _Optional[int] = ...) -> None: ...

class CommitBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CommitBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class DiscardBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DiscardBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class RevertBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RevertBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class GetBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class ListBackfillsRequest(_message.Message):
    __slots__ = ("state", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: BackfillState
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[BackfillState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBackfillsResponse(_message.Message):
    __slots__ = ("backfills", "next_page_token")
    BACKFILLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    backfills: _containers.RepeatedCompositeFieldContainer[Backfill]
    next_page_token: str
    def __init__(self, backfills: _Optional[_Iterable[_Union[Backfill, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBackfillProblemsRequest(_message.Message):
    __slots__ = ("id", "page_size", "page_token")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    page_size: int
    page_token: str
    def __init__(self, id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class BackfillProblem(_message.Message):
    __slots__ = ("event_id", "source", "reason", "field", "message")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    source: str
    reason: _error_reason_pb2.ErrorReason
    field: str
    message: str
    def __init__(self, event_id: _Optional[str] = ..., source: _Optional[str] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ListBackfillProblemsResponse(_message.Message):
    __slots__ = ("problems", "next_page_token")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[BackfillProblem]
    next_page_token: str
    def __init__(self, problems: _Optional[_Iterable[_Union[BackfillProblem, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
