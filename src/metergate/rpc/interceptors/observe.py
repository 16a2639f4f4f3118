"""observe: how many calls, how they ended, how long they took."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from prometheus_client import Counter, Gauge, Histogram

from metergate.rpc.call import Call, Failure, Handler, Method

CALLS = Counter("metergate_calls", "Calls by method and gRPC code.", ["method", "code"])
SECONDS = Histogram(
    "metergate_call_seconds",
    "Time to answer a call.",
    ["method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
IN_FLIGHT = Gauge("metergate_calls_in_flight", "Calls that are being answered.")


def observe(method: Method, handle: Handler) -> Handler:
    """Counts and times each call; outermost, so that refusals of the others are seen."""
    succeeded = CALLS.labels(method.path, "OK")
    cancelled = CALLS.labels(method.path, "CANCELLED")
    seconds = SECONDS.labels(method.path)

    async def observed(request: Any, call: Call) -> Message:
        began = time.perf_counter()
        outcome = cancelled
        IN_FLIGHT.inc()
        try:
            response = await handle(request, call)
            outcome = succeeded
            return response
        except Failure as failure:
            outcome = CALLS.labels(method.path, Code.Name(failure.status.code))
            raise
        finally:
            IN_FLIGHT.dec()
            outcome.inc()
            seconds.observe(time.perf_counter() - began)

    return observed
