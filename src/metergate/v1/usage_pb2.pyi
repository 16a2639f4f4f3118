import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate.v1 import decision_pb2 as _decision_pb2
from metergate.v1 import usage_event_pb2 as _usage_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Granularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANULARITY_UNSPECIFIED: _ClassVar[Granularity]
    GRANULARITY_NONE: _ClassVar[Granularity]
    GRANULARITY_MINUTE: _ClassVar[Granularity]
    GRANULARITY_HOUR: _ClassVar[Granularity]
    GRANULARITY_DAY: _ClassVar[Granularity]
    GRANULARITY_WEEK: _ClassVar[Granularity]
    GRANULARITY_MONTH: _ClassVar[Granularity]

class ProjectionMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROJECTION_METHOD_UNSPECIFIED: _ClassVar[ProjectionMethod]
    PROJECTION_METHOD_LINEAR: _ClassVar[ProjectionMethod]
    PROJECTION_METHOD_SAME_WEEKDAY: _ClassVar[ProjectionMethod]

class CorrectionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CORRECTION_KIND_UNSPECIFIED: _ClassVar[CorrectionKind]
    CORRECTION_KIND_RECORDED: _ClassVar[CorrectionKind]
    CORRECTION_KIND_AMENDED: _ClassVar[CorrectionKind]
    CORRECTION_KIND_VOIDED: _ClassVar[CorrectionKind]
    CORRECTION_KIND_RESTORED: _ClassVar[CorrectionKind]
GRANULARITY_UNSPECIFIED: Granularity
GRANULARITY_NONE: Granularity
GRANULARITY_MINUTE: Granularity
GRANULARITY_HOUR: Granularity
GRANULARITY_DAY: Granularity
GRANULARITY_WEEK: Granularity
GRANULARITY_MONTH: Granularity
PROJECTION_METHOD_UNSPECIFIED: ProjectionMethod
PROJECTION_METHOD_LINEAR: ProjectionMethod
PROJECTION_METHOD_SAME_WEEKDAY: ProjectionMethod
CORRECTION_KIND_UNSPECIFIED: CorrectionKind
CORRECTION_KIND_RECORDED: CorrectionKind
CORRECTION_KIND_AMENDED: CorrectionKind
CORRECTION_KIND_VOIDED: CorrectionKind
CORRECTION_KIND_RESTORED: CorrectionKind

class RecordUsageRequest(_message.Message):
    __slots__ = ("event", "include_limits", "backfill")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    event: _usage_event_pb2.UsageEvent
    include_limits: bool
    backfill: bool
    def __init__(self, event: _Optional[_Union[_usage_event_pb2.UsageEvent, _Mapping]] = ..., include_limits: _Optional[bool] = ..., backfill: _Optional[bool] = ...) -> None: ...

class RecordUsageResponse(_message.Message):
    __slots__ = ("receipt", "limits", "token")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    receipt: _usage_event_pb2.UsageReceipt
    limits: _containers.RepeatedCompositeFieldContainer[_decision_pb2.LimitState]
    token: str
    def __init__(self, receipt: _Optional[_Union[_usage_event_pb2.UsageReceipt, _Mapping]] = ..., limits: _Optional[_Iterable[_Union[_decision_pb2.LimitState, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class BatchRecordUsageRequest(_message.Message):
    __slots__ = ("events", "backfill")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageEvent]
    backfill: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_usage_event_pb2.UsageEvent, _Mapping]]] = ..., backfill: _Optional[bool] = ...) -> None: ...

