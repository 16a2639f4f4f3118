"""What makes a catalog valid: its names, its meters, and limits that can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from metergate.domain.aggregation import AGGREGATIONS
from metergate.domain.errors import Violation
from metergate.domain.meter import LEVEL, PERCENTILE, UNIQUE, LabelFilter, Meter, Op
from metergate.domain.names import NAME, WORDS_MAX, check_names, check_words
from metergate.domain.offer_rules import offer_contradictions, plan_offer_contradictions, price_contradictions
from metergate.domain.period import DAY, SECOND, Period, Weekday, length_to_text
from metergate.domain.plan import Plan, limit_of
from metergate.domain.quota import DEFAULT_SUB_WINDOWS, Kind, Limit, Policy, Scope
from metergate.domain.usage import MAX_LABEL_VALUE

if TYPE_CHECKING:
    from metergate.domain.catalog import Catalog

MAX_DIMENSIONS = 5
MAX_METERS = 500
MAX_PLANS = 500
MAX_LIMITS_PER_PLAN = 100
MAX_THRESHOLDS = 20
THRESHOLD_MAX = 1_000  # percent
LENGTH_MAX = 3_660 * DAY
SUB_WINDOWS_MIN, SUB_WINDOWS_MAX = 2, 60
SCALE_MAX = Decimal(10) ** 18
SCALE_PLACES = 30
MAX_FILTERS = 10
MAX_FILTER_VALUES = 100
_TYPE_MAX = 128
_DESCRIPTION_MAX = 4_096  # bytes


def contradictions(catalog: Catalog) -> Iterable[Violation]:
    """Each contradiction in the catalog, in order."""
    yield from check_names("meters", [meter.name for meter in catalog.meters], MAX_METERS)
    for index, meter in enumerate(catalog.meters):
        yield from _check_meter(f"meters[{index}]", meter)
    yield from offer_contradictions(
        catalog.features, catalog.coupons, catalog.tax_rates, catalog.seller, catalog.meter_of
    )
    yield from check_names("plans", [plan.name for plan in catalog.plans], MAX_PLANS)
    for index, plan in enumerate(catalog.plans):
        yield from plan_offer_contradictions(f"plans[{index}]", plan, catalog.feature_of)
        yield from promise_contradictions(f"plans[{index}]", plan, catalog.meter_of)
    if not NAME.fullmatch(catalog.default_plan):
        yield Violation("default_plan", f"{catalog.default_plan[:80]!r} is not a name")
    elif catalog.plans and catalog.default_plan not in catalog.plan_of:
        yield Violation("default_plan", f"no plan is called {catalog.default_plan!r}")
    elif catalog.plans and catalog.plan_of[catalog.default_plan].add_on:
        yield Violation("default_plan", f"{catalog.default_plan!r} is an add-on")


def promise_contradictions(where: str, plan: Plan, meter_of: Mapping[str, Meter]) -> Iterable[Violation]:
    """Each contradiction in a plan's limits and prices with these meters: what it promises cannot be kept."""
    at = f"{where}.limits"
    yield from check_names(at, [limit.name for limit in plan.limits], MAX_LIMITS_PER_PLAN)
    for place, limit in enumerate(plan.limits):
        yield from _check_limit(f"{at}[{place}]", limit, meter_of.get(limit.meter))
    yield from _check_rates(at, plan.limits)
    meters, names = dict(plan.meters), {limit.name for limit in plan.limits}
    for place, feature in enumerate(plan.features):
        if feature.feature not in meters:
            continue
        at, limit = f"{where}.features[{place}]", limit_of(feature, meters[feature.feature])
        if limit.name in names:
            yield Violation(at, f"limit {limit.name!r} stands in the plan already")
        for wrong in _check_limit(at, limit, meter_of.get(limit.meter)):
            yield Violation(at, f"its limit: {wrong.description}")
    yield from price_contradictions(where, plan, meter_of)


