"""What a ledger of ten million events costs: `growth` and `reconcile`."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import asyncpg

from benchmarks import bulk, load
from benchmarks.proofs import all_in, fill, prove
from benchmarks.report import BrokenPromise, Result, alternate, at_least
from benchmarks.stage import Product, in_a_process, serving
from metergate import wiring
from metergate.adapters.postgres import connect
from metergate.adapters.postgres.reconcile import Reconciler

TENANT = wiring.DEV_TENANT


def growth() -> Result:
    """Events through BatchRecordUsage into a ledger of ten million against the same into an empty one."""
    batches, size, in_flight = 40, 1_000, 4
    with serving() as empty, serving() as full:
        asyncio.run(bulk.load(full.postgres_url, TENANT))
        for server in (empty, full):
            fill(server)
        seeds = itertools.count(1)
        cpu: dict[str, list[float]] = {"empty": [], "full": []}

        def run(name: str, server: Product) -> float:
            before = server.cpu_seconds()
            done = in_a_process(load.ingest, server.address, server.key, batches, size, in_flight, next(seeds))
            all_in(done)
            cpu[name].append(server.cpu_seconds() - before)
            return done.units / done.seconds

        run("empty", empty), run("full", full)  # caches, plans, first pages
        found = alternate(lambda: run("empty", empty), lambda: run("full", full))
        asyncio.run(prove(full.postgres_url))
    return at_least("growth", found, "events/s", 0.8, {**found, "server_cpu_seconds": cpu, "events": bulk.EVENTS})


# The same rows by customer, meter (there is one for each type) and quarter hour, as whoever asks the database himself
# would have them.
_AGGREGATE = """
SELECT count(*), sum(events) FROM (
    SELECT customer, type, date_bin('15 minutes', counted_at, timestamptz '1970-01-01 00:00+00') AS quarter,
        count(*) AS events, sum(coalesce(amount, 1)) AS sum
    FROM usage_event WHERE tenant = $1 GROUP BY 1, 2, 3) parts"""
_MEMORY = "64MB"  # as the reconciler takes


def reconcile() -> Result:
    """All of the ledger compared with its events, against one aggregate of them in SQL, in equal memory."""
    with serving() as server:
        asyncio.run(bulk.load(server.postgres_url, TENANT))
        found = asyncio.run(_compared(server.postgres_url))
        found["resident_bytes"] = server.resident_bytes()
    return at_least("reconcile", found, "events/s", 0.5, found)


async def _compared(postgres_url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(postgres_url, server_settings={"work_mem": _MEMORY, "jit": "off"})
    engine = connect.engine(postgres_url, 1)
    loop = asyncio.get_running_loop()

    async def aggregate() -> float:
        began = time.perf_counter()
        ((_, events),) = await connection.fetch(_AGGREGATE, TENANT)  # fetchrow would keep it to one process
        if events != bulk.EVENTS:
            raise BrokenPromise(f"{events} events are stored")
        return bulk.EVENTS / (time.perf_counter() - began)

    async def differences() -> float:
        began = time.perf_counter()
        if lines := await Reconciler(engine).differences():
            raise BrokenPromise(f"{len(lines)} differences: {lines[0]}")
        return bulk.EVENTS / (time.perf_counter() - began)

    def waiting(run: Any) -> Any:
        return lambda: asyncio.run_coroutine_threadsafe(run(), loop).result()

    try:
        await aggregate(), await differences()  # pages into memory
        return await asyncio.to_thread(alternate, waiting(aggregate), waiting(differences))
    finally:
        await connection.close()
        await engine.dispose()
