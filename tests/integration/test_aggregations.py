"""Every aggregation on real PostgreSQL: whatever the order, the batches and the repetitions, counters and rollups hold
what the oracle (`domain/aggregation.py`) makes of the events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from metergate.domain.aggregation import AGGREGATIONS, LevelUnit, Sample, nearest_rank, tie_key, total
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import LEVEL, PERCENTILE, LabelFilter, Meter, Op
from metergate.domain.period import HOUR, MINUTE, Period
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Kind, Limit, Policy, Scope, read_filter
from metergate.domain.usage import Event
from tests.integration.conftest import Start
from tests.integration.processes import Process, event, heard, settle
from tests.integration.test_pools import join

DIMENSIONS = ("model", "region")
PERCENTS = ("0.1", "33.3", "50", "99.9", "100")


def meter(name: str, aggregation: str, event_type: str = "llm", **more: object) -> Meter:
    return Meter(name, event_type, aggregation, dimensions=DIMENSIONS, **more)  # type: ignore[arg-type]


METERS = (
    *[meter(name, name, allow_negative=True) for name in ("sum", "count", "avg", "min", "max", "latest")],
    *[meter(f"p{one}", PERCENTILE, percentile=Decimal(one), allow_negative=True) for one in PERCENTS],
    meter("seats", "unique"),
    meter("users", "unique", value="user"),
    # Another value of the same events, with a scale; and other events with the same labels.
    meter("gb", "max", value="bytes", scale=Decimal("0.000000000931322574615478515625")),
    meter("gb-mean", "avg", value="bytes", scale=Decimal("0.000000000931322574615478515625")),
    meter("eu", "sum", filters=(LabelFilter("region", Op.EQUALS, ("eu",)),), allow_negative=True),
    meter("some", "latest", filters=(LabelFilter("model", Op.IN, ("a", "")),), allow_negative=True),
    meter("begins", "min", filters=(LabelFilter("user", Op.PREFIX, ("u", "v1")),), allow_negative=True),
    meter("not", "unique", value="user", filters=(LabelFilter("model", Op.NOT, ("a", "b")),)),
    meter("pages", "avg", "web", allow_negative=True),
    Meter("storage", "llm", LEVEL, level_unit=LevelUnit.HOUR, allow_negative=True),
)


def soft(name: str, of: Meter, **more: object) -> Limit:
    return Limit(f"{of.name}/{name}", of.name, Decimal(5), policy=Policy.SOFT, **more)  # type: ignore[arg-type]


LIMITED = [one for one in METERS if one.aggregation != LEVEL]
LIMITS = tuple(
    limit
    for one in LIMITED
    for limit in (
        soft("month", one),
        soft("subject", one, period=Period.DAY, scope=Scope.SUBJECT),
        soft("region", one, period=Period.DAY, per_labels=("region",)),
        soft("rolling", one, kind=Kind.ROLLING, length=2 * HOUR, sub_windows=8),
    )
)
SHARED = tuple(soft("pool", one, kind=Kind.LIFETIME) for one in LIMITED)
CATALOG = Catalog(METERS, (Plan("default", LIMITS), Plan("shared", SHARED)))
OWNERS = {"a": "acme", "a1": "acme", "b": "beta", "b1": "beta"}
NUMBERS = (
    "", "0", "1", "-1", "2.5", "-0.000000000001", "3", "7", "999999999999999999.999999999999",
    "-999999999999999999.999999999999",
)  # fmt: skip


LABELS = {"model": ["a", "b", ""], "region": ["eu", "us"], "user": ["u1", "u2", "v1", "v2"]}


def sample_of(one: Event, meter: Meter, counted_at: int) -> Sample | None:
    value = meter.contribution(one)
    if value is None:
        return None
    return Sample(counted_at, tie_key(one.source, one.id), value, meter.item(one.subject, one.labels))


def quantity_of(meter: Meter, samples: Sequence[Sample]) -> Decimal:
    if not samples:
        return ZERO
    if meter.percentile is not None:
        return nearest_rank(samples, meter.percentile)
    compute = AGGREGATIONS[meter.aggregation].quantity
    assert compute is not None
    return compute(samples)


@dataclass
class Oracle:
    """The events that stand, each with the instant by which it counts."""

    catalog: Catalog
    events: dict[str, tuple[Event, int]] = field(default_factory=dict)
    pool: str = ""

    def samples(self, key: CounterKey) -> list[Sample]:
        meter, wanted = self.catalog.meter_of[key.meter], read_filter(key.filter)
        found = [
            sample_of(one, meter, counted_at)
            for one, counted_at in self.events.values()
            if key.customer in (OWNERS[one.subject], self.pool)
            and one.type == meter.event_type
            and key.start <= counted_at < key.end
            and key.subject in ("", one.subject)
            and all(one.labels.get(name, "") == value for name, value in wanted.items())
        ]
        return [sample for sample in found if sample is not None]

    def used(self, key: CounterKey) -> Decimal:
        return quantity_of(self.catalog.meter_of[key.meter], self.samples(key))


COUNTERS = "SELECT customer, meter, subject, filter, start_at, end_at, used FROM usage_counter"
ROLLUPS = """
SELECT r.customer, m.name, r.subject, r.dimensions::text, r.quarter, r.count, r.sum, r.min, r.max, r.last_at, r.last
FROM usage_rollup r JOIN meter m USING (measure) WHERE m.leads"""


async def agree(one: Process, oracle: Oracle) -> None:
    """Counters, rollups and the view say what the oracle says; and the reconciler finds nothing."""
    counters = await one.fetch(COUNTERS)
    wrong = [row for row in counters if oracle.used(CounterKey(*row[:6])) != row[6]]
    assert wrong == []
    assert {row[1] for row in counters} == {limit.meter for limit in oracle.catalog.limits("", "") or LIMITS}
    for customer, name, subject, dimensions, quarter, count, whole, *extremes in await one.fetch(ROLLUPS):
        meter = oracle.catalog.meter_of[name]
        filter_ = "" if dimensions == "{}" else dimensions
        samples = oracle.samples(CounterKey(customer, name, subject, filter_, quarter, quarter + 15 * MINUTE))
        assert (len(samples), total(samples)) == (count, whole)
        if meter.extremes and samples:
            last = max(samples, key=lambda sample: (sample.counted_at, sample.key))
            values = [sample.value for sample in samples]
            assert extremes == [min(values), max(values), last.counted_at, last.value]
    assert await one.differences() == []


def some_events(rng: random.Random, now: int, number: int) -> list[Event]:
    """Events at few instants, also on the borders of quarter hours, so that there are ties."""
    instants = [now - rng.randrange(0, 3 * 60) * MINUTE for _ in range(12)]
    instants += [instant - instant % (15 * MINUTE) for instant in instants[:4]]
    return [
        event(
            f"{place}", rng.choice(["llm", "llm", "llm", "web"]), subject=rng.choice([*OWNERS]),
            source=rng.choice(["api", "web"]), time=rng.choice(instants), amount=rng.choice(NUMBERS),
            values={"bytes": rng.choice(["0", "1", "1073741824", "999999999999999999.999999999999"])}
            if rng.random() < 0.7 else {},
            labels={
                name: rng.choice(values)
                for name, values in LABELS.items()
                if rng.random() < 0.8
            },
        )
        for place in range(number)
    ]  # fmt: skip


async def begin(one: Process, catalog: Catalog = CATALOG) -> None:
    await one.apply(catalog)
    await one.customer("pool", "shared")
    for name in ("acme", "beta"):
        await one.customer(name, time_zone="Asia/Kathmandu")
        await join(one, name, "pool")
    for subject, owner in OWNERS.items():
        await one.subject(subject, owner)


def cut(rng: random.Random, events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    """The events in batches of any size."""
    rest = list(events)
    while rest:
        size = rng.choice([1, 2, 5, 20])
        yield rest[:size]
        rest = rest[size:]


def known_as(events: Iterable[Event]) -> dict[str, tuple[Event, int]]:
    return {one.id: (one, one.time or 0) for one in events}


async def test_p4_any_order_repetition_and_batches_give_the_oracles_figures(start: Start, rng: random.Random) -> None:
    processes = [await start(dev=False), await start(dev=False)]
    await begin(processes[0])
    await settle(processes)
    events = some_events(rng, await processes[0].now(), 60)
    sent = [*events, *rng.choices(events, k=20)]
    rng.shuffle(sent)
    done = await asyncio.gather(*[rng.choice(processes).add(*batch) for batch in cut(rng, sent)])
    outcomes = [receipt.outcome.value for one in done for receipt in one.receipts]
    assert sorted(outcomes) == ["accepted"] * 60 + ["duplicate"] * 20
    await agree(processes[0], Oracle(CATALOG, known_as(events), "pool"))


async def test_p4_what_is_taken_back_and_put_again_leaves_what_stands(start: Start, rng: random.Random) -> None:
    """Amended to other content, other times and other subjects, and voided: extremes shrink, values go."""
    one = await start(dev=False)
    await begin(one)
    now = await one.now()
    events = some_events(rng, now, 30)
    for batch in cut(rng, events):
        await one.add(*batch)
    oracle = Oracle(CATALOG, known_as(events), "pool")
    others = some_events(rng, now, 30)
    for first, other in zip(events, others, strict=True):
        choice = rng.random()
        if choice < 0.3:
            await one.void(first.id, source=first.source)
            del oracle.events[first.id]
        elif choice < 0.7:
            other.source = first.source
            await one.amend(first.id, other, source=first.source)
            oracle.events[first.id] = (other, other.time or 0)
    await agree(one, oracle)


@pytest.mark.parametrize("name", ["sum", "max", "users"])
async def test_p4_meters_come_and_go_and_leave_the_others_right(start: Start, rng: random.Random, name: str) -> None:
    """The leader of a measure goes away, comes back, and others come that need more of its rollups."""
    one = await start(dev=False)

    def only(*names: str) -> Catalog:
        kept = tuple([one for one in METERS if one.name in names])
        return Catalog(kept, (Plan("default", tuple([one for one in LIMITS if one.meter in names])), Plan("shared")))

    await begin(one, only("sum", "count"))
    oracle = Oracle(only("sum", "count"))
    events = some_events(rng, await one.now(), 60)
    steps = [("sum", "count", name), (name,), ("count",), ("avg", "count"), ("latest", "avg", name), ("sum", name)]
    for place, names in enumerate(steps):
        batch = events[place * 10 : place * 10 + 10]
        await one.add(*batch)
        oracle.events |= known_as(batch)
        oracle.catalog = only(*names)
        await one.apply(oracle.catalog)
        await heard()
        assert await one.differences() == [], names
        for subject in OWNERS:  # the view is told anew, and what is behind is brought up
            await one.used(names[0], subject)
        await one.add(event(f"{place} more", "llm", subject="a", time=events[0].time, amount="3"))
        await one.add(event(f"{place} more", "llm", subject="b", time=events[0].time, source="b"))
        for more in (
            event(f"{place} more", "llm", subject="a", time=events[0].time, amount="3"),
            event(f"{place} more", "llm", subject="b", time=events[0].time, source="b"),
        ):
            oracle.events[more.source + more.id] = (more, more.time or 0)
        wrong = [
            row for row in await one.fetch(COUNTERS) if row[1] in names and oracle.used(CounterKey(*row[:6])) != row[6]
        ]
        assert wrong == [], names
        assert await one.differences() == [], names


async def test_p7_percentiles_are_exact_for_many_and_odd_percents(one: Process) -> None:
    """Python and SQL take the same rank where the share is next to a whole number."""
    percents = ["33.333333333333", "66.666666666667", "0.000000000001", "99.999999999999"]
    meters = tuple([Meter(f"p{place}", "llm", PERCENTILE, percentile=Decimal(p)) for place, p in enumerate(percents)])
    await one.apply(Catalog(meters, (Plan("default", tuple([soft("month", one) for one in meters])),)))
    await one.add(*[event(f"{n}", "llm", amount=str(n)) for n in range(1, 301)])
    samples = [Sample(0, f"{n}", Decimal(n)) for n in range(1, 301)]
    for meter in meters:
        assert meter.percentile is not None
        assert await one.used(meter.name) == [nearest_rank(samples, meter.percentile)]
    assert await one.differences() == []


async def test_p4_thresholds_follow_what_does_not_add_up(one: Process) -> None:
    peak = Meter("peak", "llm", "max")
    limit = Limit("peak/day", "peak", Decimal(10), Period.DAY, Policy.SOFT, thresholds=(50, 100))
    await one.apply(Catalog((peak,), (Plan("default", (limit,)),)))
    for number, told in (("4", []), ("6", [50]), ("5", [50]), ("12", [50, 100])):
        await one.add(event(f"of {number}", "llm", amount=number))
        assert sorted(fired.threshold for fired in await one.fired()) == told
