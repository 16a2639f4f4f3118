"""Laws of limits: windows of a kind partition time, and nothing is admitted beyond what a kind states."""

from __future__ import annotations

import calendar
import itertools
import zoneinfo
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from metergate.domain import period
from metergate.domain.decision import ask_of, look_at
from metergate.domain.period import DAY, HOUR, LATEST, MINUTE, SECOND, Period, Weekday, Window
from metergate.domain.quota import Figures, Kind, Limit, Policy, advance, carried, crossed, fits, owe, taken
from tests.property.test_period_properties import ZONES, instants, zones

NOW = 1_795_000_123_456_789
ANCHORED = (Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR)
amounts = st.decimals(Decimal("0.001"), Decimal(30), places=3) | st.integers(1, 30).map(Decimal)
maxima = st.sampled_from([Decimal(one) for one in ("1", "3", "7", "10", "29.97", "100", "0.1")])
waits = st.integers(0, 3 * SECOND) | st.sampled_from([0, 1, 333_333, 333_334, SECOND, 60 * SECOND, 3600 * SECOND])


@st.composite
def windowed(draw: st.DrawFn) -> Limit:
    """A limit whose windows follow each other."""
    kind = draw(st.sampled_from([Kind.CALENDAR, Kind.ANCHORED, Kind.FIXED]))
    return Limit(
        "l",
        "m",
        None,
        kind=kind,
        period=draw(st.sampled_from(ANCHORED if kind is Kind.ANCHORED else list(Period))),
        length=draw(st.integers(1, 40 * 86_400)) * SECOND if kind is Kind.FIXED else 0,
        week_start=draw(st.sampled_from(list(Weekday))),
    )


