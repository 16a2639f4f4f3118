"""Hears of definitions that other processes changed, and notices when it may have missed some."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable

import asyncpg

from metergate.adapters.postgres.connect import CONNECT_TIMEOUT, plain_url
from metergate.adapters.postgres.notify import CHANNEL

log = logging.getLogger(__name__)

_HEARTBEAT = 0.5  # seconds


class DefinitionListener:
    """One connection that listens. A heartbeat finds out within a second when it has gone deaf."""

    def __init__(
        self,
        postgres_url: str,
        changed: Callable[[str, str, str], None],
        missed: Callable[[], Awaitable[None]],
    ) -> None:
        self._url = plain_url(postgres_url)
        self._changed = changed
        self._missed = missed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._run(), name="listen")

    async def stop(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  a listener that ends would leave revoked keys believed
                log.debug("not listening: %s", error)
            await self._missed()
            await asyncio.sleep(_HEARTBEAT)

    async def _listen(self) -> None:
        settings = {"application_name": "metergate listener"}
        connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT, server_settings=settings)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            await self._missed()
            while True:
                await asyncio.sleep(_HEARTBEAT)
                await connection.execute("SELECT 1", timeout=_HEARTBEAT)
        finally:
            connection.terminate()

    def _heard(self, *heard: object) -> None:
        news = json.loads(str(heard[-1]))
        self._changed(news["kind"], news["tenant"], news["name"])
