"""observe: how many calls, how they ended, how long they took.

Each method keeps its own plain tallies, which a scrape turns into metrics: a call pays for two additions.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import accumulate
from typing import Any

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from metergate.rpc.call import Call, Failure, Handler, Method

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class _Tally:
    """What is known of one method."""

    __slots__ = ("buckets", "codes", "in_flight", "seconds")

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0
        self.in_flight = 0


class _Calls(Collector):
    """All methods' tallies, as a scrape sees them."""

    def __init__(self) -> None:
        self.tallies: dict[str, _Tally] = {}

    def collect(self) -> Iterable[Metric]:
        """From prometheus_client."""
        calls = CounterMetricFamily("metergate_calls", "Calls by method and gRPC code.", labels=["method", "code"])
        seconds = HistogramMetricFamily("metergate_call_seconds", "Time to answer a call.", labels=["method"])
        in_flight = GaugeMetricFamily("metergate_calls_in_flight", "Calls being answered.", labels=["method"])
        for method, tally in self.tallies.items():
            for code, count in tally.codes.items():
                calls.add_metric([method, code], count)
            bounds = [*(str(bound) for bound in _BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(tally.buckets), strict=True))
            seconds.add_metric([method], buckets, tally.seconds)
            in_flight.add_metric([method], tally.in_flight)
        return [calls, seconds, in_flight]


_CALLS = _Calls()
REGISTRY.register(_CALLS)


def observe(method: Method, handle: Handler) -> Handler:
    """Counts and times each call; outermost, so that refusals of the others are seen."""
    tally = _CALLS.tallies.setdefault(method.path, _Tally())
    clock = time.perf_counter

    async def observed(request: Any, call: Call) -> Any:
        began = clock()
        code = "CANCELLED"
        tally.in_flight += 1
        try:
            response = await handle(request, call)
            code = "OK"
            return response
        except Failure as failure:
            code = Code.Name(failure.status.code)
            raise
        finally:
            took = clock() - began
            tally.in_flight -= 1
            tally.codes[code] += 1
            tally.buckets[bisect_left(_BOUNDS, took)] += 1
            tally.seconds += took

    async def streamed(request: Any, call: Call) -> AsyncGenerator[Message]:
        return _to_the_end(tally, await observed(request, call))

    return streamed if method.streams else observed


async def _to_the_end(tally: _Tally, stream: Any) -> AsyncGenerator[Message]:
    """A stream counts as a call when it begins, as in flight while it lasts, and once more by how it failed."""
    tally.in_flight += 1
    try:
        async with aclosing(stream):
            async for message in stream:
                yield message
    except Failure as failure:
        tally.codes[Code.Name(failure.status.code)] += 1
        raise
    finally:
        tally.in_flight -= 1
