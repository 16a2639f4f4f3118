"""A client without retries of its own, so that tests see each answer as it came."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from metergate.v1 import catalog_pb2, decision_pb2, quota_pb2, usage_event_pb2, usage_pb2

# A channel to a server that was killed tries again soon; each client has connections of its own.
OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
ANSWERS: Mapping[str, type[Message]] = {
    "UsageService/RecordUsage": usage_pb2.RecordUsageResponse,
    "UsageService/BatchRecordUsage": usage_pb2.BatchRecordUsageResponse,
    "UsageService/GetUsageSummary": usage_pb2.GetUsageSummaryResponse,
    "QuotaService/CheckQuota": quota_pb2.CheckQuotaResponse,
    "CatalogService/ApplyCatalog": catalog_pb2.ApplyCatalogResponse,
}
METER = "calls"
_numbers = itertools.count(1)


class Used(NamedTuple):
    """What CheckQuota says is used, and whether the view said so."""

    used: int
    from_view: bool


class Failed(NamedTuple):
    """What an UNAVAILABLE or other error said of itself."""

    code: grpc.StatusCode
    reason: str
    has_retry_info: bool


def usage(subject: str, id: str = "", amount: str = "", time: int | None = None) -> usage_event_pb2.UsageEvent:
    """An event of the one meter, with an id of its own unless one is given; `time` in microseconds."""
    made = usage_event_pb2.UsageEvent(id=id or f"e{next(_numbers)}", type=METER, subject=subject, amount=amount)
    if time is not None:
        made.time.CopyFrom(Timestamp(seconds=time // 10**6, nanos=time % 10**6 * 1000))
    return made


def failed(error: grpc.aio.AioRpcError) -> Failed:
    """Reads the status and its details."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has all that is read here
    info, retry = ErrorInfo(), RetryInfo()
    has_retry_info = False
    for detail in status.details if status else ():
        detail.Unpack(info)
        has_retry_info = detail.Unpack(retry) or has_retry_info
    return Failed(error.code(), info.reason, has_retry_info)


class Client:
    """Calls one server with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.channel = grpc.aio.insecure_channel(url, options=OPTIONS)
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._calls: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.channel.close()

    async def ready(self) -> None:
        """Waits until the server, which was started again, is met."""
        async with asyncio.timeout(10):
            await self.channel.channel_ready()

    async def call(self, method: str, request: Message, seconds: float = 15) -> Any:
        """The answer. Raises grpc.aio.AioRpcError."""
        if method not in self._calls:
            self._calls[method] = self.channel.unary_unary(
                f"/metergate.v1.{method}", type(request).SerializeToString, ANSWERS[method].FromString
            )
        return await self._calls[method](request, timeout=seconds, metadata=self._metadata)

    async def record(self, event: usage_event_pb2.UsageEvent, seconds: float = 15) -> usage_pb2.RecordUsageResponse:
        """One event."""
        request = usage_pb2.RecordUsageRequest(event=event)
        answer: usage_pb2.RecordUsageResponse = await self.call("UsageService/RecordUsage", request, seconds)
        return answer

    async def outcome(self, event: usage_event_pb2.UsageEvent, seconds: float = 15) -> str:
        """One event; what became of it, as ACCEPTED."""
        return outcome_name((await self.record(event, seconds)).receipt)

    async def batch(self, events: Sequence[usage_event_pb2.UsageEvent], seconds: float = 30) -> list[str]:
        """Many events; what became of each."""
        request = usage_pb2.BatchRecordUsageRequest(events=events)
        answer: usage_pb2.BatchRecordUsageResponse = await self.call("UsageService/BatchRecordUsage", request, seconds)
        return [outcome_name(receipt) for receipt in answer.receipts]

    async def used(self, subject: str, token: str = "") -> Used:
        """What CheckQuota says is used of the one limit."""
        request = quota_pb2.CheckQuotaRequest(
            subject=subject, token=token, amounts=[quota_pb2.QuotaAmount(meter=METER)]
        )
        answer: quota_pb2.CheckQuotaResponse = await self.call("QuotaService/CheckQuota", request)
        (limit,) = answer.decision.limits
        from_view = answer.decision.answered_by == decision_pb2.AnsweredBy.ANSWERED_BY_VIEW
        return Used(int(Decimal(limit.used)), from_view)

    async def have_meter(self, period: str = "PERIOD_MONTH") -> None:
        """Puts a catalog of one meter and one wide limit in force."""
        limit = catalog_pb2.Limit(meter=METER, max="1000000000", period=catalog_pb2.Period.Value(period))
        catalog = catalog_pb2.Catalog(
            meters=[catalog_pb2.Meter(name=METER)], plans=[catalog_pb2.Plan(name="default", limits=[limit])]
        )
        await self.call("CatalogService/ApplyCatalog", catalog_pb2.ApplyCatalogRequest(catalog=catalog))


def outcome_name(receipt: usage_event_pb2.UsageReceipt) -> str:
    """As ACCEPTED."""
    return usage_event_pb2.Outcome.Name(receipt.outcome).removeprefix("OUTCOME_")
