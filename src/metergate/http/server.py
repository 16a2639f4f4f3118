"""The HTTP server: the contract's methods as Connect, and the pages, in the loop that runs already."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from metergate.http.connect import Connect
from metergate.http.contract import MakeCall, MethodLike, ToFailure
from metergate.http.pages import pages

CONNECTIONS_MOST = 2_000  # more are answered 503
_KEEP_ALIVE_SECONDS = 75  # longer than the usual proxy keeps an idle connection


class HttpServer:
    """Serves methods on one address.

    `failure` is the exception that a method raises, `make_call` makes what its handler takes beside the request, and
    `to_failure` tells this room's own errors in the same words. `ready` says whether calls are welcome.
    """

    def __init__(
        self,
        methods: Sequence[MethodLike],
        failure: type[Exception],
        make_call: MakeCall,
        ready: Callable[[], bool],
        to_failure: ToFailure,
    ) -> None:
        self._connect = Connect(methods, failure, make_call, to_failure)
        config = uvicorn.Config(
            Starlette(routes=[*pages(ready), Route("/{path:path}", self._connect)]),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MOST,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, address: str) -> str:
        """Binds "host:port" and serves; returns the address with the port that was bound.

        Raises:
            OSError: the address cannot be bound.
        """
        listener = _bound(address)  # it listens: who connects before the task runs waits in the backlog
        port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return f"{address.rpartition(':')[0]}:{port}"

    async def stop(self, grace: float) -> None:
        """Takes no new connections, lets calls under way finish for `grace` seconds, and ends what is left."""
        if self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = math.ceil(grace)
        self._server.should_exit = True
        await self._serving
        if left := self._server.server_state.tasks:
            await asyncio.wait(left)
        for connection in list(self._server.server_state.connections):
            connection.transport.close()
        self._connect.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals belong to whoever runs the loop."""
        yield


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=2048)
        # asyncio sets this only where getaddrinfo made the socket; without it each answer waits 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (ValueError, OverflowError) as error:
        raise OSError(f"cannot listen on {address} for HTTP: it is not host:port") from error
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is something else listening there?" if taken else error.strerror
        raise OSError(f"cannot listen on {address} for HTTP: {why}") from error
