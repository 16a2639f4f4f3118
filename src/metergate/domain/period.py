"""Time: instants, calendar windows in a time zone, and the quarter hours of the rollups.

An instant is an int: microseconds since 1970-01-01T00:00Z. Windows of one period partition time:
each instant lies in exactly one, whatever the zone's clocks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
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


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to and not including `end`, both instants."""

    start: int
    end: int


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


def window_at(period: Period, time_zone: str, instant: int) -> Window:
    """The window of that period, in that zone, that holds the instant."""
    return _window_at(period, time_zone, instant // SECOND)


@lru_cache(maxsize=16384)
def _window_at(period: Period, time_zone: str, second: int) -> Window:
    instant = second * SECOND
    if period in (Period.MINUTE, Period.HOUR):
        return _clock_window(HOUR if period is Period.HOUR else MINUTE, time_zone, instant)
    where = zone(time_zone)
    first = _floor(period, to_datetime(instant).astimezone(where).replace(tzinfo=None))
    start, after = _local(first, where), _next(period, first)
    if instant < start:  # midnight fell into a gap of the clock and the new day began late
        first, after = _floor(period, first - timedelta(days=1)), first
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


def _floor(period: Period, local: datetime) -> datetime:
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
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
