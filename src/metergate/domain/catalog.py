"""The catalog: meters and plans, and what commits need to know of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple, TypeVar

from metergate.domain import plan_terms
from metergate.domain.catalog_rules import contradictions, promise_contradictions
from metergate.domain.catalog_shapes import led, shaped, sliding, told_apart_by
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import UNIQUE, Meter, Shape
from metergate.domain.news import NewsKind
from metergate.domain.offer import NO_SELLER, Coupon, Feature, Seller, TaxRate
from metergate.domain.override import Terms, overridden
from metergate.domain.plan import Plan
from metergate.domain.price import Price, united
from metergate.domain.quantity import ONE
from metergate.domain.quota import Kind, Limit
from metergate.domain.retention import ClosedMonth
from metergate.domain.subscription import Item

__all__ = ["DEFAULT_PLAN", "Catalog", "Plan", "Reading"]

T = TypeVar("T")

DEFAULT_PLAN = "default"
# Each text of terms that somebody is on is remembered with its limits: composite ones may be as many as customers.
_TERMS_MOST = 10_000


class Reading(NamedTuple):
    """A measure that is read by `meter`, with its meters, each with whether it only counts: those by which something
    moves (or one, where there are none), and all of them."""

    meter: Meter
    moving: tuple[tuple[Meter, bool], ...]
    all: tuple[tuple[Meter, bool], ...]


@dataclass(frozen=True)
class Catalog:
    """All that a tenant measures, allows and sells. `version` is raised by each change, `metering_version` by those
    that change what a meter counts. `kept` are the versions of plans that others have taken the place of, and of plans
    that are gone: subscriptions may be on them."""

    meters: tuple[Meter, ...] = ()
    plans: tuple[Plan, ...] = ()
    default_plan: str = DEFAULT_PLAN
    version: int = 0
    metering_version: int = field(default=0, compare=False)
    # The kinds of news that some webhook endpoint is told of: commits write them to the outbox.
    outbox_kinds: frozenset[str] = field(default=frozenset(), compare=False)
    # Months of events that were dropped; closing balances stand for them.
    closed: tuple[ClosedMonth, ...] = field(default=(), compare=False)
    features: tuple[Feature, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    tax_rates: tuple[TaxRate, ...] = ()
    seller: Seller = NO_SELLER
    kept: tuple[Plan, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        plans = [plan.resolved(self.feature_of) for plan in self.plans]
        object.__setattr__(self, "meters", shaped(led(self.meters), [*plans, *self.kept]))
        object.__setattr__(self, "plans", sliding(plans, self.meters))
        object.__setattr__(self, "kept", sliding(self.kept, self.meters))

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
    def feature_of(self) -> dict[str, Feature]:
        """The features by name."""
        return {feature.name: feature for feature in self.features}

    @cached_property
    def coupon_of(self) -> dict[str, Coupon]:
        """The coupons by name."""
        return {coupon.name: coupon for coupon in self.coupons}

    @cached_property
    def tax_rate_of(self) -> dict[str, TaxRate]:
        """The tax rates by name."""
        return {rate.name: rate for rate in self.tax_rates}

    @cached_property
    def _plan_at(self) -> dict[tuple[str, int], Plan]:
        return {plan.key: plan for plan in (*self.kept, *self.plans)}

    @property
    def every_version(self) -> tuple[Plan, ...]:
        """The plans in force, and all versions that are kept."""
        return tuple(self._plan_at.values())

    def plan_at(self, plan: str, version: int) -> Plan | None:
        """That version of the plan, in force or kept."""
        return self._plan_at.get((plan, version))

    @cached_property
    def _all_limits(self) -> tuple[Limit, ...]:
        """Those of every plan that somebody may be on."""
        return tuple([limit for plan in self.every_version for limit in plan.all_limits])

    def plans_under(self, terms: str) -> tuple[tuple[Plan, Decimal], ...]:
        """The plans that govern a customer on these terms (see `plan_terms`), each so many times: the default one for
        none and for unknown ones."""
        found = [(self.plan_at(item.plan, item.version), item.quantity) for item in plan_terms.read(terms)]
        known = tuple([(plan, times) for plan, times in found if plan is not None])
        if known:
            return known
        plan = self.plan_of.get(terms) or self.plan_of.get(self.default_plan)
        return ((plan, ONE),) if plan is not None else ()

    def prices_under(self, terms: str) -> tuple[Price, ...]:
        """The prices of the plans that govern a customer on these terms, with what they include."""
        return tuple(united([(price, times) for plan, times in self.plans_under(terms) for price in plan.charged]))

    def plan_in_force(self, terms: str) -> str:
        """What governs a customer on these terms, as people are told it: the default plan for none and unknown ones."""
        told = self._told.get(terms)
        if told is None:
            parts = plan_terms.read(terms)
            known = terms in self.plan_of or any(self.plan_at(item.plan, item.version) for item in parts)
            told = _room(self._told)[terms] = plan_terms.shown(terms) if known else self.default_plan
        return told

    @cached_property
    def _told(self) -> dict[str, str]:
        """What people are told, by terms; filled as it is asked."""
        return {}

    @cached_property
    def _limits_of(self) -> dict[str, dict[str, tuple[Limit, ...]]]:
        """By terms and meter; filled as it is asked."""
        return {}

    def limits(self, terms: str, meter: str) -> tuple[Limit, ...]:
        """The limits on a meter for a customer on these terms."""
        by_meter = self._limits_of.get(terms)
        if by_meter is None:
            by_meter = self._remember(terms)
        return by_meter.get(meter, ())

    def _remember(self, terms: str) -> dict[str, tuple[Limit, ...]]:
        by_meter: dict[str, list[tuple[list[Limit], Decimal]]] = {}
        for plan, times in self.plans_under(terms):
            of_plan: dict[str, list[Limit]] = {}
            for limit in plan.all_limits:
                of_plan.setdefault(limit.meter, []).append(limit)
            for meter, limits in of_plan.items():
                by_meter.setdefault(meter, []).append((limits, times))
        # One plan alone is as it is, even where its limits are such as add up.
        made = {
            meter: tuple(parts[0][0]) if len(parts) == 1 and parts[0][1] == 1 else plan_terms.united(parts)
            for meter, parts in by_meter.items()
        }
        _room(self._limits_of)[terms] = made
        return made

    def limit_named(self, told: str, meter: str, name: str) -> Limit | None:
        """The limit of that name for whoever was told this plan (see `plan_in_force`): of the version in force, else of
        the newest of those that are kept."""
        versions = [plan_terms.write([Item(*plan.key)]) for plan in reversed(self.kept) if plan.name == told]
        found = [limit for terms in (told, *versions) for limit in self.limits(terms, meter) if limit.name == name]
        return found[0] if found else None

    def limits_for(self, terms: Terms, meter: str, at: int) -> tuple[Limit, ...]:
        """The limits on a meter that are in force for a customer at that instant: the plan's, with its overrides."""
        limits, overrides = self.limits(terms.plan, meter), terms.overrides
        return overridden(limits, overrides, at) if overrides else limits

    @cached_property
    def thresholds_look_back(self) -> int | None:
        """How long after its end a window may still count for a limit that is watched; None where none is."""
        found = [limit.looks_back for limit in self._all_limits if self.watches(limit)]
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
        return frozenset([limit.meter for limit in self._all_limits if limit.kind is Kind.GRANTS])

    @cached_property
    def rated_meters(self) -> frozenset[str]:
        """The meters whose use takes from somebody's rate."""
        return frozenset([limit.meter for limit in self._all_limits if limit.kind is Kind.RATE])

    @cached_property
    def graced(self) -> dict[str, tuple[str, ...]]:
        """By meter, the names of limits with a grace of time, of whatever plan."""
        found: dict[str, dict[str, None]] = {}
        for limit in self._all_limits:
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
        version, kept = self.version + 1, self._kept_beside(new)
        shapes_of: dict[str, set[Shape]] = {}
        for plan in (*new.plans, *kept):
            for limit in plan.all_limits:
                shapes_of.setdefault(limit.meter, set()).add(limit.shape)
        meters = []
        for meter in new.meters:
            old = self.meter_of.get(meter.name)
            shapes = told_apart_by(meter, shapes_of.get(meter.name, set()))
            if old is not None and old.counts_like(meter):
                meters.append(replace(meter, since=old.since, shapes=tuple(sorted(shapes.union(old.shapes)))))
            else:
                told = told_apart_by(meter, old.shapes) if old else set()
                meters.append(replace(meter, since=version, shapes=tuple(sorted(shapes | told))))
        newest = max((meter.since for meter in meters), default=0)
        return replace(
            new,
            meters=tuple(sorted(meters, key=lambda meter: meter.name)),
            plans=tuple(sorted(new.plans, key=lambda plan: plan.name)),
            features=tuple(sorted(new.features, key=lambda feature: feature.name)),
            coupons=tuple(sorted(new.coupons, key=lambda coupon: coupon.name)),
            tax_rates=tuple(sorted(new.tax_rates, key=lambda rate: rate.name)),
            version=version,
            metering_version=max(self.metering_version, newest),
            outbox_kinds=self.outbox_kinds,
            closed=self.closed,
            kept=kept,
        )

    def _kept_beside(self, new: Catalog) -> tuple[Plan, ...]:
        """The versions of plans that were there, that `new` lacks, and whose limits and prices it can still keep."""
        in_force = {plan.key for plan in new.plans}
        there = [plan for key, plan in sorted(self._plan_at.items()) if key not in in_force]
        return tuple([plan for plan in there if not any(promise_contradictions("", plan, new.meter_of))])

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


def _room(remembered: dict[str, T]) -> dict[str, T]:
    """The same, emptied where it is full."""
    if len(remembered) >= _TERMS_MOST:
        remembered.clear()
    return remembered
