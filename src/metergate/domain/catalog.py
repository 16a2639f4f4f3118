"""The catalog: meters and plans, what makes one valid, and what differs between two."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from metergate.domain.aggregation import AGGREGATIONS, Rolls
from metergate.domain.errors import MetergateError, Reason, Violation
from metergate.domain.meter import LEVEL, PERCENTILE, UNIQUE, LabelFilter, Meter, Op, Shape
from metergate.domain.news import NewsKind
from metergate.domain.override import Terms, overridden
from metergate.domain.period import DAY, SECOND, Period, Weekday, length_to_text
from metergate.domain.quantity import to_text
from metergate.domain.quota import DEFAULT_SUB_WINDOWS, Kind, Limit, Policy, Scope, text_of_max
from metergate.domain.retention import ClosedMonth
from metergate.domain.usage import MAX_LABEL_VALUE

DEFAULT_PLAN = "default"
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
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./\-]{0,63}")
_TYPE_MAX = 128
_WORDS_MAX = 256  # bytes of a unit or a display name
_DESCRIPTION_MAX = 4_096  # bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A named set of limits that customers are on."""

    name: str
    limits: tuple[Limit, ...] = ()
    display_name: str = ""


class Reading(NamedTuple):
    """A measure that is read by `meter`, with its meters, each with whether it only counts: those by which something
    moves (or one, where there are none), and all of them."""

    meter: Meter
    moving: tuple[tuple[Meter, bool], ...]
    all: tuple[tuple[Meter, bool], ...]


