"""Client loads; each runs in a process of its own and returns (units, seconds, notes)."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import grpc

from benchmarks import floors
from benchmarks.stage import CUSTOMERS, METER
from metergate.adapters.postgres.connect import use_instants
from metergate.v1 import quota_pb2, usage_event_pb2, usage_pb2

REGIONS = ("eu-west", "eu-north", "us-east", "ap-south")


def customer(number: int) -> str:
    """The id of a customer."""
    return f"customer-{number:04d}"


def labels(chance: random.Random) -> dict[str, str]:
    """Three labels; one of them is a dimension of the meter."""
    return {"region": chance.choice(REGIONS), "route": f"/v1/items/{chance.randrange(40)}", "status": "200"}


def channel(address: str) -> grpc.aio.Channel:
    """A channel for answers of any length."""
    return grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])


def metadata(key: str) -> grpc.aio.Metadata:
    """What proves who calls."""
    return grpc.aio.Metadata(("authorization", f"Bearer {key}"))


async def ingest(address: str, key: str, batches: int, size: int, in_flight: int, seed: int) -> Any:
    """Events through BatchRecordUsage; every one must be accepted."""
    chance = random.Random(seed)
    run = uuid.UUID(int=chance.getrandbits(128)).hex
    requests = [
        usage_pb2.BatchRecordUsageRequest(
            events=[
                usage_event_pb2.UsageEvent(
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
    async with channel(address) as opened:
        call = opened.unary_unary(
            "/metergate.v1.UsageService/BatchRecordUsage",
            request_serializer=usage_pb2.BatchRecordUsageRequest.SerializeToString,
            response_deserializer=usage_pb2.BatchRecordUsageResponse.FromString,
        )
        queue = iter(requests)
        outcomes: Counter[int] = Counter()

        async def work() -> None:
            for request in queue:
                response = await call(request, metadata=metadata(key), timeout=60)
                outcomes.update(one.outcome for one in response.receipts)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        named = {usage_event_pb2.Outcome.Name(outcome): count for outcome, count in outcomes.items()}
        return outcomes[usage_event_pb2.OUTCOME_ACCEPTED], seconds, {"sent": batches * size, **named}


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


async def unary(
    call: Any,
    metadata: Any,
    requests: Sequence[bytes],
    in_flight: int,
    warm_up: int | None = None,
    most_seconds: float = 600.0,
) -> tuple[list[bytes], Any]:
    """Makes the calls, `in_flight` at a time, after a short warm-up with the first of them; it begins none after
    `most_seconds`.

    Requests are serialized before and answers parsed after, for floor and product alike, so that the cores serve
    the server. Returns the answers, and (calls, seconds, the latencies' median and 99th percentile).
    """
    warm_up = min(50, len(requests) // 10) if warm_up is None else warm_up
    for request in requests[:warm_up]:
        await call(request, metadata=metadata, timeout=30)
    timed = iter(requests[warm_up:])
    answers: list[bytes] = []
    latencies: list[float] = []
    clock = time.perf_counter

    async def work() -> None:
        for request in timed:
            if (started := clock()) > until:
                return
            answers.append(await call(request, metadata=metadata, timeout=120))
            latencies.append(clock() - started)

    began = clock()
    until = began + most_seconds
    await asyncio.gather(*(work() for _ in range(in_flight)))
    seconds = clock() - began
    cuts = statistics.quantiles(latencies, n=100)
    return answers, (len(latencies), seconds, {"p50": cuts[49], "p99": cuts[98]})


async def empty(address: str, calls: int, in_flight: int) -> Any:
    """Empty unary calls."""
    async with channel(address) as opened:
        _, result = await unary(opened.unary_unary(floors.EMPTY), None, [b""] * calls, in_flight)
        return result


async def record(address: str, key: str, calls: int, in_flight: int, seed: int) -> Any:
    """RecordUsage calls, each with an event of its own; every one must be accepted."""
    run = uuid.UUID(int=random.Random(seed).getrandbits(128)).hex
    requests = [
        usage_pb2.RecordUsageRequest(
            event=usage_event_pb2.UsageEvent(
                id=f"{run}-{number}", type=METER, subject=customer(number % CUSTOMERS), amount="1",
                labels={"region": "eu-west", "route": "/v1/items", "status": "200"},
            )
        ).SerializeToString()
        for number in range(calls)
    ]  # fmt: skip
    async with channel(address) as opened:
        call = opened.unary_unary("/metergate.v1.UsageService/RecordUsage")
        answers, (units, seconds, notes) = await unary(call, metadata(key), requests, in_flight)
    accepted = sum(
        usage_pb2.RecordUsageResponse.FromString(answer).receipt.outcome == usage_event_pb2.OUTCOME_ACCEPTED
        for answer in answers
    )
    return accepted, seconds, {**notes, "sent": units}


async def check(address: str, key: str, calls: int, in_flight: int) -> Any:
    """CheckQuota calls over all customers; every one must be allowed."""
    requests = [
        quota_pb2.CheckQuotaRequest(
            subject=customer(number % CUSTOMERS), amounts=[quota_pb2.QuotaAmount(meter=METER, amount="1")]
        ).SerializeToString()
        for number in range(calls)
    ]
    async with channel(address) as opened:
        call = opened.unary_unary("/metergate.v1.QuotaService/CheckQuota")
        answers, (units, seconds, notes) = await unary(call, metadata(key), requests, in_flight)
    allowed = sum(quota_pb2.CheckQuotaResponse.FromString(answer).decision.allowed for answer in answers)
    return allowed, seconds, {**notes, "sent": units}


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
    """BatchCheckQuota calls; every decision must be there and allow."""
    requests = [check_batch_request(size, number * size).SerializeToString() for number in range(calls)]
    async with channel(address) as opened:
        answers, (units, seconds, notes) = await unary(opened.unary_unary(path), metadata(key), requests, in_flight)
    decisions = sum(
        one.decision.allowed
        for answer in answers
        for one in quota_pb2.BatchCheckQuotaResponse.FromString(answer).results
    )
    return decisions, seconds, {**notes, "sent": units * size}
