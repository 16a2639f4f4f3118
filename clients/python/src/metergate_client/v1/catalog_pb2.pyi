import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from metergate_client.v1 import offer_pb2 as _offer_pb2
from metergate_client.v1 import price_pb2 as _price_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Aggregation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGGREGATION_UNSPECIFIED: _ClassVar[Aggregation]
    AGGREGATION_SUM: _ClassVar[Aggregation]
    AGGREGATION_COUNT: _ClassVar[Aggregation]
    AGGREGATION_AVG: _ClassVar[Aggregation]
    AGGREGATION_MIN: _ClassVar[Aggregation]
    AGGREGATION_MAX: _ClassVar[Aggregation]
    AGGREGATION_LATEST: _ClassVar[Aggregation]
    AGGREGATION_UNIQUE: _ClassVar[Aggregation]
    AGGREGATION_PERCENTILE: _ClassVar[Aggregation]
    AGGREGATION_LEVEL: _ClassVar[Aggregation]

class LevelUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_UNIT_UNSPECIFIED: _ClassVar[LevelUnit]
    LEVEL_UNIT_HOUR: _ClassVar[LevelUnit]
    LEVEL_UNIT_DAY: _ClassVar[LevelUnit]
    LEVEL_UNIT_MONTH: _ClassVar[LevelUnit]

class LatePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATE_POLICY_UNSPECIFIED: _ClassVar[LatePolicy]
    LATE_POLICY_NEXT_INVOICE: _ClassVar[LatePolicy]
    LATE_POLICY_REOPEN_DRAFT: _ClassVar[LatePolicy]
    LATE_POLICY_DO_NOT_BILL: _ClassVar[LatePolicy]

