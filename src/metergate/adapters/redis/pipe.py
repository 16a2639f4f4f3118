"""One pipelined connection to Redis: commands go out as they come, answers are handed out in their order.

hiredis writes the commands and reads the answers. There are no retries here: a command that was sent may have
run, and whoever sent it knows whether sending it again does harm.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

Command = tuple[Any, ...]  # of str, bytes and int


class PipeBrokenError(Exception):
    """The connection is gone; what was sent may have run."""


class Pipe(asyncio.Protocol):
    """The connection. Each call is a list of commands and gets the list of their answers."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._waiting: deque[tuple[int, list[Any], asyncio.Future[list[Any]], float]] = deque()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def open(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None

    @property
    def waiting_since(self) -> float | None:
        """The loop's time at which the oldest unanswered call was sent."""
        return self._waiting[0][3] if self._waiting else None

    def call(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Sends commands; the future has their answers, errors among them as `hiredis.ReplyError`.

        Raises:
            PipeBrokenError: now, or in the future.
        """
        transport = self._transport
        if transport is None:
            raise PipeBrokenError("not connected")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append((len(commands), [], future, self._loop.time()))
        transport.write(b"".join([hiredis.pack_command(command) for command in commands]))
        return future

    def close(self, reason: str = "closed") -> None:
        """Drops the connection; all who wait hear of it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, _, future, _ in waiting:
            if not future.done():
                future.set_exception(PipeBrokenError(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """From asyncio: answers, perhaps in parts. An answer of False is one that has not come whole."""
        try:
            self._reader.feed(data)
            while self._waiting:
                count, answers, future, _ = self._waiting[0]
                while len(answers) < count:
                    answer = self._reader.gets()
                    if answer is False:
                        return
                    answers.append(answer)
                self._waiting.popleft()
                if not future.done():
                    future.set_result(answers)
        except hiredis.ProtocolError as error:
            self.close(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """From asyncio."""
        self.close(str(exc or "closed by Redis"))


async def connect(url: str) -> Pipe:
    """A connection that has signed in and chosen its database.

    Raises:
        OSError, PipeBrokenError, hiredis.ReplyError
    """
    options: dict[str, Any] = {**parse_url(url)}
    loop = asyncio.get_running_loop()
    kind = options.get("connection_class")
    pipe: Pipe
    if kind is UnixDomainSocketConnection:
        _, pipe = await loop.create_unix_connection(Pipe, options["path"])
    else:
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        secure = ssl.create_default_context() if kind is SSLConnection else None
        _, pipe = await loop.create_connection(Pipe, host, port, ssl=secure)
    try:
        for command in _greeting(options):
            [answer] = await pipe.call([command])
            if isinstance(answer, Exception):
                raise answer
    except BaseException:
        pipe.close()
        raise
    return pipe


def _greeting(options: dict[str, Any]) -> list[Command]:
    commands: list[Command] = []
    if password := options.get("password"):
        commands.append(("AUTH", options.get("username") or "default", password))
    if database := options.get("db"):
        commands.append(("SELECT", database))
    commands.append(("CLIENT", "SETNAME", "metergate"))
    return commands
