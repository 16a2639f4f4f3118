"""Comparison, projection and the putting together of parts, at the places where they turn."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from metergate.domain import period, summary
from metergate.domain.aggregation import LevelUnit
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, Period, Window
from metergate.domain.quantity import estimate
from metergate.domain.summary import LevelPieces, Part

BERLIN = "Europe/Berlin"


def at(text: str) -> int:
    return period.from_datetime(datetime.fromisoformat(text))


def window(start: str, end: str) -> Window:
    return Window(at(start), at(end))


@pytest.mark.parametrize(
    ("start", "end", "before"),
    [
        ("2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00", "2026-02-01T00:00+01:00"),
        ("2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", "2026-10-24T00:00+02:00"),
        ("2026-01-05T00:00+01:00", "2026-01-12T00:00+01:00", "2025-12-29T00:00+01:00"),
        ("2026-01-01T00:00+01:00", "2027-01-01T00:00+01:00", "2025-01-01T00:00+01:00"),
        ("2026-03-01T05:00+01:00", "2026-03-01T06:00+01:00", "2026-03-01T04:00+01:00"),
        ("2026-03-01T00:00+01:00", "2026-03-04T12:00+01:00", "2026-02-25T12:00+01:00"),
        ("1970-01-02T00:00+00:00", "1970-01-04T00:00+00:00", "1970-01-01T00:00+00:00"),  # nothing was before
    ],
    ids=["month", "a day of 25 hours", "week", "year", "hour", "no whole period", "the beginning"],
)
def test_the_period_before(start: str, end: str, before: str) -> None:
    assert summary.previous(window(start, end), BERLIN) == window(before, start)


@pytest.mark.parametrize(
    ("now", "before", "percent"),
    [
        ("150", "100", "50.00"), ("50", "100", "-50.00"), ("0", "100", "-100.00"), ("1", "3", "-66.67"),
        ("5", "-10", "150.00"), ("1", "0", None), (None, "1", None), ("1", None, None), ("100.005", "100", "0.01"),
    ],
)  # fmt: skip
def test_change_in_per_cent(now: str | None, before: str | None, percent: str | None) -> None:
    found = summary.change_percent(Decimal(now) if now else None, Decimal(before) if before else None)
    assert found == (None if percent is None else Decimal(percent))


def test_linear_is_so_far_divided_by_the_share_that_passed() -> None:
    month = Window(0, 30 * DAY)
    assert summary.linear(Decimal(10), month, 10 * DAY) == 30
    assert summary.linear(Decimal(10), month, 30 * DAY) == 10
    assert summary.linear(Decimal(10), month, 40 * DAY) == 10
    assert summary.linear(Decimal(10), month, 0) is None
    assert summary.linear(Decimal(1), Window(0, 10), 3) == Decimal("3.333333333333")  # cut, not rounded


def test_a_forecast_is_cut_to_12_places() -> None:
    assert estimate(Decimal(2), 1, 3) == Decimal("0.666666666666")
    assert estimate(Decimal(-2), 1, 3) == Decimal("-0.666666666666")


def test_same_weekday_takes_the_mean_of_the_weeks_that_had_usage() -> None:
    now = at("2026-11-20T00:00+00:00")  # a Friday
    days = summary.days_before(now, "UTC")
    assert (len(days), days[0].start, days[-1].end) == (28, now - 28 * DAY, now)
    # Fridays had 10, then 30; other days 1; the first two weeks were before the first usage.
    used = [
        (day, Decimal(0 if number < 14 else 10 if number == 14 else 30 if number == 21 else 1))
        for number, day in enumerate(days)
    ]
    rest = Window(now - 3 * DAY, now + 2 * DAY)  # Friday and Saturday are left
    assert summary.same_weekday(Decimal(7), rest, now, "UTC", used) == 7 + 20 + 1
    half = Window(now - 3 * DAY, now + DAY // 2)
    assert summary.same_weekday(Decimal(7), half, now, "UTC", used) == 7 + 10
    assert summary.same_weekday(Decimal(7), Window(now - DAY, now), now, "UTC", used) == 7
    assert summary.same_weekday(Decimal(0), rest, now, "UTC", [(day, Decimal(0)) for day in days]) is None


def test_same_weekday_takes_all_days_for_a_weekday_that_it_does_not_know() -> None:
    now = at("2026-11-20T00:00+00:00")
    days = summary.days_before(now, "UTC")
    used = [(day, Decimal(0)) for day in days[:-2]] + [(days[-2], Decimal(4)), (days[-1], Decimal(8))]
    assert summary.same_weekday(Decimal(12), Window(now - 2 * DAY, now + DAY), now, "UTC", used) == 12 + 6


def test_same_weekday_in_days_of_23_and_25_hours() -> None:
    now = at("2026-03-28T23:00+00:00")  # midnight in Berlin before the day of 23 hours
    days = summary.days_before(now, BERLIN)
    used = [(day, Decimal(24)) for day in days]
    day = period.window_at(Period.DAY, BERLIN, now)
    assert day.end - day.start == 23 * HOUR
    assert summary.same_weekday(Decimal(0), day, now, BERLIN, used) == 24


def test_parts_are_put_together_as_their_aggregation_says() -> None:
    parts = [Part(2, Decimal(4), 5, "b"), Part(1, Decimal(9), 5, "a"), Part(0, None), Part(3, Decimal(1), 4, "z")]
    found = {
        how: summary.quantity(Meter("m", "m", how), summary.put_together(Meter("m", "m", how), parts))
        for how in ("sum", "avg", "min", "max", "latest")
    }
    assert found == {
        "sum": Decimal(14), "avg": Decimal("2.333333333333"), "min": Decimal(1), "max": Decimal(9),
        "latest": Decimal(4),
    }  # fmt: skip
    nothing = {
        how: summary.quantity(Meter("m", "m", how), summary.NOTHING) for how in ("sum", "count", "avg", "unique")
    }
    assert nothing == {"sum": 0, "count": 0, "avg": None, "unique": 0}


def test_a_level_in_months_counts_each_month_as_one() -> None:
    spring = window("2026-02-01T00:00+00:00", "2026-04-01T00:00+00:00")
    pieces = LevelPieces.of([spring], LevelUnit.MONTH, "UTC")
    areas = pieces.areas([(-1, Part(0, Decimal(5)))], spring.end)
    assert pieces.quantities(areas, 1) == (Decimal(10), [Decimal(10)])
    # Down to 3 in the middle of March: 5 + (5 + 3) / 2
    middle = spring.end - 31 * DAY // 2
    change = Part(1, Decimal(-2), moment=Decimal(-2) * middle)
    areas = pieces.areas([(-1, Part(0, Decimal(5))), (1, change)], spring.end)
    assert pieces.quantities(areas, 1)[0] == 9