class Period(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERIOD_UNSPECIFIED: _ClassVar[Period]
    PERIOD_MINUTE: _ClassVar[Period]
    PERIOD_HOUR: _ClassVar[Period]
    PERIOD_DAY: _ClassVar[Period]
    PERIOD_WEEK: _ClassVar[Period]
    PERIOD_MONTH: _ClassVar[Period]
    PERIOD_YEAR: _ClassVar[Period]

class Policy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_UNSPECIFIED: _ClassVar[Policy]
    POLICY_HARD: _ClassVar[Policy]
    POLICY_SOFT: _ClassVar[Policy]
    POLICY_GRACE: _ClassVar[Policy]

class LimitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_KIND_UNSPECIFIED: _ClassVar[LimitKind]
    LIMIT_KIND_CALENDAR: _ClassVar[LimitKind]
    LIMIT_KIND_ANCHORED: _ClassVar[LimitKind]
    LIMIT_KIND_FIXED: _ClassVar[LimitKind]
    LIMIT_KIND_ROLLING: _ClassVar[LimitKind]
    LIMIT_KIND_LIFETIME: _ClassVar[LimitKind]
    LIMIT_KIND_RATE: _ClassVar[LimitKind]
    LIMIT_KIND_CONCURRENCY: _ClassVar[LimitKind]
    LIMIT_KIND_GRANTS: _ClassVar[LimitKind]

class Weekday(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WEEKDAY_UNSPECIFIED: _ClassVar[Weekday]
    WEEKDAY_MONDAY: _ClassVar[Weekday]
    WEEKDAY_TUESDAY: _ClassVar[Weekday]
    WEEKDAY_WEDNESDAY: _ClassVar[Weekday]
    WEEKDAY_THURSDAY: _ClassVar[Weekday]
    WEEKDAY_FRIDAY: _ClassVar[Weekday]
    WEEKDAY_SATURDAY: _ClassVar[Weekday]
    WEEKDAY_SUNDAY: _ClassVar[Weekday]

class WhenViewGone(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WHEN_VIEW_GONE_UNSPECIFIED: _ClassVar[WhenViewGone]
    WHEN_VIEW_GONE_LEDGER: _ClassVar[WhenViewGone]
    WHEN_VIEW_GONE_ALLOW: _ClassVar[WhenViewGone]
    WHEN_VIEW_GONE_DENY: _ClassVar[WhenViewGone]

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_CUSTOMER: _ClassVar[Scope]
    SCOPE_SUBJECT: _ClassVar[Scope]
AGGREGATION_UNSPECIFIED: Aggregation
AGGREGATION_SUM: Aggregation
AGGREGATION_COUNT: Aggregation
AGGREGATION_AVG: Aggregation
AGGREGATION_MIN: Aggregation
AGGREGATION_MAX: Aggregation
AGGREGATION_LATEST: Aggregation
AGGREGATION_UNIQUE: Aggregation
AGGREGATION_PERCENTILE: Aggregation
AGGREGATION_LEVEL: Aggregation
LEVEL_UNIT_UNSPECIFIED: LevelUnit
LEVEL_UNIT_HOUR: LevelUnit
LEVEL_UNIT_DAY: LevelUnit
LEVEL_UNIT_MONTH: LevelUnit
LATE_POLICY_UNSPECIFIED: LatePolicy
LATE_POLICY_NEXT_INVOICE: LatePolicy
LATE_POLICY_REOPEN_DRAFT: LatePolicy
LATE_POLICY_DO_NOT_BILL: LatePolicy
PERIOD_UNSPECIFIED: Period
PERIOD_MINUTE: Period
PERIOD_HOUR: Period
PERIOD_DAY: Period
PERIOD_WEEK: Period
PERIOD_MONTH: Period
PERIOD_YEAR: Period
POLICY_UNSPECIFIED: Policy
POLICY_HARD: Policy
POLICY_SOFT: Policy
POLICY_GRACE: Policy
LIMIT_KIND_UNSPECIFIED: LimitKind
LIMIT_KIND_CALENDAR: LimitKind
LIMIT_KIND_ANCHORED: LimitKind
LIMIT_KIND_FIXED: LimitKind
LIMIT_KIND_ROLLING: LimitKind
LIMIT_KIND_LIFETIME: LimitKind
LIMIT_KIND_RATE: LimitKind
LIMIT_KIND_CONCURRENCY: LimitKind
LIMIT_KIND_GRANTS: LimitKind
WEEKDAY_UNSPECIFIED: Weekday
WEEKDAY_MONDAY: Weekday
WEEKDAY_TUESDAY: Weekday
WEEKDAY_WEDNESDAY: Weekday
WEEKDAY_THURSDAY: Weekday
WEEKDAY_FRIDAY: Weekday
WEEKDAY_SATURDAY: Weekday
WEEKDAY_SUNDAY: Weekday
WHEN_VIEW_GONE_UNSPECIFIED: WhenViewGone
WHEN_VIEW_GONE_LEDGER: WhenViewGone
WHEN_VIEW_GONE_ALLOW: WhenViewGone
WHEN_VIEW_GONE_DENY: WhenViewGone
SCOPE_UNSPECIFIED: Scope
SCOPE_CUSTOMER: Scope
SCOPE_SUBJECT: Scope

class LabelFilter(_message.Message):
    __slots__ = ("label", "op", "values")
    class Op(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OP_UNSPECIFIED: _ClassVar[LabelFilter.Op]
        OP_EQUALS: _ClassVar[LabelFilter.Op]
        OP_IN: _ClassVar[LabelFilter.Op]
        OP_PREFIX: _ClassVar[LabelFilter.Op]
        OP_NOT: _ClassVar[LabelFilter.Op]
    OP_UNSPECIFIED: LabelFilter.Op
    OP_EQUALS: LabelFilter.Op
    OP_IN: LabelFilter.Op
    OP_PREFIX: LabelFilter.Op
    OP_NOT: LabelFilter.Op
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    label: str
    op: LabelFilter.Op
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, label: _Optional[str] = ..., op: _Optional[_Union[LabelFilter.Op, str]] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Meter(_message.Message):
    __slots__ = ("name", "event_type", "aggregation", "value", "dimensions", "allow_negative", "unit", "description", "filters", "scale", "percentile", "level_unit", "accept_window", "late_policy")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_UNIT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    LATE_POLICY_FIELD_NUMBER: _ClassVar[int]
    name: str
    event_type: str
    aggregation: Aggregation
    value: str
    dimensions: _containers.RepeatedScalarFieldContainer[str]
    allow_negative: bool
    unit: str
    description: str
    filters: _containers.RepeatedCompositeFieldContainer[LabelFilter]
    scale: str
    percentile: str
    level_unit: LevelUnit
    accept_window: _duration_pb2.Duration
    late_policy: LatePolicy
    def __init__(self, name: _Optional[str] = ..., event_type: _Optional[str] = ..., aggregation: _Optional[_Union[Aggregation, str]] = ..., value: _Optional[str] = ..., dimensions: _Optional[_Iterable[str]] = ..., allow_negative: _Optional[bool] = ..., unit: _Optional[str] = ..., description: _Optional[str] = ..., filters: _Optional[_Iterable[_Union[LabelFilter, _Mapping]]] = ..., scale: _Optional[str] = ..., percentile: _Optional[str] = ..., level_unit: _Optional[_Union[LevelUnit, str]] = ..., accept_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., late_policy: _Optional[_Union[LatePolicy, str]] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("name", "meter", "max", "period", "policy", "scope", "labels", "per_labels", "kind", "length", "sub_windows", "week_start", "burst", "grace", "shadow", "thresholds", "when_view_gone", "grace_period")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PER_LABELS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SUB_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    WEEK_START_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    WHEN_VIEW_GONE_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    name: str
    meter: str
    max: str
    period: Period
    policy: Policy
    scope: Scope
    labels: _containers.ScalarMap[str, str]
    per_labels: _containers.RepeatedScalarFieldContainer[str]
    kind: LimitKind
    length: _duration_pb2.Duration
    sub_windows: int
    week_start: Weekday
    burst: str
    grace: str
    shadow: bool
    thresholds: _containers.RepeatedScalarFieldContainer[int]
    when_view_gone: WhenViewGone
    grace_period: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., meter: _Optional[str] = ..., max: _Optional[str] = ..., period: _Optional[_Union[Period, str]] = ..., policy: _Optional[_Union[Policy, str]] = ..., scope: _Optional[_Union[Scope, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., per_labels: _Optional[_Iterable[str]] = ..., kind: _Optional[_Union[LimitKind, str]] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., sub_windows: _Optional[int] = ..., week_start: _Optional[_Union[Weekday, str]] = ..., burst: _Optional[str] = ..., grace: _Optional[str] = ..., shadow: _Optional[bool] = ..., thresholds: _Optional[_Iterable[int]] = ..., when_view_gone: _Optional[_Union[WhenViewGone, str]] = ..., grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("name", "limits", "display_name", "version", "prices", "features", "add_on", "trial_days")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ADD_ON_FIELD_NUMBER: _ClassVar[int]
    TRIAL_DAYS_FIELD_NUMBER: _ClassVar[int]
    name: str
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    display_name: str
    version: int
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    features: _containers.RepeatedCompositeFieldContainer[_offer_pb2.PlanFeature]
    add_on: bool
    trial_days: int
    def __init__(self, name: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ..., display_name: _Optional[str] = ..., version: _Optional[int] = ..., prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[_offer_pb2.PlanFeature, _Mapping]]] = ..., add_on: _Optional[bool] = ..., trial_days: _Optional[int] = ...) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("meters", "plans", "default_plan", "features", "coupons", "tax_rates", "seller")
    METERS_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PLAN_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    COUPONS_FIELD_NUMBER: _ClassVar[int]
    TAX_RATES_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    meters: _containers.RepeatedCompositeFieldContainer[Meter]
    plans: _containers.RepeatedCompositeFieldContainer[Plan]
    default_plan: str
    features: _containers.RepeatedCompositeFieldContainer[_offer_pb2.Feature]
    coupons: _containers.RepeatedCompositeFieldContainer[_offer_pb2.Coupon]
    tax_rates: _containers.RepeatedCompositeFieldContainer[_offer_pb2.TaxRate]
    seller: _offer_pb2.Seller
    def __init__(self, meters: _Optional[_Iterable[_Union[Meter, _Mapping]]] = ..., plans: _Optional[_Iterable[_Union[Plan, _Mapping]]] = ..., default_plan: _Optional[str] = ..., features: _Optional[_Iterable[_Union[_offer_pb2.Feature, _Mapping]]] = ..., coupons: _Optional[_Iterable[_Union[_offer_pb2.Coupon, _Mapping]]] = ..., tax_rates: _Optional[_Iterable[_Union[_offer_pb2.TaxRate, _Mapping]]] = ..., seller: _Optional[_Union[_offer_pb2.Seller, _Mapping]] = ...) -> None: ...

class CatalogChange(_message.Message):
    __slots__ = ("action", "kind", "name", "differences")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[CatalogChange.Action]
        ACTION_CREATE: _ClassVar[CatalogChange.Action]
        ACTION_UPDATE: _ClassVar[CatalogChange.Action]
        ACTION_DELETE: _ClassVar[CatalogChange.Action]
    ACTION_UNSPECIFIED: CatalogChange.Action
    ACTION_CREATE: CatalogChange.Action
    ACTION_UPDATE: CatalogChange.Action
    ACTION_DELETE: CatalogChange.Action
    ACTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    action: CatalogChange.Action
    kind: str
    name: str
    differences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, action: _Optional[_Union[CatalogChange.Action, str]] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., differences: _Optional[_Iterable[str]] = ...) -> None: ...

class ApplyCatalogRequest(_message.Message):
    __slots__ = ("catalog", "dry_run", "request_id")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    catalog: Catalog
    dry_run: bool
    request_id: str
    def __init__(self, catalog: _Optional[_Union[Catalog, _Mapping]] = ..., dry_run: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApplyCatalogResponse(_message.Message):
    __slots__ = ("changes", "version")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[CatalogChange]
    version: int
    def __init__(self, changes: _Optional[_Iterable[_Union[CatalogChange, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class GetCatalogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCatalogResponse(_message.Message):
    __slots__ = ("catalog", "version")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    catalog: Catalog
    version: int
    def __init__(self, catalog: _Optional[_Union[Catalog, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class SetLimitRequest(_message.Message):
    __slots__ = ("plan", "limit", "request_id")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    plan: str
    limit: Limit
    request_id: str
    def __init__(self, plan: _Optional[str] = ..., limit: _Optional[_Union[Limit, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetLimitResponse(_message.Message):
    __slots__ = ("limit", "plan", "changes", "version")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    limit: Limit
    plan: str
    changes: _containers.RepeatedCompositeFieldContainer[CatalogChange]
    version: int
    def __init__(self, limit: _Optional[_Union[Limit, _Mapping]] = ..., plan: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[CatalogChange, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("currency", "interval", "plans")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    currency: str
    interval: _price_pb2.PriceInterval
    plans: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, currency: _Optional[str] = ..., interval: _Optional[_Union[_price_pb2.PriceInterval, str]] = ..., plans: _Optional[_Iterable[str]] = ...) -> None: ...

class PriceListEntry(_message.Message):
    __slots__ = ("plan", "display_name", "version", "currency", "interval", "add_on", "trial_days", "prices", "features")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADD_ON_FIELD_NUMBER: _ClassVar[int]
    TRIAL_DAYS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    plan: str
    display_name: str
    version: int
    currency: str
    interval: _price_pb2.PriceInterval
    add_on: bool
    trial_days: int
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    features: _containers.RepeatedCompositeFieldContainer[ListedFeature]
    def __init__(self, plan: _Optional[str] = ..., display_name: _Optional[str] = ..., version: _Optional[int] = ..., currency: _Optional[str] = ..., interval: _Optional[_Union[_price_pb2.PriceInterval, str]] = ..., add_on: _Optional[bool] = ..., trial_days: _Optional[int] = ..., prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[ListedFeature, _Mapping]]] = ...) -> None: ...

class ListedFeature(_message.Message):
    __slots__ = ("feature", "display_name", "kind", "value", "included", "overage")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    display_name: str
    kind: _offer_pb2.FeatureKind
    value: str
    included: str
    overage: str
    def __init__(self, feature: _Optional[str] = ..., display_name: _Optional[str] = ..., kind: _Optional[_Union[_offer_pb2.FeatureKind, str]] = ..., value: _Optional[str] = ..., included: _Optional[str] = ..., overage: _Optional[str] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("entries", "version")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[PriceListEntry]
    version: int
    def __init__(self, entries: _Optional[_Iterable[_Union[PriceListEntry, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...
