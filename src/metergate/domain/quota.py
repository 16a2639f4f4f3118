"""Quota: limits, their counters, and the decision, which is a pure function."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from metergate.domain import period, quantity
from metergate.domain.meter import Shape
from metergate.domain.period import WEEKDAYS, Period, Weekday, Window
from metergate.domain.quantity import CONTEXT, ZERO
from metergate.domain.rate import Rate


class Policy(StrEnum):
    """What happens at a limit: HARD refuses, SOFT allows and shows the overrun, GRACE allows an overrun up to a stated
    amount, for a stated time, or both."""

    HARD = "hard"
    SOFT = "soft"
    GRACE = "grace"


class Kind(StrEnum):
    """What a limit holds down: what is used in windows of some kind, a rate, what is reserved at once, or what is used
    of grants."""

    CALENDAR = "calendar"
    ANCHORED = "anchored"
    FIXED = "fixed"
    ROLLING = "rolling"
    LIFETIME = "lifetime"
    RATE = "rate"
    CONCURRENCY = "concurrency"
    GRANTS = "grants"


class Scope(StrEnum):
    """Whose usage one counter sums up."""

    CUSTOMER = "customer"
    SUBJECT = "subject"


class WhenViewGone(StrEnum):
    """How a question is answered while the fast view is away: from the ledger, or without looking."""

    LEDGER = "ledger"
    ALLOW = "allow"
    DENY = "deny"


# Looked up once: `fits` is asked for each admission.
_SOFT, _GRACE, _RATE, _CONCURRENCY, _GRANTS = Policy.SOFT, Policy.GRACE, Kind.RATE, Kind.CONCURRENCY, Kind.GRANTS
_add, _HUNDRED = CONTEXT.add, Decimal(100)
REACHED = 100  # the threshold, in percent, at which a limit is reached
DEFAULT_SUB_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of a meter per window. `max` None = unlimited, but for GRANTS, where it is what the customer's grants
    hold: see `most_of`.

    Only usage with all of `labels` counts; each value of `per_labels` has a counter of its own.

    `period` is of CALENDAR and ANCHORED windows, `week_start` of calendar weeks. `length`, in microseconds, is that of
    FIXED and ROLLING windows and of a RATE's period: a rate admits `max` per `length`, and `burst` (None = `max`) at
    once. `sub_windows` is into how many a ROLLING window is cut. GRACE allows an overrun of `grace`, until
    `grace_period`, in microseconds, has passed since the limit was first reached in the window; None = no such bound.
    A `shadow` limit decides and counts, and never refuses. `thresholds` are percents of `max`.
    `overridden`: `max` is the customer's own, in the place of the plan's. `slides`: the meter does not add up, and
    neither would the parts of a ROLLING window: each of its positions has a counter of its own.
    """

    name: str
    meter: str
    max: Decimal | None
    period: Period = Period.MONTH
    policy: Policy = Policy.HARD
    scope: Scope = Scope.CUSTOMER
    labels: tuple[tuple[str, str], ...] = ()
    per_labels: tuple[str, ...] = ()
    kind: Kind = Kind.CALENDAR
    length: int = 0
    sub_windows: int = DEFAULT_SUB_WINDOWS
    week_start: Weekday = Weekday.MONDAY
    burst: Decimal | None = None
    grace: Decimal | None = None
    shadow: bool = False
    thresholds: tuple[int, ...] = ()
    when_view_gone: WhenViewGone = WhenViewGone.LEDGER
    overridden: bool = False
    slides: bool = field(default=False, compare=False)
    grace_period: int | None = None

    @property
    def fires(self) -> tuple[int, ...]:
        """The thresholds that are told: a grace of time begins with that of 100 percent."""
        if self.grace_period is None or REACHED in self.thresholds:
            return self.thresholds
        return (*self.thresholds, REACHED)

    def windows(self, time_zone: str, at: int, anchor: int | None = None) -> tuple[Window, ...]:
        """The windows whose counters are added up at that instant; the last one holds it.

        There is one, but for ROLLING (see `slides`). Without the customer's anchor, ANCHORED windows are those of the
        calendar, and FIXED ones begin in 1970. The window of rates, concurrency limits and grants covers all time; that
        of a rate begins its `length` before 1970, which keeps rates of different lengths apart.
        """
        kind = self.kind
        if kind is Kind.CALENDAR or (kind is Kind.ANCHORED and anchor is None):
            start = WEEKDAYS[self.week_start] if self.period is Period.WEEK else 0
            return (period.window_at(self.period, time_zone, at, start),)
        if kind is Kind.ROLLING:
            parts = period.rolling_at(self.length, self.sub_windows, at)
            return (period.span(parts),) if self.slides else parts
        if kind is Kind.FIXED:
            return (period.fixed_at(self.length, anchor or 0, at),)
        if kind is Kind.ANCHORED and anchor is not None:
            return (period.anchored_at(self.period, time_zone, anchor, at),)
        return (Window(-self.length, period.LATEST) if kind is Kind.RATE else period.LIFETIME,)

    @property
    def rate(self) -> Rate | None:
        """The rate that a RATE limit holds down; None where it is unlimited or nothing at all."""
        if not self.max:
            return None
        return Rate(self.max, self.length, self.max if self.burst is None else self.burst)

    @property
    def looks_back(self) -> int:
        """How long, in microseconds, a window still counts after its end: a sub-window as long as the rolling one."""
        return self.length if self.kind is Kind.ROLLING and not self.slides else 0

    @property
    def can_overrun(self) -> bool:
        """Whether what is taken can pass `max`: not where it is a pace, or what grants hold."""
        return self.max is not None and self.kind is not Kind.RATE

    @property
    def window_name(self) -> str:
        """Its window in a word, of which a limit without a name makes one."""
        if self.kind in (Kind.LIFETIME, Kind.CONCURRENCY, Kind.GRANTS):
            return str(self.kind)
        span_ = period.length_to_text(self.length) if self.length else str(self.period)
        return span_ if self.kind in (Kind.CALENDAR, Kind.FIXED) else f"{self.kind}-{span_}"

    @property
    def rule(self) -> str:
        """What it allows, in words."""
        if self.kind is Kind.GRANTS:
            return "what its grants hold"
        most = text_of_max(self.max)
        if self.kind in (Kind.CALENDAR, Kind.ANCHORED):
            return f"{most} per {self.period}"
        if self.kind is Kind.LIFETIME:
            return f"{most} in all"
        if self.kind is Kind.CONCURRENCY:
            return f"{most} at once"
        length = period.length_to_text(self.length)
        if self.kind is Kind.ROLLING:
            return f"{most} in any {length}"
        burst = "" if self.burst is None else f" with bursts of {quantity.to_text(self.burst)}"
        return f"{most} per {length}{burst}"

    def filter_of(self, labels: Mapping[str, str]) -> str | None:
        """The label filter of the counter in which usage with these labels counts; None when it does not count."""
        if not self.labels and not self.per_labels:
            return ""
        for name, value in self.labels:
            if labels.get(name, "") != value:
                return None
        return write_filter(self.labels + tuple((name, labels.get(name, "")) for name in self.per_labels))

    @property
    def shape(self) -> Shape:
        """What its counters tell apart."""
        return Shape(self.scope is Scope.SUBJECT, tuple(sorted({*dict(self.labels), *self.per_labels})))

    def subject_of(self, subject: str) -> str:
        """The counter's subject: "" where the whole customer is counted together."""
        return subject if self.scope is Scope.SUBJECT else ""


