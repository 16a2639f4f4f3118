"""A server: started, and drained when it stops."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from metergate.http.server import HttpServer
from metergate.rpc.call import Call, Failure
from metergate.rpc.errors import to_failure
from metergate.rpc.interceptors.admit import Admission
from metergate.rpc.server import GrpcServer
from metergate.settings import Settings
from metergate.wiring.parts import build
from metergate.wiring.workers import start_workers

_TURN_AWAY_SECONDS = 0.3  # for which a server that stops still says so
_GOODBYE_SECONDS = 0.5  # until what streams without end (a watched health) is cut off


@dataclass(slots=True)
class Running:
    """A server that serves: where, and until when."""

    grpc: str
    http: str
    stopped: asyncio.Event

    async def wait(self) -> None:
        """Returns when the server was told to stop."""
        await self.stopped.wait()


@asynccontextmanager
async def server(settings: Settings) -> AsyncGenerator[Running]:
    """Builds and starts a server; leaving the block drains and stops it: health off, intake closed, queue committed.

    Raises:
        OSError: an address cannot be bound.
        LedgerUnavailableError: Postgres cannot be reached at the start.
    """
    async with AsyncExitStack() as stack:
        parts = await build(settings, stack)
        start_workers(settings, parts, stack)
        # What is there by now stays; collecting it again and again would cost a tenth of the throughput.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        admission = parts.admission
        grpc = GrpcServer(parts.methods, reflect=settings.environment == "dev")
        http = HttpServer(parts.methods, Failure, Call, lambda: admission.open, to_failure)
        running = Running("", "", asyncio.Event())
        try:
            running.grpc = await grpc.start(settings.grpc)
            running.http = await http.start(settings.http)
            yield running
        finally:
            running.stopped.set()
            await grpc.set_health(False)
            admission.close()
            parts.watching.close()
            await _answered(admission, settings.drain_seconds)
            await asyncio.gather(grpc.stop(_GOODBYE_SECONDS), http.stop(_GOODBYE_SECONDS))
            await parts.lanes.drain()


async def _answered(admission: Admission, seconds: float) -> None:
    """Waits until calls are answered. gRPC breaks off what is still on its way to a server that it stops (CANCELLED),
    so calls that come meanwhile hear for a moment longer that the server is stopping (UNAVAILABLE)."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    await asyncio.sleep(min(seconds, _TURN_AWAY_SECONDS))
    # Looked at now and then, once at the end of a process: an event would cost each call.
    while admission.in_flight and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
