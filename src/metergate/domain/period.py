"""Time: instants, windows (of the calendar in a time zone, anchored, of fixed length, rolling), and the quarter hours
of the rollups.

An instant is an int: microseconds since 1970-01-01T00:00Z. Windows of one period partition time:
each instant lies in exactly one, whatever the zone's clocks do.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from metergate.domain.errors import invalid

SECOND = 1_000_000
MINUTE = 60 * SECOND
QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Calendar arithmetic is exact between these; no usage lies outside.
EARLIEST = 0
LATEST = int((datetime(2200, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND

# Files beside the zones that mean another clock on another machine.
_OF_THE_MACHINE = frozenset({"localtime", "posixrules", "Factory"})


class Period(StrEnum):
    """How long a window is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Weekday(StrEnum):
    """The day with which a week begins."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


# Days after Monday.
WEEKDAYS = {day: number for number, day in enumerate(Weekday)}


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to and not including `end`, both instants."""

    start: int
    end: int


def span(windows: Sequence[Window]) -> Window:
    """From the start of the first to the end of the last."""
    return windows[0] if len(windows) == 1 else Window(windows[0].start, windows[-1].end)


# The window of what never begins anew.
LIFETIME = Window(EARLIEST, LATEST)


def to_datetime(instant: int) -> datetime:
    """The instant as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> int:
    """The instant of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_text(instant: int) -> str:
    """The instant in RFC 3339, without a fraction where there is none."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        MetergateError: FIELD_INVALID on `time_zone` when there is none.
    """
    try:
        if not name or name.startswith(("/", ".")) or name in _OF_THE_MACHINE:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        shown = name[:64]
        raise invalid("time_zone", f"no IANA time zone is called {shown!r}", value=shown) from None


