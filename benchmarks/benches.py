"""The benchmarks by name. Each returns one Result; one that finds a broken promise raises BrokenPromise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import asyncpg

from benchmarks import floors, load
from benchmarks.report import BrokenPromise, Result, alternate
from benchmarks.stage import CUSTOMERS, METER, Outcome, Product, databases, free_port, in_a_process, product
from metergate import wiring
from metergate.adapters.postgres import connect
from metergate.adapters.postgres.reconcile import Reconciler

TENANT = wiring.DEV_TENANT


def ingest() -> Result:
    """Events through BatchRecordUsage against hand-written transactions into the same Postgres."""
    batches, size, in_flight = 40, 1_000, 4
    with databases() as (postgres, redis), product(postgres, redis) as server:
        _fill(server)
        seeds = iter(range(1, 1_000))
        cpu: dict[str, list[float]] = {"server": [], "client": [], "floor": []}

        def run_floor() -> float:
            done = in_a_process(load.ingest_floor, postgres, TENANT, batches, size, in_flight, next(seeds))
            _all_in(done)
            cpu["floor"].append(done.cpu_seconds)
            return done.units / done.seconds

        def run_product() -> float:
            before = server.cpu_seconds()
            done = in_a_process(load.ingest, server.address, server.key, batches, size, in_flight, next(seeds))
            _all_in(done)
            cpu["server"].append(server.cpu_seconds() - before)
            cpu["client"].append(done.cpu_seconds)
            return done.units / done.seconds

        run_floor(), run_product()  # caches, plans, first pages
        found = alternate(run_floor, run_product)
        detail = {**found, "cpu_seconds": cpu, "events_per_run": batches * size}
        asyncio.run(_prove(postgres))
    return _result("ingest", found, "events/s", 0.7, detail)


def ingest_unary() -> Result:
    """RecordUsage calls against empty calls, 64 in flight."""
    with databases() as (postgres, redis), product(postgres, redis) as server, _floor(floors.empty_server) as empty:
        _fill(server)
        seeds = iter(range(1, 1_000))
        found = alternate(
            lambda: _rate(in_a_process(load.empty, empty, 8_000, 64)),
            lambda: _rate(in_a_process(load.record, server.address, server.key, 6_000, 64, next(seeds))),
        )
        asyncio.run(_prove(postgres))
    return _result("ingest-unary", found, "calls/s", 0.6, found)


def check() -> Result:
    """CheckQuota against empty calls: throughput at 64 in flight, latency at 1."""
    with databases() as (postgres, redis), product(postgres, redis) as server, _floor(floors.empty_server) as empty:
        _fill(server)
        found = alternate(
            lambda: _rate(in_a_process(load.empty, empty, 8_000, 64)),
            lambda: _rate(in_a_process(load.check, server.address, server.key, 8_000, 64)),
        )
        alone = {"empty": [], "check": []}  # type: dict[str, list[Outcome]]
        latency = alternate(
            lambda: _note(alone["empty"], in_a_process(load.empty, empty, 2_000, 1)),
            lambda: _note(alone["check"], in_a_process(load.check, server.address, server.key, 2_000, 1)),
        )
    detail = {**found, "p50_ratio": latency["ratio"], "p50_s": latency["product"], "p50_empty_s": latency["floor"]}
    detail["p99_s"] = sorted(one.notes["p99"] for one in alone["check"])[len(alone["check"]) // 2]
    result = _result("check", found, "calls/s", 0.7, detail)
    result.aim += ", p50 ≤ 1.5 ×"
    result.met = result.met and latency["ratio"] <= 1.5
    return result


def check_batch() -> Result:
    """BatchCheckQuota (500) against the same messages answered with canned decisions."""
    path = "/metergate.v1.QuotaService/BatchCheckQuota"
    with databases() as (postgres, redis), product(postgres, redis) as server, _floor(floors.canned_server) as canned:
        _fill(server)
        found = alternate(
            lambda: _rate(in_a_process(load.check_batch, canned, floors.CANNED, "", 150, 500, 4)),
            lambda: _rate(in_a_process(load.check_batch, server.address, path, server.key, 150, 500, 4)),
        )
    return _result("check-batch", found, "decisions/s", 0.7, found)


def memory() -> Result:
    """The server's resident memory after a million events against after ten thousand."""
    with databases() as (postgres, redis), product(postgres, redis) as server:
        _fill(server)
        _all_in(in_a_process(load.ingest, server.address, server.key, 10, 1_000, 4, 1))
        first = float(server.resident_bytes())
        for seed in range(2, 21):
            _all_in(in_a_process(load.ingest, server.address, server.key, 52, 1_000, 4, seed))
        last = float(server.resident_bytes())
    ratio = last / first
    return Result("memory", ratio, last, first, "bytes", "≤ 1.2", ratio <= 1.2, {"events": 998_000})


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "ingest": ingest,
    "ingest-unary": ingest_unary,
    "check": check,
    "check-batch": check_batch,
    "memory": memory,
}


def _result(name: str, found: dict[str, Any], unit: str, aim: float, detail: dict[str, Any]) -> Result:
    return Result(
        name, found["ratio"], found["product"], found["floor"], unit, f"≥ {aim}", found["ratio"] >= aim, detail
    )


def _fill(server: Product) -> None:
    """Each customer has used something, so that heads, rollups, counters and the view are there."""
    done = in_a_process(load.record, server.address, server.key, CUSTOMERS + 50, 64, 0)
    _all_in(done)


def _all_in(done: Outcome) -> None:
    if done.units != done.notes["sent"]:
        raise BrokenPromise(f"{done.units} were accepted or allowed of {done.notes}")


def _rate(done: Outcome) -> float:
    if "sent" in done.notes:
        _all_in(done)
    return done.units / done.seconds


def _note(outcomes: list[Outcome], done: Outcome) -> float:
    outcomes.append(done)
    p50: float = done.notes["p50"]
    return p50


async def _prove(postgres_url: str) -> None:
    """Events = ids = rollups = counters, floor's and product's alike."""
    engine = connect.engine(postgres_url, 1)
    differences = await Reconciler(engine).differences()
    await engine.dispose()
    connection = await asyncpg.connect(postgres_url)
    unmatched = await connection.fetchval("SELECT count(*) FROM usage_event WHERE customer = '' OR type <> $1", METER)
    await connection.close()
    if differences or unmatched:
        raise BrokenPromise(f"{unmatched} unmatched; {differences[:3]}")


@contextmanager
def _floor(serve: Callable[[str], Coroutine[Any, Any, Any]]) -> Iterator[str]:
    """A floor server in a process of its own."""
    address = f"127.0.0.1:{free_port()}"
    context = get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve_floor, args=(serve, address, ready), daemon=True)
    process.start()
    assert ready.wait(30)
    try:
        yield address
    finally:
        process.terminate()
        process.join(10)


def _serve_floor(serve: Callable[[str], Coroutine[Any, Any, Any]], address: str, ready: Any) -> None:
    import uvloop

    async def run() -> None:
        server = await serve(address)
        ready.set()
        await server.wait_for_termination()

    uvloop.run(run())
