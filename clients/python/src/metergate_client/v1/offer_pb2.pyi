from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_KIND_UNSPECIFIED: _ClassVar[FeatureKind]
    FEATURE_KIND_BOOLEAN: _ClassVar[FeatureKind]
    FEATURE_KIND_STATIC: _ClassVar[FeatureKind]
    FEATURE_KIND_METERED: _ClassVar[FeatureKind]

class CouponDuration(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUPON_DURATION_UNSPECIFIED: _ClassVar[CouponDuration]
    COUPON_DURATION_ONCE: _ClassVar[CouponDuration]
    COUPON_DURATION_PERIODS: _ClassVar[CouponDuration]
    COUPON_DURATION_FOREVER: _ClassVar[CouponDuration]
FEATURE_KIND_UNSPECIFIED: FeatureKind
FEATURE_KIND_BOOLEAN: FeatureKind
FEATURE_KIND_STATIC: FeatureKind
FEATURE_KIND_METERED: FeatureKind
COUPON_DURATION_UNSPECIFIED: CouponDuration
COUPON_DURATION_ONCE: CouponDuration
COUPON_DURATION_PERIODS: CouponDuration
COUPON_DURATION_FOREVER: CouponDuration

class Feature(_message.Message):
    __slots__ = ("name", "kind", "meter", "display_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: FeatureKind
    meter: str
    display_name: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[FeatureKind, str]] = ..., meter: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class PlanFeature(_message.Message):
    __slots__ = ("feature", "value", "included", "overage")
    class OverageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    value: str
    included: str
    overage: _containers.ScalarMap[str, str]
    def __init__(self, feature: _Optional[str] = ..., value: _Optional[str] = ..., included: _Optional[str] = ..., overage: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Coupon(_message.Message):
    __slots__ = ("name", "percent", "amount", "currency", "duration", "periods", "display_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    PERIODS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    percent: str
    amount: str
    currency: str
    duration: CouponDuration
    periods: int
    display_name: str
    def __init__(self, name: _Optional[str] = ..., percent: _Optional[str] = ..., amount: _Optional[str] = ..., currency: _Optional[str] = ..., duration: _Optional[_Union[CouponDuration, str]] = ..., periods: _Optional[int] = ..., display_name: _Optional[str] = ...) -> None: ...

class TaxRate(_message.Message):
    __slots__ = ("name", "percent", "country", "region", "inclusive", "display_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    INCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    percent: str
    country: str
    region: str
    inclusive: bool
    display_name: str
    def __init__(self, name: _Optional[str] = ..., percent: _Optional[str] = ..., country: _Optional[str] = ..., region: _Optional[str] = ..., inclusive: _Optional[bool] = ..., display_name: _Optional[str] = ...) -> None: ...

class Seller(_message.Message):
    __slots__ = ("name", "address", "tax_ids", "email", "logo", "notes", "payment_instructions", "series", "due_days", "draft_hours")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TAX_IDS_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    LOGO_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    DUE_DAYS_FIELD_NUMBER: _ClassVar[int]
    DRAFT_HOURS_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: _containers.RepeatedScalarFieldContainer[str]
    tax_ids: _containers.RepeatedScalarFieldContainer[str]
    email: str
    logo: bytes
    notes: str
    payment_instructions: str
    series: str
    due_days: int
    draft_hours: int
    def __init__(self, name: _Optional[str] = ..., address: _Optional[_Iterable[str]] = ..., tax_ids: _Optional[_Iterable[str]] = ..., email: _Optional[str] = ..., logo: _Optional[bytes] = ..., notes: _Optional[str] = ..., payment_instructions: _Optional[str] = ..., series: _Optional[str] = ..., due_days: _Optional[int] = ..., draft_hours: _Optional[int] = ...) -> None: ...
