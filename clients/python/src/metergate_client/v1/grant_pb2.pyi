import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate_client.v1 import catalog_pb2 as _catalog_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Grant(_message.Message):
    __slots__ = ("id", "customer", "meter", "amount", "priority", "start_time", "end_time", "recurs", "until_time", "rollover_min", "rollover_max", "rolled", "burned", "lost", "left", "state", "seq", "create_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Grant.State]
        STATE_PENDING: _ClassVar[Grant.State]
        STATE_ACTIVE: _ClassVar[Grant.State]
        STATE_ENDED: _ClassVar[Grant.State]
        STATE_VOIDED: _ClassVar[Grant.State]
    STATE_UNSPECIFIED: Grant.State
    STATE_PENDING: Grant.State
    STATE_ACTIVE: Grant.State
    STATE_ENDED: Grant.State
    STATE_VOIDED: Grant.State
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RECURS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    ROLLOVER_MIN_FIELD_NUMBER: _ClassVar[int]
    ROLLOVER_MAX_FIELD_NUMBER: _ClassVar[int]
    ROLLED_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    meter: str
    amount: str
    priority: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    recurs: _catalog_pb2.Period
    until_time: _timestamp_pb2.Timestamp
    rollover_min: str
    rollover_max: str
    rolled: str
    burned: str
    lost: str
    left: str
    state: Grant.State
    seq: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., meter: _Optional[str] = ..., amount: _Optional[str] = ..., priority: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recurs: _Optional[_Union[_catalog_pb2.Period, str]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rollover_min: _Optional[str] = ..., rollover_max: _Optional[str] = ..., rolled: _Optional[str] = ..., burned: _Optional[str] = ..., lost: _Optional[str] = ..., left: _Optional[str] = ..., state: _Optional[_Union[Grant.State, str]] = ..., seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GrantMove(_message.Message):
    __slots__ = ("seq", "create_time", "meter", "grant", "kind", "amount")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[GrantMove.Kind]
        KIND_BASE: _ClassVar[GrantMove.Kind]
        KIND_START: _ClassVar[GrantMove.Kind]
        KIND_ROLL: _ClassVar[GrantMove.Kind]
        KIND_BURN: _ClassVar[GrantMove.Kind]
        KIND_EXPIRE: _ClassVar[GrantMove.Kind]
        KIND_VOID: _ClassVar[GrantMove.Kind]
    KIND_UNSPECIFIED: GrantMove.Kind
    KIND_BASE: GrantMove.Kind
    KIND_START: GrantMove.Kind
    KIND_ROLL: GrantMove.Kind
    KIND_BURN: GrantMove.Kind
    KIND_EXPIRE: GrantMove.Kind
    KIND_VOID: GrantMove.Kind
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    create_time: _timestamp_pb2.Timestamp
    meter: str
    grant: str
    kind: GrantMove.Kind
    amount: str
    def __init__(self, seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meter: _Optional[str] = ..., grant: _Optional[str] = ..., kind: _Optional[_Union[GrantMove.Kind, str]] = ..., amount: _Optional[str] = ...) -> None: ...

class CreateGrantRequest(_message.Message):
    __slots__ = ("customer", "meter", "amount", "priority", "start_time", "end_time", "recurs", "rollover_min", "rollover_max", "request_id")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RECURS_FIELD_NUMBER: _ClassVar[int]
    ROLLOVER_MIN_FIELD_NUMBER: _ClassVar[int]
    ROLLOVER_MAX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer: str
    meter: str
    amount: str
    priority: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    recurs: _catalog_pb2.Period
    rollover_min: str
    rollover_max: str
    request_id: str
    def __init__(self, customer: _Optional[str] = ..., meter: _Optional[str] = ..., amount: _Optional[str] = ..., priority: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recurs: _Optional[_Union[_catalog_pb2.Period, str]] = ..., rollover_min: _Optional[str] = ..., rollover_max: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateGrantResponse(_message.Message):
    __slots__ = ("grant", "token")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: Grant
    token: str
    def __init__(self, grant: _Optional[_Union[Grant, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class VoidGrantRequest(_message.Message):
    __slots__ = ("grant_id",)
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    def __init__(self, grant_id: _Optional[str] = ...) -> None: ...

class VoidGrantResponse(_message.Message):
    __slots__ = ("grant", "token")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant: Grant
    token: str
    def __init__(self, grant: _Optional[_Union[Grant, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ("customer", "meter", "include_ended", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    meter: str
    include_ended: bool
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., meter: _Optional[str] = ..., include_ended: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants", "next_page_token")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    next_page_token: str
    def __init__(self, grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListGrantMovesRequest(_message.Message):
    __slots__ = ("customer", "meter", "grant_id", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    meter: str
    grant_id: str
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., meter: _Optional[str] = ..., grant_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGrantMovesResponse(_message.Message):
    __slots__ = ("moves", "next_page_token")
    MOVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    moves: _containers.RepeatedCompositeFieldContainer[GrantMove]
    next_page_token: str
    def __init__(self, moves: _Optional[_Iterable[_Union[GrantMove, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