def length_to_text(length: int) -> str:
    """A stretch of whole seconds in its largest whole unit: 90s, 1m, 2h, 30d."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if length % unit == 0:
            return f"{length // unit}{name}"
    return f"{length // SECOND}s"


def window_at(period: Period, time_zone: str, instant: int, week_start: int = 0) -> Window:
    """The calendar window of that period, in that zone, that holds the instant.

    `week_start` is the day with which weeks begin, in days after Monday.
    """
    return _window_at(period, time_zone, instant // SECOND, week_start)


@lru_cache(maxsize=16384)
def _window_at(period: Period, time_zone: str, second: int, week_start: int) -> Window:
    instant = second * SECOND
    if period in (Period.MINUTE, Period.HOUR):
        return _clock_window(HOUR if period is Period.HOUR else MINUTE, time_zone, instant)
    where = zone(time_zone)
    first = _floor(period, to_datetime(instant).astimezone(where).replace(tzinfo=None), week_start)
    start, after = _local(first, where), _next(period, first)
    if instant < start:  # midnight fell into a gap of the clock and the new day began late
        first, after = _floor(period, first - timedelta(days=1), week_start), first
        start = _local(first, where)
    end = _local(after, where)
    if instant >= end:  # the clock was put back over midnight: a day begins once, with its first midnight
        start, end = end, _local(_next(period, after), where)
    return Window(start, end)


def _clock_window(length: int, time_zone: str, instant: int) -> Window:
    """Minutes and hours run on through clock changes; a change of other than whole hours begins a new window."""
    where = zone(time_zone)
    offset = _offset(where, instant)
    start = (instant + offset) // length * length - offset
    end = start + length
    if _offset(where, start) != offset:
        start = _change(where, start, instant)
    if _offset(where, end - 1) != offset:
        end = _change(where, instant, end)
    return Window(start, end)


def _offset(where: ZoneInfo, instant: int) -> int:
    offset = to_datetime(instant).astimezone(where).utcoffset()
    assert offset is not None  # ZoneInfo always has one
    return offset // timedelta(microseconds=1)


def _change(where: ZoneInfo, low: int, high: int) -> int:
    """The first second in (low, high] with the offset of `high`; one change at most lies between."""
    wanted = _offset(where, high)
    low, high = low // SECOND, -(-high // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(where, middle * SECOND) == wanted:
            high = middle
        else:
            low = middle
    return high * SECOND


def _floor(period: Period, local: datetime, week_start: int) -> datetime:
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is Period.WEEK:
        return day - timedelta(days=(day.weekday() - week_start) % 7)
    if period is Period.MONTH:
        return day.replace(day=1)
    if period is Period.YEAR:
        return day.replace(month=1, day=1)
    return day


def _next(period: Period, first: datetime) -> datetime:
    if period is Period.DAY:
        return first + timedelta(days=1)
    if period is Period.WEEK:
        return first + timedelta(days=7)
    if period is Period.MONTH:
        return (first + timedelta(days=31)).replace(day=1)
    return first.replace(year=first.year + 1)


def _local(naive: datetime, where: ZoneInfo) -> int:
    return from_datetime(naive.replace(tzinfo=where).astimezone(UTC))


def anchored_at(period: Period, time_zone: str, anchor: int, instant: int) -> Window:
    """The window of that period (DAY to YEAR) that holds the instant, where windows begin at the anchor's day and
    time of day on the zone's clock, before and after the anchor.

    Each is computed from the anchor and not from the one before it: where a month lacks the anchor's day, its window
    begins on the month's last day, and the next one on the anchor's day again (31 Jan, 28 Feb, 31 Mar). Anchors are
    cut to whole seconds.
    """
    return _anchored_at(period, time_zone, anchor // SECOND, instant // SECOND)


@lru_cache(maxsize=16384)
def _anchored_at(period: Period, time_zone: str, anchor: int, second: int) -> Window:
    return _anchored(_STRIDES[period], time_zone, anchor, second)


@lru_cache(maxsize=16384)
def anchored_months(months: int, time_zone: str, anchor: int, instant: int) -> Window:
    """The window of so many months that holds the instant, counted from the anchor as `anchored_at` does."""
    return _anchored(_Stride(months=months), time_zone, anchor // SECOND, instant // SECOND)


class _Stride(NamedTuple):
    """How long a window is: so many months, else days."""

    months: int = 0
    days: int = 0


_STRIDES = {
    Period.DAY: _Stride(days=1),
    Period.WEEK: _Stride(days=7),
    Period.MONTH: _Stride(months=1),
    Period.YEAR: _Stride(months=12),
}


def _anchored(stride: _Stride, time_zone: str, anchor: int, second: int) -> Window:
    where, instant = zone(time_zone), second * SECOND
    first = to_datetime(anchor * SECOND).astimezone(where).replace(tzinfo=None)
    number = _steps(stride, first, to_datetime(instant).astimezone(where).replace(tzinfo=None))
    # Clock changes and months' ends put the estimate off by a step or two.
    while (start := _local(_step(stride, first, number), where)) > instant:
        number -= 1
    while (end := _local(_step(stride, first, number + 1), where)) <= instant:
        number, start = number + 1, end
    return Window(start, end)


def _steps(stride: _Stride, first: datetime, local: datetime) -> int:
    """About how many windows lie between."""
    if stride.months:
        return ((local.year - first.year) * 12 + local.month - first.month) // stride.months
    return (local - first).days // stride.days


def _step(stride: _Stride, first: datetime, number: int) -> datetime:
    """`first` and that many windows later, or earlier where it is negative."""
    if not stride.months:
        return first + timedelta(days=stride.days * number)
    months = first.year * 12 + first.month - 1 + stride.months * number
    year, month = months // 12, months % 12 + 1
    return first.replace(year=year, month=month, day=min(first.day, monthrange(year, month)[1]))


def days_after(instant: int, days: int, time_zone: str) -> int:
    """The same time of day on the zone's clock, so many days later."""
    where = zone(time_zone)
    return _local(to_datetime(instant).astimezone(where).replace(tzinfo=None) + timedelta(days=days), where)


def fixed_at(length: int, anchor: int, instant: int) -> Window:
    """The window that holds the instant, of those of this length that follow each other before and after the anchor."""
    start = instant - (instant - anchor) % length
    return Window(start, start + length)


def rolling_at(length: int, count: int, instant: int) -> tuple[Window, ...]:
    """The sub-windows, `count` to a length and one more, that together cover the length before the instant.

    They are aligned to 1970; the last holds the instant, and the oldest counts whole: so what they sum up is never
    less than what the rolling window holds.
    """
    each = length // count
    last = instant - instant % each
    return tuple([Window(start, start + each) for start in range(last - count * each, last + each, each)])


def split(window: Window, period: Period, time_zone: str, most: int) -> list[Window]:
    """The window cut at the borders of the period's windows; at most `most` pieces, else an empty list.

    A day that a zone left out altogether has no piece.
    """
    pieces: list[Window] = []
    start = window.start
    while start < window.end:
        if len(pieces) == most:
            return []
        end = min(window_at(period, time_zone, start).end, window.end)
        pieces.append(Window(start, end))
        start = end
    return pieces


def quarter(instant: int) -> int:
    """The start of the quarter hour that holds the instant."""
    return instant - instant % QUARTER
