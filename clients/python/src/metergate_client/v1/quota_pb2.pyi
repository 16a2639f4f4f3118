import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate_client.v1 import decision_pb2 as _decision_pb2
from metergate_client.v1 import usage_event_pb2 as _usage_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuotaAmount(_message.Message):
    __slots__ = ("meter", "amount", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    meter: str
    amount: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, meter: _Optional[str] = ..., amount: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CheckQuotaRequest(_message.Message):
    __slots__ = ("subject", "amounts", "refuse_as_status", "token")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    REFUSE_AS_STATUS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    subject: str
    amounts: _containers.RepeatedCompositeFieldContainer[QuotaAmount]
    refuse_as_status: bool
    token: str
    def __init__(self, subject: _Optional[str] = ..., amounts: _Optional[_Iterable[_Union[QuotaAmount, _Mapping]]] = ..., refuse_as_status: _Optional[bool] = ..., token: _Optional[str] = ...) -> None: ...

class CheckQuotaResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ...) -> None: ...

class BatchCheckQuotaRequest(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[CheckQuotaRequest]
    def __init__(self, checks: _Optional[_Iterable[_Union[CheckQuotaRequest, _Mapping]]] = ...) -> None: ...

class CheckResult(_message.Message):
    __slots__ = ("decision", "error_reason", "error_message")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    error_reason: str
    error_message: str
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class BatchCheckQuotaResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CheckResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CheckResult, _Mapping]]] = ...) -> None: ...

class ListLimitsRequest(_message.Message):
    __slots__ = ("subject", "meters")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    meters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, subject: _Optional[str] = ..., meters: _Optional[_Iterable[str]] = ...) -> None: ...

class ListLimitsResponse(_message.Message):
    __slots__ = ("customer", "plan", "limits", "as_of")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    customer: str
    plan: str
    limits: _containers.RepeatedCompositeFieldContainer[_decision_pb2.LimitState]
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, customer: _Optional[str] = ..., plan: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[_decision_pb2.LimitState, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConsumeQuotaRequest(_message.Message):
    __slots__ = ("events", "refuse_as_status")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSE_AS_STATUS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageEvent]
    refuse_as_status: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_usage_event_pb2.UsageEvent, _Mapping]]] = ..., refuse_as_status: _Optional[bool] = ...) -> None: ...

