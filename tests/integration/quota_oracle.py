"""Quotas in plain Python: facts and holds in two dicts, every figure summed up when it is asked for.

It knows of the domain what a limit's windows and label filter are, and works all else out by itself. Where the server
has a choice (how large a slice of a lease is), it says what is allowed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from metergate.domain.catalog import Catalog
from metergate.domain.override import Override
from metergate.domain.period import LATEST, SECOND
from metergate.domain.quota import CounterKey, Kind, Limit, Policy
from metergate.domain.usage import Event

LAG = 10 * SECOND  # how long after a lease's end its last word may come
LIFE, MARGIN = 30 * SECOND, 2 * SECOND
ZERO = Decimal(0)


class Fact(NamedTuple):
    """An event that was accepted."""

    event: Event
    customer: str
    counted_at: int
    pool: str


class Wish(NamedTuple):
    """An amount of a meter for a subject with these labels."""

    subject: str
    meter: str
    amount: Decimal
    labels: Mapping[str, str]


class Figures(NamedTuple):
    """What a counter must hold."""

    used: Decimal = ZERO
    reserved: Decimal = ZERO
    leased: Decimal = ZERO
    forfeited: Decimal = ZERO


@dataclass
class Share:
    """What a hold has of one meter."""

    meter: str
    labels: Mapping[str, str]
    granted: Decimal
    returned: Decimal = ZERO
    spent: Decimal = ZERO
    settled: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return self.granted - self.returned - self.settled


@dataclass
class Held:
    """A reservation or a lease."""

    id: str
    kind: str
    customer: str
    subject: str
    counted_at: int
    end_at: int
    shares: list[Share]
    pool: str = ""
    state: str = "open"

    @property
    def column(self) -> str:
        if self.kind == "reservation":
            return "reserved"
        return "forfeited" if self.state == "forfeited" else "leased"

    @property
    def settled(self) -> Decimal:
        return sum((share.settled for share in self.shares), ZERO)

    def end(self, state: str) -> None:
        self.state = state
        for share in self.shares:
            share.returned = share.granted - share.settled

    def counts_at(self, time: int) -> int:
        """When usage that settles it counts."""
        return self.counted_at if self.kind == "reservation" else min(max(time, self.counted_at), self.end_at - 1)


class Debt(NamedTuple):
    """What a fact used of a meter beyond what was held for it, and when."""

    wish: Wish
    customer: str
    counted_at: int


class Pace(NamedTuple):
    """A rate's state: when all that was taken will have been paid off, at so many microseconds a unit."""

    tat: Fraction
    interval: Fraction


class Ask(NamedTuple):
    """What is asked of one limit."""

    limit: Limit
    keys: tuple[CounterKey, ...]
    amount: Decimal