def _check_meter(where: str, meter: Meter) -> Iterable[Violation]:
    if meter.aggregation not in AGGREGATIONS:
        yield Violation(f"{where}.aggregation", f"is not one of {', '.join(AGGREGATIONS)}")
    if len(meter.event_type) > _TYPE_MAX or not meter.event_type.isprintable():
        yield Violation(f"{where}.event_type", f"must be printable, at most {_TYPE_MAX}")
    if len(meter.dimensions) > MAX_DIMENSIONS or len(set(meter.dimensions)) < len(meter.dimensions):
        yield Violation(f"{where}.dimensions", f"must be at most {MAX_DIMENSIONS}, each once")
    for name in meter.dimensions:
        if not name or not name.isprintable() or name == "subject" or len(name.encode()) > 64:
            yield Violation(f"{where}.dimensions", f"{name[:80]!r} is not a label key")
    if len(meter.value.encode()) > 64 or (meter.value and not meter.value.isprintable()):
        yield Violation(f"{where}.value", "must be printable, at most 64 bytes")
    yield from _check_reading(where, meter)
    yield from check_words(f"{where}.unit", meter.unit, WORDS_MAX)
    yield from check_words(f"{where}.description", meter.description, _DESCRIPTION_MAX)


def _check_reading(where: str, meter: Meter) -> Iterable[Violation]:
    """What of an event it reads, and what its aggregation needs to be told."""
    if not 0 < meter.scale <= SCALE_MAX or -_exponent(meter.scale) > SCALE_PLACES:
        yield Violation(f"{where}.scale", f"must be more than 0 and have at most {SCALE_PLACES} decimal places")
    elif meter.scale != 1 and meter.how.counts:
        yield Violation(f"{where}.scale", f"has no meaning for {meter.aggregation}: each event counts as one")
    if len(meter.filters) > MAX_FILTERS:
        yield Violation(f"{where}.filters", f"at most {MAX_FILTERS} are allowed")
    for place, filter_ in enumerate(meter.filters):
        yield from _check_filter(f"{where}.filters[{place}]", filter_)
    for field_, given, of in (
        ("percentile", meter.percentile, PERCENTILE),
        ("level_unit", meter.level_unit, LEVEL),
    ):
        if (given is not None) != (meter.aggregation == of):
            yield Violation(f"{where}.{field_}", f"must be given for {of.upper()} meters, and only for them")
    if meter.percentile is not None and not 0 < meter.percentile <= 100:
        yield Violation(f"{where}.percentile", "must be more than 0 and at most 100")
    if meter.aggregation == UNIQUE and meter.allow_negative:
        yield Violation(f"{where}.allow_negative", "has no meaning for UNIQUE: it counts values of a label")
    if meter.accept_window is not None and not SECOND <= meter.accept_window <= LENGTH_MAX:
        yield Violation(f"{where}.accept_window", f"must be 1s to {length_to_text(LENGTH_MAX)}")


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _check_filter(where: str, filter_: LabelFilter) -> Iterable[Violation]:
    if not filter_.label or not filter_.label.isprintable() or len(filter_.label.encode()) > 64:
        yield Violation(f"{where}.label", f"{filter_.label[:80]!r} is not a label key")
    if not 0 < len(filter_.values) <= MAX_FILTER_VALUES or len(set(filter_.values)) < len(filter_.values):
        yield Violation(f"{where}.values", f"must be 1 to {MAX_FILTER_VALUES}, each once")
    elif filter_.op is Op.EQUALS and len(filter_.values) > 1:
        yield Violation(f"{where}.values", "EQUALS compares with one value: use IN for several")
    for value in filter_.values:
        if len(value.encode()) > MAX_LABEL_VALUE or any(character < " " or character == "\x7f" for character in value):
            yield Violation(f"{where}.values", f"{value[:80]!r} is not a label's value")
        elif not value and filter_.op is Op.PREFIX:
            yield Violation(f"{where}.values", "every value begins with nothing")