class BatchRecordUsageResponse(_message.Message):
    __slots__ = ("receipts", "token")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageReceipt]
    token: str
    def __init__(self, receipts: _Optional[_Iterable[_Union[_usage_event_pb2.UsageReceipt, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class LabelValues(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class GetUsageSummaryRequest(_message.Message):
    __slots__ = ("customer", "subject", "meters", "start_time", "end_time", "granularity", "time_zone", "group_by", "filters", "token", "filters_any", "top", "compare", "projection", "known_at_seq", "known_at_time", "cost_currency")
    class FiltersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class FiltersAnyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: LabelValues
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[LabelValues, _Mapping]] = ...) -> None: ...
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTERS_ANY_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_TIME_FIELD_NUMBER: _ClassVar[int]
    COST_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    customer: str
    subject: str
    meters: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    granularity: Granularity
    time_zone: str
    group_by: _containers.RepeatedScalarFieldContainer[str]
    filters: _containers.ScalarMap[str, str]
    token: str
    filters_any: _containers.MessageMap[str, LabelValues]
    top: int
    compare: bool
    projection: ProjectionMethod
    known_at_seq: int
    known_at_time: _timestamp_pb2.Timestamp
    cost_currency: str
    def __init__(self, customer: _Optional[str] = ..., subject: _Optional[str] = ..., meters: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., granularity: _Optional[_Union[Granularity, str]] = ..., time_zone: _Optional[str] = ..., group_by: _Optional[_Iterable[str]] = ..., filters: _Optional[_Mapping[str, str]] = ..., token: _Optional[str] = ..., filters_any: _Optional[_Mapping[str, LabelValues]] = ..., top: _Optional[int] = ..., compare: _Optional[bool] = ..., projection: _Optional[_Union[ProjectionMethod, str]] = ..., known_at_seq: _Optional[int] = ..., known_at_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cost_currency: _Optional[str] = ...) -> None: ...

class UsagePoint(_message.Message):
    __slots__ = ("start_time", "end_time", "value")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    value: str
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[str] = ...) -> None: ...

class UsageSeries(_message.Message):
    __slots__ = ("meter", "group", "total", "points", "event_count", "other", "previous_total", "change_percent", "projected_total", "cost", "projected_cost")
    class GroupEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METER_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CHANGE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_COST_FIELD_NUMBER: _ClassVar[int]
    meter: str
    group: _containers.ScalarMap[str, str]
    total: str
    points: _containers.RepeatedCompositeFieldContainer[UsagePoint]
    event_count: int
    other: bool
    previous_total: str
    change_percent: str
    projected_total: str
    cost: str
    projected_cost: str
    def __init__(self, meter: _Optional[str] = ..., group: _Optional[_Mapping[str, str]] = ..., total: _Optional[str] = ..., points: _Optional[_Iterable[_Union[UsagePoint, _Mapping]]] = ..., event_count: _Optional[int] = ..., other: _Optional[bool] = ..., previous_total: _Optional[str] = ..., change_percent: _Optional[str] = ..., projected_total: _Optional[str] = ..., cost: _Optional[str] = ..., projected_cost: _Optional[str] = ...) -> None: ...

class GetUsageSummaryResponse(_message.Message):
    __slots__ = ("series", "as_of", "window", "held", "seq", "previous_window", "projection", "projected_window")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_WINDOW_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_WINDOW_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[UsageSeries]
    as_of: _timestamp_pb2.Timestamp
    window: _decision_pb2.Window
    held: _containers.RepeatedCompositeFieldContainer[HeldUsage]
    seq: int
    previous_window: _decision_pb2.Window
    projection: ProjectionMethod
    projected_window: _decision_pb2.Window
    def __init__(self, series: _Optional[_Iterable[_Union[UsageSeries, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window: _Optional[_Union[_decision_pb2.Window, _Mapping]] = ..., held: _Optional[_Iterable[_Union[HeldUsage, _Mapping]]] = ..., seq: _Optional[int] = ..., previous_window: _Optional[_Union[_decision_pb2.Window, _Mapping]] = ..., projection: _Optional[_Union[ProjectionMethod, str]] = ..., projected_window: _Optional[_Union[_decision_pb2.Window, _Mapping]] = ...) -> None: ...

class HeldUsage(_message.Message):
    __slots__ = ("meter", "reserved", "leased", "forfeited")
    METER_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    FORFEITED_FIELD_NUMBER: _ClassVar[int]
    meter: str
    reserved: str
    leased: str
    forfeited: str
    def __init__(self, meter: _Optional[str] = ..., reserved: _Optional[str] = ..., leased: _Optional[str] = ..., forfeited: _Optional[str] = ...) -> None: ...

class ListUsageEventsRequest(_message.Message):
    __slots__ = ("customer", "subject", "type", "start_time", "end_time", "unmatched_only", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    subject: str
    type: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    unmatched_only: bool
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., subject: _Optional[str] = ..., type: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unmatched_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RecordedEvent(_message.Message):
    __slots__ = ("event", "customer", "count_time", "record_time", "seq", "meters", "unmatched", "taken_back", "version")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BACK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    event: _usage_event_pb2.UsageEvent
    customer: str
    count_time: _timestamp_pb2.Timestamp
    record_time: _timestamp_pb2.Timestamp
    seq: int
    meters: _containers.RepeatedScalarFieldContainer[str]
    unmatched: str
    taken_back: bool
    version: int
    def __init__(self, event: _Optional[_Union[_usage_event_pb2.UsageEvent, _Mapping]] = ..., customer: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seq: _Optional[int] = ..., meters: _Optional[_Iterable[str]] = ..., unmatched: _Optional[str] = ..., taken_back: _Optional[bool] = ..., version: _Optional[int] = ...) -> None: ...

class ListUsageEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RecordedEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[RecordedEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchUsageRequest(_message.Message):
    __slots__ = ("customer", "subject", "after_seq", "types", "meters")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    customer: str
    subject: str
    after_seq: int
    types: _containers.RepeatedScalarFieldContainer[str]
    meters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, customer: _Optional[str] = ..., subject: _Optional[str] = ..., after_seq: _Optional[int] = ..., types: _Optional[_Iterable[str]] = ..., meters: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchUsageResponse(_message.Message):
    __slots__ = ("events", "seq", "as_of")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RecordedEvent]
    seq: int
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, events: _Optional[_Iterable[_Union[RecordedEvent, _Mapping]]] = ..., seq: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AmendUsageRequest(_message.Message):
    __slots__ = ("event", "reason", "backfill", "expected_version", "request_id", "customer", "count_time")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    event: _usage_event_pb2.UsageEvent
    reason: str
    backfill: bool
    expected_version: int
    request_id: str
    customer: str
    count_time: _timestamp_pb2.Timestamp
    def __init__(self, event: _Optional[_Union[_usage_event_pb2.UsageEvent, _Mapping]] = ..., reason: _Optional[str] = ..., backfill: _Optional[bool] = ..., expected_version: _Optional[int] = ..., request_id: _Optional[str] = ..., customer: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AmendUsageResponse(_message.Message):
    __slots__ = ("receipt", "token")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    receipt: CorrectionReceipt
    token: str
    def __init__(self, receipt: _Optional[_Union[CorrectionReceipt, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class VoidUsageRequest(_message.Message):
    __slots__ = ("id", "source", "reason", "expected_version", "request_id", "customer", "count_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    reason: str
    expected_version: int
    request_id: str
    customer: str
    count_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., reason: _Optional[str] = ..., expected_version: _Optional[int] = ..., request_id: _Optional[str] = ..., customer: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class VoidUsageResponse(_message.Message):
    __slots__ = ("receipt", "token")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    receipt: CorrectionReceipt
    token: str
    def __init__(self, receipt: _Optional[_Union[CorrectionReceipt, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class UsagePlace(_message.Message):
    __slots__ = ("customer", "count_time", "seq")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    customer: str
    count_time: _timestamp_pb2.Timestamp
    seq: int
    def __init__(self, customer: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seq: _Optional[int] = ...) -> None: ...

class CorrectionReceipt(_message.Message):
    __slots__ = ("event_id", "source", "version", "taken_back", "counted", "unmatched")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BACK_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    source: str
    version: int
    taken_back: UsagePlace
    counted: UsagePlace
    unmatched: str
    def __init__(self, event_id: _Optional[str] = ..., source: _Optional[str] = ..., version: _Optional[int] = ..., taken_back: _Optional[_Union[UsagePlace, _Mapping]] = ..., counted: _Optional[_Union[UsagePlace, _Mapping]] = ..., unmatched: _Optional[str] = ...) -> None: ...

class UsageVersion(_message.Message):
    __slots__ = ("version", "kind", "event", "taken_back", "counted", "record_time", "reason", "service", "key_id", "backfill")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BACK_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    version: int
    kind: CorrectionKind
    event: _usage_event_pb2.UsageEvent
    taken_back: UsagePlace
    counted: UsagePlace
    record_time: _timestamp_pb2.Timestamp
    reason: str
    service: str
    key_id: str
    backfill: str
    def __init__(self, version: _Optional[int] = ..., kind: _Optional[_Union[CorrectionKind, str]] = ..., event: _Optional[_Union[_usage_event_pb2.UsageEvent, _Mapping]] = ..., taken_back: _Optional[_Union[UsagePlace, _Mapping]] = ..., counted: _Optional[_Union[UsagePlace, _Mapping]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., service: _Optional[str] = ..., key_id: _Optional[str] = ..., backfill: _Optional[str] = ...) -> None: ...

class GetUsageHistoryRequest(_message.Message):
    __slots__ = ("id", "source", "page_size", "page_token")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    page_size: int
    page_token: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetUsageHistoryResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[UsageVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[UsageVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReconcileUsageRequest(_message.Message):
    __slots__ = ("customer", "repair_view", "rebuild", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    REPAIR_VIEW_FIELD_NUMBER: _ClassVar[int]
    REBUILD_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    repair_view: bool
    rebuild: bool
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., repair_view: _Optional[bool] = ..., rebuild: _Optional[bool] = ..., page_token: _Optional[str] = ...) -> None: ...

class UsageDifference(_message.Message):
    __slots__ = ("kind", "customer", "what", "expected", "kept")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    customer: str
    what: str
    expected: str
    kept: str
    def __init__(self, kind: _Optional[str] = ..., customer: _Optional[str] = ..., what: _Optional[str] = ..., expected: _Optional[str] = ..., kept: _Optional[str] = ...) -> None: ...

class ReconcileUsageResponse(_message.Message):
    __slots__ = ("differences", "counts", "customers", "last_customer", "as_of", "view_compared", "repaired", "rebuilt", "next_page_token")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    LAST_CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    VIEW_COMPARED_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    REBUILT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[UsageDifference]
    counts: _containers.ScalarMap[str, int]
    customers: int
    last_customer: str
    as_of: _timestamp_pb2.Timestamp
    view_compared: bool
    repaired: int
    rebuilt: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, differences: _Optional[_Iterable[_Union[UsageDifference, _Mapping]]] = ..., counts: _Optional[_Mapping[str, int]] = ..., customers: _Optional[int] = ..., last_customer: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., view_compared: _Optional[bool] = ..., repaired: _Optional[int] = ..., rebuilt: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
