"""QuotaService, the part that hands out slices to be spent without a call: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from metergate.app.quota.lease import Leases, Report
from metergate.app.tokens import Sealer
from metergate.domain import quantity
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError, invalid
from metergate.domain.hold import Hold, State
from metergate.domain.quantity import ZERO, to_text
from metergate.domain.work import Want
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_duration, to_pb_time
from metergate.rpc.quota.reserve import sorted_labels
from metergate.rpc.quota.verdict import to_pb_verdict
from metergate.v1 import quota_pb2

_STATES: Mapping[State, quota_pb2.Lease.State] = {
    State.OPEN: quota_pb2.Lease.STATE_OPEN,
    State.RETURNED: quota_pb2.Lease.STATE_RETURNED,
    State.FORFEITED: quota_pb2.Lease.STATE_FORFEITED,
    State.RELEASED: quota_pb2.Lease.STATE_RELEASED,
}


@dataclass(frozen=True, slots=True)
class LeaseService:
    """The servicer."""

    leases: Leases
    sealer: Sealer

    async def AcquireLease(self, request: quota_pb2.AcquireLeaseRequest, call: Call) -> quota_pb2.AcquireLeaseResponse:
        """A slice, or what is in the way."""
        amount = _quantity(request.amount, "amount")
        if amount == ZERO:
            raise invalid("amount", "must be more than 0")
        want = Want(request.meter, amount, sorted_labels(request.labels))
        answer = await self.leases.acquire(call.caller, request.subject, want, request.holder, request.request_id)
        response = quota_pb2.AcquireLeaseResponse()
        to_pb_verdict(self.sealer, call.caller.tenant, answer, response.decision)
        if answer.hold is not None:
            response.lease.CopyFrom(_to_pb_lease(answer))
        return response

    async def SyncLeases(self, request: quota_pb2.SyncLeasesRequest, call: Call) -> quota_pb2.SyncLeasesResponse:
        """Marks of many leases, each on its own."""
        reports: list[Report | MetergateError] = []
        for mark in request.marks:
            try:
                reports.append(_report(mark))
            except MetergateError as error:
                reports.append(error)
        good = [report for report in reports if isinstance(report, Report)]
        answers = iter(await self.leases.sync(call.caller, good) if good else [])
        merged = [next(answers) if isinstance(report, Report) else report for report in reports]
        return quota_pb2.SyncLeasesResponse(results=[_to_pb_result(one) for one in merged])

    async def ReturnLease(self, request: quota_pb2.ReturnLeaseRequest, call: Call) -> quota_pb2.ReturnLeaseResponse:
        """The end of a lease, by its holder."""
        report = Report(request.lease_id, _quantity(request.spent, "spent"), close=True)
        (answer,) = await self.leases.sync(call.caller, [report])
        if isinstance(answer, MetergateError):
            raise answer
        return quota_pb2.ReturnLeaseResponse(lease=_to_pb_lease(answer))

    async def ReleaseLease(self, request: quota_pb2.ReleaseLeaseRequest, call: Call) -> quota_pb2.ReleaseLeaseResponse:
        """What is forfeited of a lease, freed by an operator."""
        answer = await self.leases.release(call.caller, request.lease_id)
        return quota_pb2.ReleaseLeaseResponse(lease=_to_pb_lease(answer))


def _report(mark: quota_pb2.LeaseMark) -> Report:
    return Report(
        mark.lease_id,
        _quantity(mark.spent, "spent"),
        _quantity(mark.returned, "returned") if mark.returned else None,
        _quantity(mark.wanted, "wanted") if mark.wanted else None,
        mark.close,
    )


def _quantity(text: str, field: str) -> Decimal:
    number = quantity.parse(text, field) if text else ZERO
    if number < ZERO:
        raise invalid(field, "must not be negative")
    return number


def _to_pb_result(answer: Answer | MetergateError) -> quota_pb2.LeaseResult:
    if isinstance(answer, MetergateError):
        return quota_pb2.LeaseResult(error_reason=answer.reason.value, error_message=answer.message)
    return quota_pb2.LeaseResult(lease=_to_pb_lease(answer))


def _to_pb_lease(answer: Answer) -> quota_pb2.Lease:
    hold = answer.hold
    assert isinstance(hold, Hold), "works on leases answer with one"
    part = hold.parts[0]
    lease = quota_pb2.Lease(
        id=hold.id,
        customer=hold.customer,
        subject=hold.subject,
        meter=part.meter,
        labels=part.labels,
        holder=hold.holder,
        granted=to_text(part.granted),
        returned=to_text(part.returned),
        spent=to_text(part.spent),
        settled=to_text(part.settled),
        state=_STATES[hold.state],
        expire_time=to_pb_time(hold.end_at),
        recall=to_text(answer.recall),
    )
    # By the ledger's clock at the commit, which lies after the request was sent: so the holder's end comes no later.
    if hold.open and hold.end_at > answer.now:
        lease.ttl.CopyFrom(to_pb_duration(hold.end_at - answer.now))
    return lease