def _check_limit(where: str, limit: Limit, meter: Meter | None) -> Iterable[Violation]:
    if meter is None:
        yield Violation(f"{where}.meter", f"no meter is called {limit.meter[:80]!r}")
        return
    if limit.max is not None and limit.max < 0:
        yield Violation(f"{where}.max", "must not be negative")
    for name in [*dict(limit.labels), *limit.per_labels]:
        if name not in meter.dimensions:
            yield Violation(f"{where}.labels", f"{name[:80]!r} is not a dimension of meter {meter.name!r}")
    for value in dict(limit.labels).values():
        if len(value.encode()) > MAX_LABEL_VALUE or any(character < " " or character == "\x7f" for character in value):
            yield Violation(f"{where}.labels", f"{value[:80]!r} is not a label's value")
    if set(dict(limit.labels)) & set(limit.per_labels) or len(set(limit.per_labels)) < len(limit.per_labels):
        yield Violation(f"{where}.per_labels", "must name each label once, and none that labels fixes")
    yield from _check_window(where, limit)
    yield from _check_grants(where, limit)
    yield from _check_policy(where, limit, meter)
    yield from _check_thresholds(f"{where}.thresholds", limit)


_OF_A_LENGTH = (Kind.FIXED, Kind.ROLLING, Kind.RATE)
_REACHED_ONCE = (Kind.CALENDAR, Kind.ANCHORED, Kind.FIXED, Kind.LIFETIME)


def _check_window(where: str, limit: Limit) -> Iterable[Violation]:
    kind = limit.kind
    if kind in _OF_A_LENGTH:
        if not SECOND <= limit.length <= LENGTH_MAX or limit.length % SECOND:
            most = length_to_text(LENGTH_MAX)
            yield Violation(f"{where}.length", f"must be whole seconds, from 1s to {most}, where the kind is {kind}")
    elif limit.length:
        yield Violation(f"{where}.length", f"has no meaning where the kind is {kind}")
    if kind is Kind.ANCHORED and limit.period in (Period.MINUTE, Period.HOUR):
        yield Violation(f"{where}.period", "an anchored window is a day, week, month or year")
    if limit.week_start is not Weekday.MONDAY and (kind is not Kind.CALENDAR or limit.period is not Period.WEEK):
        yield Violation(f"{where}.week_start", "has a meaning for calendar weeks only")
    if kind is Kind.ROLLING:
        if not SUB_WINDOWS_MIN <= limit.sub_windows <= SUB_WINDOWS_MAX:
            yield Violation(f"{where}.sub_windows", f"must be {SUB_WINDOWS_MIN} to {SUB_WINDOWS_MAX}")
        elif limit.length % limit.sub_windows or limit.length < limit.sub_windows * SECOND:
            yield Violation(f"{where}.sub_windows", "must cut the length into equal parts of at least 1s")
    elif limit.sub_windows != DEFAULT_SUB_WINDOWS:
        yield Violation(f"{where}.sub_windows", "has a meaning for rolling windows only")


def _check_grants(where: str, limit: Limit) -> Iterable[Violation]:
    """Grants are the customer's, on all of the meter."""
    if limit.kind is not Kind.GRANTS:
        return
    if limit.max is not None:
        yield Violation(f"{where}.max", "has no meaning where the kind is grants: they say how much there is")
    if limit.scope is not Scope.CUSTOMER or limit.labels or limit.per_labels:
        yield Violation(f"{where}.scope", "grants are held by the customer, whatever the subject and the labels")


