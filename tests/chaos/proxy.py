"""Proxies that stand between a server and its Postgres or Redis and do to a connection what a bad network does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

CHUNK = 256 * 1024
LATE_SECONDS = 0.3
_ENCRYPTION = tuple(code.to_bytes(4, "big") for code in (80877103, 80877104))  # SSLRequest, GSSENCRequest


@dataclass(eq=False)
class Link:
    """One connection through a proxy: `client` is towards the server process, `upstream` towards the database."""

    client: asyncio.StreamWriter
    client_reader: asyncio.StreamReader
    upstream: asyncio.StreamWriter
    upstream_reader: asyncio.StreamReader
    mute: bool = False
    """The next thing that upstream says is not passed on: the connection is cut instead."""

    @property
    def client_gone(self) -> bool:
        """Whether the process at the other end closed the connection or died."""
        return self.client_reader.at_eof() or self.client.is_closing()

    def cut(self) -> None:
        """Ends the connection on both sides at once."""
        for writer in (self.client, self.upstream):
            writer.transport.abort()


class Proxy:
    """Passes bytes on from a port of its own. `dark` holds everything back, as a network does that drops packets:
    what was sent meanwhile arrives afterwards. `away` refuses new connections."""

    def __init__(self, host: str, port: int, path: str = "") -> None:
        self._host, self._port, self._path = host, port, path
        self._lit = asyncio.Event()
        self._lit.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: set[Link] = set()
        self.away = False
        self.lag = 0.0
        """Seconds for which answers gather before they are passed on together."""
        self.port = 0

    @property
    def dark(self) -> bool:
        """Whether nothing passes."""
        return not self._lit.is_set()

    @dark.setter
    def dark(self, dark: bool) -> None:
        if dark:
            self._lit.clear()
        else:
            self._lit.set()

    def cut(self) -> None:
        """Ends all connections."""
        for link in list(self.links):
            link.cut()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Whatever happens to one connection of a chaos proxy is that connection's end and no more.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self.away:
                writer.transport.abort()
                return
            try:
                upstream_reader, upstream = await self._connect()
            except OSError:
                writer.transport.abort()
                return
            link = Link(writer, reader, upstream, upstream_reader)
            self.links.add(link)
            try:
                await self._serve(link)
            finally:
                self.links.discard(link)
                link.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._path:
            return await asyncio.open_unix_connection(self._path, limit=CHUNK)
        return await asyncio.open_connection(self._host, self._port, limit=CHUNK)

    async def _serve(self, link: Link) -> None:
        """Both directions; a client that leaves has what it sent delivered first."""
        down = asyncio.create_task(self._downstream(link))
        up = asyncio.create_task(self._upstream(link))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not down.done() and not up.exception():
                link.upstream.write_eof()
                await asyncio.wait((down,), timeout=1)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _upstream(self, link: Link) -> None:
        while data := await link.client_reader.read(CHUNK):
            await self._lit.wait()
            await self.pass_up(link, data)
        await self._lit.wait()

    async def pass_up(self, link: Link, data: bytes) -> None:
        """Sends on what the client sent."""
        link.upstream.write(data)
        await link.upstream.drain()

    async def _downstream(self, link: Link) -> None:
        while data := await link.upstream_reader.read(CHUNK):
            await self._lit.wait()
            if link.mute:
                return
            link.client.write(data)
            await link.client.drain()
            await asyncio.sleep(self.lag)


class Fate(Enum):
    """What becomes of a COMMIT."""

    PASS = "it arrives, and its answer too"
    LOST = "it does not arrive, and the connection is cut"
    ANSWER_LOST = "it arrives, and the connection is cut in place of its answer"
    LATE = "the connection is cut, and it arrives some time after"


@dataclass
class Messages:
    """The messages that a client of Postgres sends, read off its bytes."""

    started: bool = False
    _rest: bytearray = field(default_factory=bytearray)

    def read(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The messages that are complete: kind and content. The greeting has no kind."""
        self._rest += data
        while True:
            head = 1 if self.started else 0
            if len(self._rest) < head + 4:
                return
            size = int.from_bytes(self._rest[head : head + 4], "big")
            if len(self._rest) < head + size:
                return
            kind, content = bytes(self._rest[:head]), bytes(self._rest[head + 4 : head + size])
            del self._rest[: head + size]
            # "Would you speak TLS?" has no kind either, and the greeting still comes.
            self.started = self.started or content not in _ENCRYPTION
            yield kind, content


class PostgresProxy(Proxy):
    """Knows a COMMIT of usage when it passes, and asks `on_commit` what becomes of it.

    The servers' URL is `url`; upstream is what `postgres_url` names.
    """

    def __init__(self, postgres_url: str) -> None:
        parts = urlsplit(postgres_url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        port = parts.port or 5432
        super().__init__(parts.hostname or "127.0.0.1", port, f"{folder}/.s.PGSQL.{port}" if folder else "")
        self._parts = parts
        self._messages: dict[Link, Messages] = {}
        self._writers: set[Link] = set()
        self.on_commit: Callable[[Link], Awaitable[Fate]] | None = None
        self.commits = 0
        self.commit_held = asyncio.Event()
        """Set while a COMMIT is held: rows are written and not yet committed."""
        self._held: set[Link] = set()

    @property
    def url(self) -> str:
        """The database's URL by way of this proxy. TLS would hide the messages."""
        parts = self._parts
        user = f"{parts.username}:{parts.password}" if parts.password else parts.username
        where = f"{user}@127.0.0.1:{self.port}"
        return urlunsplit(parts._replace(netloc=where, query="sslmode=disable"))

    async def pass_up(self, link: Link, data: bytes) -> None:
        """Sends on what the client sent, unless it is a COMMIT that is to be lost."""
        fate = await self._fate(link) if self._commits_usage(link, data) else Fate.PASS
        if fate is Fate.LOST:
            link.cut()
            return
        if fate is Fate.LATE:
            link.client.transport.abort()
            await asyncio.sleep(LATE_SECONDS)
        link.mute = fate is not Fate.PASS
        await super().pass_up(link, data)

    def _commits_usage(self, link: Link, data: bytes) -> bool:
        """Whether it ends a transaction on a connection that has written usage."""
        found = False
        for kind, content in self._messages.setdefault(link, Messages()).read(data):
            if kind in (b"P", b"Q") and b"INSERT INTO usage_id" in content:
                self._writers.add(link)
            statement = content.partition(b"\0")[2] if kind == b"P" else content
            found = found or (kind in (b"P", b"Q") and statement.lstrip().upper().startswith(b"COMMIT"))
        return found and link in self._writers

    async def _fate(self, link: Link) -> Fate:
        self.commits += 1
        if self.on_commit is None:
            return Fate.PASS
        self._held.add(link)
        self.commit_held.set()
        try:
            return await self.on_commit(link)
        finally:
            self._held.discard(link)
            if not self._held:
                self.commit_held.clear()