class ConsumeQuotaResponse(_message.Message):
    __slots__ = ("decision", "receipts", "token")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    receipts: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageReceipt]
    token: str
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[_usage_event_pb2.UsageReceipt, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class BatchConsumeQuotaRequest(_message.Message):
    __slots__ = ("consumes", "details")
    CONSUMES_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    consumes: _containers.RepeatedCompositeFieldContainer[ConsumeQuotaRequest]
    details: bool
    def __init__(self, consumes: _Optional[_Iterable[_Union[ConsumeQuotaRequest, _Mapping]]] = ..., details: _Optional[bool] = ...) -> None: ...

class ConsumeResult(_message.Message):
    __slots__ = ("allowed", "outcome", "binding_limit", "retry_after", "decision", "error_reason", "error_message")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BINDING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    outcome: _usage_event_pb2.Outcome
    binding_limit: str
    retry_after: _duration_pb2.Duration
    decision: _decision_pb2.Decision
    error_reason: str
    error_message: str
    def __init__(self, allowed: _Optional[bool] = ..., outcome: _Optional[_Union[_usage_event_pb2.Outcome, str]] = ..., binding_limit: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class BatchConsumeQuotaResponse(_message.Message):
    __slots__ = ("results", "token")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ConsumeResult]
    token: str
    def __init__(self, results: _Optional[_Iterable[_Union[ConsumeResult, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class ReserveQuotaRequest(_message.Message):
    __slots__ = ("subject", "amounts", "ttl", "partial_ok", "request_id", "refuse_as_status")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_OK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REFUSE_AS_STATUS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    amounts: _containers.RepeatedCompositeFieldContainer[QuotaAmount]
    ttl: _duration_pb2.Duration
    partial_ok: bool
    request_id: str
    refuse_as_status: bool
    def __init__(self, subject: _Optional[str] = ..., amounts: _Optional[_Iterable[_Union[QuotaAmount, _Mapping]]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., partial_ok: _Optional[bool] = ..., request_id: _Optional[str] = ..., refuse_as_status: _Optional[bool] = ...) -> None: ...

class ReservedAmount(_message.Message):
    __slots__ = ("meter", "labels", "amount", "used")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    meter: str
    labels: _containers.ScalarMap[str, str]
    amount: str
    used: str
    def __init__(self, meter: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., amount: _Optional[str] = ..., used: _Optional[str] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("id", "customer", "subject", "amounts", "state", "create_time", "expire_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Reservation.State]
        STATE_OPEN: _ClassVar[Reservation.State]
        STATE_COMMITTED: _ClassVar[Reservation.State]
        STATE_RELEASED: _ClassVar[Reservation.State]
        STATE_EXPIRED: _ClassVar[Reservation.State]
    STATE_UNSPECIFIED: Reservation.State
    STATE_OPEN: Reservation.State
    STATE_COMMITTED: Reservation.State
    STATE_RELEASED: Reservation.State
    STATE_EXPIRED: Reservation.State
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    subject: str
    amounts: _containers.RepeatedCompositeFieldContainer[ReservedAmount]
    state: Reservation.State
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., subject: _Optional[str] = ..., amounts: _Optional[_Iterable[_Union[ReservedAmount, _Mapping]]] = ..., state: _Optional[_Union[Reservation.State, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReserveQuotaResponse(_message.Message):
    __slots__ = ("decision", "reservation", "token")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    reservation: Reservation
    token: str
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., reservation: _Optional[_Union[Reservation, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class ExtendReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "ttl")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    ttl: _duration_pb2.Duration
    def __init__(self, reservation_id: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExtendReservationResponse(_message.Message):
    __slots__ = ("reservation",)
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping]] = ...) -> None: ...

class CommitReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "events")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    events: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageEvent]
    def __init__(self, reservation_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_usage_event_pb2.UsageEvent, _Mapping]]] = ...) -> None: ...

class CommitReservationResponse(_message.Message):
    __slots__ = ("reservation", "receipts", "late", "limits", "token")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    receipts: _containers.RepeatedCompositeFieldContainer[_usage_event_pb2.UsageReceipt]
    late: bool
    limits: _containers.RepeatedCompositeFieldContainer[_decision_pb2.LimitState]
    token: str
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[_usage_event_pb2.UsageReceipt, _Mapping]]] = ..., late: _Optional[bool] = ..., limits: _Optional[_Iterable[_Union[_decision_pb2.LimitState, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class ReleaseReservationRequest(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    def __init__(self, reservation_id: _Optional[str] = ...) -> None: ...

class ReleaseReservationResponse(_message.Message):
    __slots__ = ("reservation",)
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("id", "customer", "subject", "meter", "labels", "holder", "granted", "returned", "spent", "settled", "state", "ttl", "expire_time", "recall")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Lease.State]
        STATE_OPEN: _ClassVar[Lease.State]
        STATE_RETURNED: _ClassVar[Lease.State]
        STATE_FORFEITED: _ClassVar[Lease.State]
        STATE_RELEASED: _ClassVar[Lease.State]
    STATE_UNSPECIFIED: Lease.State
    STATE_OPEN: Lease.State
    STATE_RETURNED: Lease.State
    STATE_FORFEITED: Lease.State
    STATE_RELEASED: Lease.State
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    subject: str
    meter: str
    labels: _containers.ScalarMap[str, str]
    holder: str
    granted: str
    returned: str
    spent: str
    settled: str
    state: Lease.State
    ttl: _duration_pb2.Duration
    expire_time: _timestamp_pb2.Timestamp
    recall: str
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., subject: _Optional[str] = ..., meter: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., holder: _Optional[str] = ..., granted: _Optional[str] = ..., returned: _Optional[str] = ..., spent: _Optional[str] = ..., settled: _Optional[str] = ..., state: _Optional[_Union[Lease.State, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recall: _Optional[str] = ...) -> None: ...

class AcquireLeaseRequest(_message.Message):
    __slots__ = ("subject", "meter", "labels", "holder", "amount", "request_id")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    subject: str
    meter: str
    labels: _containers.ScalarMap[str, str]
    holder: str
    amount: str
    request_id: str
    def __init__(self, subject: _Optional[str] = ..., meter: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., holder: _Optional[str] = ..., amount: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AcquireLeaseResponse(_message.Message):
    __slots__ = ("decision", "lease")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    lease: Lease
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class LeaseMark(_message.Message):
    __slots__ = ("lease_id", "spent", "returned", "wanted", "close")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    spent: str
    returned: str
    wanted: str
    close: bool
    def __init__(self, lease_id: _Optional[str] = ..., spent: _Optional[str] = ..., returned: _Optional[str] = ..., wanted: _Optional[str] = ..., close: _Optional[bool] = ...) -> None: ...

class SyncLeasesRequest(_message.Message):
    __slots__ = ("marks",)
    MARKS_FIELD_NUMBER: _ClassVar[int]
    marks: _containers.RepeatedCompositeFieldContainer[LeaseMark]
    def __init__(self, marks: _Optional[_Iterable[_Union[LeaseMark, _Mapping]]] = ...) -> None: ...

class LeaseResult(_message.Message):
    __slots__ = ("lease", "error_reason", "error_message")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    error_reason: str
    error_message: str
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class SyncLeasesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LeaseResult]
    def __init__(self, results: _Optional[_Iterable[_Union[LeaseResult, _Mapping]]] = ...) -> None: ...

class ReturnLeaseRequest(_message.Message):
    __slots__ = ("lease_id", "spent")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    spent: str
    def __init__(self, lease_id: _Optional[str] = ..., spent: _Optional[str] = ...) -> None: ...

class ReturnLeaseResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ReleaseLeaseRequest(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class ReleaseLeaseResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ExplainDecisionRequest(_message.Message):
    __slots__ = ("decision_id", "events")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    events: int
    def __init__(self, decision_id: _Optional[str] = ..., events: _Optional[int] = ...) -> None: ...

class HeldCapacity(_message.Message):
    __slots__ = ("id", "reserved", "leased", "forfeited")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    FORFEITED_FIELD_NUMBER: _ClassVar[int]
    id: str
    reserved: str
    leased: str
    forfeited: str
    def __init__(self, id: _Optional[str] = ..., reserved: _Optional[str] = ..., leased: _Optional[str] = ..., forfeited: _Optional[str] = ...) -> None: ...

class ExplainedLimit(_message.Message):
    __slots__ = ("state", "events", "event_count", "holds", "grants")
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    state: _decision_pb2.LimitState
    events: _containers.RepeatedCompositeFieldContainer[RecordedId]
    event_count: int
    holds: _containers.RepeatedCompositeFieldContainer[HeldCapacity]
    grants: _containers.RepeatedCompositeFieldContainer[BurnedGrant]
    def __init__(self, state: _Optional[_Union[_decision_pb2.LimitState, _Mapping]] = ..., events: _Optional[_Iterable[_Union[RecordedId, _Mapping]]] = ..., event_count: _Optional[int] = ..., holds: _Optional[_Iterable[_Union[HeldCapacity, _Mapping]]] = ..., grants: _Optional[_Iterable[_Union[BurnedGrant, _Mapping]]] = ...) -> None: ...

class BurnedGrant(_message.Message):
    __slots__ = ("id", "brought", "burned", "lost")
    ID_FIELD_NUMBER: _ClassVar[int]
    BROUGHT_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    id: str
    brought: str
    burned: str
    lost: str
    def __init__(self, id: _Optional[str] = ..., brought: _Optional[str] = ..., burned: _Optional[str] = ..., lost: _Optional[str] = ...) -> None: ...

class RecordedId(_message.Message):
    __slots__ = ("id", "source", "seq", "value")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    seq: int
    value: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., seq: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...

class ExplainDecisionResponse(_message.Message):
    __slots__ = ("decision", "confirmed", "customer", "seq", "limits")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    confirmed: bool
    customer: str
    seq: int
    limits: _containers.RepeatedCompositeFieldContainer[ExplainedLimit]
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., confirmed: _Optional[bool] = ..., customer: _Optional[str] = ..., seq: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[ExplainedLimit, _Mapping]]] = ...) -> None: ...

class LimitEvent(_message.Message):
    __slots__ = ("customer", "limit", "meter", "subject", "labels", "window", "threshold", "taken", "max", "seq", "create_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    customer: str
    limit: str
    meter: str
    subject: str
    labels: _containers.ScalarMap[str, str]
    window: _decision_pb2.Window
    threshold: int
    taken: str
    max: str
    seq: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, customer: _Optional[str] = ..., limit: _Optional[str] = ..., meter: _Optional[str] = ..., subject: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., window: _Optional[_Union[_decision_pb2.Window, _Mapping]] = ..., threshold: _Optional[int] = ..., taken: _Optional[str] = ..., max: _Optional[str] = ..., seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListLimitEventsRequest(_message.Message):
    __slots__ = ("customer", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLimitEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[LimitEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[LimitEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
