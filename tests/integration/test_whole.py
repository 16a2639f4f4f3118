"""P4 as a game: random records, adoptions, catalogs and plans from two processes, against an oracle in plain Python."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, MINUTE, Period
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.domain.usage import Event, Outcome
from tests.integration.oracle import Oracle
from tests.integration.processes import Process, Start, event, heard, settle

METERS = [
    Meter("in", "llm", value="in", dimensions=("model", "region")),
    Meter("calls", "llm", "count", dimensions=("model",)),
    Meter("bytes", "http", allow_negative=True, dimensions=("region",)),
    Meter("requests", "http", "count", allow_negative=True),
]
CUSTOMERS = {"acme": "UTC", "berlin": "Europe/Berlin", "apia": "Pacific/Apia", "howe": "Australia/Lord_Howe"}
SUBJECTS = {**{name: name for name in CUSTOMERS}, "alice": "acme", "bob": "berlin", "carol": "berlin"}
LABELS = [{}, {"model": "a"}, {"model": "b", "region": "eu"}, {"region": ""}, {"region": "eu", "other": "x"}]

KINDS = [
    *[(Kind.CALENDAR, 0)] * 4, (Kind.ANCHORED, 0), (Kind.FIXED, 90 * MINUTE), (Kind.ROLLING, 10 * DAY),
    (Kind.ROLLING, MINUTE), (Kind.LIFETIME, 0),
]  # fmt: skip
TURNS = 120


def limits(rng: random.Random, meters: list[Meter]) -> tuple[Limit, ...]:
    """Some limits on the meters: in windows of any kind, per subject, per label value, for one label value."""
    made = []
    for number in range(rng.randint(0, 5)):
        meter = rng.choice(meters)
        dimensions = list(meter.dimensions)
        fixed = rng.choice(dimensions) if dimensions and rng.random() < 0.3 else None
        kind, length = rng.choice(KINDS)
        periods = [Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR]
        if kind is not Kind.ANCHORED:
            periods += [Period.MINUTE, Period.HOUR]
        per = [name for name in dimensions if name != fixed and rng.random() < 0.4]
        made.append(
            Limit(
                f"limit{number}", meter.name, rng.choice([None, Decimal(100), Decimal("10.5")]),
                rng.choice(periods), Policy.SOFT, rng.choice(list(Scope)),
                ((fixed, rng.choice(["", "a", "eu"])),) if fixed else (), tuple(per), kind, length,
            )
        )  # fmt: skip
    return tuple(made)


class Game:
    """Moves, each done by one of the processes and by the oracle."""

    def __init__(self, processes: list[Process], rng: random.Random, now: int) -> None:
        self.processes, self.rng, self.now = processes, rng, now
        self.oracle = Oracle()
        self.made: list[Event] = []
        self.moves: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (20, self.record), (12, self.check), (3, self.change_limits), (1, self.change_meters), (2, self.assign),
            (2, self.make_owner),
        ]  # fmt: skip

    def process(self) -> Process:
        return self.rng.choice(self.processes)

    async def play(self, turns: int) -> None:
        await self.apply(Catalog(tuple(METERS[:2]), (Plan("default", limits(self.rng, METERS[:2])),)))
        weights, moves = zip(*self.moves, strict=True)
        for _ in range(turns):
            (move,) = self.rng.choices(moves, weights)
            await move()

    def some_event(self) -> Event:
        rng = self.rng
        if self.made and rng.random() < 0.2:
            return rng.choice(self.made)
        time = rng.choice([
            None, self.now, self.now - rng.randint(0, 3 * MINUTE), self.now - rng.randint(0, 2 * DAY),
            self.now - rng.randint(0, 34 * DAY), self.now - rng.randint(36 * DAY, 500 * DAY),
        ])  # fmt: skip
        made = event(
            str(len(self.made)), rng.choice(["llm", "http", "other"]), source=rng.choice(["api", "web"]),
            subject=rng.choice(sorted(SUBJECTS)), time=time, labels=rng.choice(LABELS),
            amount=rng.choice(["", "2", "0.000000000001", "-1"]), values=rng.choice([{}, {"in": "7"}, {"in": "0.5"}]),
        )  # fmt: skip
        self.made.append(made)
        return made

    async def record(self) -> None:
        process = self.process()
        self.now = await process.now()
        events = [self.some_event() for _ in range(self.rng.randint(1, 8))]
        done = await process.add(*events, backfill=True)
        after = await process.now()
        for one, receipt in zip(events, done.receipts, strict=True):
            key = (one.source, one.id)
            if receipt.outcome is Outcome.ACCEPTED:
                assert key not in self.oracle.events
                ((counted_at,),) = await process.fetch(
                    "SELECT counted_at FROM usage_event WHERE source = $1 AND id = $2", *key
                )
                assert counted_at == one.time or (one.time is None and self.now <= counted_at <= after)
                self.oracle.events[key] = (one, counted_at)
            elif receipt.outcome is Outcome.DUPLICATE:
                assert key in self.oracle.events
            else:
                assert key not in self.oracle.events
                assert one.amount is not None
                assert one.amount < 0

    async def apply(self, catalog: Catalog) -> None:
        self.oracle.catalog = await self.process().apply(catalog)
        await settle(self.processes)

    async def change_limits(self) -> None:
        old = self.oracle.catalog
        plans = (Plan("default", limits(self.rng, list(old.meters))), Plan("pro", limits(self.rng, list(old.meters))))
        await self.apply(replace(old, plans=plans))

    async def change_meters(self) -> None:
        meters = self.rng.sample(METERS, self.rng.randint(1, 4))
        if self.rng.random() < 0.5:
            meters[0] = replace(meters[0], dimensions=meters[0].dimensions[:1])
        await self.apply(replace(self.oracle.catalog, meters=tuple(meters), plans=(
            Plan("default", limits(self.rng, meters)), Plan("pro", limits(self.rng, meters)),
        )))  # fmt: skip

    async def assign(self) -> None:
        if self.oracle.zones and "pro" in self.oracle.catalog.plan_of:
            customer, plan = self.rng.choice(sorted(self.oracle.zones)), self.rng.choice(["", "default", "pro"])
            await self.process().assign(customer, plan)
            self.oracle.plans[customer] = plan
            await settle(self.processes)

    async def make_owner(self) -> None:
        missing = sorted(set(SUBJECTS) - set(self.oracle.owners))
        if not missing:
            return
        subject = self.rng.choice(missing)
        owner = SUBJECTS[subject]
        if owner not in self.oracle.owners:
            subject = owner
        waiting = sum(one.subject == subject for one, _ in self.oracle.events.values())
        self.oracle.owners[subject] = owner
        if subject == owner:
            self.oracle.plans[owner], self.oracle.zones[owner] = "", CUSTOMERS[owner]
            assert await self.process().customer(owner, time_zone=CUSTOMERS[owner]) == waiting
        else:
            assert await self.process().subject(subject, owner) == waiting

    async def check(self) -> None:
        """Right after a move, each process says what the oracle says, from the view or the ledger."""
        if not self.oracle.owners:
            return
        await heard()
        for _ in range(4):
            subject, meter = self.rng.choice(sorted(self.oracle.owners)), self.rng.choice(self.oracle.catalog.meters)
            labels = self.rng.choice(LABELS)
            decision = await self.process().check(meter.name, "0", subject, labels)
            found = {state.limit.name: state.figures.used for state in decision.states}
            for state in decision.states:
                expected = self.oracle.used(subject, state.limit, labels, state.window.end - 1)
                assert (state.limit.name, state.figures.used) == (state.limit.name, expected)
            assert found.keys() == self.oracle.expected(subject, meter.name, labels, self.now).keys()


@pytest.mark.parametrize("round_", range(5))
async def test_p4_counters_rollups_and_view_equal_the_events(start: Start, rng: random.Random, round_: int) -> None:
    processes = [await start(dev=False), await start(dev=False)]
    game = Game(processes, rng, await processes[0].now())
    await game.play(TURNS)
    while game.oracle.owners.keys() < SUBJECTS.keys():
        await game.make_owner()
    assert await processes[0].differences() == []
    for _ in range(10):
        await game.check()
    for customer in sorted(game.oracle.zones):
        for meter in game.oracle.catalog.meters:
            expected = sum((value for *_, value in game.oracle.uses(customer, meter)), Decimal(0))
            summary = await game.process().summarize(meter.name, customer=customer, start=0, end=game.now + DAY)
            assert summary.series[0].total == expected
    assert await processes[1].differences() == []
