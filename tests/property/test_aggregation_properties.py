"""Aggregations without a database: what batches make of events, in any order and however cut, is what the oracle makes
of the multiset that stands."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.aggregation import (
    AGGREGATIONS,
    LevelUnit,
    Sample,
    area_of,
    average,
    level,
    nearest_rank,
    rounded,
    standing,
    tie_key,
)
from metergate.domain.catalog import Catalog
from metergate.domain.meter import LabelFilter, Meter, Op
from metergate.domain.period import DAY, QUARTER, Window
from metergate.domain.posting import Extremes, Head, Known, Ledger, Posting, RollupKey, both, count, post
from metergate.domain.quantity import ZERO, add, subtract
from metergate.domain.usage import AcceptWindow, Event
from metergate.domain.work import Fact
from tests.property.strategies import NOW, decimals, events, small

FEW = ("sum", "count", "avg", "min", "max", "latest")
METERS = (
    *[Meter(name, "llm", name, dimensions=("model",), allow_negative=True) for name in FEW],
    *[Meter(f"in-{name}", "llm", name, value="in", scale=Decimal("0.001"), allow_negative=True) for name in FEW[2:]],
    Meter("some", "http", "max", filters=(LabelFilter("region", Op.NOT, ("a", "")),), allow_negative=True),
)
CATALOG = Catalog(METERS)
HEADS = {"c": Head("c", 9, "", "UTC", 0)}

batches = st.lists(st.lists(events(amounts=small | decimals), max_size=6), max_size=5)


class Rollups:
    """What the store makes of what commits write, as `ON CONFLICT` adds it up."""

    def __init__(self) -> None:
        self.sums: dict[RollupKey, tuple[int, Decimal]] = {}
        self.extremes: dict[RollupKey, Extremes] = {}
        self.known: dict[tuple[str, str], Known] = {}
        self.rows: list[tuple[Event, int]] = []

    def write(self, batch: Sequence[Event]) -> None:
        ledger, posting = Ledger(HEADS, dict(self.known), CATALOG, NOW, AcceptWindow()), Posting()
        post([Fact(one, "c", False) for one in batch], ledger, posting)
        for row in posting.rows:
            self.known[row.event.source, row.event.id] = Known("c", row.seq, row.event.digest, row.event)
            self.rows.append((row.event, row.counted_at))
        self.add(posting)

    def add(self, posting: Posting) -> None:
        for key, (number, whole) in posting.rollups.items():
            before = self.sums.get(key, (0, ZERO))
            self.sums[key] = before[0] + number, add(before[1], whole)
        for key, extremes in posting.extremes.items():
            found = self.extremes.get(key)
            self.extremes[key] = extremes if found is None else both(found, extremes)

    def quantity(self, meter: Meter) -> Decimal | None:
        """As `QUANTITY` reads it: of all quarter hours together."""
        sums = [value for key, value in self.sums.items() if key.measure == meter.measure]
        number = sum(one for one, _ in sums)
        if not number:
            return None
        whole = ZERO
        for _, part in sums:
            whole = add(whole, part)
        if meter.aggregation in ("sum", "count", "avg"):
            return {"sum": whole, "count": Decimal(number), "avg": average(whole, number)}[meter.aggregation]
        extremes = [one for key, one in self.extremes.items() if key.measure == meter.measure]
        last = max(extremes, key=lambda one: (one.last_at, one.last_key))
        return {
            "min": min(one.min for one in extremes), "max": max(one.max for one in extremes), "latest": last.last,
        }[meter.aggregation]  # fmt: skip


def samples_of(rows: Sequence[tuple[Event, int]], meter: Meter) -> list[Sample]:
    found = []
    for event, counted_at in rows:
        value = meter.contribution(event) if event.type == meter.event_type else None
        if value is not None:
            found.append(Sample(counted_at, tie_key(event.source, event.id), value, event.subject))
    return found


def oracle(meter: Meter, samples: Sequence[Sample]) -> Decimal | None:
    compute = AGGREGATIONS[meter.aggregation].quantity
    assert compute is not None
    return compute(samples) if samples else None


@given(batches, st.data())
def test_p4_any_permutation_repetition_and_cut_is_the_oracles_quantity(
    cut: list[list[Event]], data: st.DataObject
) -> None:
    whole = [one for batch in cut for one in batch]
    sent = whole + (data.draw(st.lists(st.sampled_from(whole), max_size=6)) if whole else [])
    one, other = Rollups(), Rollups()
    for batch in cut:
        one.write(batch)
    first = {(event.source, event.id) for event, _ in one.rows}
    # Of an id with several contents the first one counts: the same content first in the other order too.
    kept = {id(event) for event, _ in one.rows}
    for event in data.draw(st.permutations([event for event in sent if id(event) in kept])):
        other.write([event])
    assert {(event.source, event.id) for event, _ in other.rows} == first
    for meter in CATALOG.meters:
        expected = oracle(meter, samples_of(one.rows, meter))
        assert one.quantity(meter) == expected
        assert other.quantity(meter) == expected


@given(st.lists(events(amounts=small | decimals), max_size=8), st.data())
def test_p4_what_is_taken_back_leaves_sums_as_if_it_had_never_come(some: list[Event], data: st.DataObject) -> None:
    """Extremes cannot be reckoned back: the rollups that lost something are named, to be made anew."""
    kept = Rollups()
    kept.write(some)
    taken = data.draw(st.lists(st.sampled_from(kept.rows), unique_by=id)) if kept.rows else []
    posting = Posting()
    for event, counted_at in taken:
        for meter in CATALOG.meters_of_type.get(event.type, ()):
            value = meter.contribution(event)
            if value is not None:
                count(posting, "c", meter, event, counted_at, subtract(ZERO, value), -1)
    kept.add(posting)
    left = [row for row in kept.rows if row not in taken]
    for meter in CATALOG.meters:
        mine = samples_of(left, meter)
        if meter.aggregation in ("sum", "count", "avg"):
            assert kept.quantity(meter) == oracle(meter, mine)
        shrunk = {key for key in posting.shrunk if key.measure == meter.measure}
        lost = {counted_at - counted_at % QUARTER for event, counted_at in taken if samples_of([(event, 0)], meter)}
        assert {key.quarter for key in shrunk} == (lost if CATALOG.measure_of[meter.measure].extremes else set())


instants = st.integers(0, 60 * DAY // QUARTER).map(lambda number: number * QUARTER)
samples = st.lists(
    st.builds(
        Sample, instants | st.integers(0, 60 * DAY), st.sampled_from(["1:aA", "1:aB"]), small, st.sampled_from("xyz"),
        st.tuples(st.sampled_from("st")), st.just(1),
    ),
    max_size=8,
)  # fmt: skip


@given(samples, st.data())
def test_p4_signed_rows_come_to_what_stands(some: list[Sample], data: st.DataObject) -> None:
    extra = data.draw(st.lists(st.sampled_from(some), max_size=5)) if some else []
    rows = data.draw(st.permutations([*some, *extra, *[one._replace(sign=-1) for one in extra]]))
    assert sorted(standing(rows)) == sorted(some)
    window = Window(10 * DAY, 40 * DAY)
    assert area_of(rows, window) == area_of(some, window)


@given(samples, st.lists(instants, max_size=4))
def test_p4_split_ranges_of_a_level_sum_to_the_whole(some: list[Sample], cuts: list[int]) -> None:
    borders = sorted({0, 61 * DAY, *cuts})
    parts = [area_of(some, Window(start, end)) for start, end in pairwise(borders)]
    assert sum(map(Fraction, parts)) == Fraction(area_of(some, Window(0, 61 * DAY)))
    whole = Window(0, 61 * DAY)
    hours = level(some, whole, whole.end, LevelUnit.HOUR, "Europe/Berlin")
    days = level(some, whole, whole.end, LevelUnit.DAY, "Europe/Berlin")
    assert abs(hours - 24 * days) <= Decimal("1.3e-11")  # each is rounded to 12 places


@given(st.lists(small | decimals, min_size=1, max_size=40), st.decimals("0.000000000001", 100, places=12))
def test_p7_a_nearest_rank_is_what_its_words_say(values: list[Decimal], percent: Decimal) -> None:
    found = nearest_rank([Sample(0, "", value) for value in values], percent)
    enough = Fraction(percent) * len(values) / 100
    fitting = [value for value in values if sum(other <= value for other in values) >= enough]
    assert found == min(fitting)


@given(decimals, st.integers(1, 10**6))
def test_p7_a_mean_is_the_nearest_of_twelve_places(whole: Decimal, number: int) -> None:
    exact, found = Fraction(whole) / number, average(whole, number)
    assert found == rounded(whole, Decimal(number))
    error = abs(Fraction(found) - exact)
    assert error <= Fraction(1, 2 * 10**12)
    if error == Fraction(1, 2 * 10**12):  # a tie goes away from zero
        assert abs(Fraction(found)) > abs(exact)
