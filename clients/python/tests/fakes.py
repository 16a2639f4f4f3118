"""A server of the contract for unit tests: real gRPC on loopback, a dict for a ledger, trouble on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import grpc
from clients.python.tests.fake_quota import FakeQuota
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from metergate_client.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    quota_pb2,
    quota_pb2_grpc,
    usage_event_pb2,
    usage_pb2,
    usage_pb2_grpc,
)

T = TypeVar("T")


@dataclass
class FakeServer(
    usage_pb2_grpc.UsageServiceServicer, quota_pb2_grpc.QuotaServiceServicer, catalog_pb2_grpc.CatalogServiceServicer
):
    """Remembers each request that reached it; answers ``lost`` of them with UNAVAILABLE after it did the work."""

    url: str = ""
    lost: int = 0
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    ledger: dict[str, usage_event_pb2.UsageEvent] = field(default_factory=dict)
    quota: FakeQuota = field(default_factory=FakeQuota)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def RecordUsage(self, request: Any, context: Any) -> usage_pb2.RecordUsageResponse:  # noqa: N802
        receipt = self._keep(request.event)
        self._arrived(request, context)
        return usage_pb2.RecordUsageResponse(receipt=receipt, token="t1")

    def BatchRecordUsage(self, request: Any, context: Any) -> usage_pb2.BatchRecordUsageResponse:  # noqa: N802
        with self.lock:
            receipts = [self._keep(event) for event in request.events]
            for event in request.events:
                self.quota.settle(event)
        self._arrived(request, context)
        return usage_pb2.BatchRecordUsageResponse(receipts=receipts, token="t2")

    def GetUsageSummary(self, request: Any, context: Any) -> usage_pb2.GetUsageSummaryResponse:  # noqa: N802
        self._arrived(request, context)
        total = sum((Decimal(event.amount or 1) for event in self.ledger.values()), Decimal(0))
        return usage_pb2.GetUsageSummaryResponse(
            series=[usage_pb2.UsageSeries(meter=meter, total=str(total)) for meter in request.meters]
        )

    def ListUsageEvents(self, request: Any, context: Any) -> usage_pb2.ListUsageEventsResponse:  # noqa: N802
        self._arrived(request, context)
        first = int(request.page_token or 0)
        events = list(self.ledger.values())
        last = first + request.page_size
        return usage_pb2.ListUsageEventsResponse(
            events=[usage_pb2.RecordedEvent(event=event) for event in events[first:last]],
            next_page_token=str(last) if last < len(events) else "",
        )

    def CheckQuota(self, request: Any, context: Any) -> quota_pb2.CheckQuotaResponse:  # noqa: N802
        self._arrived(request, context)
        info = error_details_pb2.ErrorInfo(
            reason="SUBJECT_NOT_FOUND", domain="metergate.dev", metadata={"subject": request.subject}
        )
        context.abort_with_status(rpc_status.to_status(status(grpc.StatusCode.NOT_FOUND, "no such subject", info)))
        raise AssertionError("abort_with_status raises")

    def ConsumeQuota(self, request: Any, context: Any) -> quota_pb2.ConsumeQuotaResponse:  # noqa: N802
        return self._work(self.quota.consume, request, context)

    def ReserveQuota(self, request: Any, context: Any) -> quota_pb2.ReserveQuotaResponse:  # noqa: N802
        return self._work(self.quota.reserve, request, context)

    def CommitReservation(self, request: Any, context: Any) -> quota_pb2.CommitReservationResponse:  # noqa: N802
        return self._work(self.quota.commit, request, context)

    def ReleaseReservation(self, request: Any, context: Any) -> quota_pb2.ReleaseReservationResponse:  # noqa: N802
        return self._work(self.quota.release, request, context)

    def AcquireLease(self, request: Any, context: Any) -> quota_pb2.AcquireLeaseResponse:  # noqa: N802
        return self._work(self.quota.acquire, request, context)

    def SyncLeases(self, request: Any, context: Any) -> quota_pb2.SyncLeasesResponse:  # noqa: N802
        return self._work(self.quota.sync, request, context)

    def _work(self, work: Callable[[Any], T], request: Any, context: Any) -> T:
        with self.lock:
            reply = work(request)
        self._arrived(request, context)
        return reply

    def SetLimit(self, request: Any, context: Any) -> catalog_pb2.SetLimitResponse:  # noqa: N802
        self._arrived(request, context)
        return catalog_pb2.SetLimitResponse(limit=request.limit)

    def _arrived(self, request: Message, context: Any) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.lost:
            self.lost -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")

    def _keep(self, event: usage_event_pb2.UsageEvent) -> usage_event_pb2.UsageReceipt:
        known = self.ledger.setdefault(event.id, event)
        outcome = "ACCEPTED" if known is event else "DUPLICATE" if known == event else "CONFLICT"
        return usage_event_pb2.UsageReceipt(event_id=event.id, outcome=f"OUTCOME_{outcome}")


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """Serve on a free port of loopback."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    fake = FakeServer()
    usage_pb2_grpc.add_UsageServiceServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
    quota_pb2_grpc.add_QuotaServiceServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
    catalog_pb2_grpc.add_CatalogServiceServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
    fake.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def status(code: grpc.StatusCode, message: str, *details: Message) -> status_pb2.Status:
    """A rich status as the server sends it."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)
