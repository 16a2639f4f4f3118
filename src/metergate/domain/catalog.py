"""The catalog: meters and plans, and what commits need to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from metergate.domain.aggregation import Rolls
from metergate.domain.catalog_rules import contradictions
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import UNIQUE, Meter, Shape
from metergate.domain.news import NewsKind
from metergate.domain.override import Terms, overridden
from metergate.domain.quota import Kind, Limit
from metergate.domain.retention import ClosedMonth

DEFAULT_PLAN = "default"


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
        violations = list(contradictions(self))
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