def write_filter(pairs: Sequence[tuple[str, str]]) -> str:
    """A label filter as one text: a JSON object in order of its keys, "" when there is no filter."""
    return json.dumps(dict(sorted(pairs)), separators=(",", ":")) if pairs else ""


def read_filter(text: str) -> dict[str, str]:
    """The label filter that the text writes."""
    return json.loads(text) if text else {}


class CounterKey(NamedTuple):
    """Which counter: it belongs to a window, not to a limit. `subject` "" = the whole customer, `filter` "" = all."""

    customer: str
    meter: str
    subject: str
    filter: str
    start: int
    end: int


class Figures(NamedTuple):
    """What a counter holds. `tat` is a rate's state, 0 for all else: an instant in microseconds, with a fraction of up
    to 36 places that must be kept (a numeric column): see `rate`. `granted` is what grants allow in all, in the
    customer's own counter of all time: see `grant`. `pace` is the interval of the rate that left `tat`, 0 = that of
    now. `reached` says when limits with a grace of time were first reached in the window, by their names."""

    used: Decimal = ZERO
    reserved: Decimal = ZERO
    leased: Decimal = ZERO
    forfeited: Decimal = ZERO
    tat: Decimal = ZERO
    granted: Decimal = ZERO
    pace: Decimal = ZERO
    reached: tuple[tuple[str, int], ...] = ()

    @property
    def taken(self) -> Decimal:
        """Everything that is not left."""
        if not (self.reserved or self.leased or self.forfeited):
            return self.used
        return CONTEXT.add(CONTEXT.add(self.used, self.reserved), CONTEXT.add(self.leased, self.forfeited))

    def plus(self, other: Figures) -> Figures:
        """Both together; of rates and grants there is nothing to add up."""
        return Figures.of([CONTEXT.add(mine, others) for mine, others in zip(self[:4], other[:4], strict=True)])

    def having(self, column: str, amount: Decimal) -> Figures:
        """The same with that amount in one column."""
        return self._replace(**{column: amount})  # type: ignore[arg-type]

    @classmethod
    def of(cls, numbers: Iterable[Decimal]) -> Figures:
        """Those that these numbers, in their order, say; the rest is nothing."""
        return cls(*numbers)  # type: ignore[arg-type]


