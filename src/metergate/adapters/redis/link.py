"""A connection to Redis that knows which Redis it speaks to and never waits long.

A connection that breaks, or whose oldest answer is overdue, is given up at once, and a task of its own makes
the next one; until then callers hear that the view is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from typing import Any

import hiredis

from metergate.adapters.redis.pipe import Changed, Command, Pipe, PipeBrokenError, connect
from metergate.app.ports.view import ViewUnavailableError

log = logging.getLogger(__name__)

ANSWER_WITHIN = 0.25  # seconds; a view that is slower than the ledger is of no use
CONNECT_WITHIN = 1.0  # seconds
RECONNECT_EVERY = 0.5  # seconds
_LOOK_EVERY = 0.1  # seconds between looks for overdue answers, with a ping where nothing is under way


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """`connected` is told which Redis was met, before any call is made on the connection."""

    def __init__(self, url: str, connected: Callable[[str], Awaitable[None]], changed: Changed) -> None:
        self._url = url
        self._connected = connected
        self._changed = changed
        self._pipe: Pipe | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def up(self) -> bool:
        """Whether calls are worth a try."""
        return self._pipe is not None and self._pipe.open

    async def start(self) -> None:
        """Connects once, and goes on trying in the background when that fails."""
        await self.reconnect()
        self._task = asyncio.create_task(self._keep(), name="redis link")

    async def stop(self) -> None:
        """Closes the connection for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._pipe is not None:
            self._pipe.close()

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to the commands, in one round trip.

        Raises:
            ViewUnavailableError: there is no connection, it broke or was too slow, or Redis refused a command.
        """
        pipe = self._pipe
        if pipe is None:
            raise ViewUnavailableError("not connected")
        try:
            answers = await pipe.call(commands)
        except PipeBrokenError as error:
            raise ViewUnavailableError(str(error)) from error
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                raise ViewUnavailableError(str(answer)) from answer
        return answers

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """The script's answer. A Redis that doesn't know the script is sent it whole.

        Raises:
            ViewUnavailableError
        """
        try:
            return await self.call([("EVALSHA", script.digest, len(keys), *keys, *arguments)])
        except ViewUnavailableError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return await self.call([("EVAL", script.source, len(keys), *keys, *arguments)])

    def let_go(self) -> None:
        """Closes the connection; another is made before long."""
        if self._pipe is not None:
            self._pipe.close("let go")

    async def reconnect(self) -> None:
        """Lets go of the connection and makes another, if it can be made."""
        async with self._lock:
            if self._pipe is not None:
                self._pipe.close()
            self._pipe = pipe = None
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    pipe = await connect(self._url, self._changed)
                    server, replication = await pipe.call([("INFO", "server"), ("INFO", "replication")])
                    identity = f"{_field(server, 'run_id')}/{_field(replication, 'master_replid')}"
                    await self._connected(identity)
            except Exception as error:  # noqa: BLE001  whatever it is, the view is away and will be tried again
                log.debug("no connection to Redis: %s", error)
                if pipe is not None:
                    pipe.close()
            else:
                self._pipe = pipe

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        tried = loop.time()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = loop.time()
            if self._pipe is not None and self._pipe.open:
                since = self._pipe.waiting_since
                if since is None:
                    self._pipe.call([("PING",)]).add_done_callback(_seen_to)
                elif now - since > ANSWER_WITHIN:
                    self._pipe.close("no answer in time")
            if not self.up and now - tried >= RECONNECT_EVERY:
                tried = now
                await self.reconnect()


def _seen_to(future: asyncio.Future[list[Any]]) -> None:
    """A ping that fails has closed the connection, which is all that there is to know."""
    future.cancelled() or future.exception()


def _field(info: bytes, name: str) -> str:
    for line in info.decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value
    return ""
