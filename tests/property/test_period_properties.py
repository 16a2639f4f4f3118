"""Windows partition time, in whatever zone and at whatever instant, and agree with the zone's own clock."""

from __future__ import annotations

import itertools
import zoneinfo
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from metergate.domain import period
from metergate.domain.period import DAY, LATEST, SECOND, Period, Window, window_at

# Zones whose clocks did odd things stand at the front, where shrinking ends.
ODD = [
    "UTC", "Europe/Berlin", "America/Sao_Paulo", "America/St_Johns", "America/Havana", "Pacific/Apia",
    "Pacific/Kwajalein", "Pacific/Kiritimati", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Gaza", "Africa/Cairo",
    "Africa/Monrovia", "Antarctica/Troll", "Europe/Dublin", "Africa/Casablanca", "Atlantic/Azores", "America/Nuuk",
]  # fmt: skip
ZONES = ODD + sorted(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules", *ODD})

zones = st.sampled_from(ZONES)
periods = st.sampled_from(list(Period))
instants = st.integers(0, LATEST - 1)


def clock_changes(zone: str, start: int, end: int) -> list[int]:
    """The instants in (start, end] at which the zone's clock jumps, to the second."""
    where = zoneinfo.ZoneInfo(zone)

    def offset(second: int) -> timedelta | None:
        return (period.EPOCH + timedelta(seconds=second)).astimezone(where).utcoffset()

    def first_after(low: int, high: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        return high * SECOND

    weeks = range(start // SECOND, end // SECOND, 3600 * 24 * 7)
    return [first_after(low, high) for low, high in itertools.pairwise(weeks) if offset(low) != offset(high)]


@st.composite
def close_to_changes(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and an instant within two days of one of its clock's jumps, where it has any."""
    zone = draw(zones)
    start = draw(st.integers(0, 130)) * 366 * DAY
    changes = clock_changes(zone, start, start + 2 * 366 * DAY) or [start + 40 * DAY]
    near = draw(st.integers(-50 * 3600, 50 * 3600))
    return zone, max(draw(st.sampled_from(changes)) + near * SECOND, 0)


def assert_partition(unit: Period, zone: str, instant: int) -> None:
    window = window_at(unit, zone, instant)
    assert window.start <= instant < window.end
    for inside in (window.start, (window.start + window.end) // 2, window.end - 1):
        assert window_at(unit, zone, inside) == window
    assert window_at(unit, zone, window.end).start == window.end
    assert window_at(unit, zone, window.start - 1).end == window.start


@given(periods, zones, instants)
def test_p8_windows_partition_time(unit: Period, zone: str, instant: int) -> None:
    assert_partition(unit, zone, instant)


@settings(max_examples=300)
@given(periods, close_to_changes())
@example(Period.DAY, ("America/St_Johns", 562_127_460_000_000))
@example(Period.DAY, ("Antarctica/Casey", 1_267_714_800_000_000))
def test_p8_windows_partition_time_where_clocks_jump(unit: Period, place: tuple[str, int]) -> None:
    assert_partition(unit, *place)


@given(zones, st.integers(0, LATEST - 2 * 366 * DAY))
def test_p8_windows_are_the_calendars(zone: str, instant: int) -> None:
    """At each border the zone's own calendar shows another day, Monday, month or year, and between them the same."""
    where = zoneinfo.ZoneInfo(zone)

    def local(at: int) -> datetime:
        return period.to_datetime(at).astimezone(where)

    for unit in (Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR):
        window = window_at(unit, zone, instant)
        first, last = local(window.start).date(), local(window.end - 1).date()
        middle = local(instant).date()
        if unit is Period.DAY:
            assert abs((first - last).days) <= 1
        elif unit is Period.WEEK:
            assert (last - first).days in (5, 6, 7)
            assert middle - timedelta(days=middle.weekday()) in (first, first - timedelta(days=1), last)
        elif unit is Period.MONTH:
            assert (middle.year, middle.month) in {(day.year, day.month) for day in (first, last)}
        else:
            assert middle.year in (first.year, last.year)


@given(st.integers(1972, 2198), st.integers(1, 12), st.integers(1, 28), st.integers(0, 86_399))
def test_p8_without_clock_changes_windows_are_plain_arithmetic(year: int, month: int, day: int, second: int) -> None:
    moment = datetime(year, month, day, tzinfo=UTC) + timedelta(seconds=second)
    midnight = datetime(year, month, day, tzinfo=UTC)
    monday = midnight - timedelta(days=midnight.weekday())
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    expected = {
        Period.MINUTE: (moment.replace(second=0), moment.replace(second=0) + timedelta(minutes=1)),
        Period.HOUR: (
            moment.replace(minute=0, second=0),
            moment.replace(minute=0, second=0) + timedelta(hours=1),
        ),
        Period.DAY: (midnight, midnight + timedelta(days=1)),
        Period.WEEK: (monday, monday + timedelta(days=7)),
        Period.MONTH: (datetime(year, month, 1, tzinfo=UTC), after),
        Period.YEAR: (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)),
    }
    for unit, (start, end) in expected.items():
        at = period.from_datetime(moment)
        assert window_at(unit, "UTC", at) == Window(period.from_datetime(start), period.from_datetime(end))


@given(periods, zones, st.integers(0, LATEST - 9 * DAY), st.integers(1, 8 * DAY))
def test_p8_pieces_adjoin_and_cover_the_range(unit: Period, zone: str, start: int, length: int) -> None:
    if unit is Period.MINUTE:
        length = length % (2 * 3600 * SECOND) + 1
    pieces = period.split(Window(start, start + length), unit, zone, 10_000)
    assert pieces[0].start == start
    assert pieces[-1].end == start + length
    assert all(before.end == after.start for before, after in itertools.pairwise(pieces))
    for piece in pieces:
        whole = window_at(unit, zone, piece.start)
        assert whole.start <= piece.start
        assert piece.end <= whole.end
