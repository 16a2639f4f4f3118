"""Admission: works that ask for capacity, decided in order of arrival on running figures.

All answers of a commit speak of the ledger after it. Within a commit facts and what frees capacity come first, so
that from the first admission to the last figures only grow, and what was refused is refused by the last figures too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from metergate.domain.catalog import Catalog
from metergate.domain.decision import AnsweredBy, Ask, Decision, ask_of, decide, look_at, total
from metergate.domain.distinct import Numbers, new_ones
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import Column
from metergate.domain.override import changes_at
from metergate.domain.period import LATEST, Window
from metergate.domain.posting import Head
from metergate.domain.quantity import ONE, ZERO, add
from metergate.domain.quota import CounterKey, Figures, Kind, Limit, advance, fits, keeps, most_of
from metergate.domain.work import Want

USED = "used"


# Touches of a demand, by their places.
Passed = frozenset[int]
_NONE: Passed = frozenset()
_RATE = Kind.RATE  # looked up once: each admission asks for it


class Touch(NamedTuple):
    """A limit, and its windows with their counters, of which the last counts what is new."""

    limit: Limit
    windows: tuple[Window, ...]
    keys: tuple[CounterKey, ...]


class Asked(NamedTuple):
    """An amount that a subject asks of a meter."""

    subject: str
    want: Want


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked together: the limits that it touches, and what it would add to which counter: to one of a UNIQUE
    meter if none of its values (`values`, with the number of events of each) were there. Other limits are in force
    from `changes_at` on."""

    customer: str
    asked: tuple[Asked, ...]
    touches: tuple[Touch, ...]
    amounts: Mapping[CounterKey, Decimal]
    changes_at: int = LATEST
    values: Mapping[CounterKey, Mapping[str, int]] = field(default_factory=dict)


def demand(
    accounts: Sequence[Head], catalog: Catalog, at: int, asked: Sequence[Asked], now: int | None = None
) -> Demand:
    """What the amounts ask of the limits in force (`now`, or else then), in the windows of that instant. What is asked
    of one counter twice is added up. `accounts` are the customer and, where there is one, its pool."""
    now = at if now is None else now
    touches: dict[tuple[str, CounterKey], Touch] = {}
    amounts: dict[CounterKey, Decimal] = {}
    values: dict[CounterKey, dict[str, int]] = {}
    for head in accounts:
        _touch(head, catalog, at, asked, now, touches, amounts, values)
    amounts |= {key: Decimal(len(mine)) for key, mine in values.items()}
    made = Demand(accounts[0].customer, tuple(asked), tuple(touches.values()), amounts, LATEST, values)
    changing = [changes_at(head.overrides, now) for head in accounts if head.overrides]
    return replace(made, changes_at=min(changing)) if changing else made


def _touch(
    head: Head,
    catalog: Catalog,
    at: int,
    asked: Sequence[Asked],
    now: int,
    touches: dict[tuple[str, CounterKey], Touch],
    amounts: dict[CounterKey, Decimal],
    values: dict[CounterKey, dict[str, int]],
) -> None:
    customer, zone, anchor, unique = head.customer, head.time_zone, head.anchor, catalog.unique_meters
    for subject, (meter, amount, labels) in asked:
        mine: set[CounterKey] = set()
        for limit in catalog.limits_for(head, meter, now):
            filter_ = limit.filter_of(labels)
            if filter_ is None:
                continue
            whose = limit.subject_of(subject)
            windows = limit.windows(zone, at, anchor)
            last = windows[-1]
            key = CounterKey(customer, meter, whose, filter_, last.start, last.end)
            keys = (key,) if len(windows) == 1 else tuple([key._replace(start=w.start, end=w.end) for w in windows])
            touches[limit.name, key] = Touch(limit, windows, keys)
            mine.add(key)
        for key in mine:  # two limits may share a counter, which counts the amount once
            before = amounts.get(key)
            amounts[key] = amount if before is None else add(before, amount)
        if unique and meter in unique and amount:
            value = catalog.meter_of[meter].item(subject, labels)
            for key in mine:
                numbers = values.setdefault(key, {})
                numbers[value] = numbers.get(value, 0) + 1


