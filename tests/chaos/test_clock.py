"""P1 and P8 at a border: the month ends, and with it a window and a slice of ids, while two servers record.

Their Postgres sessions see another time, and not quite the same one: see tests/integration/clock.py.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from metergate.domain.period import SECOND, Period, window_at
from tests.chaos.client import Client, usage
from tests.chaos.ledger import Ledger
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant
from tests.integration.clock import make_shiftable, shift


@pytest.mark.slow
async def test_p1_clock(postgres_url: str, redis_url: str, start_server: StartServer, rng: random.Random) -> None:
    """Each id goes to both servers at once; their clocks differ by 0.7 s."""
    await make_shiftable(postgres_url)
    ledger = Ledger(postgres_url)
    joint = "&" if "?" in postgres_url else "?"
    starting = 15 * SECOND  # longer than the servers take to start on a busy machine
    ((now,),) = await ledger.fetch("SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint")
    border = window_at(Period.MONTH, "UTC", now).end
    late = border - now - starting
    urls = [f"{postgres_url}{joint}{shift(late + skew)}" for skew in (0, 7 * SECOND // 10)]
    async with asyncio.timeout(60):
        one, two = await asyncio.gather(*(start_server(url, redis_url) for url in urls))
        tenant, key = await new_tenant(postgres_url)
        async with Client(one.grpc_url, key) as first, Client(two.grpc_url, key) as second:
            await first.have_meter()

            async def before_border() -> float:
                ((at,),) = await ledger.fetch(
                    "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"
                )
                return float(border - (at + late)) / SECOND

            left = await before_border()
            assert left > 0.5, "the servers started too slowly"
            await asyncio.sleep(max(0.0, left - 1.5))
            total = 0
            while await before_border() > -1.5:
                event = usage(f"c{rng.randrange(5)}")
                outcomes = await asyncio.gather(first.outcome(event), second.outcome(event))
                assert sorted(outcomes) == ["ACCEPTED", "DUPLICATE"]
                total += 1
            exact = [usage("c0", time=border + by) for by in (-1, 0, 1)]
            assert await first.batch(exact) == ["ACCEPTED"] * 3
    rows = await ledger.fetch("SELECT slice, count(DISTINCT id) FROM usage_id WHERE tenant = $1 GROUP BY 1", tenant)
    slices = sorted(count for _, count in rows)
    windows = await ledger.fetch(
        "SELECT k.used, (SELECT count(*) FROM usage_event e WHERE e.tenant = k.tenant AND e.customer = k.customer "
        "AND e.counted_at >= k.start_at AND e.counted_at < k.end_at) FROM usage_counter k WHERE tenant = $1",
        tenant,
    )
    print(f"{total} ids, by slice {slices}, {len(windows)} counters of both months")
    assert len(slices) == 2
    assert len(await ledger.ids(tenant)) == total + 3
    assert all(used == events for used, events in windows)
    assert len(windows) > 5, "both months were counted in"
    assert await ledger.differences() == []
