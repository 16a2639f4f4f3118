"""Between the catalog's messages and the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar, cast

from metergate.domain import quantity
from metergate.domain.aggregation import AGGREGATIONS, LevelUnit
from metergate.domain.catalog import DEFAULT_PLAN, Catalog, Plan
from metergate.domain.catalog_changes import Action, Change
from metergate.domain.errors import MetergateError, Violation, invalid
from metergate.domain.meter import LEVEL, LabelFilter, LatePolicy, Meter, Op
from metergate.domain.period import Period, Weekday
from metergate.domain.quota import DEFAULT_SUB_WINDOWS, Kind, Limit, Policy, Scope, WhenViewGone, text_of_max
from metergate.rpc.convert import KINDS, PERIODS, POLICIES, SCOPES, from_pb_duration, to_pb_duration
from metergate.v1 import catalog_pb2

T = TypeVar("T")

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


def _named(numbers: Mapping[T, int], default: T) -> dict[int, T]:
    return {number: value for value, number in numbers.items()} | {0: default}


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

_AGGREGATION_OF = _named(_AGGREGATIONS, "sum")
_OP_OF = _named(_OPS, Op.IN)
_LEVEL_UNIT_OF = _named(_LEVEL_UNITS, LevelUnit.MONTH)
_LATE_OF = _named(_LATE, LatePolicy.NEXT_INVOICE)
_PERIOD_OF = _named(PERIODS, Period.MONTH)
_POLICY_OF = _named(POLICIES, Policy.HARD)
_SCOPE_OF = _named(SCOPES, Scope.CUSTOMER)
_KIND_OF = _named(KINDS, Kind.CALENDAR)
_WEEKDAY_OF = _named(_WEEKDAYS, Weekday.MONDAY)
_WHEN_VIEW_GONE_OF = _named(_WHEN_VIEW_GONE, WhenViewGone.LEDGER)


def _enum(known: Mapping[int, T], number: int, field: str) -> T:
    if number not in known:
        raise invalid(field, f"{number} is not one of its values")
    return known[number]


def from_pb_catalog(catalog: catalog_pb2.Catalog) -> Catalog:
    """The catalog, not yet checked as a whole.

    Raises:
        MetergateError: FIELD_INVALID, QUANTITY_INVALID, naming the place.
    """
    meters = [from_pb_meter(meter, f"meters[{index}]") for index, meter in enumerate(catalog.meters)]
    plans = [
        Plan(
            plan.name,
            tuple(from_pb_limit(limit, f"plans[{at}].limits[{index}]") for index, limit in enumerate(plan.limits)),
            plan.display_name,
        )
        for at, plan in enumerate(catalog.plans)
    ]
    return Catalog(tuple(meters), tuple(plans), catalog.default_plan or DEFAULT_PLAN)


def from_pb_meter(meter: catalog_pb2.Meter, field: str) -> Meter:
    """The meter, with its defaults filled in."""
    aggregation = _enum(_AGGREGATION_OF, meter.aggregation, f"{field}.aggregation")
    unit = _enum(_LEVEL_UNIT_OF, meter.level_unit, f"{field}.level_unit")
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
        late=_enum(_LATE_OF, meter.late_policy, f"{field}.late_policy"),
    )


def _from_pb_filter(filter_: catalog_pb2.LabelFilter, field: str) -> LabelFilter:
    return LabelFilter(filter_.label, _enum(_OP_OF, filter_.op, f"{field}.op"), tuple(filter_.values))


def from_pb_limit(limit: catalog_pb2.Limit, field: str) -> Limit:
    """The limit, with its defaults filled in."""
    kind = _enum(_KIND_OF, limit.kind, f"{field}.kind")
    if limit.period and kind not in _OF_A_PERIOD:
        raise invalid(f"{field}.period", f"has no meaning where the kind is {kind}")
    made = Limit(
        limit.name,
        limit.meter,
        None if kind is Kind.GRANTS and not limit.max else from_pb_max(limit.max, f"{field}.max"),
        _enum(_PERIOD_OF, limit.period, f"{field}.period"),
        _enum(_POLICY_OF, limit.policy, f"{field}.policy"),
        _enum(_SCOPE_OF, limit.scope, f"{field}.scope"),
        tuple(sorted(limit.labels.items())),
        tuple(limit.per_labels),
        kind,
        from_pb_duration(limit.length, f"{field}.length"),
        limit.sub_windows or DEFAULT_SUB_WINDOWS,
        _enum(_WEEKDAY_OF, limit.week_start, f"{field}.week_start"),
        quantity.parse(limit.burst, f"{field}.burst") if limit.burst else None,
        quantity.parse(limit.grace, f"{field}.grace") if limit.grace else None,
        limit.shadow,
        tuple(sorted(limit.thresholds)),
        _enum(_WHEN_VIEW_GONE_OF, limit.when_view_gone, f"{field}.when_view_gone"),
        grace_period=from_pb_duration(limit.grace_period, f"{field}.grace_period")
        if limit.HasField("grace_period")
        else None,
    )
    return made if made.name else replace(made, name=f"{made.meter}/{made.window_name}"[:64])


def from_pb_max(text: str, field: str) -> Decimal | None:
    """A limit's maximum, None = unlimited.

    Raises:
        MetergateError: QUANTITY_INVALID or FIELD_INVALID.
    """
    if text == "unlimited":
        return None
    try:
        number = quantity.parse(text, field)
    except MetergateError as error:
        description = 'must be a plain decimal, or "unlimited"'
        error.violations = (Violation(field, description),)
        raise
    if number < 0:
        raise invalid(field, "must not be negative")
    return number


def to_pb_catalog(catalog: Catalog) -> catalog_pb2.Catalog:
    """The catalog as a message."""
    return catalog_pb2.Catalog(
        meters=[to_pb_meter(meter) for meter in catalog.meters],
        plans=[
            catalog_pb2.Plan(
                name=plan.name, display_name=plan.display_name, limits=[to_pb_limit(limit) for limit in plan.limits]
            )
            for plan in catalog.plans
        ],
        default_plan=catalog.default_plan,
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