class Action(StrEnum):
    """What is done to a thing of the catalog."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two catalogs; `differences` are written "field: old -> new"."""

    action: Action
    kind: str
    name: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """All that a tenant measures and allows. `version` is raised by each change, `metering_version` by those
    that change what a meter counts."""

    meters: tuple[Meter, ...] = ()
    plans: tuple[Plan, ...] = ()
    default_plan: str = DEFAULT_PLAN
    version: int = 0
    metering_version: int = field(default=0, compare=False)
    # The kinds of news that some webhook endpoint is told of: commits write them to the outbox.
    outbox_kinds: frozenset[str] = field(default=frozenset(), compare=False)
    # Months of events that were dropped; closing balances stand for them.
    closed: tuple[ClosedMonth, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meters", _shaped(_led(self.meters), self.plans))
        object.__setattr__(self, "plans", _sliding(self.plans, self.meters))

    @cached_property
    def meter_of(self) -> dict[str, Meter]:
        """The meters by name."""
        return {meter.name: meter for meter in self.meters}

    @cached_property
    def measure_of(self) -> dict[str, Meter]:
        """The meters that move rollups, by their measure."""
        return {meter.measure: meter for meter in self.meters if meter.leads}

    @cached_property
    def accept_ages(self) -> dict[str, int]:
        """How old a new event may be, in microseconds, by event type, where all meters that count it have such a
        window: as old as the longest of them says. No event type stands for those that no meter names."""
        ages = {}
        for event_type, meters in self.meters_of_type.items():
            windows = [meter.accept_window for meter in meters if meter.accept_window is not None]
            if len(windows) == len(meters):
                ages[event_type] = max(windows)
        return ages

    @cached_property
    def readings_of_type(self) -> dict[str, tuple[Reading, ...]]:
        """What is read from events of each type: each measure once, however many meters share it."""
        by_measure: dict[str, list[Meter]] = {}
        for meter in self.meters:
            by_measure.setdefault(meter.measure, []).append(meter)
        by_type: dict[str, tuple[Reading, ...]] = {}
        for meters in by_measure.values():
            moving = [meter for meter in meters if meter.leads or meter.shapes] or meters[:1]
            pairs = [tuple([(meter, meter.how.counts) for meter in some]) for some in (moving, meters)]
            event_type = meters[0].event_type
            by_type[event_type] = (*by_type.get(event_type, ()), Reading(meters[0], *pairs))
        return by_type

    @cached_property
    def meters_of_type(self) -> dict[str, tuple[Meter, ...]]:
        """The meters that select each event type."""
        by_type: dict[str, tuple[Meter, ...]] = {}
        for meter in self.meters:
            by_type[meter.event_type] = (*by_type.get(meter.event_type, ()), meter)
        return by_type

    @cached_property
    def unique_meters(self) -> frozenset[str]:
        """The UNIQUE meters that have counters: those whose values have to be told apart by a commit."""
        return frozenset([meter.name for meter in self.meters if meter.aggregation == UNIQUE and meter.shapes])

    @cached_property
    def plan_of(self) -> dict[str, Plan]:
        """The plans by name."""
        return {plan.name: plan for plan in self.plans}

    @cached_property
    def _limits_of(self) -> dict[str, dict[str, tuple[Limit, ...]]]:
        limits: dict[str, dict[str, tuple[Limit, ...]]] = {}
        for plan in self.plans:
            by_meter = limits.setdefault(plan.name, {})
            for limit in plan.limits:
                by_meter[limit.meter] = (*by_meter.get(limit.meter, ()), limit)
        return limits

    def plan_in_force(self, plan: str) -> str:
        """The plan that governs a customer who was given `plan`: the default one for none and for an unknown one."""
        return plan if plan in self.plan_of else self.default_plan

    def limits(self, plan: str, meter: str) -> tuple[Limit, ...]:
        """The limits on a meter for a customer who was given `plan`."""
        by_meter = self._limits_of.get(plan)
        if by_meter is None:  # see `plan_in_force`
            by_meter = self._limits_of.get(self.default_plan, {})
        return by_meter.get(meter, ())

    def limits_for(self, terms: Terms, meter: str, at: int) -> tuple[Limit, ...]:
        """The limits on a meter that are in force for a customer at that instant: the plan's, with its overrides."""
        limits, overrides = self.limits(terms.plan, meter), terms.overrides
        return overridden(limits, overrides, at) if overrides else limits

    @cached_property
    def thresholds_look_back(self) -> int | None:
        """How long after its end a window may still count for a limit that is watched; None where none is."""
        found = [limit.looks_back for plan in self.plans for limit in plan.limits if self.watches(limit)]
        return max(found, default=None)

    @cached_property
    def tells_overruns(self) -> bool:
        """Whether somebody is told when an overrun begins."""
        return NewsKind.EXCEEDED in self.outbox_kinds

    def watches(self, limit: Limit) -> bool:
        """Whether it makes events when it is reached in part, or passed."""
        return bool(limit.fires) or (self.tells_overruns and limit.can_overrun)

    @cached_property
    def granted_meters(self) -> frozenset[str]:
        """The meters on which grants limit somebody: those whose use burns grants."""
        return frozenset([limit.meter for plan in self.plans for limit in plan.limits if limit.kind is Kind.GRANTS])

    @cached_property
    def rated_meters(self) -> frozenset[str]:
        """The meters whose use takes from somebody's rate."""
        return frozenset([limit.meter for plan in self.plans for limit in plan.limits if limit.kind is Kind.RATE])

    @cached_property
    def graced(self) -> dict[str, tuple[str, ...]]:
        """By meter, the names of limits with a grace of time, of whatever plan."""
        found: dict[str, dict[str, None]] = {}
        for plan in self.plans:
            for limit in plan.limits:
                if limit.grace_period is not None:
                    found.setdefault(limit.meter, {})[limit.name] = None
        return {meter: tuple(names) for meter, names in found.items()}

    def check(self) -> None:
        """Raises CATALOG_INVALID with a violation for each contradiction."""
        violations = list(_check(self))
        if violations:
            first = violations[0]
            raise MetergateError(
                Reason.CATALOG_INVALID,
                f"the catalog is not valid: {first.field}: {first.description}",
                {"field": first.field},
                tuple(violations[:50]),
            )

    def succeed(self, new: Catalog) -> Catalog:
        """`new` as the version after this one, with `since` of each meter that counts differently raised. Where it
        counts as before, counters of earlier limits may be there, and their shapes stay."""
        version = self.version + 1
        meters = []
        for meter in new.meters:
            old = self.meter_of.get(meter.name)
            shapes = {limit.shape for plan in new.plans for limit in plan.limits if limit.meter == meter.name}
            if old is not None and old.counts_like(meter):
                meters.append(replace(meter, since=old.since, shapes=tuple(sorted(shapes.union(old.shapes)))))
            else:
                told = {shape for shape in old.shapes if set(shape.labels) <= set(meter.dimensions)} if old else set()
                meters.append(replace(meter, since=version, shapes=tuple(sorted(shapes | told))))
        newest = max((meter.since for meter in meters), default=0)
        return replace(
            new,
            meters=tuple(sorted(meters, key=lambda meter: meter.name)),
            plans=tuple(sorted(new.plans, key=lambda plan: plan.name)),
            version=version,
            metering_version=max(self.metering_version, newest),
            outbox_kinds=self.outbox_kinds,
            closed=self.closed,
        )

    def with_limit(self, plan_name: str, limit: Limit) -> Catalog:
        """This catalog with the limit set on the plan; plans (the default one too) and a meter it lacks are made."""
        meters = self.meters
        if limit.meter not in self.meter_of:
            meters = (*meters, Meter(limit.meter, limit.meter))
        plan = self.plan_of.get(plan_name, Plan(plan_name))
        limits = [limit if old.name == limit.name else old for old in plan.limits]
        if limit not in limits:
            limits.append(limit)
        plans = [old for old in self.plans if old.name != plan_name]
        if self.default_plan not in {plan_name, *self.plan_of}:
            plans.append(Plan(self.default_plan))
        return replace(self, meters=meters, plans=(*plans, replace(plan, limits=tuple(limits))))


def _led(meters: Sequence[Meter]) -> tuple[Meter, ...]:
    """The meters with one of each measure leading. It is one that reads values, where there is one: the sum is kept
    for it, and the number of events for all."""
    leaders: dict[str, Meter] = {}
    extremes: set[str] = set()
    for meter in meters:
        if meter.how.rolls is Rolls.NOTHING:
            continue
        if meter.how.rolls is Rolls.EXTREMES:
            extremes.add(meter.measure)
        leader = leaders.get(meter.measure)
        if leader is None or (leader.how.counts and not meter.how.counts):
            leaders[meter.measure] = meter
    return tuple([_led_by(meter, leaders.get(meter.measure) is meter, meter.measure in extremes) for meter in meters])


def _led_by(meter: Meter, leads: bool, extremes: bool) -> Meter:
    extremes = leads and extremes
    return (
        meter if (leads, extremes) == (meter.leads, meter.extremes) else replace(meter, leads=leads, extremes=extremes)
    )


def _shaped(meters: Sequence[Meter], plans: Sequence[Plan]) -> tuple[Meter, ...]:
    """The meters with the shapes of the counters that their limits have."""
    shapes: dict[str, set[Shape]] = {}
    for plan in plans:
        for limit in plan.limits:
            shapes.setdefault(limit.meter, set()).add(limit.shape)
    return tuple(
        [
            replace(meter, shapes=tuple(sorted(shapes[meter.name].union(meter.shapes))))
            if not shapes.get(meter.name, set()).issubset(meter.shapes)
            else meter
            for meter in meters
        ]
    )


def _sliding(plans: Sequence[Plan], meters: Sequence[Meter]) -> tuple[Plan, ...]:
    """The plans with their limits told which of them slide."""
    whole = {meter.name for meter in meters if not meter.how.additive}
    return tuple(
        [
            replace(plan, limits=tuple([_slid(limit, limit.meter in whole) for limit in plan.limits]))
            if any(limit.slides is not _slides(limit, limit.meter in whole) for limit in plan.limits)
            else plan
            for plan in plans
        ]
    )


def _slides(limit: Limit, whole: bool) -> bool:
    return whole and limit.kind is Kind.ROLLING


def _slid(limit: Limit, whole: bool) -> Limit:
    slides = _slides(limit, whole)
    return limit if limit.slides is slides else replace(limit, slides=slides)


def _check(catalog: Catalog) -> Iterable[Violation]:
    yield from _check_names("meters", [meter.name for meter in catalog.meters], MAX_METERS)
    for index, meter in enumerate(catalog.meters):
        yield from _check_meter(f"meters[{index}]", meter)
    yield from _check_names("plans", [plan.name for plan in catalog.plans], MAX_PLANS)
    for index, plan in enumerate(catalog.plans):
        yield from _check_words(f"plans[{index}].display_name", plan.display_name, _WORDS_MAX)
        where = f"plans[{index}].limits"
        yield from _check_names(where, [limit.name for limit in plan.limits], MAX_LIMITS_PER_PLAN)
        for place, limit in enumerate(plan.limits):
            yield from _check_limit(f"{where}[{place}]", limit, catalog.meter_of.get(limit.meter))
        yield from _check_rates(where, plan.limits)
    if not _NAME.fullmatch(catalog.default_plan):
        yield Violation("default_plan", f"{catalog.default_plan[:80]!r} is not a name")
    elif catalog.plans and catalog.default_plan not in catalog.plan_of:
        yield Violation("default_plan", f"no plan is called {catalog.default_plan!r}")


def _check_names(where: str, names: Sequence[str], most: int) -> Iterable[Violation]:
    if len(names) > most:
        yield Violation(where, f"at most {most} are allowed")
    twice = {name for name, count in Tally(names).items() if count > 1}
    for index, name in enumerate(names):
        at = f"{where}[{index}].name"
        if not _NAME.fullmatch(name):
            yield Violation(at, f"{name[:80]!r} is not a name: letters, digits, _ . / -, at most 64")
        elif name in twice:
            yield Violation(at, f"{name!r} stands here twice")


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
    yield from _check_words(f"{where}.unit", meter.unit, _WORDS_MAX)
    yield from _check_words(f"{where}.description", meter.description, _DESCRIPTION_MAX)


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


def _check_words(where: str, text: str, most: int) -> Iterable[Violation]:
    """What people read: anything but NUL, which no store keeps."""
    if len(text.encode()) > most or "\0" in text:
        yield Violation(where, f"must be at most {most} bytes without NUL")


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


def changes(old: Catalog, new: Catalog) -> list[Change]:
    """What applying `new` over `old` does: meters, then plans and their limits, then the default plan."""
    ignored = ("since", "shapes", "leads", "extremes", "measure", "how")
    found = list(_compare("meter", old.meter_of, new.meter_of, ignore=ignored))
    found += _compare("plan", old.plan_of, new.plan_of, ignore=("limits",))
    for name in sorted({**old.plan_of, **new.plan_of}):
        before = old.plan_of[name].limits if name in old.plan_of else ()
        after = new.plan_of[name].limits if name in new.plan_of else ()
        found += _compare(
            "limit", {f"{name}/{limit.name}": limit for limit in before},
            {f"{name}/{limit.name}": limit for limit in after},
            ignore=("slides",),
        )  # fmt: skip
    if old.default_plan != new.default_plan:
        difference = f"default_plan: {old.default_plan} -> {new.default_plan}"
        found.append(Change(Action.UPDATE, "default_plan", new.default_plan, (difference,)))
    return found


def _compare(kind: str, old: dict[str, Any], new: dict[str, Any], ignore: tuple[str, ...] = ()) -> Iterable[Change]:
    for name in sorted({**old, **new}):
        if name not in new:
            yield Change(Action.DELETE, kind, name)
        elif name not in old:
            yield Change(Action.CREATE, kind, name)
        else:
            differences = tuple(_differences(old[name], new[name], ignore))
            if differences:
                yield Change(Action.UPDATE, kind, name, differences)


def _differences(old: Any, new: Any, ignore: tuple[str, ...]) -> Iterable[str]:
    for place in fields(old):
        before, after = getattr(old, place.name), getattr(new, place.name)
        if place.name not in ignore and before != after:
            yield f"{_CALLED.get(place.name, place.name)}: {_shown(place.name, before)} -> {_shown(place.name, after)}"


_CALLED = {"late": "late_policy"}


def _shown(name: str, value: Any) -> str:
    if name == "max":
        return text_of_max(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown_part(one) for one in value) + "]"
    if name in ("length", "accept_window", "grace_period"):
        return length_to_text(value) if value else "none"
    if isinstance(value, Decimal):
        return to_text(value)
    return "none" if value is None else str(value) or "''"


def _shown_part(part: Any) -> str:
    if isinstance(part, LabelFilter):
        values = "|".join([value or "''" for value in part.values])
        return f"{part.label} {part.op} {values}"
    return "=".join(part) if isinstance(part, tuple) else str(part)
