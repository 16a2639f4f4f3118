"""A receiver of webhooks: a real HTTP server on a free port, which remembers what came and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.server import free_port

Answer = Callable[["Got"], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    payload: bytes

    @property
    def body(self) -> Any:
        """The body's JSON."""
        return json.loads(self.payload)

    @property
    def customer(self) -> str:
        """The customer whose news it is."""
        return str(self.body["data"]["customer"])

    @property
    def ids(self) -> list[str]:
        """The ids of the events that it tells of."""
        return [event["id"] for event in self.body["data"]["events"]]


def answered(status: int, *headers: str, body: bytes = b"") -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status} Words", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _yes(_: Got) -> bytes:
    return answered(204)


@dataclass
class Receiver:
    """What came, and `answer`, which may be exchanged."""

    url: str
    got: list[Got] = field(default_factory=list)
    answer: Answer = _yes
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def answers(self, status: int, *headers: str) -> None:
        """From now on it answers so."""

        async def answer(_: Got) -> bytes:
            return answered(status, *headers)

        self.answer = answer

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")[:-2]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                payload = await reader.readexactly(int(headers.get("content-length", "0")))
                got = Got(first.split(" ")[1], headers, payload)
                self.got.append(got)
                writer.write(await self.answer(got))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver() -> AsyncGenerator[Receiver]:
    """A receiver on a free port of this machine."""
    port = free_port()
    made = Receiver(f"http://127.0.0.1:{port}/hook")
    server = await asyncio.start_server(made.serve, "127.0.0.1", port)
    try:
        yield made
    finally:
        server.close()
        for task in made.serving:
            task.cancel()
        await asyncio.gather(*made.serving, return_exceptions=True)
