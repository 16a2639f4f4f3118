"""The fast view alone, in few words, and a proxy that makes Redis fall silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import redis.asyncio
from redis.asyncio.connection import parse_url

from metergate.adapters.redis.view import RedisView
from metergate.app.ports.view import Publication
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.quota import CounterKey, Figures, Limit

CALLS = Meter("calls", "calls", dimensions=("model",))
MONTHLY = Limit("calls/month", "calls", Decimal(1000))
CATALOG = Catalog((CALLS,), (Plan("default", (MONTHLY,)),))
NOW = 1_795_000_000_000_000


def key(meter: str = "a", customer: str = "acme", subject: str = "", filter: str = "") -> CounterKey:
    return CounterKey(customer, meter, subject, filter, 0, 10)


def news(seq: int, before: int | None = None, whole: bool = False, forget: str = "", **used: int) -> Publication:
    """What a commit makes known: `before` is the one before unless told otherwise."""
    figures = {key(meter): Figures(Decimal(number)) for meter, number in used.items()}
    return Publication("acme", seq - 1 if before is None else before, seq, figures, [key(m) for m in forget], whole)


class View:
    """A view, and short words for what the tests do with it."""

    def __init__(self, redis_url: str) -> None:
        self.identity = "ledger-1"
        self.view = RedisView(redis_url, self._identity)

    async def _identity(self) -> str:
        return self.identity

    async def publish(self, *publications: Publication) -> None:
        for one in publications:
            await self.view.publish("t", 1, NOW, [one])

    async def used(self, meters: str = "abc", at_least: int = 0) -> dict[str, int]:
        if self.view.up:
            self.view.trust()  # as a sweep would, which found nothing: no ledger stands behind these publications
        seen = await self.view.read("t", 1, [key(meter) for meter in meters], {"acme": at_least})
        return {meter: int(one.figures.used) for meter, one in zip(meters, seen, strict=True) if one is not None}


async def eventually(holds: Callable[[], Awaitable[bool] | bool], seconds: float = 5.0) -> None:
    """Waits until it holds."""
    until = time.monotonic() + seconds
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def command(url: str, *words: Any) -> Any:
    client = redis.asyncio.Redis.from_url(url)
    try:
        return await client.execute_command(*words)
    finally:
        await client.aclose()


class Swallower:
    """A proxy before Redis that can swallow what Redis answers, as a stuck host does."""

    def __init__(self, redis_url: str) -> None:
        self._target = parse_url(redis_url)
        self.swallow = False
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}/{self._target.get('db', 0)}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = self._target.get("path")
        there, away = await (
            asyncio.open_unix_connection(path)
            if path
            else asyncio.open_connection(self._target["host"], self._target.get("port", 6379))
        )
        self._open |= {writer, away}
        await asyncio.gather(self._pump(reader, away, False), self._pump(there, writer, True), return_exceptions=True)
        away.close()
        writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: bool) -> None:
        while data := await source.read(65536):
            if not (answers and self.swallow):
                sink.write(data)
        sink.close()
