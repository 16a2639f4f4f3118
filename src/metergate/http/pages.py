"""Pages for people and machines that look after the server."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_INDEX = """\
Metergate meters usage and checks quotas.

GET  /healthz                         whether the process lives
GET  /readyz                          whether it takes calls
GET  /metrics                         for Prometheus
POST /metergate.v1.<Service>/<Method> the contract's calls, as Connect with JSON or protobuf

A key comes with each call, as "Authorization: Bearer mg_...". The README.md in Metergate's repository shows the
first calls, and protos/ beside it holds the contract.
"""


def pages(ready: Callable[[], bool]) -> list[Route]:
    """The index, liveness, readiness and metrics."""

    async def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", 503)

    return [
        Route("/", _index),
        Route("/healthz", _healthz),
        Route("/readyz", readyz),
        Route("/metrics", _metrics),
    ]


async def _index(request: Request) -> Response:
    return PlainTextResponse(_INDEX)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("alive\n")


async def _metrics(request: Request) -> Response:
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), headers={"content-type": content_type})