@dataclass
class Oracle:
    """What was accepted and handed out, and who owns what."""

    catalog: Catalog = field(default_factory=Catalog)
    facts: dict[tuple[str, str], Fact] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    rates: dict[CounterKey, Pace] = field(default_factory=dict)
    reached: dict[tuple[CounterKey, str], int] = field(default_factory=dict)
    debts: list[Debt] = field(default_factory=list)
    overrides: dict[str, tuple[Override, ...]] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    anchors: dict[str, int] = field(default_factory=dict)

    def values(self, event: Event) -> dict[str, Decimal]:
        """What the event adds to which meters."""
        found = {}
        for meter in self.catalog.meters:
            value = event.values.get(meter.value) if meter.value else event.amount
            if not meter.value and value is None:
                value = Decimal(1)
            if meter.event_type == event.type and value is not None:
                found[meter.name] = Decimal(1) if meter.aggregation == "count" else value
        return found

    def wishes(self, events: Iterable[Event]) -> list[Wish]:
        """What a unit asks for."""
        return [
            Wish(event.subject, meter, value, event.labels)
            for event in events
            for meter, value in self.values(event).items()
        ]

    # --- figures ------------------------------------------------------------------------------------------------------
    def figures(self, keys: Iterable[CounterKey]) -> dict[CounterKey, Figures]:
        """What these counters must hold."""
        uses: dict[tuple[str, str], list[tuple[str, Mapping[str, str], int, str, Decimal]]] = {}
        for fact in self.facts.values():
            for meter, value in self.values(fact.event).items():
                one = (fact.event.subject, fact.event.labels, fact.counted_at, "used", value)
                for owner in {fact.customer, fact.pool or fact.customer}:
                    uses.setdefault((owner, meter), []).append(one)
        for hold in self.holds.values():
            for share in hold.shares:
                if share.left:
                    mine = (hold.subject, share.labels, hold.counted_at, hold.column, share.left)
                    for owner in {hold.customer, hold.pool or hold.customer}:
                        uses.setdefault((owner, share.meter), []).append(mine)
        found = {}
        for key in keys:
            sums = dict.fromkeys(Figures._fields, ZERO)
            wanted = json.loads(key.filter or "{}")
            for subject, labels, counted_at, column, value in uses.get((key.customer, key.meter), ()):
                if (
                    key.start <= counted_at < key.end
                    and key.subject in ("", subject)
                    and all(labels.get(name, "") == value_ for name, value_ in wanted.items())
                ):
                    sums[column] += value
            found[key] = Figures(**sums)
        return found

    def limits(self, customer: str, at: int, meter: str) -> Iterable[Limit]:
        """Those in force, each with the override that began last."""
        for limit in self.catalog.limits(self.plans[customer], meter):
            mine = [one for one in self.overrides.get(customer, ()) if one.limit == limit.name and one.holds(at)]
            yield replace(limit, max=max(mine, key=lambda one: one.start).max) if mine else limit

    def asks(self, customer: str, at: int, wishes: Sequence[Wish]) -> list[Ask]:
        """What is asked of the limits in force, and of the pool's. What two wishes ask of one counter is added up."""
        found: dict[tuple[str, CounterKey], Ask] = {}
        owners = [customer, self.pools[customer]] if self.pools.get(customer) else [customer]
        for owner, wish in product(owners, wishes):
            for limit in self.limits(owner, at, wish.meter):
                filter_ = limit.filter_of(wish.labels)
                if filter_ is None:
                    continue
                subject = limit.subject_of(wish.subject)
                keys = tuple(
                    CounterKey(owner, wish.meter, subject, filter_, window.start, window.end)
                    for window in limit.windows(self.zones[owner], at, self.anchors.get(owner))
                )
                before = found.get((limit.name, keys[-1]))
                amount = wish.amount + (before.amount if before else 0)
                found[limit.name, keys[-1]] = Ask(limit, keys, amount)
        return list(found.values())

    def left(self, ask: Ask, now: int) -> Decimal | None:
        """What the limit lets in yet, below zero where it is passed; None = all."""
        limit = ask.limit
        if limit.max is None or limit.policy is Policy.SOFT or limit.shadow:
            return None
        if limit.kind is Kind.RATE:
            if not limit.max:
                return ZERO
            ahead = max(self.tat(ask.keys[-1], limit, now) - now, Fraction(0)) / interval(limit)
            return burst(limit) - Decimal(math.ceil(ahead * 10**12)).scaleb(-12)
        total = [sum(column, ZERO) for column in zip(*self.figures(ask.keys).values(), strict=True)]
        taken = total[1] if limit.kind is Kind.CONCURRENCY else sum(total, ZERO)
        if limit.grace_period is not None:
            at = self.reached.get((ask.keys[-1], limit.name))
            if not limit.max or (at is not None and now >= at + limit.grace_period):
                return limit.max - taken
            if limit.grace is None:
                return None
        return limit.max + (limit.grace or 0) - taken

    def heir(self, key: CounterKey) -> Pace | None:
        """The state of a rate, or of one of another length where it has none of its own."""
        others = [(pace.tat, one.start, pace) for one, pace in self.rates.items() if one[:4] == key[:4]]
        return self.rates.get(key) or (max(others)[2] if others else None)

    def tat(self, key: CounterKey, limit: Limit, now: int) -> Fraction:
        """When what was taken will have been paid off under this limit: as an amount it is the same."""
        pace = self.heir(key)
        if pace is None or pace.interval == interval(limit) or pace.tat <= now:
            return pace.tat if pace else Fraction(0)
        as_amount = Fraction(math.ceil((pace.tat - now) / pace.interval * interval(limit) * 10**24), 10**24)
        return now + min(as_amount, max(pace.tat - now, Fraction(burst(limit)) * interval(limit)))

    def room(self, customer: str, at: int, wish: Wish) -> Decimal | None:
        """How much of one wish fits; None = all."""
        lefts = [self.left(ask, at) for ask in self.asks(customer, at, [wish])]
        known = [left for left in lefts if left is not None]
        return max(min(known), ZERO) if known else None

    def fits(self, asks: Sequence[Ask], now: int) -> bool:
        """Whether all of it does."""
        return all(not ask.amount or (left := self.left(ask, now)) is None or ask.amount <= left for ask in asks)

    def take(self, asks: Sequence[Ask], now: int) -> None:
        """Advances the rates that were asked."""
        for limit, keys, amount in asks:
            if limit.kind is not Kind.RATE or not limit.max or not amount:
                continue
            after = max(self.tat(keys[-1], limit, now), Fraction(now)) + Fraction(amount) * interval(limit)
            if not limit.shadow or after - now <= Fraction(burst(limit)) * interval(limit):
                self.rates[keys[-1]] = Pace(after, interval(limit))

    def pay(self, now: int) -> None:
        """What the facts of one commit took, in order of time, from the rates in force."""
        for debt in sorted(self.debts, key=lambda debt: debt.counted_at):
            for limit, keys, amount in self.asks(debt.customer, now, [debt.wish]):
                if limit.kind is not Kind.RATE or not limit.max or not amount:
                    continue
                fills = math.ceil(Fraction(burst(limit)) * interval(limit))
                if debt.counted_at >= now - max(limit.length, fills):
                    since = max(self.tat(keys[-1], limit, now), Fraction(min(debt.counted_at, now)))
                    self.rates[keys[-1]] = Pace(since + Fraction(amount) * interval(limit), interval(limit))
        self.debts.clear()

    # --- what happens -------------------------------------------------------------------------------------------------
    def post(self, event: Event, counted_at: int) -> str:
        """An event that was accepted; why it settled nothing, "" where it did or had nothing to."""
        customer = self.owners[event.subject]
        self.facts[event.source, event.id] = Fact(event, customer, counted_at, self.pools.get(customer, ""))
        hold = self.holds.get(event.settles)
        held = None if hold is None or hold.customer != customer else hold
        reasons = ["other" if held else "unknown"]
        for meter, value in self.values(event).items():
            before = held.settled if held else ZERO
            if held:
                reasons.append(self._settle(held, event, meter, value))
            beyond = value - (held.settled if held else ZERO) + before
            self.debts.append(Debt(Wish(event.subject, meter, beyond, event.labels), customer, counted_at))
        return "" if "" in reasons or not event.settles else reasons[-1]

    def _settle(self, hold: Held, event: Event, meter: str, value: Decimal) -> str:
        reason = "other"
        dimensions = self.catalog.meter_of[meter].dimensions
        for share in hold.shares if hold.subject == event.subject else ():
            if share.meter == meter and all(share.labels.get(d, "") == event.labels.get(d, "") for d in dimensions):
                taken = min(value, share.left)
                if taken > 0 or not value:
                    share.settled += taken
                    return ""
                reason = "nothing left"
        return reason

    def mark(self, hold: Held, spent: Decimal, returned: Decimal, close: bool) -> bool:
        """A holder's report; False where it cannot be, and nothing was taken."""
        share = hold.shares[0]
        spent, returned = max(spent, share.spent), max(returned, share.returned)
        gone = max(spent, share.settled)
        if hold.state == "released":
            return True
        if gone + returned > share.granted:
            return False
        share.spent, share.returned = spent, share.granted - gone if close else returned
        if close and hold.state == "open":
            hold.state = "returned"
        return True

    def expire(self, hold: Held) -> None:
        """Its time ran out."""
        if hold.kind == "reservation":
            hold.end("expired")
        elif hold.shares[0].left:
            hold.state = "forfeited"
        elif hold.state == "open":
            hold.end("returned")

    def due(self, hold: Held, now: int) -> bool:
        """Whether its time has run out and something is to be done about it."""
        if hold.kind == "reservation":
            return hold.state == "open" and hold.end_at <= now
        return hold.end_at + LAG <= now and (
            hold.state == "open" or (hold.state == "returned" and hold.shares[0].left > 0)
        )

    def lease_end(self, asks: Sequence[Ask], now: int) -> int | None:
        """When a lease on these limits ends that is made now; None where none can be."""
        ends = [now + LIFE]
        for ask in asks:
            start, end = ask.keys[0].start, ask.keys[-1].end
            forfeited = sum((one.forfeited for one in self.figures(ask.keys).values()), ZERO)
            too_much = ask.limit.max is not None and forfeited * 20 > ask.limit.max
            if end >= LATEST or end - start < 10 * LIFE or end - MARGIN <= now or too_much:
                return None
            ends.append(end - MARGIN)
        return min(ends)


def interval(limit: Limit) -> Fraction:
    """How long one unit of a rate takes, in microseconds: rounded up in the 24th place."""
    return Fraction(math.ceil(Fraction(limit.length) / Fraction(limit.max or 1) * 10**24), 10**24)


def burst(limit: Limit) -> Decimal:
    """How much a rate admits at once."""
    most = limit.max if limit.burst is None else limit.burst
    assert most is not None
    return most