class Running:
    """The counters while a commit decides: each admission sees those before it. `standing` are the numbers of events of
    the values of UNIQUE counters, as far as they are asked for."""

    def __init__(self, figures: Mapping[CounterKey, Figures], now: int, standing: Numbers | None = None) -> None:
        self.figures = dict(figures)
        self._now = now
        self._standing = {key: dict(numbers) for key, numbers in standing.items()} if standing else {}

    def of(self, touch: Touch) -> Figures:
        """What counts against a limit."""
        keys = touch.keys
        return self.figures[keys[0]] if len(keys) == 1 else total([self.figures[key] for key in keys])

    def amounts(self, demand: Demand) -> Mapping[CounterKey, Decimal]:
        """What it would add now: to UNIQUE counters as much as there are values in it that are new there."""
        new = {key: new_ones(self._standing[key], mine) for key, mine in demand.values.items()}
        return {**demand.amounts, **new}

    def admits(self, demand: Demand) -> bool:
        """Whether all of it fits."""
        amounts, now = self.amounts(demand) if demand.values else demand.amounts, self._now
        for touch in demand.touches:  # noqa: SIM110  all() costs a generator for each admission
            if not fits(touch.limit, self.of(touch), amounts[touch.keys[-1]], now):
                return False
        return True

    def room(self, demand: Demand) -> Decimal | None:
        """How much of it would fit, where it asks one amount; None = all, since nothing limits it."""
        left: Decimal | None = None
        for touch in demand.touches:
            would_fit = look_at(_ask(touch, demand.amounts[touch.keys[-1]], self.figures), self._now).would_fit
            if would_fit is not None and (left is None or would_fit < left):
                left = would_fit
        return left

    def take(self, demand: Demand, column: Column | None = None) -> Passed:
        """Adds it to the counters: to a hold's column, or to what is used. Returns which of its touches are those of
        shadow limits that would have refused it."""
        running, place, passed = self.figures, Figures._fields.index(column or USED), _NONE
        amounts = self.amounts(demand) if demand.values else demand.amounts
        for touch in demand.touches:
            limit = touch.limit
            if limit.shadow and not self._keeps(touch, amounts[touch.keys[-1]]):
                passed |= {demand.touches.index(touch)}
            if limit.kind is _RATE:
                key = touch.keys[-1]
                running[key] = advance(limit, running[key], amounts[key], self._now)
        for key, numbers in demand.values.items():
            standing = self._standing[key]
            for value, number in numbers.items():
                standing[value] = standing.get(value, 0) + number
        for key, amount in amounts.items():
            columns: list[Any] = [*running[key]]
            columns[place] = add(columns[place], amount)
            running[key] = Figures(*columns)
        return passed

    def _keeps(self, touch: Touch, amount: Decimal) -> bool:
        figures = self.of(touch)
        most = most_of(touch.limit, figures)
        return most is None or keeps(touch.limit, most, figures, amount, self._now)


def _ask(touch: Touch, amount: Decimal, figures: Mapping[CounterKey, Figures]) -> Ask:
    return ask_of(touch.limit, touch.windows, touch.keys[-1].filter, amount, [figures[key] for key in touch.keys])


def conclude(
    demand: Demand,
    allowed: bool,
    figures: Mapping[CounterKey, Figures],
    plan: str,
    now: int,
    passed: Passed = _NONE,
) -> Decision:
    """The decision, with figures that hold what was admitted already, past the shadow limits of these touches."""
    asks = [_ask(touch, ZERO if allowed else demand.amounts[touch.keys[-1]], figures) for touch in demand.touches]
    decision = decide(asks, plan, now, now, AnsweredBy.LEDGER)
    for state, touch in zip(decision.states, demand.touches, strict=True):
        if touch.keys[-1].customer != demand.customer:
            state.pool = touch.keys[-1].customer
    if allowed:
        decision.allowed, decision.binding, decision.retry_after = True, None, None
        for state, touch in zip(decision.states, demand.touches, strict=True):
            state.fits = True
            if state.would_fit is not None:
                state.would_fit = demand.amounts[touch.keys[-1]]
        for number in passed:
            decision.states[number].would_refuse = True
    return decision


def only_grows(catalog: Catalog, want: Want) -> None:
    """Raises METER_NOT_FOUND, or METER_CAN_SHRINK where no capacity can be held."""
    meter = catalog.meter_of.get(want.meter)
    if meter is None:
        name = want.meter[:80]
        raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {name!r}", {"meter": name})
    if not meter.can_be_held:
        why = "what it will add is not known before" if meter.only_grows else "it can shrink"
        message = f"capacity of meter {meter.name!r} cannot be held: {why}"
        raise MetergateError(Reason.METER_CAN_SHRINK, message, {"meter": meter.name})


def at_least_one(want: Want) -> Want:
    """What a lease asks for when nothing is left: one unit, or what is wanted if that is less."""
    return want._replace(amount=min(want.amount, ONE))
