"""UsageService, watching: decode, call one verb, encode what it tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from metergate.app.usage.watch import Told, WatchRequest, WatchUsage
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_time
from metergate.rpc.usage import to_pb_recorded
from metergate.v1 import usage_pb2


@dataclass(frozen=True, slots=True)
class WatchService:
    """The servicer."""

    watch: WatchUsage

    async def WatchUsage(
        self, request: usage_pb2.WatchUsageRequest, call: Call
    ) -> AsyncGenerator[usage_pb2.WatchUsageResponse]:
        """What is recorded from now on, or after a `seq`."""
        after = request.after_seq if request.HasField("after_seq") else None
        asked = WatchRequest(request.customer, request.subject, after, list(request.types), list(request.meters))
        return _encoded(await self.watch.watch(call.caller, asked))


async def _encoded(stream: AsyncGenerator[Told]) -> AsyncGenerator[usage_pb2.WatchUsageResponse]:
    async with aclosing(stream):
        async for told in stream:
            yield usage_pb2.WatchUsageResponse(
                events=[to_pb_recorded(one) for one in told.events], seq=told.seq, as_of=to_pb_time(told.as_of)
            )
