"""Summaries: how what was found of many pieces and groups becomes quantities, and how these are compared and projected.

Nothing here is counted or billed; what is estimated is cut, and said to be estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from metergate.domain import period
from metergate.domain.aggregation import LevelUnit, average, rounded, unit_pieces
from metergate.domain.meter import LEVEL, Meter
from metergate.domain.period import Period, Window
from metergate.domain.quantity import CONTEXT, ONE, ZERO, add, estimate, subtract

WEEKS = 4  # that are looked back at for what a weekday is like
WEEK = 7  # days
_HUNDRED = Decimal(100)
_CENTS = Decimal("0.01")
_NEARLY = Decimal("1e-40")


class Projecting(StrEnum):
    """How a summary looks ahead."""

    LINEAR = "linear"
    SAME_WEEKDAY = "same_weekday"


class Part(NamedTuple):
    """What was found of one group in one piece: the number of events that stand, and a value.

    The value is the sum (SUM, COUNT, AVG), the extreme, the last value (with its instant and tie key), or, where parts
    cannot be put together, the quantity. Of a LEVEL it is by how much the level changed, and `moment` the sum of these
    changes, each times its instant.
    """

    events: int
    value: Decimal | None
    at: int = 0
    key: str = ""
    moment: Decimal = ZERO


NOTHING = Part(0, None)


def _latest(one: Part, other: Part) -> Part:
    later = one if (one.at, one.key) >= (other.at, other.key) else other
    return later._replace(events=one.events + other.events)


def _with(value: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Part, Part], Part]:
    def put(one: Part, other: Part) -> Part:
        assert one.value is not None
        assert other.value is not None
        return Part(one.events + other.events, value(one.value, other.value))

    return put


# How parts of the same group are put together, by aggregation; those of the others cannot be.
_PUT: dict[str, Callable[[Part, Part], Part]] = {
    "sum": _with(add),
    "count": _with(add),
    "avg": _with(add),
    "min": _with(min),
    "max": _with(max),
    "latest": _latest,
}
_ZERO_OF_NOTHING = frozenset(("sum", "count", "unique", LEVEL))


def adds_up(meter: Meter) -> bool:
    """Whether quantities of groups, and of stretches of time, sum to that of the whole."""
    return meter.how.additive or meter.aggregation == LEVEL


def can_be_put_together(meter: Meter) -> bool:
    """Whether the parts of a whole tell the whole; else it is asked for by itself."""
    return meter.aggregation in _PUT or meter.aggregation == LEVEL


def put_together(meter: Meter, parts: Iterable[Part]) -> Part:
    """One part of several."""
    put, whole = _PUT[meter.aggregation], NOTHING
    for part in parts:
        if part.value is not None:
            whole = part if whole.value is None else put(whole, part)
    return whole


def quantity(meter: Meter, part: Part) -> Decimal | None:
    """The quantity of a part, not of a LEVEL. None where there is none: of nothing there is no average."""
    if part.value is None:
        return ZERO if meter.aggregation in _ZERO_OF_NOTHING else None
    return average(part.value, part.events) if meter.aggregation == "avg" else part.value


@dataclass(frozen=True, slots=True)
class LevelPieces:
    """The pieces of a range of a LEVEL meter, cut where its unit changes its length: of each the window, the unit's
    length, and in which piece that was asked for it lies."""

    windows: list[Window]
    lengths: list[int]
    places: list[int]

    @classmethod
    def of(cls, pieces: Sequence[Window], unit: LevelUnit, time_zone: str) -> LevelPieces:
        """The pieces, cut."""
        cut = [
            (window, length, place)
            for place, piece in enumerate(pieces)
            for window, length in unit_pieces(piece, unit, time_zone)
        ]
        return cls([one[0] for one in cut], [one[1] for one in cut], [one[2] for one in cut])

    def areas(self, found: Sequence[tuple[int, Part]], until: int) -> list[Decimal]:
        """The exact integral of the level over each window, up to `until`, in level x microseconds. `found` are the
        changes of the level, by the number of the window that they lie in, -1 = before the range.

        Changes d at instants t, on top of the level L at the window's start, make L x length + sum(d x (end - t)).
        """
        changes = dict(found)
        level = changes[-1].value or ZERO if -1 in changes else ZERO
        areas = []
        for number, window in enumerate(self.windows):
            end = Decimal(max(window.start, min(window.end, until)))
            area = CONTEXT.multiply(level, subtract(end, Decimal(window.start)))
            part = changes.get(number)
            if part is not None and part.value is not None:
                area = add(area, subtract(CONTEXT.multiply(part.value, end), part.moment))
                level = add(level, part.value)
            areas.append(area)
        return areas

    def weights(self, until: int) -> list[tuple[Decimal, Decimal]]:
        """What a change d of the level at an instant t adds to the whole, by the number of its window from -1 on: d x
        first - d x t x second. It ranks groups, to 40 places."""
        after, found = ZERO, []
        for window, length in zip(reversed(self.windows), reversed(self.lengths), strict=True):
            end = max(window.start, min(window.end, until))
            found.append((add(after, _nearly(Decimal(end), length)), _nearly(ONE, length)))
            after = add(after, _nearly(Decimal(end - window.start), length))
        return [(after, ZERO), *reversed(found)]

    def quantities(self, areas: Sequence[Decimal], count: int) -> tuple[Decimal, list[Decimal]]:
        """The time-weighted level of the whole and of each of `count` pieces, rounded once."""
        of_piece: list[dict[int, Decimal]] = [{} for _ in range(count)]
        of_whole: dict[int, Decimal] = {}
        for area, length, place in zip(areas, self.lengths, self.places, strict=True):
            for parts in (of_piece[place], of_whole):
                parts[length] = add(parts.get(length, ZERO), area)
        return _in_units(of_whole), [_in_units(parts) for parts in of_piece]


def _in_units(parts: dict[int, Decimal]) -> Decimal:
    """Areas by the unit's length, as a quantity; the parts are added up before the sum is rounded."""
    exact = ZERO
    for length, area in parts.items():
        exact = add(exact, _nearly(area, length))
    return rounded(exact, ONE)


