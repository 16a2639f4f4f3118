"""Windows: calendars, and what clocks do to them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from metergate.domain import period
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import DAY, HOUR, MINUTE, Period, Window, window_at


def instant(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return period.from_datetime(datetime.fromisoformat(text))


def shown(window: Window) -> tuple[str, str]:
    return period.to_text(window.start), period.to_text(window.end)


@pytest.mark.parametrize(
    ("unit", "zone", "at", "start", "end"),
    [
        (Period.MINUTE, "UTC", "2026-11-20T10:00:59.999999Z", "2026-11-20T10:00:00Z", "2026-11-20T10:01:00Z"),
        (Period.HOUR, "UTC", "2026-11-20T10:59:59Z", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"),
        (Period.HOUR, "Asia/Kathmandu", "2026-11-20T10:20:00Z", "2026-11-20T10:15:00Z", "2026-11-20T11:15:00Z"),
        (Period.DAY, "Asia/Kathmandu", "2026-11-20T18:15:00Z", "2026-11-20T18:15:00Z", "2026-11-21T18:15:00Z"),
        (Period.DAY, "Asia/Kathmandu", "2026-11-20T18:14:59Z", "2026-11-19T18:15:00Z", "2026-11-20T18:15:00Z"),
        (Period.WEEK, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        (Period.WEEK, "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        (Period.WEEK, "Europe/Berlin", "2027-01-01T12:00:00Z", "2026-12-27T23:00:00Z", "2027-01-03T23:00:00Z"),
        (Period.MONTH, "UTC", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        (Period.MONTH, "UTC", "2026-02-28T12:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        (Period.MONTH, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Period.MONTH, "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Period.MONTH, "Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
        (Period.MONTH, "Europe/Berlin", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        (Period.YEAR, "America/Los_Angeles", "2027-01-01T07:59:59Z", "2026-01-01T08:00:00Z", "2027-01-01T08:00:00Z"),
        (Period.YEAR, "UTC", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1971-01-01T00:00:00Z"),
        (Period.YEAR, "UTC", "2199-12-31T23:59:59Z", "2199-01-01T00:00:00Z", "2200-01-01T00:00:00Z"),
    ],
)
def test_p8_a_window_is_the_calendars(unit: Period, zone: str, at: str, start: str, end: str) -> None:
    assert shown(window_at(unit, zone, instant(at))) == (start, end)


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00:00+02:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00:00+01:00", 25),
        ("Europe/Berlin", "2026-10-26T12:00:00+01:00", 24),
        ("Australia/Lord_Howe", "2026-04-05T12:00:00+10:30", 24.5),
        ("Australia/Lord_Howe", "2026-10-04T12:00:00+11:00", 23.5),
        ("America/Sao_Paulo", "2018-11-04T12:00:00-02:00", 23),
        ("America/Sao_Paulo", "2018-02-17T12:00:00-03:00", 25),
        ("Pacific/Apia", "2011-12-29T12:00:00-10:00", 24),
        ("Pacific/Apia", "2011-12-31T12:00:00+14:00", 24),
    ],
)
def test_p8_a_day_is_as_long_as_the_clock_makes_it(zone: str, at: str, hours: float) -> None:
    window = window_at(Period.DAY, zone, instant(at))
    assert window.end - window.start == hours * HOUR


def test_p8_a_day_whose_midnight_is_missing_begins_when_the_clock_goes_on() -> None:
    day = window_at(Period.DAY, "America/Sao_Paulo", instant("2018-11-04T12:00:00-02:00"))
    assert shown(day) == ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z")
    assert window_at(Period.DAY, "America/Sao_Paulo", day.start - 1).end == day.start


def test_p8_the_day_that_apia_left_out_has_no_window() -> None:
    before = window_at(Period.DAY, "Pacific/Apia", instant("2011-12-29T23:59:59-10:00"))
    after = window_at(Period.DAY, "Pacific/Apia", before.end)
    assert shown(after) == ("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z")
    days = period.split(Window(before.start, after.end), Period.DAY, "Pacific/Apia", 10)
    assert days == [before, after]


def test_p8_midnight_that_comes_twice_begins_the_day_once() -> None:
    """St. John's put its clocks back at 00:01, so that the day before came again for 59 minutes."""
    zone, midnight = "America/St_Johns", instant("2010-11-07T00:00:00-02:30")
    day = window_at(Period.DAY, zone, midnight)
    again = instant("2010-11-06T23:30:00-03:30")
    assert again > midnight
    assert day.start == midnight
    assert window_at(Period.DAY, zone, again) == day
    assert window_at(Period.DAY, zone, midnight - 1).end == midnight


def test_p8_hours_run_on_through_a_change_of_whole_hours() -> None:
    start = instant("2026-10-25T00:00:00Z")
    hours = period.split(Window(start, start + 3 * HOUR), Period.HOUR, "Europe/Berlin", 10)
    assert [hour.end - hour.start for hour in hours] == [HOUR] * 3


def test_p8_a_change_of_half_an_hour_begins_a_new_hour() -> None:
    change = instant("2026-04-04T15:00:00Z")  # Lord Howe: 02:00 becomes 01:30
    hours = period.split(Window(change - HOUR, change + 90 * MINUTE), Period.HOUR, "Australia/Lord_Howe", 10)
    assert [hour.end - hour.start for hour in hours] == [HOUR, HOUR // 2, HOUR]


def test_p8_splitting_keeps_the_ranges_own_edges() -> None:
    start, end = instant("2026-01-31T10:00:00Z"), instant("2026-03-02T01:00:00Z")
    months = period.split(Window(start, end), Period.MONTH, "UTC", 3)
    assert [shown(month) for month in months] == [
        ("2026-01-31T10:00:00Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-03-01T00:00:00Z", "2026-03-02T01:00:00Z"),
    ]
    assert period.split(Window(start, end), Period.MONTH, "UTC", 2) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "/etc/localtime",
        "../UTC",
        "./UTC",
        "UTC\x00",
        "Europe",
        "a" * 5000,
        "localtime",
        "posixrules",
    ],
)
def test_p12_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(MetergateError) as refused:
        period.zone(name)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "time_zone")


def test_instants_and_datetimes_are_each_others_inverse() -> None:
    for moment in (0, 1, 999_999, instant("2026-11-20T10:00:00.000001Z"), period.LATEST - 1):
        assert period.from_datetime(period.to_datetime(moment)) == moment
    in_berlin = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert period.to_text(period.from_datetime(in_berlin)) == "2026-07-01T10:00:00Z"
    assert period.quarter(instant("2026-11-20T10:14:59Z")) == instant("2026-11-20T10:00:00Z")


@pytest.mark.parametrize("server_zone", ["UTC", "America/St_Johns", "Pacific/Apia"])
def test_p8_the_servers_own_zone_changes_nothing(server_zone: str) -> None:
    program = (
        "from metergate.domain.period import *\n"
        "print([window_at(p, z, 1_793_000_000_000_000) for p in Period for z in ('UTC', 'Europe/Berlin')])"
    )
    environment = {**os.environ, "TZ": server_zone}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    at = 1_793_000_000_000_000
    here = [window_at(unit, zone, at) for unit in Period for zone in ("UTC", "Europe/Berlin")]
    assert done.stdout.strip() == str(here)
    assert all(window.end - window.start <= 366 * DAY for window in here)
