"""Between the catalog's messages and the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from metergate.domain import quantity
from metergate.domain.aggregation import AGGREGATIONS, LevelUnit
from metergate.domain.catalog import DEFAULT_PLAN, Catalog, Plan
from metergate.domain.catalog_changes import Action, Change
from metergate.domain.errors import invalid
from metergate.domain.meter import LEVEL, LabelFilter, LatePolicy, Meter, Op
from metergate.domain.offer import Feature
from metergate.domain.period import Period, Weekday
from metergate.domain.quota import DEFAULT_SUB_WINDOWS, Kind, Limit, Policy, Scope, WhenViewGone, text_of_max
from metergate.rpc.convert import (
    KINDS,
    PERIODS,
    POLICIES,
    SCOPES,
    from_pb_duration,
    from_pb_max,
    named,
    one_of,
    to_pb_duration,
)
from metergate.rpc.convert_offer import (
    from_pb_coupon,
    from_pb_feature,
    from_pb_plan_feature,
    from_pb_seller,
    from_pb_tax_rate,
    to_pb_coupon,
    to_pb_feature,
    to_pb_plan_feature,
    to_pb_seller,
    to_pb_tax_rate,
)
from metergate.rpc.convert_price import from_pb_price, to_pb_price
from metergate.v1 import catalog_pb2

# Where an aggregation is unknown to the contract, the server does not start.
_AGGREGATIONS: Mapping[str, catalog_pb2.Aggregation] = {
    name: cast("catalog_pb2.Aggregation", catalog_pb2.Aggregation.Value(f"AGGREGATION_{name.upper()}"))
    for name in AGGREGATIONS
}
_OPS: Mapping[Op, catalog_pb2.LabelFilter.Op] = {
    Op.EQUALS: catalog_pb2.LabelFilter.OP_EQUALS,
    Op.IN: catalog_pb2.LabelFilter.OP_IN,
    Op.PREFIX: catalog_pb2.LabelFilter.OP_PREFIX,
    Op.NOT: catalog_pb2.LabelFilter.OP_NOT,
}
_LEVEL_UNITS: Mapping[LevelUnit, catalog_pb2.LevelUnit] = {
    LevelUnit.HOUR: catalog_pb2.LEVEL_UNIT_HOUR,
    LevelUnit.DAY: catalog_pb2.LEVEL_UNIT_DAY,
    LevelUnit.MONTH: catalog_pb2.LEVEL_UNIT_MONTH,
}
_LATE: Mapping[LatePolicy, catalog_pb2.LatePolicy] = {
    LatePolicy.NEXT_INVOICE: catalog_pb2.LATE_POLICY_NEXT_INVOICE,
    LatePolicy.REOPEN_DRAFT: catalog_pb2.LATE_POLICY_REOPEN_DRAFT,
    LatePolicy.DO_NOT_BILL: catalog_pb2.LATE_POLICY_DO_NOT_BILL,
}
_ACTIONS: Mapping[Action, catalog_pb2.CatalogChange.Action] = {
    Action.CREATE: catalog_pb2.CatalogChange.ACTION_CREATE,
    Action.UPDATE: catalog_pb2.CatalogChange.ACTION_UPDATE,
    Action.DELETE: catalog_pb2.CatalogChange.ACTION_DELETE,
}


_WEEKDAYS: Mapping[Weekday, catalog_pb2.Weekday] = {
    Weekday.MONDAY: catalog_pb2.WEEKDAY_MONDAY,
    Weekday.TUESDAY: catalog_pb2.WEEKDAY_TUESDAY,
    Weekday.WEDNESDAY: catalog_pb2.WEEKDAY_WEDNESDAY,
    Weekday.THURSDAY: catalog_pb2.WEEKDAY_THURSDAY,
    Weekday.FRIDAY: catalog_pb2.WEEKDAY_FRIDAY,
    Weekday.SATURDAY: catalog_pb2.WEEKDAY_SATURDAY,
    Weekday.SUNDAY: catalog_pb2.WEEKDAY_SUNDAY,
}
_WHEN_VIEW_GONE: Mapping[WhenViewGone, catalog_pb2.WhenViewGone] = {
    WhenViewGone.LEDGER: catalog_pb2.WHEN_VIEW_GONE_LEDGER,
    WhenViewGone.ALLOW: catalog_pb2.WHEN_VIEW_GONE_ALLOW,
    WhenViewGone.DENY: catalog_pb2.WHEN_VIEW_GONE_DENY,
}
_OF_A_PERIOD = (Kind.CALENDAR, Kind.ANCHORED)

_AGGREGATION_OF = named(_AGGREGATIONS, "sum")
_OP_OF = named(_OPS, Op.IN)
_LEVEL_UNIT_OF = named(_LEVEL_UNITS, LevelUnit.MONTH)
_LATE_OF = named(_LATE, LatePolicy.NEXT_INVOICE)
_PERIOD_OF = named(PERIODS, Period.MONTH)
_POLICY_OF = named(POLICIES, Policy.HARD)
_SCOPE_OF = named(SCOPES, Scope.CUSTOMER)
_KIND_OF = named(KINDS, Kind.CALENDAR)
_WEEKDAY_OF = named(_WEEKDAYS, Weekday.MONDAY)
_WHEN_VIEW_GONE_OF = named(_WHEN_VIEW_GONE, WhenViewGone.LEDGER)


def from_pb_catalog(catalog: catalog_pb2.Catalog) -> Catalog:
    """The catalog, not yet checked as a whole.

    Raises:
        MetergateError: FIELD_INVALID, QUANTITY_INVALID, naming the place.
    """
    meters = [from_pb_meter(meter, f"meters[{index}]") for index, meter in enumerate(catalog.meters)]
    features = [from_pb_feature(feature, f"features[{at}]") for at, feature in enumerate(catalog.features)]
    feature_of = {feature.name: feature for feature in features}
    return Catalog(
        tuple(meters),
        tuple([_from_pb_plan(plan, feature_of, f"plans[{at}]") for at, plan in enumerate(catalog.plans)]),
        catalog.default_plan or DEFAULT_PLAN,
        features=tuple(features),
        coupons=tuple([from_pb_coupon(one, f"coupons[{at}]") for at, one in enumerate(catalog.coupons)]),
        tax_rates=tuple([from_pb_tax_rate(one, f"tax_rates[{at}]") for at, one in enumerate(catalog.tax_rates)]),
        seller=from_pb_seller(catalog.seller),
    )


def _from_pb_plan(plan: catalog_pb2.Plan, feature_of: Mapping[str, Feature], field: str) -> Plan:
    return Plan(
        plan.name,
        tuple([from_pb_limit(one, f"{field}.limits[{at}]") for at, one in enumerate(plan.limits)]),
        plan.display_name,
        plan.version or 1,
        tuple([from_pb_price(one, f"{field}.prices[{at}]") for at, one in enumerate(plan.prices)]),
        tuple(
            [from_pb_plan_feature(one, feature_of, f"{field}.features[{at}]") for at, one in enumerate(plan.features)]
        ),
        plan.add_on,
        plan.trial_days,
    )


def from_pb_meter(meter: catalog_pb2.Meter, field: str) -> Meter:
    """The meter, with its defaults filled in."""
    aggregation = one_of(_AGGREGATION_OF, meter.aggregation, f"{field}.aggregation")
    unit = one_of(_LEVEL_UNIT_OF, meter.level_unit, f"{field}.level_unit")
    return Meter(
        meter.name,
        meter.event_type or meter.name,
        aggregation,
        meter.value,
        tuple(meter.dimensions),
        meter.allow_negative,
        meter.unit,
        meter.description,
        filters=tuple([_from_pb_filter(one, f"{field}.filters[{at}]") for at, one in enumerate(meter.filters)]),
        scale=quantity.parse_scale(meter.scale, f"{field}.scale") if meter.scale else quantity.ONE,
        percentile=quantity.parse(meter.percentile, f"{field}.percentile") if meter.percentile else None,
        level_unit=unit if aggregation == LEVEL or meter.level_unit else None,
        accept_window=(
            from_pb_duration(meter.accept_window, f"{field}.accept_window") if meter.HasField("accept_window") else None
        ),
        late=one_of(_LATE_OF, meter.late_policy, f"{field}.late_policy"),
    )


def _from_pb_filter(filter_: catalog_pb2.LabelFilter, field: str) -> LabelFilter:
    return LabelFilter(filter_.label, one_of(_OP_OF, filter_.op, f"{field}.op"), tuple(filter_.values))


def from_pb_limit(limit: catalog_pb2.Limit, field: str) -> Limit:
    """The limit, with its defaults filled in."""
    kind = one_of(_KIND_OF, limit.kind, f"{field}.kind")
    if limit.period and kind not in _OF_A_PERIOD:
        raise invalid(f"{field}.period", f"has no meaning where the kind is {kind}")
    made = Limit(
        limit.name,
        limit.meter,
        None if kind is Kind.GRANTS and not limit.max else from_pb_max(limit.max, f"{field}.max"),
        one_of(_PERIOD_OF, limit.period, f"{field}.period"),
        one_of(_POLICY_OF, limit.policy, f"{field}.policy"),
        one_of(_SCOPE_OF, limit.scope, f"{field}.scope"),
        tuple(sorted(limit.labels.items())),
        tuple(limit.per_labels),
        kind,
        from_pb_duration(limit.length, f"{field}.length"),
        limit.sub_windows or DEFAULT_SUB_WINDOWS,
        one_of(_WEEKDAY_OF, limit.week_start, f"{field}.week_start"),
        quantity.parse(limit.burst, f"{field}.burst") if limit.burst else None,
        quantity.parse(limit.grace, f"{field}.grace") if limit.grace else None,
        limit.shadow,
        tuple(sorted(limit.thresholds)),
        one_of(_WHEN_VIEW_GONE_OF, limit.when_view_gone, f"{field}.when_view_gone"),
        grace_period=from_pb_duration(limit.grace_period, f"{field}.grace_period")
        if limit.HasField("grace_period")
        else None,
    )
    return made if made.name else replace(made, name=f"{made.meter}/{made.window_name}"[:64])


def to_pb_catalog(catalog: Catalog) -> catalog_pb2.Catalog:
    """The catalog as a message."""
    return catalog_pb2.Catalog(
        meters=[to_pb_meter(meter) for meter in catalog.meters],
        plans=[_to_pb_plan(plan, catalog.feature_of) for plan in catalog.plans],
        default_plan=catalog.default_plan,
        features=[to_pb_feature(feature) for feature in catalog.features],
        coupons=[to_pb_coupon(coupon) for coupon in catalog.coupons],
        tax_rates=[to_pb_tax_rate(rate) for rate in catalog.tax_rates],
        seller=to_pb_seller(catalog.seller),
    )


def _to_pb_plan(plan: Plan, feature_of: Mapping[str, Feature]) -> catalog_pb2.Plan:
    return catalog_pb2.Plan(
        name=plan.name,
        display_name=plan.display_name,
        limits=[to_pb_limit(limit) for limit in plan.limits],
        version=plan.version if plan.version != 1 or plan.prices else None,
        prices=[to_pb_price(price) for price in plan.prices],
        features=[to_pb_plan_feature(one, feature_of.get(one.feature)) for one in plan.features],
        add_on=plan.add_on,
        trial_days=plan.trial_days,
    )


def to_pb_meter(meter: Meter) -> catalog_pb2.Meter:
    """The meter as a message."""
    return catalog_pb2.Meter(
        name=meter.name,
        event_type=meter.event_type,
        aggregation=_AGGREGATIONS[meter.aggregation],
        value=meter.value,
        dimensions=meter.dimensions,
        allow_negative=meter.allow_negative,
        unit=meter.unit,
        description=meter.description,
        filters=[
            catalog_pb2.LabelFilter(label=label, op=_OPS[op], values=values) for label, op, values in meter.filters
        ],
        scale="" if meter.scale == 1 else quantity.to_text(meter.scale),
        percentile="" if meter.percentile is None else quantity.to_text(meter.percentile),
        level_unit=_LEVEL_UNITS[meter.level_unit] if meter.level_unit else None,
        accept_window=None if meter.accept_window is None else to_pb_duration(meter.accept_window),
        late_policy=None if meter.late is LatePolicy.NEXT_INVOICE else _LATE[meter.late],
    )


def to_pb_limit(limit: Limit) -> catalog_pb2.Limit:
    """The limit as a message."""
    return catalog_pb2.Limit(
        name=limit.name,
        meter=limit.meter,
        max="" if limit.kind is Kind.GRANTS else text_of_max(limit.max),
        period=PERIODS[limit.period] if limit.kind in _OF_A_PERIOD else None,
        policy=POLICIES[limit.policy],
        scope=SCOPES[limit.scope],
        labels=dict(limit.labels),
        per_labels=limit.per_labels,
        kind=KINDS[limit.kind],
        length=to_pb_duration(limit.length) if limit.length else None,
        sub_windows=limit.sub_windows if limit.kind is Kind.ROLLING else None,
        week_start=None if limit.week_start is Weekday.MONDAY else _WEEKDAYS[limit.week_start],
        burst=None if limit.burst is None else quantity.to_text(limit.burst),
        grace=None if limit.grace is None else quantity.to_text(limit.grace),
        grace_period=None if limit.grace_period is None else to_pb_duration(limit.grace_period),
        shadow=limit.shadow,
        thresholds=limit.thresholds,
        when_view_gone=(None if limit.when_view_gone is WhenViewGone.LEDGER else _WHEN_VIEW_GONE[limit.when_view_gone]),
    )


def to_pb_change(change: Change) -> catalog_pb2.CatalogChange:
    """The change as a message."""
    return catalog_pb2.CatalogChange(
        action=_ACTIONS[change.action], kind=change.kind, name=change.name, differences=change.differences
    )
