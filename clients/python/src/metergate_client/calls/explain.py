"""Calls of QuotaService that look behind the figures: decisions explained, thresholds reached, silent leases freed."""

from __future__ import annotations

from metergate_client.calls.call import Call, Pages, paged
from metergate_client.decode import from_pb_decimal, from_pb_decision, from_pb_limit_state, from_pb_time, from_pb_word
from metergate_client.explained import BurnedGrant, ExplainedLimit, Explanation, HeldCapacity, RecordedId
from metergate_client.lease import Lease
from metergate_client.limit_events import LimitEvent
from metergate_client.v1 import quota_pb2

_SERVICE = "/metergate.v1.QuotaService/"


def explain(decision_id: str, *, events: int = 100) -> Call[quota_pb2.ExplainDecisionResponse, Explanation]:
    """Work a decision out again from the ledger as it was, and show what stood behind it.

    ``decision_id`` is that of any decision but advice, refusals too. At most ``events`` (1,000) events are listed of
    each limit, the newest.

    Raises:
        InvalidArgument: It names no decision of this tenant.
    """
    request = quota_pb2.ExplainDecisionRequest(decision_id=decision_id, events=events)
    return Call(f"{_SERVICE}ExplainDecision", request, quota_pb2.ExplainDecisionResponse, _explanation)


def limit_events(*, customer: str = "", page_size: int = 500) -> Pages[LimitEvent]:
    """Iterate over the thresholds of limits that were reached, newest first; pages are fetched as they are needed.

    Only this ``customer``'s, where it is named.

    Raises:
        NotFound: No such customer.
    """
    request = quota_pb2.ListLimitEventsRequest(customer=customer, page_size=page_size)
    reply = quota_pb2.ListLimitEventsResponse
    return paged(f"{_SERVICE}ListLimitEvents", request, reply, lambda answer: map(_limit_event, answer.events))


def release_lease(lease_id: str) -> Call[quota_pb2.ReleaseLeaseResponse, Lease]:
    """Free what a silent holder never reported of a lease, for operators; ``explain`` lists leases as ``holds``.

    Should the holder have spent it after all, the limit is passed by as much. One that was released stays as it is.

    Raises:
        NotFound: No such lease.
        Conflict: Nothing of it is forfeited.
    """
    request = quota_pb2.ReleaseLeaseRequest(lease_id=lease_id)
    return Call(f"{_SERVICE}ReleaseLease", request, quota_pb2.ReleaseLeaseResponse, lambda reply: _lease(reply.lease))


def _explanation(reply: quota_pb2.ExplainDecisionResponse) -> Explanation:
    return Explanation(
        decision=from_pb_decision(reply.decision),
        confirmed=reply.confirmed,
        customer=reply.customer,
        seq=reply.seq,
        limits=tuple(map(_explained_limit, reply.limits)),
    )


def _explained_limit(limit: quota_pb2.ExplainedLimit) -> ExplainedLimit:
    number = from_pb_decimal
    return ExplainedLimit(
        state=from_pb_limit_state(limit.state),
        events=tuple(RecordedId(one.id, one.source, one.seq, number(one.value)) for one in limit.events),
        event_count=limit.event_count,
        holds=tuple(
            HeldCapacity(one.id, number(one.reserved), number(one.leased), number(one.forfeited)) for one in limit.holds
        ),
        grants=tuple(
            BurnedGrant(one.id, number(one.brought), number(one.burned), number(one.lost)) for one in limit.grants
        ),
    )


def _limit_event(event: quota_pb2.LimitEvent) -> LimitEvent:
    return LimitEvent(
        customer=event.customer,
        limit=event.limit,
        meter=event.meter,
        subject=event.subject,
        labels=dict(event.labels),
        start_time=from_pb_time(event.window, "start_time"),
        end_time=from_pb_time(event.window, "end_time"),
        threshold=event.threshold,
        taken=from_pb_decimal(event.taken),
        max=from_pb_decimal(event.max),
        seq=event.seq,
        create_time=from_pb_time(event, "create_time"),
    )


def _lease(lease: quota_pb2.Lease) -> Lease:
    return Lease(
        id=lease.id,
        customer=lease.customer,
        subject=lease.subject,
        meter=lease.meter,
        labels=dict(lease.labels),
        holder=lease.holder,
        granted=from_pb_decimal(lease.granted),
        returned=from_pb_decimal(lease.returned),
        spent=from_pb_decimal(lease.spent),
        settled=from_pb_decimal(lease.settled),
        state=from_pb_word(quota_pb2.Lease.State, "STATE_", lease.state),
        expire_time=from_pb_time(lease, "expire_time"),
    )
