"""The benchmarks by name. Each returns one Result; one that finds a broken promise raises BrokenPromise."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

from benchmarks import floors, load
from benchmarks.aggregations import ingest_aggregations
from benchmarks.close import close
from benchmarks.consume import consume, consume_scale, consume_unary
from benchmarks.growth import growth, reconcile
from benchmarks.lease import lease
from benchmarks.proofs import all_in, fill, prove, rate
from benchmarks.report import Result, alternate, at_least, at_most
from benchmarks.stage import Outcome, floor_server, in_a_process, serving
from benchmarks.summary import summary
from metergate import wiring

TENANT = wiring.DEV_TENANT
CALLS = 24_000  # in a round: some seconds, longer than most of what else a shared machine does


def ingest() -> Result:
    """Events through BatchRecordUsage against hand-written transactions into the same Postgres."""
    batches, size, in_flight = 40, 1_000, 4
    with serving() as server:
        fill(server)
        seeds = iter(range(1, 1_000))
        cpu: dict[str, list[float]] = {"server": [], "client": [], "floor": []}

        def run_floor() -> float:
            done = in_a_process(load.ingest_floor, server.postgres_url, TENANT, batches, size, in_flight, next(seeds))
            all_in(done)
            cpu["floor"].append(done.cpu_seconds)
            return done.units / done.seconds

        def run_product() -> float:
            before = server.cpu_seconds()
            done = in_a_process(load.ingest, server.address, server.key, batches, size, in_flight, next(seeds))
            all_in(done)
            cpu["server"].append(server.cpu_seconds() - before)
            cpu["client"].append(done.cpu_seconds)
            return done.units / done.seconds

        run_floor(), run_product()  # caches, plans, first pages
        found = alternate(run_floor, run_product)
        detail = {**found, "cpu_seconds": cpu, "events_per_run": batches * size}
        asyncio.run(prove(server.postgres_url))
    return at_least("ingest", found, "events/s", 0.7, detail)


def ingest_unary() -> Result:
    """RecordUsage calls against empty calls, 64 in flight."""
    with serving() as server, floor_server(floors.empty_server) as empty:
        fill(server)
        seeds = iter(range(1, 1_000))
        found = alternate(
            lambda: rate(in_a_process(load.empty, empty, CALLS, 64)),
            lambda: rate(in_a_process(load.record, server.address, server.key, CALLS // 2, 64, next(seeds))),
        )
        asyncio.run(prove(server.postgres_url))
    return at_least("ingest-unary", found, "calls/s", 0.6, found)


def check() -> Result:
    """CheckQuota against empty calls: throughput at 64 in flight, latency at 1."""
    with serving() as server, floor_server(floors.empty_server) as empty:
        fill(server)
        found = alternate(
            lambda: rate(in_a_process(load.empty, empty, CALLS, 64)),
            lambda: rate(in_a_process(load.check, server.address, server.key, CALLS, 64)),
        )
        alone = {"empty": [], "check": []}  # type: dict[str, list[Outcome]]
        latency = alternate(
            lambda: _note(alone["empty"], in_a_process(load.empty, empty, 2_000, 1)),
            lambda: _note(alone["check"], in_a_process(load.check, server.address, server.key, 2_000, 1)),
        )
    p99 = statistics.median(one.notes["p99"] for one in alone["check"]) * 1e6
    result = at_least("check", found, "calls/s", 0.7, found)
    result.parts.append(at_most("check p50 at 1 in flight", latency, "µs", 1.5, {**latency, "p99": p99}))
    return result


def check_batch() -> Result:
    """BatchCheckQuota (500) against the same messages answered with canned decisions."""
    path = "/metergate.v1.QuotaService/BatchCheckQuota"
    with serving() as server, floor_server(floors.canned_server) as canned:
        fill(server)
        found = alternate(
            lambda: rate(in_a_process(load.check_batch, canned, floors.CANNED, "", 150, 500, 4)),
            lambda: rate(in_a_process(load.check_batch, server.address, path, server.key, 150, 500, 4)),
        )
    return at_least("check-batch", found, "decisions/s", 0.7, found)


def memory() -> Result:
    """The server's resident memory after a million events against after ten thousand."""
    with serving() as server:
        fill(server)
        all_in(in_a_process(load.ingest, server.address, server.key, 10, 1_000, 4, 1))
        first = float(server.resident_bytes())
        for seed in range(2, 21):
            all_in(in_a_process(load.ingest, server.address, server.key, 52, 1_000, 4, seed))
        last = float(server.resident_bytes())
    ratio = last / first
    return Result("memory", ratio, last, first, "bytes", "≤ 1.2", ratio <= 1.2, {"events": 998_000})


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "ingest": ingest,
    "ingest-aggregations": ingest_aggregations,
    "ingest-unary": ingest_unary,
    "check": check,
    "check-batch": check_batch,
    "consume": consume,
    "consume-unary": consume_unary,
    "consume-scale": consume_scale,
    "lease": lease,
    "summary": summary,
    "memory": memory,
    "growth": growth,
    "reconcile": reconcile,
    "close": close,
}


def _note(outcomes: list[Outcome], done: Outcome) -> float:
    outcomes.append(done)
    p50: float = done.notes["p50"]
    return p50 * 1e6
