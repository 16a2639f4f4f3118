"""Laws of summaries: parts make up the whole however it is cut, in zones of every kind, and levels equal the oracle."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain import aggregation, period, summary
from metergate.domain.aggregation import HOLDS, LevelUnit, Sample
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, Period, Window
from metergate.domain.summary import LevelPieces, Part

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Pacific/Apia",
        "Asia/Kolkata",
    ]
)
# Around changes of clocks in 2026, and the day that Apia left out.
_STARTS = st.sampled_from([1_774_656_000, 1_792_800_000, 1_759_449_600, 1_325_116_800]).map(lambda one: one * 10**6)
INSTANTS = st.builds(
    lambda start, hours, rest: start + hours * HOUR + rest, _STARTS, st.integers(-60, 90), st.integers(0, HOUR)
)
VALUES = st.decimals(-1000, 1000, places=3)
WINDOWS = st.builds(lambda start, length: Window(start, start + length), INSTANTS, st.integers(1, 70 * DAY))


@st.composite
def samples(draw: st.DrawFn, window: Window) -> list[Sample]:
    """Samples of a few series around a window; some are taken back."""
    made = []
    for number in range(draw(st.integers(0, 12))):
        at = draw(st.integers(window.start - HOLDS - DAY, window.end + DAY))
        made.append(Sample(at, f"{number:02}", draw(VALUES), series=(draw(st.sampled_from("ab")),)))
    gone = draw(st.lists(st.sampled_from(made), unique=True, max_size=3)) if made else []
    return draw(st.permutations([*made, *[one._replace(sign=-1) for one in gone]]))


def changes(made: list[Sample], pieces: LevelPieces, window: Window) -> list[tuple[int, Part]]:
    """By how much the level changes, by piece, as the ledger tells it."""
    reached = [one for one in made if window.start - HOLDS <= one.counted_at < window.end]
    found: dict[int, Part] = {}
    by_series: dict[tuple[str, ...], list[Sample]] = {}
    for one in aggregation.standing(reached):
        by_series.setdefault(one.series, []).append(one)
    for series in by_series.values():
        series.sort(key=lambda one: (one.counted_at, one.key))
        for one, after in zip(series, [*series[1:], None], strict=True):
            ends = min(one.counted_at + HOLDS, after.counted_at if after else one.counted_at + HOLDS)
            for instant, value in ((one.counted_at, one.value), (ends, -one.value)):
                if instant < window.end:
                    place = next(
                        (n for n, piece in enumerate(pieces.windows) if piece.start <= instant < piece.end), -1
                    )
                    old = found.get(place, Part(0, Decimal(0)))
                    assert old.value is not None
                    found[place] = Part(0, old.value + value, moment=old.moment + value * instant)
    return list(found.items())


@given(st.data(), ZONES, st.sampled_from(LevelUnit), st.sampled_from([Period.DAY, Period.WEEK, Period.MONTH]))
def test_p8_levels_of_pieces_equal_the_oracle_and_make_up_the_whole(
    data: st.DataObject, zone: str, unit: LevelUnit, length: Period
) -> None:
    window = data.draw(WINDOWS)
    made = data.draw(samples(window))
    asked = period.split(window, length, zone, 1_000)
    pieces = LevelPieces.of(asked, unit, zone)
    areas = pieces.areas(changes(made, pieces, window), window.end)
    whole, parts = pieces.quantities(areas, len(asked))
    reached = [one for one in made if window.start - HOLDS <= one.counted_at < window.end]
    assert whole == aggregation.level(reached, window, window.end, unit, zone)
    assert parts == [aggregation.level(reached, piece, piece.end, unit, zone) for piece in asked]
    assert sum(areas) == aggregation.area_of(reached, window)
    assert abs(sum(parts) - whole) <= Decimal(len(parts)).scaleb(-12)


@given(st.data(), ZONES, st.sampled_from(LevelUnit))
def test_weights_rank_by_the_quantity(data: st.DataObject, zone: str, unit: LevelUnit) -> None:
    window = data.draw(WINDOWS)
    made = data.draw(samples(window))
    pieces = LevelPieces.of([window], unit, zone)
    found = changes(made, pieces, window)
    weights = pieces.weights(window.end)
    told = Decimal(0)
    for place, part in found:
        first, second = weights[place + 1]
        told += (part.value or Decimal(0)) * first - part.moment * second
    whole, _ = pieces.quantities(pieces.areas(found, window.end), 1)
    assert abs(told - whole) <= Decimal("1e-9")


@given(
    st.lists(
        st.tuples(st.integers(1, 5), VALUES, st.integers(0, 9), st.text("ab", max_size=2)), min_size=1, max_size=8
    ),
    st.sampled_from(["sum", "count", "avg", "min", "max", "latest"]),
    st.data(),
)
def test_parts_make_the_same_whole_in_any_order_and_grouping(
    told: list[tuple[int, Decimal, int, str]], how: str, data: st.DataObject
) -> None:
    meter = Meter("m", "m", how)
    # Of two parts of one instant and key the values are the same: they are of one event.
    parts = [Part(events, value, at, f"{key}{number}") for number, (events, value, at, key) in enumerate(told)]
    whole = summary.put_together(meter, parts)
    mixed = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(0, len(mixed)))
    halves = [summary.put_together(meter, mixed[:cut]), summary.put_together(meter, mixed[cut:])]
    again = summary.put_together(meter, halves)
    assert (again.events, summary.quantity(meter, again)) == (whole.events, summary.quantity(meter, whole))
    assert reduce(lambda total, part: total + part.events, parts, 0) == whole.events


@given(WINDOWS, ZONES)
def test_the_period_before_ends_where_the_range_begins(window: Window, zone: str) -> None:
    before = summary.previous(window, zone)
    assert before.end == window.start
    assert before.start < before.end
    for length in (Period.DAY, Period.WEEK, Period.MONTH):
        whole = period.window_at(length, zone, window.start)
        assert summary.previous(whole, zone) == period.window_at(length, zone, whole.start - 1)


@given(VALUES.map(abs), WINDOWS, st.integers(0, 100))
def test_a_linear_projection_never_falls_below_what_there_is(so_far: Decimal, window: Window, share: int) -> None:
    now = window.start + (window.end - window.start) * share // 100
    found = summary.linear(so_far, window, now)
    assert (found is None) == (now == window.start)
    if found is not None:
        assert found >= so_far - Decimal("1e-12")


@given(WINDOWS, ZONES, st.decimals(0, 1000, places=2))
def test_p8_same_weekday_of_even_days_is_even(window: Window, zone: str, used: Decimal) -> None:
    now = window.start
    days = [(day, used) for day in summary.days_before(now, zone)]
    found = summary.same_weekday(Decimal(0), window, now, zone, days)
    if not used:
        assert found is None
        return
    pieces = period.split(window, Period.DAY, zone, 1_000)
    told = Decimal(0)
    for piece in pieces:
        day = period.window_at(Period.DAY, zone, piece.start)
        told += used * (piece.end - piece.start) / (day.end - day.start)
    assert found is not None
    assert abs(found - told) <= Decimal(len(pieces)) * Decimal("1e-12") + Decimal("1e-20") * told
