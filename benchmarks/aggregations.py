"""What all aggregations together cost: `ingest` into meters of all nine against the same into its one SUM meter."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import asyncpg
import psutil

from benchmarks import load
from benchmarks.proofs import all_in, fill, prove
from benchmarks.report import Result, alternate, at_least, at_most
from benchmarks.stage import CATALOG, METER, Product, in_a_process, serving
from metergate.domain.aggregation import AGGREGATIONS, LevelUnit
from metergate.domain.catalog import Catalog
from metergate.domain.meter import LEVEL, PERCENTILE, Meter
from metergate.domain.quantity import parse

BATCHES, SIZE, IN_FLIGHT = 40, 1_000, 4
AIM = 0.85


def _meter(aggregation: str) -> Meter:
    return Meter(
        f"{METER}_{aggregation}",
        METER,
        aggregation,
        dimensions=("region",),
        percentile=parse("95", "percentile") if aggregation == PERCENTILE else None,
        level_unit=LevelUnit.HOUR if aggregation == LEVEL else None,
    )


# The one meter of `ingest`, with its limit, and one of each other aggregation over the same events.
ALL = Catalog((*CATALOG.meters, *[_meter(name) for name in AGGREGATIONS if name != "sum"]), CATALOG.plans)


def ingest_aggregations() -> Result:
    """Events through BatchRecordUsage into meters of all aggregations against the same into one SUM meter."""
    with ExitStack() as stack:
        one, nine = (stack.enter_context(serving(catalog)) for catalog in (CATALOG, ALL))
        seeds = iter(range(1, 1_000))
        cpu: dict[str, list[float]] = {"one": [], "nine": []}

        def runs(name: str, server: Product) -> Callable[[], float]:
            def run() -> float:
                before = server.cpu_seconds() + _postgres_seconds(server)
                done = in_a_process(load.ingest, server.address, server.key, BATCHES, SIZE, IN_FLIGHT, next(seeds))
                all_in(done)
                spent = server.cpu_seconds() + _postgres_seconds(server) - before
                cpu[name].append(spent / (BATCHES * SIZE) * 1e6)
                return done.units / done.seconds

            return run

        run_one, run_nine = runs("one", one), runs("nine", nine)
        for server, run in ((one, run_one), (nine, run_nine)):
            fill(server)
            run()  # caches, plans, first pages
        for spent in cpu.values():
            spent.clear()
        found = alternate(run_one, run_nine)
        for server in (one, nine):
            asyncio.run(prove(server.postgres_url))
    result = at_least("ingest-aggregations", found, "events/s", AIM, {**found, "cpu": cpu})
    result.parts.append(_by_cpu(cpu))
    return result


def _by_cpu(cpu: dict[str, list[float]]) -> Result:
    """The server's and PostgreSQL's CPU together: what a busy machine cannot blur as much."""
    ratios = [nine / one for one, nine in zip(cpu["one"], cpu["nine"], strict=True)]
    found: dict[str, Any] = {
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "product": statistics.median(cpu["nine"]),
        "floor": statistics.median(cpu["one"]),
    }
    return at_most("CPU of an event, with PostgreSQL's", found, "µs", 1.15, found)


def _postgres_seconds(server: Product) -> float:
    """CPU that PostgreSQL's processes have used, but for those that ended."""
    return asyncio.run(_seconds(server.postgres_url))


async def _seconds(url: str) -> float:
    connection = await asyncpg.connect(url)
    postmaster = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
    assert postmaster is not None, "backends are its children"
    times = [one.cpu_times() for one in (postmaster, *postmaster.children())]
    await connection.close()
    return sum(one.user + one.system for one in times)
