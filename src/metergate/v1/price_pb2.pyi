from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PriceModel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_MODEL_UNSPECIFIED: _ClassVar[PriceModel]
    PRICE_MODEL_FLAT: _ClassVar[PriceModel]
    PRICE_MODEL_ONE_OFF: _ClassVar[PriceModel]
    PRICE_MODEL_UNIT: _ClassVar[PriceModel]
    PRICE_MODEL_GRADUATED: _ClassVar[PriceModel]
    PRICE_MODEL_VOLUME: _ClassVar[PriceModel]
    PRICE_MODEL_PACKAGE: _ClassVar[PriceModel]
    PRICE_MODEL_PERCENT: _ClassVar[PriceModel]

class PriceInterval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_INTERVAL_UNSPECIFIED: _ClassVar[PriceInterval]
    PRICE_INTERVAL_MONTH: _ClassVar[PriceInterval]
    PRICE_INTERVAL_QUARTER: _ClassVar[PriceInterval]
    PRICE_INTERVAL_YEAR: _ClassVar[PriceInterval]

class PriceTiming(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_TIMING_UNSPECIFIED: _ClassVar[PriceTiming]
    PRICE_TIMING_ADVANCE: _ClassVar[PriceTiming]
    PRICE_TIMING_ARREARS: _ClassVar[PriceTiming]
PRICE_MODEL_UNSPECIFIED: PriceModel
PRICE_MODEL_FLAT: PriceModel
PRICE_MODEL_ONE_OFF: PriceModel
PRICE_MODEL_UNIT: PriceModel
PRICE_MODEL_GRADUATED: PriceModel
PRICE_MODEL_VOLUME: PriceModel
PRICE_MODEL_PACKAGE: PriceModel
PRICE_MODEL_PERCENT: PriceModel
PRICE_INTERVAL_UNSPECIFIED: PriceInterval
PRICE_INTERVAL_MONTH: PriceInterval
PRICE_INTERVAL_QUARTER: PriceInterval
PRICE_INTERVAL_YEAR: PriceInterval
PRICE_TIMING_UNSPECIFIED: PriceTiming
PRICE_TIMING_ADVANCE: PriceTiming
PRICE_TIMING_ARREARS: PriceTiming

class PriceTier(_message.Message):
    __slots__ = ("up_to", "unit_amount", "flat_amount", "above")
    UP_TO_FIELD_NUMBER: _ClassVar[int]
    UNIT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FLAT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    up_to: str
    unit_amount: str
    flat_amount: str
    above: str
    def __init__(self, up_to: _Optional[str] = ..., unit_amount: _Optional[str] = ..., flat_amount: _Optional[str] = ..., above: _Optional[str] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("name", "model", "currency", "interval", "timing", "meter", "unit_amount", "tiers", "included", "package_size", "percent", "minimum", "maximum", "labels", "per_labels", "display_name")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    UNIT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PER_LABELS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: PriceModel
    currency: str
    interval: PriceInterval
    timing: PriceTiming
    meter: str
    unit_amount: str
    tiers: _containers.RepeatedCompositeFieldContainer[PriceTier]
    included: str
    package_size: str
    percent: str
    minimum: str
    maximum: str
    labels: _containers.ScalarMap[str, str]
    per_labels: _containers.RepeatedScalarFieldContainer[str]
    display_name: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[PriceModel, str]] = ..., currency: _Optional[str] = ..., interval: _Optional[_Union[PriceInterval, str]] = ..., timing: _Optional[_Union[PriceTiming, str]] = ..., meter: _Optional[str] = ..., unit_amount: _Optional[str] = ..., tiers: _Optional[_Iterable[_Union[PriceTier, _Mapping]]] = ..., included: _Optional[str] = ..., package_size: _Optional[str] = ..., percent: _Optional[str] = ..., minimum: _Optional[str] = ..., maximum: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., per_labels: _Optional[_Iterable[str]] = ..., display_name: _Optional[str] = ...) -> None: ...
