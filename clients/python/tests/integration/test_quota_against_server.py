"""Consuming, reserving and leasing against the real server. The fixture ``server`` gives ``grpc_url`` and a ``key``."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest
from clients.python.tests.lossy_proxy import lossy_proxy

from metergate_client import (
    AsyncMetergate,
    Conflict,
    Event,
    LimitState,
    Metergate,
    NotFound,
    QuotaRefused,
    new_id,
)

PATIENT = 30.0  # seconds: a busy machine's worst, not what it takes

HOLDER = """
import sys
from metergate_client import Metergate
url, key, meter, subject, journal, amount = sys.argv[1:]
mg = Metergate(url, key, timeout=20)
leases = mg.lease_holder("worker-1", journal=journal, patience=30)
print(sum(leases.allow(meter, subject=subject) for _ in range(int(amount))), flush=True)
sys.stdin.read()
"""


class Server(Protocol):
    """A running server."""

    grpc_url: str
    key: str


@pytest.fixture
async def mg(server: Server) -> AsyncIterator[AsyncMetergate]:
    async with AsyncMetergate(server.grpc_url, server.key, timeout=20) as client:
        yield client


@pytest.fixture
async def meter(mg: AsyncMetergate) -> str:
    """A meter of this test's own, with a hard limit of 100 a month on the default plan."""
    name = f"calls-{new_id()}"
    await mg.set_limit(name, 100)
    return name


@pytest.fixture
async def subject(mg: AsyncMetergate) -> str:
    """A customer of this test's own, which is a subject too."""
    return (await mg.create_customer(f"acme-{new_id()}")).id


async def _state(mg: AsyncMetergate, meter: str, subject: str) -> LimitState:
    return (await mg.limits(meter, subject=subject))[f"{meter}/month"]


async def test_the_first_five_minutes_of_quota(server: Server, meter: str) -> None:
    subject = f"acme-{new_id()}"  # made on first use: the server is one for development

    def five_minutes() -> None:
        with Metergate(server.grpc_url, server.key, timeout=20) as mg:
            mg.record(meter, subject=subject)
            refused = repr(mg.consume(meter, 100, subject=subject))
            assert refused == f"refused by {meter}/month · 99 would fit · nothing charged"
            with mg.reserve(meter, 10, subject=subject) as r:
                r.commit(7)
            assert mg.usage(meter, subject=subject).total == Decimal(8)
            allowed = repr(mg.consume(meter, 2, subject=subject))
            assert re.fullmatch(r"allowed · 10 used · 90 left · resets \d{4}-\d\d-01T00:00Z", allowed), allowed

    await asyncio.to_thread(five_minutes)


async def test_p3_a_unit_is_admitted_whole_or_not_at_all(mg: AsyncMetergate, meter: str, subject: str) -> None:
    assert not await mg.consume_unit([Event(meter, subject, 60), Event(meter, subject, 41)])
    assert (await _state(mg, meter, subject)).used == 0
    unit = [Event(meter, subject, 60, time=None), Event(meter, subject, 40, time=None)]
    first = await mg.consume_unit(unit)
    again = await mg.consume_unit(unit)
    assert (first.allowed, first.duplicate, again.allowed, again.duplicate) == (True, False, True, True)
    assert (await _state(mg, meter, subject)).remaining == 0
    with pytest.raises(Conflict) as caught:
        await mg.consume_unit([unit[0], Event(meter, subject, 1)])
    assert caught.value.reason == "UNIT_PARTLY_KNOWN"
    with pytest.raises(NotFound):
        await mg.consume(f"no-such-{meter}", subject=subject)


async def test_a_batch_decides_each_unit_by_itself(mg: AsyncMetergate, meter: str, subject: str) -> None:
    unknown = Event(f"no-such-{meter}", subject)
    units = [Event(meter, subject, 90), Event(meter, subject, 11), [Event(meter, subject, 5)] * 1, unknown]
    results = await mg.consume_batch(units)
    assert [bool(result) for result in results] == [True, False, True, False]
    assert results[1].binding_limit == f"{meter}/month"
    assert results[3].error_reason == "METER_NOT_FOUND"
    details = await mg.consume_batch([Event(meter, subject, 1000)], details=True)
    assert details[0].decision is not None
    assert details[0].decision.limits[0].would_fit == Decimal(5)


