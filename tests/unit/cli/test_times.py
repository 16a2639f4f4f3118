"""Times as files write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metergate.cli.errors import CliError
from metergate.cli.times import duration_option, from_timestamp, read_moment, show, to_timestamp, zone

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.979960+00:00"),
        ("2023-11-16T18:17:03.123456999Z", "2023-11-16T18:17:03.123456+00:00"),
        ("2023-11-16T18:17:03,5+02:00", "2023-11-16T16:17:03.500000+00:00"),
        ("2023-11-16 18:17:03 -0730", "2023-11-17T01:47:03+00:00"),
        ("2023-11-16 18:17+01", "2023-11-16T17:17:00+00:00"),
        ("2023-11-16", "2023-11-16T00:00:00+00:00"),
        ("17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03+00:00"),
        ("01/Jan/2020:00:30:00 +0100", "2019-12-31T23:30:00+00:00"),
        ("1700158623", "2023-11-16T18:17:03+00:00"),
        ("1700158623.9799600", "2023-11-16T18:17:03.979960+00:00"),
        ("1700158623979", "2023-11-16T18:17:03.979000+00:00"),
        ("1700158623979960", "2023-11-16T18:17:03.979960+00:00"),
        ("1700158623979960000", "2023-11-16T18:17:03.979960+00:00"),
        ("-1", "1969-12-31T23:59:59+00:00"),
        ("0", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_forms_that_are_read(text: str, expected: str) -> None:
    assert read_moment(text).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "16.11.2023", "2023-13-01", "2023-02-30", "2023-11-16T25:00", "2023-11-16T18:17:60", "1e9", "NaN", "٣",
     "17/Foo/2015:10:05:03 +0000", "2023-11-16x18:17", "0001-01-01T00:00+10:00", "99999999999999999999"],
)  # fmt: skip
def test_p12_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any of Python's own messages will do
        read_moment(text)


def test_p8_a_time_without_zone_is_local() -> None:
    assert read_moment("2026-07-01 00:00", BERLIN).isoformat() == "2026-06-30T22:00:00+00:00"
    assert read_moment("2026-07-01 00:00Z", BERLIN).isoformat() == "2026-07-01T00:00:00+00:00"
    # 02:30 comes twice on the day when summer time ends: the first is meant.
    assert read_moment("2026-10-25 02:30", BERLIN).isoformat() == "2026-10-25T00:30:00+00:00"


@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamps_are_exact(moment: datetime) -> None:
    assert from_timestamp(to_timestamp(moment)) == moment
    assert read_moment(moment.isoformat()) == moment


@given(st.text(max_size=30))
def test_p12_any_text_is_read_or_refused(text: str) -> None:
    try:
        moment = read_moment(text)
    except ValueError:
        return
    assert moment.tzinfo is UTC


def test_moments_are_shown_short() -> None:
    assert show(to_timestamp(datetime(2026, 12, 1, tzinfo=UTC))) == "2026-12-01T00:00Z"
    assert show(to_timestamp(datetime(2026, 12, 1, 0, 0, 5, tzinfo=UTC)), BERLIN) == "2026-12-01T01:00:05+0100"


def test_stretches_and_zones() -> None:
    assert duration_option("90m") == timedelta(minutes=90)
    assert zone("UTC") is UTC
    for wrong in ("", "10", "1w"):
        with pytest.raises(CliError, match="is not a stretch of time"):
            duration_option(wrong)
    for wrong in ("Mars/Base", "../etc", "", "Europe"):
        with pytest.raises(CliError, match="is not a time zone"):
            zone(wrong)
