"""The quota calls of the fake server: admissions, reservations and leases over one ``LeaseBook``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from clients.python.tests.lease_book import LeaseBook
from google.protobuf.duration_pb2 import Duration

from metergate_client.leases.model import SECOND, Figures, Key, Mark, Synced
from metergate_client.leases.units import from_text, to_text
from metergate_client.v1 import quota_pb2, usage_event_pb2


@dataclass
class FakeQuota:
    """One limit, named "limit", of everything; what is used, reserved and leased of it."""

    book: LeaseBook = field(default_factory=lambda: LeaseBook(100 * 10**12))
    admitted: dict[str, usage_event_pb2.UsageEvent] = field(default_factory=dict)
    reservations: dict[str, quota_pb2.Reservation] = field(default_factory=dict)
    by_request: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """What is free, in units."""
        reserved = sum(
            from_text(part.amount)
            for each in self.reservations.values()
            if each.state == quota_pb2.Reservation.STATE_OPEN
            for part in each.amounts
        )
        return self.book.free - reserved - sum(from_text(event.amount or "1") for event in self.admitted.values())

    def consume(self, request: quota_pb2.ConsumeQuotaRequest) -> quota_pb2.ConsumeQuotaResponse:
        """All events or none."""
        known = [event.id in self.admitted for event in request.events]
        fresh = 0 if all(known) else sum(from_text(event.amount or "1") for event in request.events)
        if fresh > self.left:
            return quota_pb2.ConsumeQuotaResponse(decision=self._refusal(fresh))
        self.admitted.update({event.id: event for event in request.events})
        outcome = usage_event_pb2.OUTCOME_DUPLICATE if all(known) else usage_event_pb2.OUTCOME_ACCEPTED
        return quota_pb2.ConsumeQuotaResponse(
            decision={"allowed": True},
            receipts=[usage_event_pb2.UsageReceipt(event_id=event.id, outcome=outcome) for event in request.events],
            token="t3",
        )

    def reserve(self, request: quota_pb2.ReserveQuotaRequest) -> quota_pb2.ReserveQuotaResponse:
        """Hold all amounts or none; a known request id gets its reservation again."""
        if request.request_id not in self.by_request:
            asked = sum(from_text(part.amount) for part in request.amounts)
            if asked > self.left:
                return quota_pb2.ReserveQuotaResponse(decision=self._refusal(asked))
            made = quota_pb2.Reservation(
                id=f"res-{len(self.reservations) + 1}",
                subject=request.subject,
                amounts=[
                    quota_pb2.ReservedAmount(meter=part.meter, labels=part.labels, amount=part.amount, used="0")
                    for part in request.amounts
                ],
                state=quota_pb2.Reservation.STATE_OPEN,
            )
            self.reservations[made.id] = made
            self.by_request[request.request_id] = made.id
        reservation = self.reservations[self.by_request[request.request_id]]
        return quota_pb2.ReserveQuotaResponse(decision={"allowed": True}, reservation=reservation, token="t4")

    def commit(self, request: quota_pb2.CommitReservationRequest) -> quota_pb2.CommitReservationResponse:
        """Record the events; the rest is free."""
        reservation = self.reservations[request.reservation_id]
        late = reservation.state != quota_pb2.Reservation.STATE_OPEN
        known = all(event.id in self.admitted for event in request.events)
        self.admitted.update({event.id: event for event in request.events})
        if not late:
            reservation.state = quota_pb2.Reservation.STATE_COMMITTED
            for part in reservation.amounts:
                own = [event for event in request.events if event.type == part.meter]
                part.used = str(sum((Decimal(event.amount or 1) for event in own), Decimal(0)))
        outcome = usage_event_pb2.OUTCOME_DUPLICATE if known else usage_event_pb2.OUTCOME_ACCEPTED
        return quota_pb2.CommitReservationResponse(
            reservation=reservation,
            receipts=[usage_event_pb2.UsageReceipt(event_id=event.id, outcome=outcome) for event in request.events],
            late=late and not known,
        )

    def release(self, request: quota_pb2.ReleaseReservationRequest) -> quota_pb2.ReleaseReservationResponse:
        """What it held is free."""
        reservation = self.reservations[request.reservation_id]
        if reservation.state == quota_pb2.Reservation.STATE_OPEN:
            reservation.state = quota_pb2.Reservation.STATE_RELEASED
        return quota_pb2.ReleaseReservationResponse(reservation=reservation)

    def acquire(self, request: quota_pb2.AcquireLeaseRequest) -> quota_pb2.AcquireLeaseResponse:
        """A lease, if anything is free."""
        figures = self.book.acquire(request.request_id, min(from_text(request.amount), self.left), now())
        if figures is None:
            return quota_pb2.AcquireLeaseResponse(decision={"reason": "nothing is left"})
        key = Key(request.meter, request.subject, tuple(sorted(request.labels.items())))
        return quota_pb2.AcquireLeaseResponse(decision={"allowed": True}, lease=_lease(figures, key))

    def sync(self, request: quota_pb2.SyncLeasesRequest) -> quota_pb2.SyncLeasesResponse:
        """Take each mark."""
        self.book.expire(now())
        return quota_pb2.SyncLeasesResponse(results=[_result(self.book.sync(_mark(m), now())) for m in request.marks])

    def settle(self, event: usage_event_pb2.UsageEvent) -> None:
        """An event that names a lease takes it out of the lease."""
        if event.settles.startswith("l-"):
            self.book.record(event.settles, event.id, from_text(event.amount), event.time.ToMicroseconds())

    def _refusal(self, asked: int) -> Any:
        most, left = to_text(self.book.limit), to_text(max(self.left, 0))
        limit = {"name": "limit", "max": most, "remaining": left, "would_fit": left if asked else "0"}
        return {"binding_limit": "limit", "limits": [limit], "retry_after": Duration(seconds=9), "reason": "limit"}


def now() -> int:
    """The book's clock."""
    return time.monotonic_ns() + 10 * SECOND


def _mark(mark: quota_pb2.LeaseMark) -> Mark:
    returned = from_text(mark.returned) if mark.returned else None
    return Mark("", mark.lease_id, from_text(mark.spent), returned, from_text(mark.wanted), mark.close)


def _result(synced: Synced) -> quota_pb2.LeaseResult:
    lease = _lease(synced.figures) if synced.figures else None
    return quota_pb2.LeaseResult(lease=lease, error_reason=synced.error_reason)


def _lease(figures: Figures, key: Key | None = None) -> quota_pb2.Lease:
    ttl = Duration()
    ttl.FromNanoseconds(figures.ttl or 0)
    return quota_pb2.Lease(
        id=figures.id,
        meter=key.meter if key else "",
        subject=key.subject if key else "",
        granted=to_text(figures.granted),
        returned=to_text(figures.returned),
        spent=to_text(figures.spent),
        settled=to_text(figures.settled),
        state=f"STATE_{figures.state.upper()}",
        ttl=None if figures.ttl is None else ttl,
        recall=to_text(figures.recall),
    )
