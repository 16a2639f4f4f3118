"""Windows that are not the calendar's: weeks from any day, anchored, of fixed length, rolling, and all time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime

import pytest

from metergate.domain import period
from metergate.domain.period import (
    DAY,
    HOUR,
    LATEST,
    LIFETIME,
    MINUTE,
    SECOND,
    WEEKDAYS,
    Period,
    Weekday,
    Window,
    anchored_at,
    fixed_at,
    length_to_text,
    rolling_at,
    window_at,
)
from metergate.domain.quota import Kind, Limit

LIMIT = Limit("calls", "calls", None)
NOON = "2026-11-20T12:00:00Z"


def instant(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return period.from_datetime(datetime.fromisoformat(text))


def shown(*windows: Window) -> tuple[str, ...]:
    return (*[period.to_text(window.start) for window in windows], period.to_text(windows[-1].end))


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (Weekday.MONDAY, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        (Weekday.TUESDAY, "2026-11-17T00:00:00Z", "2026-11-24T00:00:00Z"),
        (Weekday.FRIDAY, "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"),
        (Weekday.SATURDAY, "2026-11-14T00:00:00Z", "2026-11-21T00:00:00Z"),
        (Weekday.SUNDAY, "2026-11-15T00:00:00Z", "2026-11-22T00:00:00Z"),
    ],
)
def test_p8_a_week_begins_with_any_day(day: Weekday, start: str, end: str) -> None:
    limit = replace(LIMIT, period=Period.WEEK, week_start=day)
    assert shown(*limit.windows("UTC", instant(NOON))) == (start, end)  # a Friday


def test_p8_only_weeks_know_a_first_day() -> None:
    for unit in Period:
        if unit is not Period.WEEK:
            limit = replace(LIMIT, period=unit, week_start=Weekday.SUNDAY)
            assert limit.windows("UTC", instant(NOON)) == (window_at(unit, "UTC", instant(NOON)),)


JAN_31 = "2026-01-31T10:30:00+01:00"


@pytest.mark.parametrize(
    ("unit", "zone", "anchor", "at", "start", "end"),
    [
        # the 31st in each month, on the wall clock of Berlin, through its summer
        (Period.MONTH, "Europe/Berlin", JAN_31, JAN_31, "2026-01-31T09:30:00Z", "2026-02-28T09:30:00Z"),
        (Period.MONTH, "Europe/Berlin", JAN_31, "2026-02-28T09:30:00Z", "2026-02-28T09:30:00Z", "2026-03-31T08:30:00Z"),
        (Period.MONTH, "Europe/Berlin", JAN_31, "2026-04-01T00:00:00Z", "2026-03-31T08:30:00Z", "2026-04-30T08:30:00Z"),
        (Period.MONTH, "Europe/Berlin", JAN_31, "2026-11-15T00:00:00Z", "2026-10-31T09:30:00Z", "2026-11-30T09:30:00Z"),
        (Period.MONTH, "Europe/Berlin", JAN_31, "2028-02-29T09:29:59Z", "2028-01-31T09:30:00Z", "2028-02-29T09:30:00Z"),
        (Period.MONTH, "Europe/Berlin", JAN_31, "2025-12-30T00:00:00Z", "2025-11-30T09:30:00Z", "2025-12-31T09:30:00Z"),
        (Period.MONTH, "UTC", "2026-01-30T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-28T00:00:00Z",
         "2026-03-30T00:00:00Z"),
        (Period.MONTH, "UTC", "2026-01-15T06:00:00Z", "2026-02-15T05:59:59.999999Z", "2026-01-15T06:00:00Z",
         "2026-02-15T06:00:00Z"),
        # a leap day
        (Period.YEAR, "UTC", "2024-02-29T00:00:00Z", "2025-06-01T00:00:00Z", "2025-02-28T00:00:00Z",
         "2026-02-28T00:00:00Z"),
        (Period.YEAR, "UTC", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z",
         "2029-02-28T00:00:00Z"),
        # days of 23 and 25 hours, weeks of 167
        (Period.DAY, "Europe/Berlin", JAN_31, "2026-03-29T00:00:00Z", "2026-03-28T09:30:00Z", "2026-03-29T08:30:00Z"),
        (Period.DAY, "Europe/Berlin", JAN_31, "2026-10-25T00:00:00Z", "2026-10-24T08:30:00Z", "2026-10-25T09:30:00Z"),
        (Period.WEEK, "Europe/Berlin", JAN_31, "2026-03-29T00:00:00Z", "2026-03-28T09:30:00Z", "2026-04-04T08:30:00Z"),
        # an anchor in an hour that a spring day lacks begins when that hour would have, an hour later
        (Period.DAY, "Europe/Berlin", "2026-03-01T02:30:00+01:00", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z",
         "2026-03-30T00:30:00Z"),
        # Apia had no 30 December 2011
        (Period.DAY, "Pacific/Apia", "2011-12-01T12:00:00-10:00", "2011-12-30T12:00:00Z", "2011-12-29T22:00:00Z",
         "2011-12-30T22:00:00Z"),
        (Period.DAY, "Pacific/Apia", "2011-12-01T12:00:00-10:00", "2011-12-30T22:00:00Z", "2011-12-30T22:00:00Z",
         "2011-12-31T22:00:00Z"),
    ],
)  # fmt: skip
def test_p8_anchored_windows_are_computed_from_the_anchor(
    unit: Period, zone: str, anchor: str, at: str, start: str, end: str
) -> None:
    assert shown(anchored_at(unit, zone, instant(anchor), instant(at))) == (start, end)
    limit = replace(LIMIT, kind=Kind.ANCHORED, period=unit)
    assert shown(*limit.windows(zone, instant(at), instant(anchor))) == (start, end)


def test_p8_without_an_anchor_anchored_windows_are_the_calendars() -> None:
    limit = replace(LIMIT, kind=Kind.ANCHORED, period=Period.MONTH)
    assert limit.windows("Asia/Kathmandu", instant(NOON)) == (window_at(Period.MONTH, "Asia/Kathmandu", instant(NOON)),)


def test_p8_an_anchors_fraction_of_a_second_is_cut() -> None:
    assert anchored_at(Period.DAY, "UTC", 5 * DAY + 1, 6 * DAY) == Window(6 * DAY, 7 * DAY)


def test_p8_windows_of_fixed_length_begin_at_the_anchor_or_in_1970() -> None:
    limit = replace(LIMIT, kind=Kind.FIXED, length=90 * SECOND)
    at = 100 * MINUTE
    assert limit.windows("Europe/Berlin", at) == (Window(at - 60 * SECOND, at + 30 * SECOND),)
    assert limit.windows("UTC", at, 20) == (Window(at - 60 * SECOND + 20, at + 30 * SECOND + 20),)
    assert fixed_at(HOUR, 10 * HOUR + 5, 3 * HOUR) == Window(2 * HOUR + 5, 3 * HOUR + 5)
    assert fixed_at(HOUR, 10 * HOUR + 5, 10 * HOUR + 5) == Window(10 * HOUR + 5, 11 * HOUR + 5)


def test_a_rolling_window_is_its_sub_windows_and_one_more() -> None:
    at = instant("2026-11-20T12:04:30Z")
    windows = replace(LIMIT, kind=Kind.ROLLING, length=HOUR, sub_windows=4).windows("Asia/Kathmandu", at)
    assert shown(*windows) == (
        "2026-11-20T11:00:00Z", "2026-11-20T11:15:00Z", "2026-11-20T11:30:00Z", "2026-11-20T11:45:00Z",
        "2026-11-20T12:00:00Z", "2026-11-20T12:15:00Z",
    )  # fmt: skip
    assert all(one.end == next_.start for one, next_ in itertools.pairwise(windows))
    assert len(rolling_at(MINUTE, 60, at)) == 61
    assert len(replace(LIMIT, kind=Kind.ROLLING, length=HOUR).windows("UTC", at)) == 11


@pytest.mark.parametrize("kind", [Kind.LIFETIME, Kind.CONCURRENCY])
def test_a_lifetime_has_one_window(kind: Kind) -> None:
    for at in (0, instant(NOON), LATEST - 1):
        assert replace(LIMIT, kind=kind).windows("Europe/Berlin", at, instant(NOON)) == (LIFETIME,)


def test_rates_of_different_lengths_have_different_counters() -> None:
    windows = {replace(LIMIT, kind=Kind.RATE, length=length).windows("UTC", 5) for length in (SECOND, MINUTE)}
    assert windows == {(Window(-SECOND, LATEST),), (Window(-MINUTE, LATEST),)}


def test_weekdays_are_counted_from_monday() -> None:
    assert [WEEKDAYS[day] for day in Weekday] == list(range(7))
    assert WEEKDAYS[Weekday.MONDAY] == 0


@pytest.mark.parametrize(
    ("length", "text"),
    [(SECOND, "1s"), (90 * SECOND, "90s"), (MINUTE, "1m"), (90 * MINUTE, "90m"), (2 * HOUR, "2h"), (30 * DAY, "30d")],
)
def test_lengths_are_written_in_their_largest_unit(length: int, text: str) -> None:
    assert length_to_text(length) == text
