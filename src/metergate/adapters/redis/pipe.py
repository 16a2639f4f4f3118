"""One pipelined connection to Redis: commands go out as they come, answers are handed out in their order.

hiredis writes the commands and reads the answers. There are no retries here: a command that was sent may have
run, and whoever sent it knows whether sending it again does harm.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

Command = tuple[Any, ...]  # of str, bytes and int


class PipeBrokenError(Exception):
    """The connection is gone; what was sent may have run."""


# Told of the keys that Redis says have changed; None = all of them, also when the connection is lost.
Changed = Callable[[list[bytes] | None], None]


class Pipe(asyncio.Protocol):
    """The connection. Each call is a list of commands and gets the list of their answers."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
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
        packed = b"".join([hiredis.pack_command(command) for command in commands])
        self._waiting.append((len(commands), [], future, self._loop.time()))
        transport.write(packed)
        return future

    def close(self, reason: str = "closed") -> None:
        """Drops the connection; all who wait hear of it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._changed(None)
        waiting, self._waiting = self._waiting, deque()
        for _, _, future, _ in waiting:
            if not future.done():
                future.set_exception(PipeBrokenError(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """From asyncio: answers and news, perhaps in parts. False is an answer that has not come whole."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                if isinstance(answer, hiredis.PushNotification):
                    if answer[0] == b"invalidate":
                        self._changed(answer[1])
                    continue
                count, answers, future, _ = self._waiting[0]
                answers.append(answer)
                if len(answers) == count:
                    self._waiting.popleft()
                    if not future.done():
                        future.set_result(answers)
        except hiredis.ProtocolError as error:
            self.close(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """From asyncio."""
        self.close(str(exc or "closed by Redis"))


async def connect(url: str, changed: Changed) -> Pipe:
    """A connection that has signed in, chosen its database, and is told when keys change that it has read.

    Raises:
        OSError, PipeBrokenError, hiredis.ReplyError
    """
    options: dict[str, Any] = {**parse_url(url)}
    loop = asyncio.get_running_loop()
    kind = options.get("connection_class")
    pipe: Pipe
    if kind is UnixDomainSocketConnection:
        _, pipe = await loop.create_unix_connection(lambda: Pipe(changed), options["path"])
    else:
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        secure = ssl.create_default_context() if kind is SSLConnection else None
        _, pipe = await loop.create_connection(lambda: Pipe(changed), host, port, ssl=secure)
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
    hello: Command = ("HELLO", 3)
    if password := options.get("password"):
        hello += ("AUTH", options.get("username") or "default", password)
    commands: list[Command] = [(*hello, "SETNAME", "metergate"), ("CLIENT", "TRACKING", "ON")]
    if database := options.get("db"):
        commands.append(("SELECT", database))
    return commands
