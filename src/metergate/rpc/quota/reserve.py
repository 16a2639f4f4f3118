"""QuotaService, the part that holds capacity for a piece of work: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from metergate.app.quota.reserve import Reservations
from metergate.app.tokens import Sealer
from metergate.domain.answer import Answer
from metergate.domain.errors import invalid
from metergate.domain.hold import Hold, State
from metergate.domain.period import MINUTE, SECOND
from metergate.domain.quantity import to_text
from metergate.domain.usage import check_labels
from metergate.domain.work import Want
from metergate.rpc.call import Call
from metergate.rpc.convert import (
    from_pb_amount,
    from_pb_event,
    to_pb_limit_state,
    to_pb_receipt,
    to_pb_time,
)
from metergate.rpc.quota.verdict import decision_of, refusal, to_pb_verdict
from metergate.v1 import quota_pb2

_TTL = 5 * MINUTE
_STATES: Mapping[State, quota_pb2.Reservation.State] = {
    State.OPEN: quota_pb2.Reservation.STATE_OPEN,
    State.COMMITTED: quota_pb2.Reservation.STATE_COMMITTED,
    State.RELEASED: quota_pb2.Reservation.STATE_RELEASED,
    State.EXPIRED: quota_pb2.Reservation.STATE_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class ReserveService:
    """The servicer."""

    reservations: Reservations
    sealer: Sealer

    async def ReserveQuota(self, request: quota_pb2.ReserveQuotaRequest, call: Call) -> quota_pb2.ReserveQuotaResponse:
        """Holds capacity, or says what is in the way."""
        wants = [
            Want(one.meter, from_pb_amount(one.amount, index), sorted_labels(one.labels))
            for index, one in enumerate(request.amounts)
        ]
        if len({(want.meter, tuple(want.labels.items())) for want in wants}) < len(wants):
            raise invalid("amounts", "must each be of another meter or other labels")
        ttl = _from_pb_ttl(request.ttl) if request.HasField("ttl") else _TTL
        answer, seqs = await self.reservations.reserve(
            call.caller, request.subject, wants, ttl, request.partial_ok, request.request_id
        )
        if request.refuse_as_status and not answer.allowed:
            raise refusal(decision_of(answer), request.subject)
        response = quota_pb2.ReserveQuotaResponse(token=self.sealer.write(call.caller.tenant, seqs))
        to_pb_verdict(self.sealer, call.caller.tenant, answer, response.decision)
        if answer.hold is not None:
            response.reservation.CopyFrom(_to_pb_reservation(answer.hold))
        return response

    async def ExtendReservation(
        self, request: quota_pb2.ExtendReservationRequest, call: Call
    ) -> quota_pb2.ExtendReservationResponse:
        """A later end."""
        answer, _ = await self.reservations.extend(call.caller, request.reservation_id, _from_pb_ttl(request.ttl))
        return quota_pb2.ExtendReservationResponse(reservation=_to_pb_reservation(_hold_of(answer)))

    async def CommitReservation(
        self, request: quota_pb2.CommitReservationRequest, call: Call
    ) -> quota_pb2.CommitReservationResponse:
        """What really happened."""
        id_, subject = request.reservation_id, ""
        if any(not event.subject for event in request.events):
            subject = await self.reservations.subject_of(call.caller, id_)
        events = [from_pb_event(event, call.caller.service, subject, id_) for event in request.events]
        answer, seqs = await self.reservations.commit(call.caller, id_, events)
        return quota_pb2.CommitReservationResponse(
            reservation=_to_pb_reservation(_hold_of(answer)),
            receipts=[to_pb_receipt(receipt) for receipt in answer.receipts],
            late=answer.late,
            limits=[to_pb_limit_state(state) for state in decision_of(answer).states],
            token=self.sealer.write(call.caller.tenant, seqs),
        )

    async def ReleaseReservation(
        self, request: quota_pb2.ReleaseReservationRequest, call: Call
    ) -> quota_pb2.ReleaseReservationResponse:
        """Gives it back."""
        answer, _ = await self.reservations.release(call.caller, request.reservation_id)
        return quota_pb2.ReleaseReservationResponse(reservation=_to_pb_reservation(_hold_of(answer)))


def sorted_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels in order of their keys.

    Raises:
        MetergateError: FIELD_INVALID on `labels`.
    """
    ordered = {name: labels[name] for name in sorted(labels)}
    check_labels(ordered)
    return ordered


def _from_pb_ttl(ttl: Duration) -> int:
    length: int = ttl.seconds * SECOND + ttl.nanos // 1000
    return length


def _hold_of(answer: Answer) -> Hold:
    assert answer.hold is not None, "works on holds answer with one"
    return answer.hold


def _to_pb_reservation(hold: Hold) -> quota_pb2.Reservation:
    return quota_pb2.Reservation(
        id=hold.id,
        customer=hold.customer,
        subject=hold.subject,
        amounts=[
            quota_pb2.ReservedAmount(
                meter=part.meter, labels=part.labels, amount=to_text(part.granted), used=to_text(part.settled)
            )
            for part in hold.parts
        ],
        state=_STATES[hold.state],
        create_time=to_pb_time(hold.counted_at),
        expire_time=to_pb_time(hold.end_at),
    )