async def test_p1_a_consumption_whose_answer_was_lost_is_charged_once(
    server: Server, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    with lossy_proxy(server.grpc_url) as proxy:
        async with AsyncMetergate(proxy.url, server.key, timeout=20) as client:
            await client.check(meter, subject=subject)
            proxy.cuts = 1
            admitted = await client.consume(meter, 60, subject=subject)
            assert (proxy.lost, admitted.allowed, admitted.duplicate) == (1, True, True)
            proxy.cuts = 1
            async with client.reserve(meter, 40, subject=subject) as r:
                proxy.cuts = 1
                await r.commit(30)
            assert proxy.lost == 3
    state = await _state(mg, meter, subject)
    assert (state.used, state.reserved) == (Decimal(90), Decimal(0))


async def test_a_reservation_holds_until_it_is_committed_or_released(
    mg: AsyncMetergate, meter: str, subject: str
) -> None:
    async with mg.reserve(meter, 80, subject=subject) as r:
        assert (await _state(mg, meter, subject)).reserved == Decimal(80)
        assert not await mg.consume(meter, 21, subject=subject)
        with pytest.raises(QuotaRefused, match=f"refused by {meter}/month"):
            async with mg.reserve(meter, 21, subject=subject):
                raise AssertionError("the block of a refused reservation does not run")
        assert (await r.extend(600)).expire_time is not None
        async with mg.reserve(meter, 50, subject=subject, partial_ok=True) as rest:
            assert rest.amounts[0].amount == Decimal(20)
    assert r.state == "released"
    state = await _state(mg, meter, subject)
    assert (state.used, state.reserved) == (Decimal(0), Decimal(0))
    with pytest.raises(Conflict) as caught:
        await r.extend(600)
    assert caught.value.reason == "RESERVATION_CLOSED"
    committed = await r.commit(120)
    assert committed.late
    assert committed.limits[0].overrun == Decimal(20), "what happened is recorded, whatever it comes to"


async def test_p2_a_lease_holder_allows_every_unit_and_not_one_more(
    server: Server, mg: AsyncMetergate, meter: str, subject: str, tmp_path: Path
) -> None:
    def spend() -> int:
        with Metergate(server.grpc_url, server.key, timeout=20) as client:
            with client.lease_holder("worker-1", patience=PATIENT, journal=tmp_path / "journal") as leases:
                allowed = sum(leases.allow(meter, subject=subject) for _ in range(120))
            assert leases.close(), "settled and closed"
        return allowed

    assert await asyncio.to_thread(spend) == 100
    state = await _state(mg, meter, subject)
    assert (state.used, state.leased, state.forfeited) == (Decimal(100), Decimal(0), Decimal(0))


async def test_p2_holders_and_consumers_share_a_limit_to_the_unit(
    server: Server, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    await mg.set_limit(meter, 2_000)

    async def hold(name: str) -> int:
        async with (
            AsyncMetergate(server.grpc_url, server.key, timeout=20) as client,
            client.lease_holder(name, patience=PATIENT) as leases,
        ):
            allowed = 0
            for number in range(600):
                allowed += await leases.allow(meter, subject=subject)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            return allowed

    async def consume() -> int:
        return sum([(await mg.consume(meter, 3, subject=subject)).allowed for _ in range(50)]) * 3

    counts = await asyncio.gather(hold("worker-1"), hold("worker-2"), hold("worker-3"), consume())
    state = await _state(mg, meter, subject)
    assert (state.used, state.leased, state.forfeited) == (Decimal(sum(counts)), Decimal(0), Decimal(0))
    assert sum(counts) <= 2_000
    while await mg.consume(meter, subject=subject):  # every unit that nobody used is there
        counts.append(1)
    assert sum(counts) == 2_000


async def test_p1_lost_answers_of_a_lease_holder_change_nothing(
    server: Server, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    with lossy_proxy(server.grpc_url) as proxy:
        async with AsyncMetergate(proxy.url, server.key, timeout=20) as client:
            async with client.lease_holder("worker-1", patience=PATIENT) as leases:
                proxy.cuts = 1
                allowed = [await leases.allow(meter, subject=subject)]
                for _ in range(40):
                    proxy.cuts = 1 if proxy.lost < 5 else 0
                    allowed.append(await leases.allow(meter, subject=subject))
                    await asyncio.sleep(0.01)
            assert proxy.lost >= 1
    state = await _state(mg, meter, subject)
    assert (state.used, state.leased) == (Decimal(sum(allowed)), Decimal(0))
    assert allowed[0]


async def test_p2_a_killed_holders_unspent_slice_is_free_again_once_the_next_of_its_name_runs(
    server: Server, mg: AsyncMetergate, meter: str, subject: str, tmp_path: Path
) -> None:
    await mg.set_limit(meter, 100_000)
    arguments = [server.grpc_url, server.key, meter, subject, str(tmp_path / "journal"), "60"]

    def run_and_kill() -> None:
        command = [sys.executable, "-c", HOLDER, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"60"
            process.kill()

    await asyncio.to_thread(run_and_kill)
    held = await _state(mg, meter, subject)
    assert held.used + held.leased >= 60
    async with mg.lease_holder("worker-1", journal=tmp_path / "journal", patience=PATIENT) as leases:
        assert await leases.allow(meter, subject=subject)
    state = await _state(mg, meter, subject)
    assert state.used <= 61, "no usage is invented"
    assert state.used + state.leased >= 61, "what was spent is never handed out again"
    assert state.leased < held.leased, "what was not spent is free"


async def test_where_nothing_can_be_leased_the_server_is_asked(mg: AsyncMetergate, subject: str) -> None:
    meter = f"calls-{new_id()}"
    await mg.set_limit(meter, 3, period="minute")
    async with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert not await leases.allow(meter, subject=subject)
        assert await leases.allow(meter, 2, subject=subject, fallback=True)
        with pytest.raises(NotFound):
            await leases.allow(f"no-such-{meter}", subject=subject, fallback=True)
    assert (await mg.usage(meter, subject=subject)).total == Decimal(2)
