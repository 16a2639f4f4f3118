"""P2, P3 and P4 as a game: random admissions, holds, mishaps and clocks in two processes, against plain Python."""

from __future__ import annotations

import os
import random
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import MINUTE, SECOND, Period
from metergate.domain.quota import Kind, Limit
from tests.integration.processes import Process, Start, event, process
from tests.integration.quota_clock import StepClock
from tests.integration.quota_game import Game
from tests.integration.quota_table import Player, hold_of

ROUNDS = int(os.environ.get("METERGATE_QUOTA_ROUNDS", "3"))
TURNS = int(os.environ.get("METERGATE_QUOTA_TURNS", "80"))


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_p2_p3_p4_whatever_happens(
    postgres_url: str, redis_url: str, rng: random.Random, monkeypatch: pytest.MonkeyPatch, round_: int
) -> None:
    """More with METERGATE_QUOTA_ROUNDS and METERGATE_QUOTA_TURNS; again with METERGATE_TEST_SEED."""
    clock = StepClock(postgres_url, monkeypatch)
    await clock.install()
    async with AsyncExitStack() as all_:

        async def begin() -> Player:
            stack = await all_.enter_async_context(AsyncExitStack())
            return Player(stack, await stack.enter_async_context(process(postgres_url, redis_url, dev=False)))

        game = Game(begin, clock, rng, redis_url)
        try:
            await game.play(TURNS)
        except BaseException:
            print("\n".join(game.log))
            raise
        print(dict(sorted(game.counts.items())))


# What the game found, each as small as it gets.
CALLS = Meter("calls", "calls")
MONTH = Limit("calls/month", "calls", Decimal(2000))
TEN = Limit("calls/10m", "calls", Decimal(2000), kind=Kind.FIXED, length=10 * MINUTE)


@pytest.fixture
async def at_a_border(postgres_url: str, start: Start, monkeypatch: pytest.MonkeyPatch) -> tuple[StepClock, Process]:
    """Ten seconds before a border of ten minutes."""
    clock = StepClock(postgres_url, monkeypatch)
    await clock.install()
    one = await start(dev=False)
    now = await one.now()
    await clock.step(-now % (10 * MINUTE) - 10 * SECOND)
    return clock, one


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits),)))


async def test_p2_a_lease_is_not_prolonged_into_windows_in_which_it_does_not_count(
    at_a_border: tuple[StepClock, Process],
) -> None:
    clock, one = at_a_border
    await begin(one, MONTH)
    await one.customer("acme")
    held = hold_of(await one.acquire("calls", "50"))
    await begin(one, MONTH, TEN)
    await clock.step(20 * SECOND)
    (answer,) = await one.sync(Report(held.id, Decimal(0)))
    assert isinstance(answer, Answer)
    assert hold_of(answer).end_at == held.end_at


async def test_p4_more_of_a_lease_counts_in_windows_that_are_over_too(at_a_border: tuple[StepClock, Process]) -> None:
    clock, one = at_a_border
    await begin(one, TEN)
    await one.customer("acme")
    await one.consume(event("1"))  # so that there is a counter
    await begin(one, MONTH)
    held = hold_of(await one.acquire("calls", "5"))
    await clock.step(15 * SECOND)
    (answer,) = await one.sync(Report(held.id, Decimal(0), wanted=Decimal(20)))
    assert isinstance(answer, Answer)
    assert hold_of(answer).parts[0].granted == 20
    assert await one.differences() == []


async def test_p2_what_is_admitted_without_a_limit_counts_when_the_limit_comes_back(start: Start) -> None:
    one = await start(dev=False)
    await begin(one, MONTH)
    await one.customer("acme")
    await one.consume(event("1"))
    await begin(one)
    await one.consume(event("2", amount="1000"))
    await one.acquire("calls", "900")
    await begin(one, MONTH)
    assert not (await one.consume(event("3", amount="100"))).allowed
    assert await one.differences() == []


async def test_a_refusal_is_not_remembered_for_longer_when_the_clock_is_put_back(
    at_a_border: tuple[StepClock, Process],
) -> None:
    clock, one = at_a_border
    await begin(one, Limit("calls/10m", "calls", Decimal(5), kind=Kind.FIXED, length=10 * MINUTE))
    await one.customer("acme")
    assert (await one.consume(event("1", amount="5"))).allowed
    assert not (await one.consume(event("2"))).allowed
    await clock.step(-10 * MINUTE)
    assert (await one.consume(event("2"))).allowed


async def test_p4_the_view_knows_of_a_lease_that_expired_in_a_counter_that_only_it_has(start: Start) -> None:
    one = await start(dev=False)
    await begin(one, MONTH)
    await one.customer("acme")
    held = hold_of(await one.acquire("calls", "50"))
    await begin(one, replace(MONTH, name="calls/year", period=Period.YEAR))
    assert (await one.check("calls")).states[0].figures.leased == 50
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 minute' WHERE id = $1", held.id)
    await one.expiry.finish()
    assert (await one.check("calls")).states[0].figures[2:4] == (0, 50)
