"""The machine's requests as calls, and what came of them as the machine's answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from metergate_client.calls.call import Call
from metergate_client.calls.usage import record_batch
from metergate_client.errors import Conflict, InvalidArgument, MetergateError, NotFound
from metergate_client.events import Event, Receipt, Receipts
from metergate_client.leases.model import (
    Acquire,
    Failure,
    Figures,
    Key,
    Mark,
    Recorded,
    Request,
    Settling,
    Sync,
    Synced,
)
from metergate_client.leases.units import from_text, to_text
from metergate_client.v1 import quota_pb2

_SERVICE = "/metergate.v1.QuotaService/"
_STATE = "STATE_"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_call(request: Request, holder: str) -> Call[Any, Any]:
    """The call that sends this request."""
    if isinstance(request, Acquire):
        return _acquire(request, holder)
    return _sync(request) if isinstance(request, Sync) else _record([_event(event) for event in request.events])


def to_failure(error: MetergateError) -> Failure:
    """What the machine is told of a call that failed."""
    answered = isinstance(error, NotFound | InvalidArgument | Conflict)
    wait = 0 if error.retry_after is None else error.retry_after // timedelta(microseconds=1) * 1_000
    return Failure(str(error), answered, wait)


def _acquire(request: Acquire, holder: str) -> Call[quota_pb2.AcquireLeaseResponse, Figures | None]:
    key: Key = request.key
    message = quota_pb2.AcquireLeaseRequest(
        subject=key.subject,
        meter=key.meter,
        labels=dict(key.labels),
        holder=holder,
        amount=to_text(request.amount),
        request_id=request.request_id,
    )

    def read(reply: quota_pb2.AcquireLeaseResponse) -> Figures | None:
        return _figures(reply.lease) if reply.HasField("lease") else None

    return Call(f"{_SERVICE}AcquireLease", message, quota_pb2.AcquireLeaseResponse, read)


def _sync(request: Sync) -> Call[quota_pb2.SyncLeasesResponse, list[Synced]]:
    message = quota_pb2.SyncLeasesRequest(marks=map(_mark, request.marks))

    def read(reply: quota_pb2.SyncLeasesResponse) -> list[Synced]:
        return [
            Synced(_figures(result.lease) if result.HasField("lease") else None, result.error_reason)
            for result in reply.results
        ]

    return Call(f"{_SERVICE}SyncLeases", message, quota_pb2.SyncLeasesResponse, read)


def _record(events: list[Event]) -> Call[Any, list[Recorded]]:
    call = record_batch(events)
    read: Callable[[Any], Receipts] = call.read
    return Call(call.path, call.request, call.reply, lambda reply: [_recorded(receipt) for receipt in read(reply)])


def _recorded(receipt: Receipt) -> Recorded:
    return Recorded("" if receipt.ok and not receipt.unsettled and not receipt.unmatched else repr(receipt))


def _mark(mark: Mark) -> quota_pb2.LeaseMark:
    return quota_pb2.LeaseMark(
        lease_id=mark.lease_id,
        spent=to_text(mark.spent),
        returned=None if mark.returned is None else to_text(mark.returned),
        wanted=None if mark.wanted is None else to_text(mark.wanted),
        close=mark.close,
    )


def _event(event: Settling) -> Event:
    amount = to_text(event.amount)
    return Event(
        type=event.form.type,
        subject=event.key.subject,
        amount=None if event.form.value else amount,
        values={event.form.value: amount} if event.form.value else {},
        labels=dict(event.key.labels),
        id=f"{event.lease_id}/{event.number}",
        time=_EPOCH + timedelta(microseconds=event.time // 1_000),
        settles=event.lease_id,
    )


def _figures(lease: quota_pb2.Lease) -> Figures:
    return Figures(
        id=lease.id,
        granted=from_text(lease.granted),
        returned=from_text(lease.returned),
        spent=from_text(lease.spent),
        settled=from_text(lease.settled),
        state=quota_pb2.Lease.State.Name(lease.state).removeprefix(_STATE).lower(),
        ttl=lease.ttl.ToNanoseconds() if lease.HasField("ttl") else None,
        recall=from_text(lease.recall),
    )
