"""Grants against an oracle in plain Python, which burns use by use: whatever happens, in whichever process."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from metergate.app.customer.grants import Asked, GrantQuery
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, MINUTE
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Kind, Limit
from metergate.domain.work import Want
from metergate.rpc.quota.verdict import _content, decision_of
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, settle
from tests.integration.quota_clock import StepClock

LIMIT = Limit("calls/grants", "calls", None, kind=Kind.GRANTS)
STEPS = 60


@dataclass
class Held:
    """A grant as the oracle keeps it."""

    id: str
    left: Decimal
    priority: int
    start: int
    end: int | None
    place: int
    begun: bool = False
    over: bool = False

    @property
    def order(self) -> tuple[int, int, int]:
        """Who burns first, and of those that begin at one instant, who pays first what is owed."""
        return self.priority, self.end or 10**18, self.place


@dataclass
class Oracle:
    """What there should be."""

    now: int
    held: list[Held] = field(default_factory=list)
    debt: Decimal = ZERO
    opened: bool = False
    reserved: Decimal = ZERO

    @property
    def room(self) -> Decimal:
        """What may be admitted."""
        return sum((one.left for one in self._active()), ZERO) - self.debt - self.reserved

    def use(self, amount: Decimal) -> None:
        """Takes it out of the grants, in their order; what is left over is owed, once there was a grant."""
        for one in sorted(self._active(), key=lambda one: one.order):
            part = min(amount, one.left)
            one.left, amount = one.left - part, amount - part
        self.debt += amount if self.opened else ZERO

    def pass_by(self, until: int) -> None:
        """Begins and ends what is due, in order of time."""
        borders = [(one.end, 0, one) for one in self.held if one.end and not one.over]
        borders += [(one.start, 1, one) for one in self.held if not one.begun and not one.over]
        for at, kind, one in sorted(borders, key=lambda border: (*border[:2], border[2].order)):
            if at <= until and not one.over:
                if kind:
                    one.begun = self.opened = True
                    owed, self.debt = self.debt, ZERO
                    self.use(owed)
                else:
                    one.over, one.left = True, ZERO
        self.now = until

    def _active(self) -> list[Held]:
        return [one for one in self.held if one.begun and not one.over]


@dataclass
class Game:
    """One run: an oracle, processes, and what was answered."""

    oracle: Oracle
    processes: list[Process]
    clock: StepClock
    rng: random.Random
    answers: list[Answer] = field(default_factory=list)
    reservations: list[tuple[str, Decimal]] = field(default_factory=list)
    count: int = 0

    def any(self) -> Process:
        """One of the processes."""
        return self.rng.choice(self.processes)

    def event(self, amount: Decimal | int, **fields: Any) -> Any:
        """An event with an id of its own."""
        self.count += 1
        return event(f"e{self.count}", amount=str(amount), **fields)

    def amount(self, most: int = 30) -> Decimal:
        """Some amount."""
        return Decimal(self.rng.randrange(1, most * 2)) / 2

    async def give(self) -> None:
        start = (
            self.oracle.now + self.rng.choice([0, 0, 1, 2]) * HOUR + 30 * MINUTE if self.rng.random() < 0.3 else None
        )
        end = (start or self.oracle.now) + self.rng.randrange(1, 8) * HOUR + 10 * MINUTE
        asked = Asked(
            "acme",
            "calls",
            self.amount(40),
            self.rng.randrange(3),
            start,
            self.rng.choice([None, end]),
            None,
            ZERO,
            ZERO,
        )
        made = (await self.any().grants.create(PRINCIPAL, asked, self.rng.choice(["", f"g{len(self.oracle.held)}"])))[
            0
        ].grant
        if all(one.id != made.id for one in self.oracle.held):
            held = Held(
                made.id, asked.amount, asked.priority, start or self.oracle.now, asked.end, len(self.oracle.held)
            )
            self.oracle.held.append(held)
            self.oracle.pass_by(self.oracle.now)

    async def take_back(self) -> None:
        running = [one for one in self.oracle.held if not one.over]
        if running:
            one = self.rng.choice(running)
            await self.any().grants.void(PRINCIPAL, one.id)
            one.over, one.left = True, ZERO

    async def record(self) -> None:
        amounts = [self.amount() for _ in range(self.rng.randrange(1, 4))]
        await self.any().add(*[self.event(amount) for amount in amounts])
        self.oracle.use(sum(amounts, ZERO))

    async def consume(self) -> None:
        amount = self.amount()
        answer = await self.any().consume(self.event(amount))
        assert answer.allowed == (amount <= self.oracle.room)
        self.answers.append(answer)
        if answer.allowed:
            self.oracle.use(amount)

    async def rush(self) -> None:
        """Many at once, in all processes."""
        works = [self.any().consume(self.event(1)) for _ in range(12)]
        answers = await asyncio.gather(*works)
        admitted = sum(answer.allowed for answer in answers)
        assert admitted == min(12, max(int(self.oracle.room), 0))
        self.answers += answers
        self.oracle.use(Decimal(admitted))

    async def reserve(self) -> None:
        amount = self.amount()
        answer = await self.any().reserve(Want("calls", amount, {}), ttl=20 * HOUR)
        assert answer.allowed == (amount <= self.oracle.room)
        self.answers.append(answer)
        if answer.hold is not None:
            self.reservations.append((answer.hold.id, amount))
            self.oracle.reserved += amount

    async def commit(self) -> None:
        if self.reservations:
            id_, amount = self.reservations.pop(self.rng.randrange(len(self.reservations)))
            used = self.amount()
            await self.any().reservations.commit(PRINCIPAL, id_, [self.event(used, settles=id_)])
            self.oracle.reserved -= amount
            self.oracle.use(used)

    async def wait(self) -> None:
        hours = self.rng.randrange(1, 4)
        await self.clock.step(hours * HOUR)
        self.oracle.pass_by(self.oracle.now + hours * HOUR)
        if self.rng.random() < 0.5:
            await asyncio.gather(*(process.due.finish() for process in self.processes))

    async def look(self) -> None:
        """Compares what is left of each grant, and what would fit."""
        await asyncio.gather(*(process.due.finish() for process in self.processes))
        found = await self.any().grants.list(PRINCIPAL, GrantQuery("acme", "calls", True, None, 1000))
        assert {one.id: one.left for one in found if one.over or one.state == "active"} == {
            one.id: one.left for one in self.oracle.held if one.begun or one.over
        }
        [state] = (await self.any().limits.list(PRINCIPAL, "acme", ["calls"])).states
        if self.oracle.opened:
            assert state.remaining == max(self.oracle.room, ZERO)


@pytest.mark.parametrize("run", range(3))
async def test_p2_p4_whatever_happens(
    start: Start, postgres_url: str, monkeypatch: pytest.MonkeyPatch, rng: random.Random, run: int
) -> None:
    clock = StepClock(postgres_url, monkeypatch)
    await clock.install()
    processes = [await start(), await start()]
    one = processes[0]
    await one.apply(Catalog((Meter("calls", "calls"),), (Plan("default", (LIMIT,)),)))
    await one.customer("acme")
    await settle(processes)
    game = Game(Oracle(await one.now()), processes, clock, rng)
    moves = [
        game.give, game.give, game.take_back, game.record, game.consume, game.consume, game.rush, game.reserve,
        game.commit, game.wait,
    ]  # fmt: skip
    for step in range(STEPS):
        await rng.choice(moves)()
        if step % 5 == 0:
            await game.look()
    await game.look()
    for answer in game.answers:
        decision = decision_of(answer)
        explained = await game.any().explain.explain(PRINCIPAL, _content(answer, decision), 5)
        assert explained.confirmed
        assert explained.decision.states == decision.states
    assert await one.differences() == []
