"""Calls that hold capacity and let it go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from metergate_client.calls.call import Call, to_pb_span
from metergate_client.calls.usage import to_pb_event
from metergate_client.decode import (
    from_pb_decimal,
    from_pb_decision,
    from_pb_limit_state,
    from_pb_receipt,
    from_pb_time,
    from_pb_word,
)
from metergate_client.events import Event
from metergate_client.exact import Amount, Span, amount_text, span
from metergate_client.ids import new_id
from metergate_client.reserved import Answer, Committed, Reserved, ReservedAmount
from metergate_client.v1 import quota_pb2

_SERVICE = "/metergate.v1.QuotaService/"


def reserve(
    meter: str = "",
    amount: Amount = 1,
    *,
    subject: str,
    amounts: Mapping[str, Amount] | None = None,
    labels: Mapping[str, str] | None = None,
    ttl: Span | None = None,
    partial_ok: bool = False,
    request_id: str | None = None,
) -> Call[quota_pb2.ReserveQuotaResponse, Answer]:
    """Hold ``amount`` of ``meter`` for work whose cost is known only afterwards; then commit what it really used.

    As a context manager it gives the reservation back when the block ends without a commit, by an error or not; the
    block of a refused one raises ``QuotaRefused``. ``amounts`` takes several meters, of which all are held or none.
    ``ttl`` is for how long (5 minutes, at most 24 hours), then it ends by itself. ``partial_ok``: hold what is left
    where all does not fit. The request's id is fixed before the first try, so that a retry holds nothing twice.

    Raises:
        NotFound: No such meter or subject.
        InvalidArgument: It breaks a rule, or the request's id was used before for something else.
    """
    if bool(meter) == bool(amounts):
        raise ValueError("name one meter, or several in amounts={…}")
    asked = {meter: amount} if meter else amounts or {}
    request = quota_pb2.ReserveQuotaRequest(
        subject=subject,
        amounts=[
            quota_pb2.QuotaAmount(meter=name, amount=amount_text(much), labels=labels) for name, much in asked.items()
        ],
        ttl=to_pb_span(ttl),
        partial_ok=partial_ok,
        request_id=new_id() if request_id is None else request_id,
    )

    def read(reply: quota_pb2.ReserveQuotaResponse) -> Answer:
        reserved = _reserved(reply.reservation) if reply.HasField("reservation") else None
        return Answer(from_pb_decision(reply.decision), reserved, reply.token, None if ttl is None else span(ttl))

    return Call(f"{_SERVICE}ReserveQuota", request, quota_pb2.ReserveQuotaResponse, read)


def extend(reservation_id: str, ttl: timedelta) -> Call[quota_pb2.ExtendReservationResponse, Reserved]:
    """Hold it for ``ttl`` from now; an earlier end than it has changes nothing."""
    request = quota_pb2.ExtendReservationRequest(reservation_id=reservation_id, ttl=to_pb_span(ttl))
    reply = quota_pb2.ExtendReservationResponse
    return Call(f"{_SERVICE}ExtendReservation", request, reply, lambda answer: _reserved(answer.reservation))


def commit(reservation_id: str, events: Iterable[Event]) -> Call[quota_pb2.CommitReservationResponse, Committed]:
    """Record what the work really used, up to 100 events, and give the rest back."""
    fixed = tuple(events)
    request = quota_pb2.CommitReservationRequest(reservation_id=reservation_id, events=map(to_pb_event, fixed))

    def read(reply: quota_pb2.CommitReservationResponse) -> Committed:
        return Committed(
            reserved=_reserved(reply.reservation),
            receipts=tuple(map(from_pb_receipt, reply.receipts)),
            late=reply.late,
            limits=tuple(map(from_pb_limit_state, reply.limits)),
            token=reply.token,
        )

    return Call(f"{_SERVICE}CommitReservation", request, quota_pb2.CommitReservationResponse, read, fixed)


def release(reservation_id: str) -> Call[quota_pb2.ReleaseReservationResponse, Reserved]:
    """Give all that is left of it back. One that was released or has expired stays as it is."""
    request = quota_pb2.ReleaseReservationRequest(reservation_id=reservation_id)
    reply = quota_pb2.ReleaseReservationResponse
    return Call(f"{_SERVICE}ReleaseReservation", request, reply, lambda answer: _reserved(answer.reservation))


def _reserved(reservation: quota_pb2.Reservation) -> Reserved:
    return Reserved(
        id=reservation.id,
        customer=reservation.customer,
        subject=reservation.subject,
        amounts=tuple(
            ReservedAmount(part.meter, dict(part.labels), from_pb_decimal(part.amount), from_pb_decimal(part.used))
            for part in reservation.amounts
        ),
        state=from_pb_word(quota_pb2.Reservation.State, "STATE_", reservation.state),
        create_time=from_pb_time(reservation, "create_time"),
        expire_time=from_pb_time(reservation, "expire_time"),
    )
