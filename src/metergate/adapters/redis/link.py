"""One connection to Redis that runs scripts, knows which Redis it speaks to, and never waits long.

redis-py's own retries are off: it would send a script up to eleven times. A broken connection is given up
at once, and a task of its own makes the next one; until then callers hear that the view is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Connection
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from metergate.app.ports import ViewUnavailableError

log = logging.getLogger(__name__)

ANSWER_WITHIN = 0.25  # seconds; a view that is slower than the ledger is of no use
RECONNECT_EVERY = 0.5  # seconds
_BROKEN = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """A connection used by one call at a time. `connected` is told which Redis it is, before any call is made."""

    def __init__(self, url: str, scripts: Sequence[Script], connected: Callable[[str], Awaitable[None]]) -> None:
        self._options = {
            **parse_url(url),
            "socket_timeout": ANSWER_WITHIN,
            "socket_connect_timeout": 1.0,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "lib_name": "metergate",
        }
        self._class = self._options.pop("connection_class", Connection)
        self._scripts = scripts
        self._connected = connected
        self._connection: Connection | UnixDomainSocketConnection | SSLConnection | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether calls are worth a try."""
        return self._connection is not None

    async def start(self) -> None:
        """Connects once, and goes on trying in the background when that fails."""
        await self._connect()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Closes the connection for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._drop()

    async def reconnect(self) -> None:
        """Lets go of the connection and makes another."""
        async with self._lock:
            await self._drop()
            await self._connect()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """The script's answer.

        Raises:
            ViewUnavailableError: there is no connection, or it broke or was too slow; it may have run.
        """
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise ViewUnavailableError("not connected")
            try:
                try:
                    return await _call(connection, "EVALSHA", script.digest, len(keys), *keys, *arguments)
                except NoScriptError:  # SCRIPT FLUSH, or another Redis behind the same address
                    return await _call(connection, "EVAL", script.source, len(keys), *keys, *arguments)
            except _BROKEN as error:
                await self._drop()
                raise ViewUnavailableError(str(error) or type(error).__name__) from error
            except asyncio.CancelledError:
                await self._drop()  # an answer is still on its way and must not be taken for the next one
                raise

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RECONNECT_EVERY)
            if self._connection is None:
                await self._connect()

    async def _connect(self) -> None:
        connection = self._class(**self._options)
        try:
            await connection.connect()
            server = _fields(await _call(connection, "INFO", "server"))
            replication = _fields(await _call(connection, "INFO", "replication"))
            for script in self._scripts:
                await _call(connection, "SCRIPT", "LOAD", script.source)
            await self._connected(f"{server.get('run_id')}/{replication.get('master_replid')}")
        except Exception as error:
            log.debug("no connection to Redis: %s", error)
            with contextlib.suppress(*_BROKEN):
                await connection.disconnect(nowait=True)
        else:
            self._connection = connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_BROKEN):
                await connection.disconnect(nowait=True)


async def _call(connection: Any, *command: Any) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response(disable_decoding=True)


def _fields(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, _, value in pairs}