def text_of_max(most: Decimal | None) -> str:
    """A limit's maximum as it is written."""
    return "unlimited" if most is None else quantity.to_text(most)


def most_of(limit: Limit, figures: Figures) -> Decimal | None:
    """The most that the limit allows in this counter; None = unlimited."""
    return figures.granted if limit.kind is _GRANTS else limit.max


def taken(limit: Limit, figures: Figures) -> Decimal:
    """What of a counter counts against this limit. Not for rates: what they take is `tat`."""
    return figures.reserved if limit.kind is _CONCURRENCY else figures.taken


def fits(limit: Limit, figures: Figures, amount: Decimal, now: int) -> bool:
    """Whether the limit lets the amount be admitted beside these figures (added up over the limit's windows)."""
    most = figures.granted if limit.kind is _GRANTS else limit.max
    if most is None or limit.policy is _SOFT or limit.shadow:
        return True
    return keeps(limit, most, figures, amount, now)


def keeps(limit: Limit, most: Decimal, figures: Figures, amount: Decimal, now: int) -> bool:
    """Whether the amount keeps the limit, whatever happens when it does not."""
    if limit.kind is _RATE:
        rate = limit.rate
        return not amount or (rate is not None and rate.conforms(carried(limit, figures, now).tat, amount, now))
    held, reserved, leased, forfeited, _, _, _, _ = figures
    if limit.kind is _CONCURRENCY:
        held = reserved
    elif reserved or leased or forfeited:
        held = figures.taken
    top = most if limit.policy is not _GRACE else most_with_grace(limit, most, figures, now)
    return top is None or _add(held, amount) <= top or not amount


def grace_ends_at(limit: Limit, figures: Figures) -> int | None:
    """When the time of a limit's grace is over; None where it has none, or was not reached yet in this window."""
    if limit.grace_period is not None:
        for name, at in figures.reached:
            if name == limit.name:
                return at + limit.grace_period
    return None


def most_with_grace(limit: Limit, most: Decimal, figures: Figures, now: int) -> Decimal | None:
    """The most that is let in by a limit of GRACE; None = anything, as yet. A limit of 0 has no grace of time: there
    is no moment at which it is reached."""
    if limit.grace_period is not None:
        ends_at = grace_ends_at(limit, figures)
        if not most or (ends_at is not None and now >= ends_at):
            return most
        if limit.grace is None:
            return None
    return most if limit.grace is None else _add(most, limit.grace)


def carried(limit: Limit, figures: Figures, now: int) -> Figures:
    """A rate's counter with the state that another rate left there, under this one."""
    rate = limit.rate if figures.pace else None
    if rate is None or rate.interval == figures.pace:
        return figures
    return figures._replace(tat=rate.carried(figures.tat, figures.pace, now), pace=rate.interval)


def advance(limit: Limit, figures: Figures, amount: Decimal, now: int) -> Figures:
    """The figures with what the admitted amount changes in a rate's state; the same ones for all other limits.

    What a shadow rate would have refused changes nothing in it, as a refused request would not have.
    """
    rate = limit.rate if limit.kind is _RATE else None
    if rate is None or not amount or (limit.shadow and not keeps(limit, rate.most, figures, amount, now)):
        return figures
    tat = carried(limit, figures, now).tat
    return figures._replace(tat=rate.after(tat, amount, now), pace=rate.interval)


def owe(limit: Limit, figures: Figures, facts: Iterable[tuple[int, Decimal]], now: int) -> Figures:
    """A rate's counter after facts, each an instant and an amount, which take from it whatever is left."""
    rate = limit.rate
    if rate is None:
        return figures
    before = carried(limit, figures, now).tat
    tat = rate.after_facts(before, facts, now)
    return figures if tat == before else figures._replace(tat=tat, pace=rate.interval)


def crossed(limit: Limit, before: Figures, after: Figures) -> tuple[int, ...]:
    """The thresholds that lie above what was taken before and not above what is taken after, in order."""
    fires = limit.fires
    if not fires or not limit.max:
        return ()
    low, high = taken(limit, before), taken(limit, after)
    if high <= low:
        return ()
    whole = [(CONTEXT.multiply(limit.max, percent), percent) for percent in map(Decimal, sorted(fires))]
    low, high = CONTEXT.multiply(low, _HUNDRED), CONTEXT.multiply(high, _HUNDRED)
    return tuple([int(percent) for most, percent in whole if low < most <= high])
