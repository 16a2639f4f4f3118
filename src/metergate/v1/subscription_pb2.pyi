import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metergate.v1 import price_pb2 as _price_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscriptionItem(_message.Message):
    __slots__ = ("plan", "version", "quantity")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    plan: str
    version: int
    quantity: str
    def __init__(self, plan: _Optional[str] = ..., version: _Optional[int] = ..., quantity: _Optional[str] = ...) -> None: ...

class SubscriptionSegment(_message.Message):
    __slots__ = ("start_time", "end_time", "mode", "items", "custom_prices")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[SubscriptionSegment.Mode]
        MODE_TRIAL: _ClassVar[SubscriptionSegment.Mode]
        MODE_ACTIVE: _ClassVar[SubscriptionSegment.Mode]
        MODE_PAUSED: _ClassVar[SubscriptionSegment.Mode]
    MODE_UNSPECIFIED: SubscriptionSegment.Mode
    MODE_TRIAL: SubscriptionSegment.Mode
    MODE_ACTIVE: SubscriptionSegment.Mode
    MODE_PAUSED: SubscriptionSegment.Mode
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PRICES_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    mode: SubscriptionSegment.Mode
    items: _containers.RepeatedCompositeFieldContainer[SubscriptionItem]
    custom_prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[SubscriptionSegment.Mode, str]] = ..., items: _Optional[_Iterable[_Union[SubscriptionItem, _Mapping]]] = ..., custom_prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ...) -> None: ...

class AppliedCoupon(_message.Message):
    __slots__ = ("coupon", "start_time")
    COUPON_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    coupon: str
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, coupon: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("id", "customer", "currency", "interval", "state", "items", "segments", "coupons", "anchor_time", "time_zone", "period_start_time", "period_end_time", "start_time", "end_time", "trial_end_time", "billed_until_time", "create_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Subscription.State]
        STATE_SCHEDULED: _ClassVar[Subscription.State]
        STATE_TRIALING: _ClassVar[Subscription.State]
        STATE_ACTIVE: _ClassVar[Subscription.State]
        STATE_PAUSED: _ClassVar[Subscription.State]
        STATE_CANCELED: _ClassVar[Subscription.State]
    STATE_UNSPECIFIED: Subscription.State
    STATE_SCHEDULED: Subscription.State
    STATE_TRIALING: Subscription.State
    STATE_ACTIVE: Subscription.State
    STATE_PAUSED: Subscription.State
    STATE_CANCELED: Subscription.State
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    COUPONS_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_TIME_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_TIME_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    TRIAL_END_TIME_FIELD_NUMBER: _ClassVar[int]
    BILLED_UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    currency: str
    interval: _price_pb2.PriceInterval
    state: Subscription.State
    items: _containers.RepeatedCompositeFieldContainer[SubscriptionItem]
    segments: _containers.RepeatedCompositeFieldContainer[SubscriptionSegment]
    coupons: _containers.RepeatedCompositeFieldContainer[AppliedCoupon]
    anchor_time: _timestamp_pb2.Timestamp
    time_zone: str
    period_start_time: _timestamp_pb2.Timestamp
    period_end_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    trial_end_time: _timestamp_pb2.Timestamp
    billed_until_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., currency: _Optional[str] = ..., interval: _Optional[_Union[_price_pb2.PriceInterval, str]] = ..., state: _Optional[_Union[Subscription.State, str]] = ..., items: _Optional[_Iterable[_Union[SubscriptionItem, _Mapping]]] = ..., segments: _Optional[_Iterable[_Union[SubscriptionSegment, _Mapping]]] = ..., coupons: _Optional[_Iterable[_Union[AppliedCoupon, _Mapping]]] = ..., anchor_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., time_zone: _Optional[str] = ..., period_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trial_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., billed_until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
