"""How fast exact decisions are: `consume`, `consume-unary` and `consume-scale`."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import crowd, floors, load, load_quota
from benchmarks.load_quota import EVERYWHERE
from benchmarks.proofs import all_in, fill, prove, rate
from benchmarks.report import ROUNDS, BrokenPromise, Result, alternate, at_least, at_most
from benchmarks.stage import METER, Outcome, Product, floor_server, in_a_process, in_processes, serving
from metergate import wiring
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import Period
from metergate.domain.quantity import parse
from metergate.domain.quota import Limit, Policy, Scope

MOST = 1_000_000_000
SCARCE, SCARCE_MOST = "scarce", 10_000
EIGHT = "eight"
_SECONDS_MOST = 15.0
"""No run asks for longer, so that a cost that grows with the ledger is told and not waited for."""
PATIENCE = 0.020
"""Seconds that Envoy waits for a rate limit service unless it is told otherwise: `RateLimit.timeout` of its filter."""


def _hard(meter: str, name: str, most: int, **more: Any) -> Limit:
    return Limit(f"{meter}/{name}", meter, parse(str(most), "max"), policy=Policy.HARD, **more)


_EIGHT_LIMITS = (
    *(_hard(EIGHT, period.value, MOST, period=period) for period in list(Period)[:6]),
    _hard(EIGHT, "day-region", MOST, period=Period.DAY, per_labels=("region",)),
    _hard(EIGHT, "day-subject", MOST, period=Period.DAY, scope=Scope.SUBJECT),
)
# HARD limits, so that there is something to decide: one on a meter, eight on another, and one that is soon used up.
CATALOG = Catalog(
    meters=tuple(Meter(name, name, dimensions=("region",)) for name in (METER, EIGHT, SCARCE)),
    plans=(
        Plan(
            "default",
            (_hard(METER, "month", MOST), *_EIGHT_LIMITS, _hard(SCARCE, "month", SCARCE_MOST)),
        ),
    ),
)


def consume() -> Result:
    """Units through BatchConsumeQuota(500) against hand-written lock-decide-write transactions into the same Postgres:
    over 1,000 customers, and of one hot customer."""
    with serving(CATALOG) as server:
        fill(server)
        spread = _against_floor(server, EVERYWHERE, seed=1)
        hot = _against_floor(server, EVERYWHERE[:1], seed=1_001)
        _all_of_a_limit(server)
        asyncio.run(prove(server.postgres_url, (METER, SCARCE)))
    result = at_least("consume", spread, "decisions/s", 0.5, spread)
    result.parts.append(at_least("consume, one hot customer", hot, "decisions/s", 0.5, hot))
    return result


def _against_floor(server: Product, among: tuple[str, ...], seed: int) -> dict[str, Any]:
    batches, size, in_flight = 60, 500, 4
    seeds = itertools.count(seed)
    cpu: dict[str, list[float]] = {"server": [], "client": [], "floor": []}

    def run_floor() -> float:
        arguments = (among, MOST, batches, size, in_flight, next(seeds))
        done = in_a_process(load_quota.consume_floor, server.postgres_url, wiring.DEV_TENANT, *arguments)
        cpu["floor"].append(done.cpu_seconds)
        return rate(done)

    def run_product() -> float:
        before = server.cpu_seconds()
        arguments = (METER, among, batches, size, in_flight, next(seeds))
        done = in_a_process(load_quota.consume_batch, server.address, server.key, *arguments)
        cpu["server"].append(server.cpu_seconds() - before)
        cpu["client"].append(done.cpu_seconds)
        return rate(done)

    run_floor(), run_product()  # caches, plans, first pages
    return {**alternate(run_floor, run_product), "cpu_seconds": cpu, "units_per_run": batches * size}


def _all_of_a_limit(server: Product) -> None:
    """Three processes ask for three times what a limit holds: exactly the limit is admitted."""
    arguments = [(server.address, server.key, SCARCE, EVERYWHERE[:1], 20, 500, 4, seed) for seed in (1, 2, 3)]
    done = in_processes(load_quota.consume_batch, arguments)
    admitted = sum(one.units for one in done)
    if admitted != SCARCE_MOST:
        raise BrokenPromise(f"{admitted} were admitted under a limit of {SCARCE_MOST}: {[one.notes for one in done]}")


def consume_unary() -> Result:
    """ConsumeQuota calls against empty calls, 64 in flight."""
    with serving(CATALOG) as server, floor_server(floors.empty_server) as empty:
        fill(server)
        seeds = itertools.count(1)
        found = alternate(
            lambda: rate(in_a_process(load.empty, empty, 8_000, 64)),
            lambda: rate(_consumes(server, METER, EVERYWHERE, 6_000, next(seeds))),
        )
        asyncio.run(prove(server.postgres_url))
    return at_least("consume-unary", found, "calls/s", 0.5, found)


def consume_scale() -> Result:
    """What a decision costs: beside a million counters against beside ten, under eight limits against under one; and
    how long CheckQuota takes at half of its top rate."""
    counters = _beside_a_million(crowd.customers, METER)
    result = at_most("consume-scale: a million customers against ten", counters, "µs", 1.2, counters)
    subjects = _beside_a_million(crowd.subjects, crowd.METER)
    parts = [at_most("a million subjects of a customer against ten", subjects, "µs", 1.2, subjects)]
    with serving(CATALOG) as server:
        fill(server)
        limits = _eight_against_one(server)
        parts.append(at_most("eight limits against one", limits, "µs", 3.0, limits))
        parts.append(_half_of_top_rate(server))
        asyncio.run(prove(server.postgres_url, (METER, EIGHT)))
    result.parts.extend(parts)
    return result


def _beside_a_million(crowded: Callable[..., tuple[str, ...]], meter: str) -> dict[str, Any]:
    """The same ten counters are moved in both ledgers; what else these hold is the difference."""
    with ExitStack() as stack:
        sizes = (10, 1_000_000)
        few, many = (stack.enter_context(serving(crowd.CATALOG)) for _ in sizes)
        asked = [asyncio.run(crowded(one.postgres_url, size)) for one, size in zip((few, many), sizes, strict=True)]
        seeds = itertools.count(1)
        for one, subjects in ((few, asked[0]), (many, asked[1])):
            all_in(_consumes(one, meter, subjects, 64, next(seeds)))
        return alternate(
            lambda: _cost(_consumes(few, meter, asked[0], 3_000, next(seeds))),
            lambda: _cost(_consumes(many, meter, asked[1], 3_000, next(seeds))),
        )


def _eight_against_one(server: Product) -> dict[str, Any]:
    seeds = itertools.count(5_001)

    def run(meter: str) -> float:
        arguments = (meter, EVERYWHERE, 30, 500, 4, next(seeds))
        return _cost(in_a_process(load_quota.consume_batch, server.address, server.key, *arguments))

    run(EIGHT), run(METER)  # counters are born
    return alternate(lambda: run(METER), lambda: run(EIGHT))


def _half_of_top_rate(server: Product) -> Result:
    """The floor is Envoy's patience: nothing is alternated with it."""
    tops, halves = [], []
    for _ in range(ROUNDS):
        tops.append(rate(in_a_process(load.check, server.address, server.key, 6_000, 64)))
        half = in_a_process(load_quota.check_paced, server.address, server.key, tops[-1] / 2, 4.0)
        all_in(half)
        halves.append(half.notes["p99"])
    ratios = [one / PATIENCE for one in halves]
    found = {
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "product": statistics.median(halves) * 1e6,
        "floor": PATIENCE * 1e6,
        "top_rates": tops,
    }
    return at_most("CheckQuota p99 at half of its top rate", found, "µs", 1.0, found)


def _consumes(server: Product, meter: str, subjects: tuple[str, ...], calls: int, seed: int) -> Outcome:
    return in_a_process(load_quota.consume, server.address, server.key, meter, subjects, calls, 64, seed, _SECONDS_MOST)


def _cost(done: Outcome) -> float:
    """Microseconds of a decision."""
    return 1e6 / rate(done)
