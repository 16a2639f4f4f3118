"""Aggregations: each function by cases that were worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from metergate.domain.aggregation import (
    AGGREGATIONS,
    HOLDS,
    LevelUnit,
    Rolls,
    Sample,
    area_of,
    average,
    level,
    nearest_rank,
    rounded,
    standing,
    tie_key,
    total,
    unit_pieces,
)
from metergate.domain.period import DAY, HOUR, MINUTE, Window, from_datetime

BIG = "999999999999999999.999999999999"


def samples(*values: str | int) -> list[Sample]:
    return [Sample(place, f"{place}", Decimal(value)) for place, value in enumerate(values)]


def quantity(name: str, some: Sequence[Sample]) -> Decimal:
    compute = AGGREGATIONS[name].quantity
    assert compute is not None
    return compute(some)


def test_what_is_taken_out_stands_no_more() -> None:
    one, two = Sample(1, "1:aA", Decimal("1.0")), Sample(1, "1:aB", Decimal(1))
    out = one._replace(value=Decimal(1), sign=-1)  # the same number, however it is written
    assert standing([one, two, out]) == [two]
    assert standing([out, one]) == []
    assert standing([one, two, out, one]) == [two, one] or standing([one, two, out, one]) == [one, two]
    assert standing([]) == []


def test_the_tie_key_tells_every_two_pairs_apart() -> None:
    assert tie_key("a", "bc") != tie_key("ab", "c")
    assert tie_key("", "1:a") != tie_key("1", ":a")
    assert tie_key("api", "7") == "3:api7"


@pytest.mark.parametrize(
    ("whole", "count", "mean"),
    [
        ("10", 4, "2.5"),
        ("1", 3, "0.333333333333"),
        ("2", 3, "0.666666666667"),
        ("-2", 3, "-0.666666666667"),
        ("0.000000000001", 2, "0.000000000001"),  # a tie goes away from zero
        ("-0.000000000001", 2, "-0.000000000001"),
        ("0.000000000003", 2, "0.000000000002"),
        ("-0.000000000003", 2, "-0.000000000002"),
        ("0.000000000001", 3, "0"),
        ("0", 7, "0"),
        (BIG, 1, BIG),
        ("999999999999999999999999999999.5", 10**12, "1000000000000000000"),
        # 0.0000000000004999...: rounded once; at forty places first, it would be a tie.
        ("49999999999999999999999999999", 10**41, "0"),
    ],
)
def test_p7_a_mean_is_rounded_half_up_once(whole: str, count: int, mean: str) -> None:
    assert average(Decimal(whole), count) == Decimal(mean)


def test_p7_a_quotient_of_large_numbers_is_exact() -> None:
    assert rounded(Decimal("1" + "0" * 60), Decimal(8)) == Decimal("125" + "0" * 57)


@pytest.mark.parametrize(
    ("percent", "value"),
    [
        ("0.000000000001", 15), ("5", 15), ("20", 15), ("20.000000000001", 20), ("30", 20), ("40", 20), ("50", 35),
        ("60", 35), ("80", 40), ("80.1", 50), ("99.9", 50), ("100", 50),
    ],
)  # fmt: skip
def test_the_nearest_rank_is_the_smallest_value_with_enough_below(percent: str, value: int) -> None:
    """The example of the literature: the ordered values 15, 20, 35, 40, 50."""
    assert nearest_rank(samples(35, 20, 50, 15, 40), Decimal(percent)) == value


def test_the_nearest_rank_of_many_and_of_one() -> None:
    thousand = samples(*range(1, 1001))
    ranks = [("0.1", 1), ("0.11", 2), ("50", 500), ("50.01", 501), ("99.9", 999), ("99.91", 1000), ("100", 1000)]
    for percent, value in ranks:
        assert nearest_rank(thousand, Decimal(percent)) == value
    for percent in ("0.1", "50", "100"):
        assert nearest_rank(samples("-3.5"), Decimal(percent)) == Decimal("-3.5")
    assert nearest_rank(samples("-1", "-2", "-1", BIG), Decimal(75)) == -1


def test_the_latest_is_that_of_the_greatest_instant_and_then_key() -> None:
    first, tie, tied = Sample(5, "3:apiA", Decimal(1)), Sample(9, "3:apiA", Decimal(2)), Sample(9, "3:apiB", Decimal(3))
    for order in ([first, tie, tied], [tied, tie, first], [tie, tied, first]):
        assert quantity("latest", order) == 3
    assert quantity("latest", [first, tie]) == 2
    # By code points, as PostgreSQL's C collation has it.
    assert quantity("latest", [Sample(1, "1:az", Decimal(1)), Sample(1, "1:aä", Decimal(2))]) == 2
    assert quantity("latest", [Sample(1, "1:aZ", Decimal(1)), Sample(1, "1:aa", Decimal(2))]) == 2


def test_each_aggregation_of_a_few_samples() -> None:
    few = [
        Sample(3, "a", Decimal(-2), "x"),
        Sample(1, "b", Decimal(7), "y"),
        Sample(2, "c", Decimal(7), "x"),
    ]
    found = {name: quantity(name, few) for name in ("sum", "avg", "min", "max", "latest", "unique")}
    assert found == {"sum": 12, "avg": 4, "min": -2, "max": 7, "latest": -2, "unique": 2}
    assert total([]) == 0


def test_what_is_true_of_each_aggregation() -> None:
    assert {name for name, one in AGGREGATIONS.items() if one.additive} == {"sum", "count"}
    assert {name for name, one in AGGREGATIONS.items() if one.grows} == {"sum", "count", "unique"}
    assert {name for name, one in AGGREGATIONS.items() if one.counts} == {"count", "unique"}
    assert {name for name, one in AGGREGATIONS.items() if one.quantity is None} == {"percentile", "level"}
    assert {name: one.rolls for name, one in AGGREGATIONS.items() if one.rolls is not Rolls.SUMS} == {
        "min": Rolls.EXTREMES, "max": Rolls.EXTREMES, "latest": Rolls.EXTREMES,
        "unique": Rolls.NOTHING, "percentile": Rolls.NOTHING, "level": Rolls.NOTHING,
    }  # fmt: skip


def at(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text))


def gb(instant: str, value: str | int, series: str = "disk", key: str = "k", sign: int = 1) -> Sample:
    return Sample(at(instant), key, Decimal(value), "", (series,), sign)


APRIL = Window(at("2026-04-01T00:00:00Z"), at("2026-05-01T00:00:00Z"))


def level_of(window: Window, unit: LevelUnit, *some: Sample, until: int | None = None, zone: str = "UTC") -> Decimal:
    return level(some, window, window.end if until is None else until, unit, zone)


def test_forty_five_gigabytes_all_month_are_forty_five_gigabyte_months() -> None:
    start = gb("2026-04-01T00:00:00Z", 45)
    assert level_of(APRIL, LevelUnit.MONTH, start) == 45
    assert level_of(APRIL, LevelUnit.DAY, start) == 45 * 30
    assert level_of(APRIL, LevelUnit.HOUR, start) == 45 * 720
    before = gb("2026-03-25T12:00:00Z", 45)  # goes on into the month
    assert level_of(APRIL, LevelUnit.MONTH, before) == 45


def test_a_sample_lasts_until_the_next_of_its_series() -> None:
    some = [gb("2026-04-01T00:00:00Z", 10), gb("2026-04-16T00:00:00Z", 30), gb("2026-04-11T00:00:00Z", 6, "other")]
    assert level_of(APRIL, LevelUnit.DAY, *some) == 10 * 15 + 30 * 15 + 6 * 20
    assert level_of(APRIL, LevelUnit.DAY, *reversed(some)) == 10 * 15 + 30 * 15 + 6 * 20
    gone = [*some, some[1]._replace(sign=-1)]  # as if it had never come
    assert level_of(APRIL, LevelUnit.DAY, *gone) == 10 * 30 + 6 * 20


def test_samples_on_borders_count_from_their_instant() -> None:
    assert level_of(APRIL, LevelUnit.HOUR, gb("2026-05-01T00:00:00Z", 9)) == 0  # the end lies outside
    two = [gb("2026-04-01T00:00:00Z", 9, key="a"), gb("2026-04-01T00:00:00Z", 2, key="b")]
    assert level_of(APRIL, LevelUnit.DAY, *two) == 2 * 30  # of one instant the greater key lasts
    assert level_of(APRIL, LevelUnit.DAY, gb("2026-03-31T23:59:59.999999Z", 1), two[1]) == 2 * 30
    assert level_of(APRIL, LevelUnit.DAY, gb("2026-03-20T00:00:00Z", 4), gb("2026-04-01T00:00:00Z", 0)) == 0


def test_a_level_lasts_forty_days_and_no_longer() -> None:
    sample = gb("2026-03-01T00:00:00Z", 3)  # until 10 April
    assert HOLDS == 40 * DAY
    assert level_of(APRIL, LevelUnit.DAY, sample) == 3 * 9
    assert level_of(Window(APRIL.start + 9 * DAY, APRIL.end), LevelUnit.DAY, sample) == 0
    assert level_of(APRIL, LevelUnit.DAY, sample, gb("2026-04-20T00:00:00Z", 2)) == 3 * 9 + 2 * 11


def test_a_level_counts_up_to_the_present() -> None:
    start, until = gb("2026-04-01T00:00:00Z", 45), at("2026-04-16T00:00:00Z")
    assert level_of(APRIL, LevelUnit.MONTH, start, until=until) == Decimal("22.5")
    assert level_of(APRIL, LevelUnit.MONTH, start, until=APRIL.start) == 0
    assert level_of(APRIL, LevelUnit.MONTH, start, until=APRIL.start - DAY) == 0


def test_levels_may_be_negative_where_the_meter_allows_it() -> None:
    some = [gb("2026-04-01T00:00:00Z", -4), gb("2026-04-11T00:00:00Z", 2)]
    assert level_of(APRIL, LevelUnit.DAY, *some) == -40 + 40
    assert level_of(APRIL, LevelUnit.MONTH, some[0]) == -4
    third = Window(APRIL.start, APRIL.start + HOUR)
    assert level_of(third, LevelUnit.DAY, gb("2026-04-01T00:00:00Z", "-1")) == Decimal("-0.041666666667")  # half up


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00", 743),
        ("Europe/Berlin", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00", 745),
        ("Australia/Lord_Howe", "2026-04-01T00:00:00+11:00", "2026-05-01T00:00:00+10:30", Decimal("720.5")),
        ("UTC", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", 696),
    ],
)
def test_a_month_is_one_month_however_long_it_is(zone: str, start: str, end: str, hours: Decimal) -> None:
    month, sample = Window(at(start), at(end)), gb(start, 8)
    assert level_of(month, LevelUnit.MONTH, sample, zone=zone) == 8
    assert level_of(month, LevelUnit.HOUR, sample, zone=zone) == 8 * hours
    half = Window(month.start, month.start + (month.end - month.start) // 2)
    assert level_of(half, LevelUnit.MONTH, sample, zone=zone) == 4


def test_a_range_over_month_ends_weighs_each_month_by_its_length() -> None:
    window = Window(at("2026-01-31T00:00:00Z"), at("2026-03-02T00:00:00Z"))
    assert unit_pieces(window, LevelUnit.DAY, "UTC") == [(window, DAY)]
    pieces = unit_pieces(window, LevelUnit.MONTH, "UTC")
    assert [length // DAY for _, length in pieces] == [31, 28, 31]
    assert [piece.end - piece.start for piece, _ in pieces] == [DAY, 28 * DAY, DAY]
    sample = gb("2026-01-31T00:00:00Z", 31)
    assert level_of(window, LevelUnit.MONTH, sample) == 1 + 31 + 1
    # Thirds of different months are added up before the sum is rounded.
    thirds = [gb("2026-01-31T00:00:00Z", 1), gb("2026-01-31T00:00:00Z", 1, "b"), gb("2026-01-31T00:00:00Z", 1, "c")]
    assert level_of(window, LevelUnit.MONTH, *thirds) == Decimal("3.193548387097")  # 3 x (1/31 + 1 + 1/31)


def test_p7_areas_are_exact() -> None:
    window = Window(0, 3 * MINUTE)
    some = [Sample(1, "a", Decimal("0.000000000001"), series=("x",)), Sample(7, "a", Decimal(BIG), series=("y",))]
    least, most = Fraction(1, 10**12) * (window.end - 1), Fraction(BIG) * (window.end - 7)
    assert Fraction(area_of(some, window)) == least + most
