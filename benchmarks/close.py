"""Closing the periods of 10,000 customers with five meters each, against the same rows by hand-written SQL; and what
closing does to ingestion meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import time
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg

from benchmarks import floors, load
from benchmarks.close_data import CATALOG, CUSTOMERS, METERS, TENANT, anew, fill, rows
from benchmarks.report import BrokenPromise, Result, alternate, at_least, at_most
from benchmarks.stage import Outcome, Product, databases, in_a_process, in_processes, product
from metergate import wiring
from metergate.adapters.postgres import connect, migrate
from metergate.settings import Settings
from metergate.v1 import usage_event_pb2, usage_pb2

_WORKERS = 2  # client processes, of one worker and one connection each
_BATCH = 200  # subscriptions in a transaction of the floor; as the product reads them
_SECONDS = 60.0  # in which all are to be closed
_RATE = 100  # events a second, one by one
_MEASURED = 10.0  # seconds


def close() -> Result:
    """Periods closed a second, and the latency of RecordUsage while a server closes them."""
    with databases() as (postgres, redis):
        migrate.upgrade(postgres)
        asyncio.run(wiring.bootstrap(Settings(postgres_url=postgres, redis_url=redis), catalog=CATALOG))
        began = time.monotonic()
        end = asyncio.run(fill(postgres))
        detail: dict[str, Any] = {"customers": CUSTOMERS, "meters": len(METERS), "to_fill": time.monotonic() - began}
        made: dict[str, list[tuple[str, ...]]] = {"floor": [], "product": []}

        def run(name: str, work: Any, *arguments: Any) -> float:
            done = in_processes(work, [arguments] * _WORKERS)
            made[name] = [*made[name], asyncio.run(rows(postgres))]
            asyncio.run(anew(postgres, end))
            return _rate(name, done)

        run("product", close_all, postgres, redis)  # caches and plans
        found = alternate(
            lambda: run("floor", close_floor, postgres), lambda: run("product", close_all, postgres, redis)
        )
        if len({*made["floor"], *made["product"]}) != 1:
            raise BrokenPromise("the product's lines are not those that were reckoned by hand")
        detail["seconds"] = [CUSTOMERS / rate for rate in found["products"]]
        result = at_least("close", found, "periods/s", 0.5, {**found, **detail})
        slowest = max(detail["seconds"])
        result.parts.append(
            Result("close, all", slowest / _SECONDS, slowest, _SECONDS, "s", "≤ 1", slowest <= _SECONDS)
        )
        with product(postgres, redis, CATALOG) as server:
            result.parts.append(_beside(server, end))
    return result


def _rate(name: str, done: list[Outcome]) -> float:
    whole = sum(one.units for one in done)
    if whole != CUSTOMERS:
        raise BrokenPromise(f"{name}: {whole} periods were closed of {CUSTOMERS}: {[one.notes for one in done]}")
    return whole / max(one.seconds for one in done)


def _beside(server: Product, end: int) -> Result:
    """The p99 of RecordUsage while the server closes periods, against that of a server that does nothing else."""
    seeds = itertools.count(1)

    def measure(busy: bool) -> float:
        if busy:
            asyncio.run(anew(server.postgres_url, end))
        else:
            asyncio.run(_all_closed(server.postgres_url))
        done = in_a_process(paced, server.address, server.key, next(seeds))
        left = asyncio.run(_open(server.postgres_url))
        if busy and not 0 < left < CUSTOMERS:
            raise BrokenPromise(f"periods were not being closed meanwhile: {left} are left")
        p99: float = done.notes["p99"]
        return p99 * 1e6

    measure(busy=True)
    found = alternate(lambda: measure(busy=False), lambda: measure(busy=True))
    return at_most("close, ingestion beside it", found, "µs p99", 2.0, found)


async def _open(postgres_url: str) -> int:
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM subscription WHERE closes_at <= now()")
        return count
    finally:
        await connection.close()


async def _all_closed(postgres_url: str) -> None:
    while await _open(postgres_url):  # noqa: ASYNC110 - the server is another process
        await asyncio.sleep(0.5)


async def paced(address: str, key: str, seed: int) -> Any:
    """Events at a steady rate, whether or not earlier ones were answered; how long each took."""
    took: list[float] = []
    async with load.channel(address) as opened:
        call = opened.unary_unary(
            "/metergate.v1.UsageService/RecordUsage",
            request_serializer=usage_pb2.RecordUsageRequest.SerializeToString,
            response_deserializer=usage_pb2.RecordUsageResponse.FromString,
        )

        async def one(number: int) -> None:
            event = usage_event_pb2.UsageEvent(
                id=f"{seed}-{number}", type=METERS[number % 5], amount="1", labels={"region": "eu"},
                subject=f"customer-{1 + number * 7919 % CUSTOMERS:05d}",
            )  # fmt: skip
            began = time.perf_counter()
            await call(usage_pb2.RecordUsageRequest(event=event), metadata=load.metadata(key), timeout=30)
            took.append(time.perf_counter() - began)

        await one(-1)
        began, tasks = time.perf_counter(), []
        for number in range(int(_RATE * _MEASURED)):
            await asyncio.sleep(max(began + number / _RATE - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(one(number)))
        await asyncio.gather(*tasks)
    took.sort()
    return len(took), time.perf_counter() - began, {"p99": took[int(len(took) * 0.99)], "p50": took[len(took) // 2]}


async def close_all(postgres_url: str, redis_url: str) -> Any:
    """Closes what is due, beside other processes that do."""
    settings = Settings(postgres_url=postgres_url, redis_url=redis_url)
    began = time.perf_counter()
    done = await wiring.close_periods(settings, TENANT)
    return done.invoices, time.perf_counter() - began, {"failed": done.failed[:5]}


async def close_floor(postgres_url: str) -> Any:
    """The same rows by hand-written SQL."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connect.use_instants(connection)
    await connection.execute("SET enable_seqscan = off")
    whole, began = 0, time.perf_counter()
    while made := await floors.close_batch(connection, TENANT, _priced, _BATCH):
        whole += made
    seconds = time.perf_counter() - began
    await connection.close()
    return whole, seconds, {}


def _priced(counted: dict[str, Decimal]) -> list[floors.Rated]:
    """The same lines as the product makes of the catalog, by hand."""
    calls, tokens, jobs, files, seats = [counted.get(name, Decimal(0)) for name in METERS]
    first, more = min(calls, Decimal(100)), max(calls - 100, Decimal(0))
    blocks, paid = (jobs / 10).to_integral_value(ROUND_CEILING), max(seats - 20, Decimal(0))
    tier = "tier 1, up to 50" if files <= 50 else "tier 2, above 50"
    each = Decimal("0.1") if files <= 50 else Decimal("0.05")
    parts = [
        ("calls", first, calls, "0.01", "calls: tier 1, up to 100"),
        ("calls", more, None, "0.005", "calls: tier 2, above 100"),
        ("tokens", tokens, tokens, "0.0000025", "tokens"),
        ("jobs", blocks, jobs, "1", "jobs: blocks of 10"),
        ("files", files, files, str(each), f"files: {tier}"),
        ("seats", paid, seats, "0.03", "seats: first 20 included"),
    ]
    return [
        floors.Rated("", Decimal(1), None, 9900, {"description": "base", "unit_amount": "99"}),
        *[
            floors.Rated(
                meter, quantity, whole, _cents(quantity * Decimal(amount)), {"description": text, "unit_amount": amount}
            )
            for meter, quantity, whole, amount, text in parts
            if quantity
        ],
    ]


def _cents(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value(ROUND_HALF_UP))
