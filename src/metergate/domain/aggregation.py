"""Aggregations: how the values of many events become one quantity.

Each is a function of the *multiset* of samples that stand, whatever the order in which they came: a correction takes a
sample out again by one of the same content with the sign turned round, so that nothing else has to know of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Context, Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from metergate.domain import period
from metergate.domain.period import Period, Window
from metergate.domain.quantity import CONTEXT, ONE, ZERO, add, subtract

PLACES = Decimal("1e-12")  # to which a quotient is rounded, half up
HOLDS = 40 * period.DAY  # for which a level lasts without a new sample
_HUNDRED = Decimal(100)


class Rolls(StrEnum):
    """What of a measure's rollups an aggregation is read from: their sums, their extremes too, or nothing of them."""

    SUMS = "sums"
    EXTREMES = "extremes"
    NOTHING = "nothing"


class LevelUnit(StrEnum):
    """In which unit of time a level is counted: 45 GB over a month are 45 GB-months."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Sample(NamedTuple):
    """What one event adds to a meter. `item` is what UNIQUE tells apart, `series` whose level it is, `key` breaks ties
    of one instant; `sign` -1 takes out a sample of the same content."""

    counted_at: int
    key: str
    value: Decimal
    item: str = ""
    series: tuple[str, ...] = ()
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One way of turning values into a quantity.

    `additive`: quantities of parts add up to that of the whole, so that counters move with each event. `grows`: values
    that are not negative can only raise it, so that a HARD limit on it makes sense. `counts`: each event adds 1,
    whatever its value is. `quantity` is that of samples that stand, of which there is at least one; not for LEVEL,
    whose quantity depends on what stood before: see `level`.
    """

    name: str
    rolls: Rolls
    quantity: Callable[[Sequence[Sample]], Decimal] | None = None
    additive: bool = False
    grows: bool = False
    counts: bool = False


def tie_key(source: str, id: str) -> str:
    """What is compared of two events of one instant. The length keeps two pairs from making one text."""
    return f"{len(source)}:{source}{id}"


def standing(samples: Iterable[Sample]) -> list[Sample]:
    """The samples without those that were taken out."""
    left: Counter[Sample] = Counter()
    for sample in samples:
        left[sample._replace(sign=1)] += sample.sign
    return [sample for sample, number in left.items() for _ in range(number)]


def total(samples: Iterable[Sample]) -> Decimal:
    """The sum of the values."""
    whole = ZERO
    for sample in samples:
        whole = add(whole, sample.value)
    return whole


def average(whole: Decimal, count: int) -> Decimal:
    """The mean, rounded half up to 12 places."""
    return rounded(whole, Decimal(count))


def rounded(part: Decimal, whole: Decimal) -> Decimal:
    """The quotient, rounded half up (away from zero) to 12 places, once."""
    with localcontext(Context(prec=200, rounding=ROUND_HALF_UP)):
        return (part / whole).quantize(PLACES)


def nearest_rank(samples: Sequence[Sample], percent: Decimal) -> Decimal:
    """The smallest value with at least `percent` (above 0, up to 100) of the samples at or below it: the nearest-rank
    percentile, as PostgreSQL's percentile_disc and burstable billing have it. It is always a value that occurred."""
    values = sorted(sample.value for sample in samples)
    share = CONTEXT.divide(CONTEXT.multiply(percent, Decimal(len(values))), _HUNDRED)
    return values[int(share.to_integral_value(ROUND_CEILING)) - 1]


def _latest(samples: Sequence[Sample]) -> Decimal:
    return max(samples, key=_in_time).value


def _in_time(sample: Sample) -> tuple[int, str, Decimal]:
    """The order of samples. No two events have one key; the value makes an order of any."""
    return sample.counted_at, sample.key, sample.value


AGGREGATIONS: dict[str, Aggregation] = {
    one.name: one
    for one in (
        Aggregation("sum", Rolls.SUMS, total, additive=True, grows=True),
        Aggregation("count", Rolls.SUMS, total, additive=True, grows=True, counts=True),
        Aggregation("avg", Rolls.SUMS, lambda samples: average(total(samples), len(samples))),
        Aggregation("min", Rolls.EXTREMES, lambda samples: min(sample.value for sample in samples)),
        Aggregation("max", Rolls.EXTREMES, lambda samples: max(sample.value for sample in samples)),
        Aggregation("latest", Rolls.EXTREMES, _latest),
        Aggregation(
            "unique", Rolls.NOTHING, lambda samples: Decimal(len({sample.item for sample in samples})),
            grows=True, counts=True,
        ),
        Aggregation("percentile", Rolls.NOTHING),
        Aggregation("level", Rolls.NOTHING),
    )
}  # fmt: skip


def level(samples: Sequence[Sample], window: Window, until: int, unit: LevelUnit, time_zone: str) -> Decimal:
    """The time-weighted level in `window`, up to `until`: the integral of the level over time in units of time, rounded
    half up to 12 places. Each series holds its last sample until the next one, at most `HOLDS`; `samples` are those of
    the window and of as long before it. A month counts as 1 however long it is, in the time zone."""
    exact = ZERO
    parts: dict[int, Decimal] = {}
    for piece, length in unit_pieces(window, unit, time_zone):
        area = area_of(samples, Window(piece.start, min(piece.end, until))) if piece.start < until else ZERO
        parts[length] = add(parts.get(length, ZERO), area)
    for length, area in parts.items():
        exact = add(exact, _nearly(area, length))
    return rounded(exact, ONE)


def _nearly(area: Decimal, length: int) -> Decimal:
    """The quotient to 40 places: the parts of a range are added up before the sum is rounded."""
    with localcontext(Context(prec=120, rounding=ROUND_HALF_UP)):
        return (area / Decimal(length)).quantize(Decimal("1e-40"))


def unit_pieces(window: Window, unit: LevelUnit, time_zone: str) -> list[tuple[Window, int]]:
    """The window cut where the unit's length changes, with that length in microseconds."""
    if unit is not LevelUnit.MONTH:
        return [(window, period.HOUR if unit is LevelUnit.HOUR else period.DAY)]
    pieces: list[tuple[Window, int]] = []
    start = window.start
    while start < window.end:
        month = period.window_at(Period.MONTH, time_zone, start)
        pieces.append((Window(start, min(month.end, window.end)), month.end - month.start))
        start = month.end
    return pieces


def area_of(samples: Iterable[Sample], window: Window) -> Decimal:
    """The exact integral of the level over the window, in level x microseconds."""
    by_series: dict[tuple[str, ...], list[Sample]] = {}
    for sample in standing(samples):
        by_series.setdefault(sample.series, []).append(sample)
    area = ZERO
    for series in by_series.values():
        series.sort(key=_in_time)
        ends = [later.counted_at for later in series[1:]] + [window.end]
        for sample, end in zip(series, ends, strict=True):
            start = max(sample.counted_at, window.start)
            lasting = subtract(Decimal(min(end, window.end, sample.counted_at + HOLDS)), Decimal(start))
            if lasting > 0:
                area = add(area, CONTEXT.multiply(sample.value, lasting))
    return area
