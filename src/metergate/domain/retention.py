"""Retention: which months of events may be dropped, and what cannot be told any more once they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from metergate.domain import period
from metergate.domain.aggregation import AGGREGATIONS, HOLDS, Rolls
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import LEVEL, Meter
from metergate.domain.period import Period
from metergate.domain.quota import Kind

# For as long as ids are remembered beyond the accept window.
GRACE = 7 * period.DAY
_LONGEST = {
    Period.MINUTE: period.MINUTE, Period.HOUR: period.HOUR, Period.DAY: 25 * period.HOUR,
    Period.WEEK: 8 * period.DAY, Period.MONTH: 32 * period.DAY, Period.YEAR: 367 * period.DAY,
}  # fmt: skip
_FOR_EVER = 10_000 * 366 * period.DAY


class ClosedMonth(NamedTuple):
    """A month of recording whose events were dropped: when the first and the last of them counted, and the measures of
    which closing balances are kept ("…:count" has numbers only), those with extremes among them."""

    first: int
    last: int
    measures: frozenset[str]
    extremes: frozenset[str]


class OpenLimit(NamedTuple):
    """A limit on a meter whose quantity is made of the events themselves."""

    tenant: str
    plan: str
    name: str
    aggregation: str
    kind: str
    period: str
    length: int

    @property
    def reach(self) -> int:
        """How far before an instant in one of its windows events of it may lie, in microseconds."""
        if self.kind in (Kind.CALENDAR, Kind.ANCHORED):
            reach = _LONGEST[Period(self.period)]
        else:
            reach = self.length if self.kind in (Kind.FIXED, Kind.ROLLING) else _FOR_EVER
        return reach + (HOLDS if self.aggregation == LEVEL else 0)


def keeps_until(now: int, keep_months: int, accept_age: int) -> date:
    """The first month of recording that is kept whole: the current one and as many before it, and longer where their
    ids are still known. Those of a month's last minutes are known for as long as the next month's."""
    remembered = month_of(now - accept_age - GRACE)
    return min(before(month_of(now), keep_months), before(remembered, 1))


def month_of(instant: int) -> date:
    """The first day of its month."""
    return period.to_datetime(instant).date().replace(day=1)


def before(month: date, months: int) -> date:
    """The month that lies so many months before; for fewer than none, after."""
    number = month.year * 12 + month.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def start_of(month: date) -> int:
    """The instant at which a month of recording begins."""
    return period.from_datetime(datetime(month.year, month.month, 1, tzinfo=UTC))


def needed_by(limits: Iterable[OpenLimit], last: int, now: int, accept_age: int) -> OpenLimit | None:
    """A limit whose windows, those among them that late usage may still come for, hold events that count at `last`."""
    earliest = now - accept_age - GRACE
    return next((limit for limit in limits if last >= earliest - limit.reach), None)


def check_kept(closed: Sequence[ClosedMonth], meter: Meter, borders: Sequence[int], events_because: str = "") -> None:
    """Refuses what cannot be told of a meter between the first border and the last, cut at each: exact figures need the
    events, or closing balances, which are of whole quarter hours. `events_because` says why only the events will do.

    Raises:
        MetergateError: EVENTS_DROPPED.
    """
    earliest = borders[0] - (HOLDS if meter.aggregation == LEVEL else 0)
    for month in closed:
        if not (month.first < borders[-1] and month.last >= earliest):
            continue
        why = events_because or _lacking(month, meter, borders)
        if why:
            raise _dropped(closed, why, meter=meter.name)


def check_events(closed: Sequence[ClosedMonth], start: int, end: int, why: str) -> None:
    """Refuses what needs all events between two instants.

    Raises:
        MetergateError: EVENTS_DROPPED.
    """
    if any(month.first < end and month.last >= start for month in closed):
        raise _dropped(closed, why)


def _dropped(closed: Sequence[ClosedMonth], why: str, **metadata: str) -> MetergateError:
    since = period.to_text(max(one.last for one in closed) + 1)
    message = f"{why}, and events up to {since} were dropped: ask from there on"
    return MetergateError(Reason.EVENTS_DROPPED, message, {**metadata, "kept_since": since})


def _lacking(month: ClosedMonth, meter: Meter, borders: Sequence[int]) -> str:
    rolls = AGGREGATIONS[meter.aggregation].rolls
    if rolls is Rolls.NOTHING:
        return f"{meter.aggregation.upper()} of meter {meter.name!r} is made of the events"
    counted = meter.aggregation == "count" and f"{meter.measure}:count" in month.measures
    there = month.extremes if rolls is Rolls.EXTREMES else month.measures
    if meter.measure not in there and not counted:
        return f"meter {meter.name!r} is younger than the closing balances"
    for border in borders:
        quarter = border - border % period.QUARTER
        if border != quarter and month.first < quarter + period.QUARTER and month.last >= quarter:
            return "the range is not made of whole quarter hours"
    return ""
