import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate.v1 import catalog_pb2 as _catalog_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AnsweredBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWERED_BY_UNSPECIFIED: _ClassVar[AnsweredBy]
    ANSWERED_BY_LEDGER: _ClassVar[AnsweredBy]
    ANSWERED_BY_VIEW: _ClassVar[AnsweredBy]
    ANSWERED_BY_LEASE: _ClassVar[AnsweredBy]
    ANSWERED_BY_MEMORY: _ClassVar[AnsweredBy]
ANSWERED_BY_UNSPECIFIED: AnsweredBy
ANSWERED_BY_LEDGER: AnsweredBy
ANSWERED_BY_VIEW: AnsweredBy
ANSWERED_BY_LEASE: AnsweredBy
ANSWERED_BY_MEMORY: AnsweredBy

class Window(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LimitState(_message.Message):
    __slots__ = ("name", "meter", "window", "max", "used", "reserved", "leased", "forfeited", "remaining", "would_fit", "policy", "reset_time", "overrun", "exhausted_in", "scope", "labels", "kind", "shadow", "would_refuse", "unknown", "overridden", "pool", "grace_end_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    FORFEITED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    WOULD_FIT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_IN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    WOULD_REFUSE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    GRACE_END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    meter: str
    window: Window
    max: str
    used: str
    reserved: str
    leased: str
    forfeited: str
    remaining: str
    would_fit: str
    policy: _catalog_pb2.Policy
    reset_time: _timestamp_pb2.Timestamp
    overrun: str
    exhausted_in: _duration_pb2.Duration
    scope: _catalog_pb2.Scope
    labels: _containers.ScalarMap[str, str]
    kind: _catalog_pb2.LimitKind
    shadow: bool
    would_refuse: bool
    unknown: bool
    overridden: bool
    pool: str
    grace_end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., meter: _Optional[str] = ..., window: _Optional[_Union[Window, _Mapping]] = ..., max: _Optional[str] = ..., used: _Optional[str] = ..., reserved: _Optional[str] = ..., leased: _Optional[str] = ..., forfeited: _Optional[str] = ..., remaining: _Optional[str] = ..., would_fit: _Optional[str] = ..., policy: _Optional[_Union[_catalog_pb2.Policy, str]] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overrun: _Optional[str] = ..., exhausted_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., scope: _Optional[_Union[_catalog_pb2.Scope, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., kind: _Optional[_Union[_catalog_pb2.LimitKind, str]] = ..., shadow: _Optional[bool] = ..., would_refuse: _Optional[bool] = ..., unknown: _Optional[bool] = ..., overridden: _Optional[bool] = ..., pool: _Optional[str] = ..., grace_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("allowed", "decision_id", "plan", "reason", "binding_limit", "limits", "retry_after", "as_of", "answered_by", "degraded")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BINDING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    decision_id: str
    plan: str
    reason: str
    binding_limit: str
    limits: _containers.RepeatedCompositeFieldContainer[LimitState]
    retry_after: _duration_pb2.Duration
    as_of: _timestamp_pb2.Timestamp
    answered_by: AnsweredBy
    degraded: bool
    def __init__(self, allowed: _Optional[bool] = ..., decision_id: _Optional[str] = ..., plan: _Optional[str] = ..., reason: _Optional[str] = ..., binding_limit: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[LimitState, _Mapping]]] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answered_by: _Optional[_Union[AnsweredBy, str]] = ..., degraded: _Optional[bool] = ...) -> None: ...
