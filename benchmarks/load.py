"""Client loads; each runs in a process of its own and returns (units, seconds, notes)."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import grpc

from benchmarks import floors
from benchmarks.stage import CUSTOMERS, METER
from metergate.adapters.postgres.connect import use_instants
from metergate.v1 import quota_pb2, usage_pb2

REGIONS = ("eu-west", "eu-north", "us-east", "ap-south")


def customer(number: int) -> str:
    """The id of a customer."""
    return f"customer-{number:04d}"


def labels(chance: random.Random) -> dict[str, str]:
    """Three labels; one of them is a dimension of the meter."""
    return {"region": chance.choice(REGIONS), "route": f"/v1/items/{chance.randrange(40)}", "status": "200"}


def _channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def ingest(address: str, key: str, batches: int, size: int, in_flight: int, seed: int) -> Any:
    """Events through BatchRecordUsage; every one must be accepted."""
    chance = random.Random(seed)
    run = uuid.UUID(int=chance.getrandbits(128)).hex
    requests = [
        usage_pb2.BatchRecordUsageRequest(
            events=[
                usage_pb2.UsageEvent(
                    id=f"{run}-{batch:05d}-{number:05d}",
                    type=METER,
                    subject=customer(chance.randrange(CUSTOMERS)),
                    amount="1",
                    labels=labels(chance),
                )
                for number in range(size)
            ]
        )
        for batch in range(batches)
    ]
    async with _channel(address) as channel:
        call = channel.unary_unary(
            "/metergate.v1.UsageService/BatchRecordUsage",
            request_serializer=usage_pb2.BatchRecordUsageRequest.SerializeToString,
            response_deserializer=usage_pb2.BatchRecordUsageResponse.FromString,
        )
        queue = iter(requests)
        outcomes: Counter[int] = Counter()

        async def work() -> None:
            for request in queue:
                response = await call(request, metadata=_metadata(key), timeout=60)
                outcomes.update(one.outcome for one in response.receipts)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        named = {usage_pb2.Outcome.Name(outcome): count for outcome, count in outcomes.items()}
        return outcomes[usage_pb2.OUTCOME_ACCEPTED], seconds, {"sent": batches * size, **named}


async def ingest_floor(postgres_url: str, tenant: str, batches: int, size: int, in_flight: int, seed: int) -> Any:
    """The same events by hand-written transactions over as many connections."""
    chance = random.Random(seed)
    run = uuid.UUID(int=chance.getrandbits(128)).hex
    work_list = [
        [
            (f"{run}-{batch:05d}-{number:05d}", customer(chance.randrange(CUSTOMERS)), labels(chance))
            for number in range(size)
        ]
        for batch in range(batches)
    ]
    connections = [await asyncpg.connect(postgres_url) for _ in range(in_flight)]
    for connection in connections:
        await use_instants(connection)
    queue = iter(work_list)
    written = 0

    async def work(connection: Any) -> None:
        nonlocal written
        for events in queue:
            count = await floors.write_batch(connection, tenant, METER, events, time.time_ns() // 1000)
            written += count  # not in one statement: it would read `written` before the await

    began = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return written, seconds, {"sent": batches * size}


async def _unary(call: Callable[[int], Awaitable[Any]], calls: int, in_flight: int) -> Any:
    """`calls` calls, `in_flight` at a time, after a short warm-up; notes the latencies' median and 99th percentile."""
    numbers = iter(range(calls))
    latencies: list[float] = []

    async def work() -> None:
        for number in numbers:
            began = time.perf_counter()
            await call(number)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(call(-1 - number) for number in range(min(in_flight, 50))))
    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(latencies, n=100)
    return calls, seconds, {"p50": cuts[49], "p99": cuts[98]}


async def empty(address: str, calls: int, in_flight: int) -> Any:
    """Empty unary calls."""
    async with _channel(address) as channel:
        call = channel.unary_unary(floors.EMPTY)
        return await _unary(lambda number: call(b"", timeout=30), calls, in_flight)


async def record(address: str, key: str, calls: int, in_flight: int, seed: int) -> Any:
    """RecordUsage calls, each with an event of its own."""
    chance = random.Random(seed)
    run = uuid.UUID(int=chance.getrandbits(128)).hex
    async with _channel(address) as channel:
        call = channel.unary_unary(
            "/metergate.v1.UsageService/RecordUsage",
            request_serializer=usage_pb2.RecordUsageRequest.SerializeToString,
            response_deserializer=usage_pb2.RecordUsageResponse.FromString,
        )
        metadata = _metadata(key)

        def one(number: int) -> Awaitable[Any]:
            event = usage_pb2.UsageEvent(
                id=f"{run}-{number}", type=METER, subject=customer(number % CUSTOMERS), amount="1",
                labels={"region": "eu-west", "route": "/v1/items", "status": "200"},
            )  # fmt: skip
            return call(usage_pb2.RecordUsageRequest(event=event), metadata=metadata, timeout=30)

        return await _unary(one, calls, in_flight)


async def check(address: str, key: str, calls: int, in_flight: int) -> Any:
    """CheckQuota calls over all customers."""
    async with _channel(address) as channel:
        call = channel.unary_unary(
            "/metergate.v1.QuotaService/CheckQuota",
            request_serializer=quota_pb2.CheckQuotaRequest.SerializeToString,
            response_deserializer=quota_pb2.CheckQuotaResponse.FromString,
        )
        metadata = _metadata(key)

        async def one(number: int) -> None:
            amounts = [quota_pb2.QuotaAmount(meter=METER, amount="1")]
            request = quota_pb2.CheckQuotaRequest(subject=customer(number % CUSTOMERS), amounts=amounts)
            answer = await call(request, metadata=metadata, timeout=30)
            assert answer.decision.allowed

        return await _unary(one, calls, in_flight)


def check_batch_request(size: int, offset: int) -> quota_pb2.BatchCheckQuotaRequest:
    """Questions of `size` customers."""
    return quota_pb2.BatchCheckQuotaRequest(
        checks=[
            quota_pb2.CheckQuotaRequest(
                subject=customer((offset + number) % CUSTOMERS),
                amounts=[quota_pb2.QuotaAmount(meter=METER, amount="1", labels={"region": "eu-west"})],
            )
            for number in range(size)
        ]
    )


async def check_batch(address: str, path: str, key: str, calls: int, size: int, in_flight: int) -> Any:
    """BatchCheckQuota calls; every decision is counted."""
    async with _channel(address) as channel:
        call = channel.unary_unary(
            path,
            request_serializer=quota_pb2.BatchCheckQuotaRequest.SerializeToString,
            response_deserializer=quota_pb2.BatchCheckQuotaResponse.FromString,
        )
        metadata = _metadata(key)

        async def one(number: int) -> None:
            answer = await call(check_batch_request(size, number * size), metadata=metadata, timeout=30)
            assert len(answer.results) == size and answer.results[0].decision.allowed

        _, seconds, notes = await _unary(one, calls, in_flight)
        return calls * size, seconds, notes
