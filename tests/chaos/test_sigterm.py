"""P11: stopping loses nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2

from tests.chaos.client import Client, failed, usage
from tests.chaos.ledger import Ledger
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant

GRACE = 10.0  # seconds, the default of settings.drain_seconds


class Load:
    """Clients that record until they are refused, and what they were told."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        self.client, self.rng = client, rng
        self.acknowledged: list[str] = []
        self.sent: set[str] = set()
        self.answers = Counter[str]()
        self.first_refusal = 0.0

    async def run(self) -> None:
        """Records one event and batches in turn, until the first refusal."""
        while not self.first_refusal:
            events = [usage(f"c{self.rng.randrange(40)}") for _ in range(self.rng.choice([1, 1, 30]))]
            ids = [event.id for event in events]
            self.sent.update(ids)
            try:
                outcomes = await self.client.batch(events, 20)
            except grpc.aio.AioRpcError as error:
                self.first_refusal = self.first_refusal or time.monotonic()
                self.answers[f"{error.code().name} {failed(error).reason}"] += 1
            else:
                assert set(outcomes) == {"ACCEPTED"}
                self.answers["OK"] += 1
                self.acknowledged += ids


async def not_serving(client: Client) -> float:
    """When the health service says, to one who watches, that it serves no more."""
    watch = client.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    async for answer in watch(health_pb2.HealthCheckRequest(service="metergate.v1.UsageService")):
        if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
            break
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize("watched", [False, True], ids=["", "watched"])
async def test_p11_sigterm_drains(
    postgres_url: str, redis_url: str, start_server: StartServer, rng: random.Random, watched: bool
) -> None:
    async with asyncio.timeout(60):
        server = await start_server(postgres_url, redis_url)
        tenant, key = await new_tenant(postgres_url)
        async with Client(server.grpc_url, key) as client:
            await client.have_meter()
            load = Load(client, rng)
            running = [asyncio.create_task(load.run()) for _ in range(24)]
            watching = asyncio.create_task(not_serving(client)) if watched else None
            await asyncio.sleep(rng.uniform(0.5, 1.0))
            ended = asyncio.create_task(asyncio.to_thread(psutil.Process(server.pid).wait, 30))
            asked = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            await asyncio.gather(*running)
            code = await ended
            took = time.monotonic() - asked
            told = await watching if watching else asked
    print(
        f"{len(load.acknowledged)} acknowledged of {len(load.sent)} sent, {dict(load.answers)}; exit code {code} after "
        f"{took:.2f} s; not serving after {told - asked:.3f} s, first refusal after {load.first_refusal - asked:.3f} s"
    )
    recorded = set(await Ledger(postgres_url).ids(tenant))
    assert set(load.acknowledged) <= recorded <= load.sent
    assert {answer.partition(" ")[0] for answer in load.answers} <= {"OK", "UNAVAILABLE"}
    assert len(load.acknowledged) > 100
    assert code == 0
    assert took < GRACE
    assert told <= load.first_refusal + 0.5  # both went over one connection, but through tasks of ours
    assert await Ledger(postgres_url).differences() == []
