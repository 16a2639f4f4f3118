"""What an attack on holds, rates and lost answers found, so that it stays mended."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import Hold
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, Period
from metergate.domain.quota import Kind, Limit
from metergate.domain.work import Want
from tests.chaos.proxy import Fate, Link, PostgresProxy
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, heard, process

CALLS = Meter("calls", "calls", dimensions=("region",))
WIDER = dataclasses.replace(CALLS, dimensions=("region", "tier"))


def limit(name: str, most: int, period: Period = Period.MONTH) -> Limit:
    return Limit(name, "calls", Decimal(most), period)


def calls(amount: int) -> Want:
    return Want("calls", Decimal(amount), {})


async def apply(one: Process, *limits: Limit, meter: Meter = CALLS) -> None:
    await one.apply(Catalog((meter,), (Plan("default", limits),)))


async def begin(one: Process, *limits: Limit) -> None:
    await apply(one, *limits)
    await one.customer("acme")


def hold_of(answer: Answer | MetergateError) -> Hold:
    assert isinstance(answer, Answer)
    assert answer.hold is not None
    return answer.hold


async def expire_all(one: Process) -> None:
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 second'")
    await one.expiry.finish()
    await heard()


async def seen(one: Process) -> dict[str, tuple[Decimal, ...]]:
    """What the view says, which has to be what the ledger says."""
    by_view = {state.limit.name: state.figures[:4] for state in (await one.check("calls", "0")).states}
    listed = (await one.limits.list(PRINCIPAL, "acme", ["calls"])).states
    assert by_view == {state.limit.name: state.figures[:4] for state in listed}
    assert await one.differences() == []
    return by_view


@pytest.mark.parametrize("meter", [CALLS, WIDER])
async def test_p4_the_view_hears_of_an_expiry_after_the_catalog_changed(one: Process, meter: Meter) -> None:
    await begin(one, limit("m", 100))
    await one.reserve(calls(30))
    await apply(one, limit("m", 100), limit("d", 100, Period.DAY), meter=meter)
    await one.check("calls")
    await expire_all(one)
    assert {figures[1] for figures in (await seen(one)).values()} == {0}


async def test_p4_the_view_hears_of_usage_that_settles_in_an_older_sub_window(one: Process) -> None:
    await begin(one, limit("m", 1000))
    lease = hold_of(await one.acquire("calls", "20"))
    for table in ("hold", "hold_move"):
        await one.fetch(f"UPDATE {table} SET counted_at = counted_at - interval '20 minutes'")
    rolling = Limit("r", "calls", Decimal(100), kind=Kind.ROLLING, length=HOUR, sub_windows=6)
    await apply(one, limit("m", 1000), rolling)
    await one.check("calls")
    await one.add(event("s", amount="15", settles=lease.id))
    await heard()
    await seen(one)


async def test_p4_another_process_hears_of_an_expiry_after_a_plan_change(one: Process, start: Start) -> None:
    two = await start()
    plans = Plan("default", (limit("m", 100),)), Plan("b", (limit("d", 50, Period.DAY),))
    await one.apply(Catalog((CALLS,), plans))
    await one.customer("acme")
    await one.reserve(calls(30))
    await one.assign("acme", "b")
    two.directory.forget_all()
    await two.check("calls")
    await expire_all(one)
    assert (await two.check("calls", "40")).allowed


async def test_p2_a_rates_state_outlives_a_change_of_its_meter(one: Process) -> None:
    rate = Limit("r", "calls", Decimal(10), kind=Kind.RATE, length=DAY)
    await begin(one, rate)
    assert (await one.consume(event("1", amount="10"))).allowed
    await apply(one, rate, meter=WIDER)
    assert not (await one.consume(event("2", amount="1"))).allowed
    assert await one.differences() == []


@asynccontextmanager
async def losing(postgres_url: str, redis_url: str) -> AsyncGenerator[tuple[Process, PostgresProxy]]:
    """A process behind a proxy that can lose what it commits."""
    async with PostgresProxy(postgres_url) as proxy, process(proxy.url, redis_url) as one:
        yield one, proxy


def meet(proxy: PostgresProxy, *fates: Fate) -> None:
    left = list(fates)

    async def fate(_: Link) -> Fate:
        return left.pop(0) if left else Fate.PASS

    proxy.on_commit = fate


async def test_p5_a_reservation_whose_answer_was_lost_is_seen(postgres_url: str, redis_url: str) -> None:
    async with losing(postgres_url, redis_url) as (one, proxy):
        await begin(one, limit("m", 100))
        await one.consume(event("w"))
        await one.check("calls")
        meet(proxy, Fate.ANSWER_LOST)
        _, seqs = await one.reservations.reserve(PRINCIPAL, "acme", [calls(30)], MINUTE, False, "")
        assert seqs
        assert (await one.check("calls", at_least=seqs)).states[0].figures.reserved == 30


async def test_p5_a_release_whose_answer_was_lost_is_seen(postgres_url: str, redis_url: str) -> None:
    async with losing(postgres_url, redis_url) as (one, proxy):
        await begin(one, limit("m", 100))
        held = hold_of(await one.reserve(calls(30)))
        await one.check("calls")
        meet(proxy, Fate.ANSWER_LOST)
        await one.reservations.release(PRINCIPAL, held.id)
        await heard()
        assert (await one.check("calls", "90")).allowed


async def test_p1_a_commit_in_time_whose_answer_was_lost_is_not_late(postgres_url: str, redis_url: str) -> None:
    async with losing(postgres_url, redis_url) as (one, proxy):
        await begin(one, limit("m", 100))
        held = hold_of(await one.reserve(calls(30)))
        meet(proxy, Fate.ANSWER_LOST)
        answer, _ = await one.reservations.commit(PRINCIPAL, held.id, [event("x", amount="5", settles=held.id)])
        assert (answer.late, [receipt.outcome.value for receipt in answer.receipts]) == (False, ["accepted"])


async def test_p1_one_id_in_two_units_and_a_fact_whose_answer_was_lost(postgres_url: str, redis_url: str) -> None:
    async with losing(postgres_url, redis_url) as (one, proxy):
        await begin(one, limit("m", 100))
        await one.consume(event("w"))
        gate, fates = asyncio.Event(), [Fate.PASS, Fate.ANSWER_LOST]

        async def fate(_: Link) -> Fate:
            await gate.wait()
            return fates.pop(0) if fates else Fate.PASS

        proxy.on_commit = fate
        before = asyncio.create_task(one.consume(event("before")))
        await proxy.commit_held.wait()
        twice = [asyncio.create_task(one.consume(event("twice"))) for _ in range(2)]
        fact = asyncio.create_task(one.add(event("twice")))
        while len(one.consumes._lanes._lanes["t"]._queue) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        gate.set()
        await before
        outcomes = [answer.receipts[0].outcome.value for answer in await asyncio.gather(*twice)]
        outcomes.append((await fact).receipts[0].outcome.value)
        assert sorted(outcomes) == ["accepted", "duplicate", "duplicate"]


async def test_p12_a_commit_that_conflicts_with_itself_records_nothing(one: Process) -> None:
    await begin(one, limit("m", 100))
    held = hold_of(await one.reserve(calls(30)))
    both = [event("x", amount=amount, settles=held.id) for amount in ("5", "6")]
    with pytest.raises(MetergateError) as error:
        await one.reservations.commit(PRINCIPAL, held.id, both)
    assert error.value.reason is Reason.FIELD_INVALID
    assert await one.fetch("SELECT count(*) FROM usage_event") == [(0,)]
    assert await one.fetch("SELECT state FROM hold") == [("open",)]


async def test_p10_a_held_head_stops_nobody_elses_expiry(one: Process) -> None:
    await begin(one, limit("m", 100))
    await one.customer("stuck")
    for subject in ("acme", "stuck"):
        await one.reserve(calls(5), subject=subject)
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 second'")
    async with one.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM customer_head WHERE customer = 'stuck' FOR UPDATE")
        async with asyncio.timeout(30):
            while await one.fetch("SELECT state FROM hold WHERE customer = 'acme'") == [("open",)]:
                await one.expiry.begin()
                await asyncio.sleep(0.02)
        assert await one.fetch("SELECT state FROM hold WHERE customer = 'stuck'") == [("open",)]
    async with asyncio.timeout(30):
        while await one.fetch("SELECT state FROM hold WHERE customer = 'stuck'") == [("open",)]:
            await one.expiry.begin()
            await asyncio.sleep(0.02)
    assert await one.differences() == []


async def test_a_lease_is_not_renewed_past_the_windows_that_it_counts_in(one: Process) -> None:
    await begin(one, limit("m", 1000))
    lease = hold_of(await one.acquire("calls", "40"))
    for table in ("hold", "hold_move"):
        await one.fetch(f"UPDATE {table} SET counted_at = counted_at - interval '2 hours'")
    await apply(one, limit("m", 1000), limit("h", 10, Period.HOUR))
    await one.fetch("UPDATE hold SET end_at = now() + interval '9 seconds'")
    (answer,) = await one.sync(Report(lease.id, Decimal(1), wanted=Decimal(80)))
    after = hold_of(answer)
    assert after.parts[0].granted == lease.parts[0].granted
    assert after.end_at < await one.now() + 10_000_000