@settings(max_examples=300)
@given(windowed(), zones, instants, st.none() | instants)
def test_p8_windows_of_a_limit_partition_time(limit: Limit, zone: str, at: int, anchor: int | None) -> None:
    [window] = limit.windows(zone, at, anchor)
    assert window.start <= at < window.end
    for inside in (window.start, (window.start + window.end) // 2, window.end - 1):
        assert limit.windows(zone, inside, anchor) == (window,)
    assert limit.windows(zone, window.end, anchor)[0].start == window.end
    assert limit.windows(zone, window.start - 1, anchor)[0].end == window.start


def _months_later(first: datetime, months: int) -> datetime:
    """Counts month by month, and then takes the anchor's day or the last one."""
    year, month = first.year, first.month
    for _ in range(abs(months)):
        month += 1 if months > 0 else -1
        if month in (0, 13):
            year, month = (year - 1, 12) if month == 0 else (year + 1, 1)
    last = calendar.monthrange(year, month)[1]
    return first.replace(year=year, month=month, day=min(first.day, last))


@given(st.sampled_from(ZONES), st.integers(0, LATEST // SECOND // 2), st.integers(-60, 600), st.integers(0, 10**9))
def test_p8_an_anchored_month_begins_on_the_anchors_day_by_the_zones_clock(
    zone: str, anchor: int, months: int, past: int
) -> None:
    where = zoneinfo.ZoneInfo(zone)
    first = (period.EPOCH + timedelta(seconds=anchor)).astimezone(where).replace(tzinfo=None)
    start, end = [
        period.from_datetime(_months_later(first, number).replace(tzinfo=where)) for number in (months, months + 1)
    ]
    if start < 0 or end >= LATEST or end <= start:
        return
    inside = start + past * SECOND % (end - start)
    assert period.anchored_at(Period.MONTH, zone, anchor * SECOND, inside) == Window(start, end)


@given(st.integers(2, 60), st.integers(1, 5_000), instants)
def test_sub_windows_cover_the_length_before_each_instant(count: int, seconds: int, at: int) -> None:
    length = count * seconds * SECOND
    windows = period.rolling_at(length, count, at)
    assert len(windows) == count + 1
    assert windows[-1].start <= at < windows[-1].end
    assert windows[0].start <= at - length < windows[1].start
    assert all(one.end == other.start for one, other in itertools.pairwise(windows))
    assert {window.end - window.start for window in windows} == {seconds * SECOND}
    assert all(window.start % (seconds * SECOND) == 0 for window in windows)


@settings(max_examples=200)
@given(
    st.integers(2, 12),
    st.integers(1, 20),
    maxima,
    st.lists(st.tuples(st.integers(0, 60 * SECOND), amounts), min_size=1, max_size=60),
)
def test_p2_rolling_never_admits_more_than_its_maximum_in_any_stretch_of_its_length(
    count: int, seconds: int, most: Decimal, steps: list[tuple[int, Decimal]]
) -> None:
    limit = Limit("l", "m", most, kind=Kind.ROLLING, length=count * seconds * SECOND, sub_windows=count)
    counters: dict[Window, Figures] = {}
    admitted: list[tuple[int, Decimal]] = []
    now = NOW
    for wait, amount in steps:
        now += wait
        windows = limit.windows("UTC", now)
        ask = ask_of(limit, windows, "", amount, [counters.get(window, Figures()) for window in windows])
        state = look_at(ask, now)
        assert state.fits == fits(limit, ask.figures, amount, now)
        if state.fits:
            before = counters.get(windows[-1], Figures())
            counters[windows[-1]] = before.plus(Figures(amount))
            admitted.append((now, amount))
        elif amount <= most:
            assert state.frees_at is not None
            _fits_then_and_not_before(limit, counters, amount, now, state.frees_at)
    for end, _ in admitted:
        stretch = [amount for at, amount in admitted if end - limit.length <= at <= end]
        assert sum(stretch) <= most


def _fits_then_and_not_before(
    limit: Limit, counters: dict[Window, Figures], amount: Decimal, now: int, frees_at: int
) -> None:
    def fits_at(at: int) -> bool:
        windows = limit.windows("UTC", at)
        figures = [counters.get(window, Figures()) for window in windows]
        return fits(limit, ask_of(limit, windows, "", amount, figures).figures, amount, at)

    assert frees_at > now
    assert fits_at(frees_at)
    assert not fits_at(frees_at - 1)


lengths = st.sampled_from([SECOND, 7 * SECOND, MINUTE, HOUR, DAY])


@settings(max_examples=200)
@given(maxima, lengths, st.none() | amounts, st.lists(st.tuples(waits, amounts), min_size=1, max_size=60))
def test_p2_a_rate_never_admits_more_than_its_burst_and_what_came_back(
    most: Decimal, length: int, burst: Decimal | None, steps: list[tuple[int, Decimal]]
) -> None:
    limit = Limit("l", "m", most, kind=Kind.RATE, length=length, burst=burst)
    figures, now = Figures(), NOW
    admitted: list[tuple[int, Decimal]] = []
    for wait, amount in steps:
        now += wait
        state = look_at(ask_of(limit, limit.windows("UTC", now), "", amount, [figures]), now)
        assert state.fits == fits(limit, figures, amount, now)
        assert state.remaining is not None
        assert fits(limit, figures, state.remaining, now)  # what is left can be used to the last
        if state.fits:
            figures = advance(limit, figures, amount, now)
            admitted.append((now, amount))
        elif amount <= (most if burst is None else burst):
            assert state.frees_at is not None
            assert state.frees_at > now
            assert fits(limit, figures, amount, state.frees_at)
            assert not fits(limit, figures, amount, state.frees_at - 1)
    at_once = Fraction(most if burst is None else burst)
    for first, (start, _) in enumerate(admitted):
        for end, total in _sums(admitted[first:]):
            assert Fraction(total) <= at_once + Fraction(end - start) * Fraction(most) / length


def _sums(admitted: list[tuple[int, Decimal]]) -> list[tuple[int, Decimal]]:
    totals = itertools.accumulate(amount for _, amount in admitted)
    return [(at, total) for (at, _), total in zip(admitted, totals, strict=True)]


columns = st.builds(Figures, *[st.integers(0, 200).map(Decimal)] * 4)


@given(
    maxima, lengths, st.none() | amounts, st.lists(st.tuples(st.integers(0, 20), amounts), max_size=12), st.randoms()
)
def test_facts_of_a_rate_come_to_the_same_in_any_order_and_take_no_more_than_they_are(
    most: Decimal, length: int, burst: Decimal | None, facts: list[tuple[int, Decimal]], random: Random
) -> None:
    limit = Limit("l", "m", most, kind=Kind.RATE, length=length, burst=burst)
    behind = [(NOW - tenth * length // 10, amount) for tenth, amount in facts]
    owing = owe(limit, Figures(), behind, NOW)
    random.shuffle(behind)
    assert owe(limit, Figures(), behind, NOW) == owing
    assert limit.rate is not None
    at_least = sum((amount for at, amount in behind if at == NOW), Decimal(0))
    in_time = sum((amount for at, amount in behind if at >= NOW - limit.rate.remembers), Decimal(0))
    left, full = limit.rate.left(owing.tat, NOW), limit.rate.burst
    assert full - in_time <= left <= full - at_least


@given(maxima, lengths, st.none() | amounts, maxima, lengths, st.none() | amounts, st.decimals(0, 300, places=3))
def test_a_changed_rate_has_taken_the_same_or_as_much_as_is_waited_for(
    most: Decimal, length: int, burst: Decimal | None, next_most: Decimal, next_length: int,
    next_burst: Decimal | None, amount: Decimal,
) -> None:  # fmt: skip
    before = Limit("l", "m", most, kind=Kind.RATE, length=length, burst=burst)
    after = Limit("l", "m", next_most, kind=Kind.RATE, length=next_length, burst=next_burst)
    owing = owe(before, Figures(), [(NOW, amount)], NOW)
    new = after.rate
    assert new is not None
    found = carried(after, owing, NOW)
    rest = new.burst - new.left(found.tat, NOW)
    assert rest <= amount + Decimal("0.000000000001")  # rounded up, which errs towards refusing
    waiting = max(owing.tat - NOW, new.burst * new.interval) if amount else Decimal(0)
    assert found.tat - NOW <= waiting or found == owing
    if rest < amount:
        assert found.tat - NOW == waiting
    assert carried(after, found, NOW) == found
    assert carried(before, owing, NOW) is owing


@given(columns, amounts, st.none() | st.integers(1, 50).map(Decimal), st.none() | st.integers(-20, 20))
def test_p2_a_grace_of_time_admits_until_it_is_over(
    figures: Figures, amount: Decimal, grace: Decimal | None, began: int | None
) -> None:
    """And no more than its overrun, where it has one; then the maximum holds."""
    limit = Limit("l", "m", Decimal(300), policy=Policy.GRACE, grace=grace, grace_period=10 * SECOND)
    if began is not None:
        figures = figures._replace(reached=(("other", NOW - DAY), ("l", NOW - began * SECOND)))
    after, over = taken(limit, figures) + amount, began is not None and began >= 10
    state = look_at(ask_of(limit, limit.windows("UTC", NOW), "", amount, [figures]), NOW)
    assert state.fits is (after <= 300 or (not over and (grace is None or after <= 300 + grace)))
    assert state.grace_ends_at == (None if began is None else NOW + (10 - began) * SECOND)
    if not state.fits:
        assert state.would_fit is not None
        assert fits(limit, figures, state.would_fit, NOW)
        assert not fits(limit, figures, state.would_fit + Decimal("0.000000000001"), NOW)


@given(
    columns,
    amounts,
    st.sampled_from([Policy.HARD, Policy.GRACE]),
    st.sampled_from([Kind.CALENDAR, Kind.LIFETIME, Kind.CONCURRENCY]),
)
def test_p2_what_fits_keeps_the_maximum_and_its_grace(
    figures: Figures, amount: Decimal, policy: Policy, kind: Kind
) -> None:
    grace = Decimal(20) if policy is Policy.GRACE else None
    limit = Limit("l", "m", Decimal(300), policy=policy, kind=kind, grace=grace)
    after = taken(limit, figures) + amount
    state = look_at(ask_of(limit, limit.windows("UTC", NOW), "", amount, [figures]), NOW)
    assert state.fits is (after <= 300 + (grace or 0))
    if not state.fits:
        assert state.would_fit is not None
        assert fits(limit, figures, state.would_fit, NOW)
        assert not fits(limit, figures, state.would_fit + Decimal("0.000000000001"), NOW)


@given(st.lists(columns, min_size=2, max_size=8), st.sets(st.integers(1, 1000), max_size=8))
def test_each_threshold_fires_once_while_figures_grow(steps: list[Figures], thresholds: set[int]) -> None:
    limit = Limit("l", "m", Decimal(100), thresholds=tuple(thresholds))
    grown = list(itertools.accumulate(steps, Figures.plus, initial=Figures()))
    fired = [percent for before, after in itertools.pairwise(grown) for percent in crossed(limit, before, after)]
    assert fired == sorted(percent for percent in thresholds if percent <= grown[-1].taken)
