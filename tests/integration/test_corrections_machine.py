"""Records, amendments, voids and late events in any order, in two processes: what stands is all that counts."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from metergate.app.usage.list_events import EventsRequest
from metergate.domain.aggregation import Sample, nearest_rank, tie_key
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import LabelFilter, Meter, Op
from metergate.domain.period import DAY, HOUR, LATEST, MINUTE, Period, window_at
from metergate.domain.posting import NOBODY
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Kind, Limit, Policy, Scope, write_filter
from metergate.domain.usage import Event
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, settle

SOFT = Policy.SOFT
METERS = (
    Meter("calls", "calls", dimensions=("model",)),
    Meter(
        "eu", "calls", filters=(LabelFilter("region", Op.EQUALS, ("eu",)),), scale=Decimal("0.5"), allow_negative=True
    ),
    Meter("number", "calls", aggregation="count"),
    Meter("low", "calls", aggregation="min"),
    Meter("peak", "calls", aggregation="max", dimensions=("model",)),
    Meter("last", "calls", aggregation="latest"),
    Meter("mean", "calls", aggregation="avg"),
    Meter("users", "calls", aggregation="unique", value="user"),
    Meter("median", "calls", aggregation="percentile", percentile=Decimal(50)),
)
LIMITS = (
    Limit("calls/month", "calls", Decimal(10_000), thresholds=(1, 50)),
    Limit("calls/model", "calls", Decimal(10_000), Period.DAY, per_labels=("model",)),
    Limit("calls/subject", "calls", Decimal(10_000), Period.HOUR, scope=Scope.SUBJECT),
    Limit("calls/rolling", "calls", Decimal(10_000), kind=Kind.ROLLING, length=2 * HOUR),
    *[Limit(f"{meter.name}/day", meter.name, Decimal(3), Period.DAY, policy=SOFT) for meter in METERS[1:]],
    Limit("peak/model", "peak", Decimal(3), Period.DAY, policy=SOFT, per_labels=("model",)),
    Limit("users/subject", "users", Decimal(3), Period.DAY, policy=SOFT, scope=Scope.SUBJECT),
)
CATALOG = Catalog(METERS, (Plan("default", LIMITS),))
OWNER = {"a": "acme", "a1": "acme", "a2": "acme", "b": "beta", "b1": "beta", "nobody": NOBODY}


@dataclass
class Stands:
    """An event as the oracle keeps it; None = voided."""

    first: Event
    now: Event | None
    counted_at: int
    pool: str = ""
    version: int = 1


@dataclass
class Game:
    """One run."""

    processes: list[Process]
    rng: random.Random
    start: int
    events: dict[str, Stands] = field(default_factory=dict)
    pool: dict[str, str] = field(default_factory=dict)

    def any(self) -> Process:
        return self.rng.choice(self.processes)

    def event(self, id: str, **fields: Any) -> Event:
        """Some event of that id."""
        rng = self.rng
        labels = {"model": rng.choice("xy"), "region": rng.choice(["eu", "us"]), "user": rng.choice("uvw")}
        kept = {name: value for name, value in labels.items() if rng.random() < 0.8}
        time = self.start - rng.choice([0, MINUTE, 14 * MINUTE, HOUR, 3 * HOUR, DAY, 3 * DAY])
        given = {"subject": rng.choice([*OWNER]), "amount": rng.randrange(1, 9), "labels": kept, "time": time}
        return event(id, type=rng.choice(["calls"] * 9 + ["other"]), **{**given, **fields})

    async def record(self) -> None:
        """Some new ones, perhaps twice, in any order."""
        new = [self.event(f"e{len(self.events) + place}") for place in range(self.rng.randrange(1, 5))]
        sent = [*new, *self.rng.sample(new, self.rng.randrange(len(new)))]
        self.rng.shuffle(sent)
        outcomes = await self.any().outcomes(*sent)
        assert sorted(outcomes) == ["accepted"] * len(new) + ["duplicate"] * (len(sent) - len(new))
        self.events |= {one.id: Stands(one, one, one.time or 0, self.pool.get(OWNER[one.subject], "")) for one in new}

    async def move(self) -> None:
        """A customer changes its pool and takes nothing along."""
        self.pool["beta"] = self.rng.choice(["", "group", "other"])
        await self.any().terms.assign_pool(PRINCIPAL, "beta", self.pool["beta"])
        await settle(self.processes)

    async def repeat(self) -> None:
        """What was corrected is known by what it said first."""
        for stands in self.rng.sample([*self.events.values()], min(3, len(self.events))):
            first = stands.first
            again = event(
                first.id,
                type=first.type,
                subject=first.subject,
                amount=first.amount,
                labels=first.labels,
                time=first.time,
            )
            assert await self.any().outcomes(again) == ["duplicate"]

    async def amend(self) -> None:
        id_ = self.rng.choice([*self.events])
        stands, time = self.events[id_], {}
        if stands.now is not None and self.rng.random() < 0.5:
            time = {"time": self.rng.choice([None, stands.now.time])}
        new = self.event(id_, **time)
        if stands.now is None:
            with pytest.raises(MetergateError) as error:
                await self.any().amend(id_, new)
            assert error.value.reason is Reason.EVENT_VOIDED
            return
        request_id = self.rng.choice(["", f"r{self.rng.random()}"])
        done = await self.any().amend(id_, new, request_id)
        stands.version += 1
        counted_at = stands.counted_at if new.time in (None, stands.now.time) else new.time
        assert counted_at is not None
        put = done.corrected.put
        assert put is not None
        assert (done.corrected.version, put.customer, put.counted_at) == (
            stands.version, OWNER[new.subject], counted_at
        )  # fmt: skip
        if OWNER[new.subject] != OWNER[stands.now.subject]:
            stands.pool = self.pool.get(OWNER[new.subject], "")
        stands.now, stands.counted_at = new, counted_at
        if request_id:
            assert (await self.any().amend(id_, new, request_id)).corrected == done.corrected

    async def void(self) -> None:
        id_ = self.rng.choice([*self.events])
        stands = self.events[id_]
        if stands.now is None:
            with pytest.raises(MetergateError) as error:
                await self.any().void(id_)
            assert error.value.reason is Reason.EVENT_VOIDED
            return
        await self.any().void(id_)
        stands.now, stands.version = None, stands.version + 1

    async def rush(self) -> None:
        """One event corrected by many at once: each makes a version of its own."""
        id_ = self.rng.choice([*self.events])
        stands = self.events[id_]
        if stands.now is None:
            return
        new = [self.event(id_, time=None, subject=stands.now.subject) for _ in range(4)]
        done = await asyncio.gather(*[self.any().amend(id_, one) for one in new])
        assert sorted(one.corrected.version for one in done) == [stands.version + place for place in range(1, 5)]
        last = max(range(4), key=lambda place: done[place].corrected.version)
        stands.now, stands.version = new[last], stands.version + 4

    async def look(self) -> None:
        """The ledger says the same of itself in all ways, and what the oracle says."""
        one = self.any()
        assert await one.differences() == []
        found = await one.fetch("SELECT customer, meter, subject, filter, start_at, end_at, used FROM usage_counter")
        for *key, used in found:
            assert used == self.quantity(CounterKey(*key)), key
        for customer in ("acme", "beta", "group", NOBODY):
            await self.listed(one, customer)

    async def listed(self, one: Process, customer: str) -> None:
        """What is listed stands."""
        subject = "" if customer else "nobody"
        request = EventsRequest(customer, subject, "", 0, LATEST, False, 1000, None)
        listed, _ = await one.lists.list(PRINCIPAL, request)
        standing = {
            (id_, stands.version, stands.counted_at)
            for id_, stands in self.events.items()
            if stands.now is not None and OWNER[stands.now.subject] == customer
        }
        assert {(one.recorded.event.id, one.recorded.version, one.recorded.counted_at) for one in listed} == standing

    def quantity(self, key: CounterKey) -> Decimal:
        """What stands in a counter's window, by the domain's aggregation."""
        meter, samples = CATALOG.meter_of[key.meter], []
        for stands in self.events.values():
            event = stands.now
            if event is None or event.type != meter.event_type or not key.start <= stands.counted_at < key.end:
                continue
            owner = OWNER[event.subject]
            value = meter.contribution(event)
            if key.customer not in (owner, stands.pool) or value is None or owner == NOBODY:
                continue
            names = [name for name in ("model",) if key.filter]
            filter_ = write_filter([(name, event.labels.get(name, "")) for name in names])
            if key.subject in ("", event.subject) and key.filter in ("", filter_):
                item = meter.item(event.subject, event.labels)
                samples.append(Sample(stands.counted_at, tie_key(event.source, event.id), value, item))
        if not samples:
            return ZERO
        if meter.percentile:
            return nearest_rank(samples, meter.percentile)
        assert meter.how.quantity is not None
        return meter.how.quantity(samples)


@pytest.mark.parametrize("run", range(2))
async def test_p1_p4_what_stands_is_all_that_counts(start: Start, rng: random.Random, run: int) -> None:
    processes = [await start(dev=False), await start(dev=False)]
    one = processes[0]
    await one.apply(CATALOG)
    for customer in ("acme", "beta", "group", "other"):
        await one.customer(customer)
    for subject, customer in OWNER.items():
        if customer and subject != customer:
            await one.subject(subject, customer)
    await settle(processes)
    # Well inside a day, so that windows of now are those of the oracle's times.
    now = await one.now()
    game = Game(processes, rng, max(now - MINUTE, window_at(Period.DAY, "UTC", now).start))
    await game.record()
    moves = [game.move, game.record, game.record, game.amend, game.amend, game.amend, game.void, game.rush, game.repeat]
    for step in range(40):
        await rng.choice(moves)()
        if step % 4 == 0:
            await game.look()
    await game.look()