def _check_policy(where: str, limit: Limit, meter: Meter) -> Iterable[Violation]:
    rate = limit.kind is Kind.RATE
    if limit.burst is not None and (not rate or limit.burst <= 0):
        yield Violation(f"{where}.burst", "must be more than 0" if rate else "has a meaning for rates only")
    if limit.kind is Kind.GRANTS and limit.policy is Policy.GRACE:
        yield Violation(f"{where}.policy", "there is no grace beyond grants: grant more")
    elif rate and limit.policy is Policy.GRACE:
        yield Violation(f"{where}.policy", "a rate has no grace: give it a larger burst")
    else:
        yield from _check_grace(where, limit)
    if meter.aggregation == LEVEL:
        yield Violation(f"{where}.meter", "a level grows with time by itself: limit it by a LATEST or MAX meter")
        return
    if meter.only_grows and not meter.can_be_held and limit.kind in (Kind.RATE, Kind.CONCURRENCY, Kind.GRANTS):
        yield Violation(f"{where}.kind", f"{limit.kind} needs a SUM or COUNT meter")
    if meter.only_grows:
        return
    if limit.policy is not Policy.SOFT:
        policy = limit.policy.name
        yield Violation(f"{where}.policy", f"{policy} needs a meter that only grows, and {meter.name!r} can shrink")
    if limit.kind in (Kind.RATE, Kind.CONCURRENCY, Kind.GRANTS):
        yield Violation(f"{where}.kind", f"{limit.kind} needs a meter that only grows, and {meter.name!r} can shrink")


def _check_grace(where: str, limit: Limit) -> Iterable[Violation]:
    if limit.policy is Policy.GRACE and limit.grace is None and limit.grace_period is None:
        yield Violation(f"{where}.grace", "must be given with the policy GRACE, or grace_period")
    if limit.grace is not None and limit.policy is not Policy.GRACE:
        yield Violation(f"{where}.grace", "must be given with the policy GRACE only")
    elif limit.grace is not None and limit.grace <= 0:
        yield Violation(f"{where}.grace", "must be more than 0")
    if limit.grace_period is None:
        return
    place = f"{where}.grace_period"
    if limit.policy is not Policy.GRACE:
        yield Violation(place, "must be given with the policy GRACE only")
    if not SECOND <= limit.grace_period <= LENGTH_MAX or limit.grace_period % SECOND:
        yield Violation(place, f"must be whole seconds, from 1s to {length_to_text(LENGTH_MAX)}")
    if limit.kind not in _REACHED_ONCE:
        yield Violation(place, f"where the kind is {limit.kind} there is no window in which it is first reached")
    if limit.max is None:
        yield Violation(place, "needs a maximum that is reached")


def _check_rates(where: str, limits: Sequence[Limit]) -> Iterable[Violation]:
    """A rate's state lies in its counter, which two rates of one length would both move."""
    for place, limit in enumerate(limits):
        if limit.kind is Kind.RATE and any(_share_a_counter(limit, other) for other in limits[:place]):
            yield Violation(
                f"{where}[{place}].length", "another rate of this meter, scope and labels has the same length"
            )


def _share_a_counter(one: Limit, other: Limit) -> bool:
    if (one.kind, one.meter, one.scope, one.length) != (other.kind, other.meter, other.scope, other.length):
        return False
    mine, others = dict(one.labels), dict(other.labels)
    if {*mine, *one.per_labels} != {*others, *other.per_labels}:
        return False
    return all(mine[name] == others[name] for name in mine.keys() & others.keys())


def _check_thresholds(where: str, limit: Limit) -> Iterable[Violation]:
    if len(limit.thresholds) > MAX_THRESHOLDS or len(set(limit.thresholds)) < len(limit.thresholds):
        yield Violation(where, f"must be at most {MAX_THRESHOLDS}, each once")
    if any(not 1 <= percent <= THRESHOLD_MAX for percent in limit.thresholds):
        yield Violation(where, f"must be percents from 1 to {THRESHOLD_MAX}")
    if limit.thresholds and (limit.max is None or limit.kind is Kind.RATE):
        yield Violation(where, "need a maximum that is used up: neither a rate nor unlimited")