def _nearly(area: Decimal, length: int) -> Decimal:
    with localcontext(Context(prec=120, rounding=ROUND_HALF_UP)):
        return (area / Decimal(length)).quantize(_NEARLY)


def previous(window: Window, time_zone: str) -> Window:
    """The period before: the calendar's, where the window is a whole one of its hours, days, weeks, months or years,
    else one of the same length."""
    for length in (Period.HOUR, Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR):
        if period.window_at(length, time_zone, window.start) == window and window.start > period.EARLIEST:
            return period.window_at(length, time_zone, window.start - 1)
    return Window(max(2 * window.start - window.end, period.EARLIEST), window.start)


def change_percent(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    """By how many per cent `now` is more than `before`, rounded half up to two places; None where it cannot be told."""
    if now is None or not before:
        return None
    with localcontext(Context(prec=200, rounding=ROUND_HALF_UP)):
        return ((now - before) / abs(before) * _HUNDRED).quantize(_CENTS)


def linear(so_far: Decimal, window: Window, now: int) -> Decimal | None:
    """What the window will have brought when it goes on as it went: so far ÷ the share of it that has passed, cut to 12
    places. None before it begins."""
    elapsed = min(now, window.end) - window.start
    return estimate(so_far, window.end - window.start, elapsed) if elapsed > 0 else None


def days_before(now: int, time_zone: str) -> list[Window]:
    """The days of the four weeks before today, oldest first."""
    days: list[Window] = []
    start = period.window_at(Period.DAY, time_zone, now).start
    while len(days) < WEEKS * WEEK and start > period.EARLIEST:
        days.append(period.window_at(Period.DAY, time_zone, start - 1))
        start = days[-1].start
    return days[::-1]


def same_weekday(
    so_far: Decimal, window: Window, now: int, time_zone: str, days: Sequence[tuple[Window, Decimal]]
) -> Decimal | None:
    """What the window will have brought, when the days that are left are like the same weekdays of the last four weeks:
    so far + the mean of each such day (of all days, where none was of its weekday), the rest of a day by its share.

    `days` are those before today with their quantities, oldest first; those before the first usage do not count. None
    where nothing is known of any day.
    """
    left = Window(max(now, window.start), window.end)
    if left.start >= left.end:
        return so_far
    first = next((number for number, (_, used) in enumerate(days) if used), len(days))
    known = days[first:]
    if not known:
        return None
    by_weekday: dict[int, list[Decimal]] = {}
    for day, used in known:
        by_weekday.setdefault(_weekday(day, time_zone), []).append(used)
    everything = [used for _, used in known]
    whole = so_far
    start = left.start
    while start < left.end:
        day = period.window_at(Period.DAY, time_zone, start)
        like = by_weekday.get(_weekday(day, time_zone), everything)
        end = min(day.end, left.end)
        share = estimate(_total(like), end - start, len(like) * (day.end - day.start))
        whole, start = add(whole, share), end
    return whole


def _total(values: Iterable[Decimal]) -> Decimal:
    whole = ZERO
    for value in values:
        whole = add(whole, value)
    return whole


def _weekday(day: Window, time_zone: str) -> int:
    return period.to_datetime(day.start).astimezone(period.zone(time_zone)).weekday()
