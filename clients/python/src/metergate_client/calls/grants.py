"""Calls of CustomerService that give units and show what became of them."""

from __future__ import annotations

from datetime import datetime

from metergate_client.calls.call import Call, Pages, paged, to_pb_time, to_pb_word
from metergate_client.decode import from_pb_decimal, from_pb_time, from_pb_word
from metergate_client.exact import Amount, amount_text
from metergate_client.grants import Grant, GrantMove, Recurs
from metergate_client.ids import new_id
from metergate_client.v1 import catalog_pb2, grant_pb2

_SERVICE = "/metergate.v1.CustomerService/"


def create_grant(
    customer: str,
    meter: str,
    amount: Amount,
    *,
    priority: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
    recurs: Recurs | None = None,
    rollover_min: Amount = 0,
    rollover_max: Amount = 0,
    request_id: str | None = None,
) -> Call[grant_pb2.CreateGrantResponse, Grant]:
    """Give a customer units of a meter. Limits of the kind "grants" allow what a customer's grants hold.

    They may be used from ``start`` (now) to just before ``end`` (for good), the lowest ``priority`` first. What was
    used beyond all earlier grants is taken out of them first. With ``recurs`` they last so long, in the customer's time
    zone, and are given anew then, until ``end``; of what is left at least ``rollover_min`` and at most ``rollover_max``
    rolls over. The request's id is fixed before the first try, so that a retry gives nothing twice; to repeat the call
    yourself after an error, give it an id of your own.

    Raises:
        NotFound: No such customer or meter.
        Conflict: The meter can shrink.
        InvalidArgument: It breaks a rule, or the request's id was used before for something else.
    """
    request = grant_pb2.CreateGrantRequest(
        customer=customer,
        meter=meter,
        amount=amount_text(amount),
        priority=priority,
        start_time=to_pb_time(start),
        end_time=to_pb_time(end),
        recurs=None if recurs is None else to_pb_word(catalog_pb2.Period, "PERIOD_", recurs),
        rollover_min=amount_text(rollover_min),
        rollover_max=amount_text(rollover_max),
        request_id=new_id() if request_id is None else request_id,
    )
    return Call(f"{_SERVICE}CreateGrant", request, grant_pb2.CreateGrantResponse, _written)


def void_grant(grant_id: str) -> Call[grant_pb2.VoidGrantResponse, Grant]:
    """Take back what is left of a grant, with all that would follow it. One that was taken back stays as it is.

    Raises:
        NotFound: No such grant.
        Conflict: It has ended.
    """
    request = grant_pb2.VoidGrantRequest(grant_id=grant_id)
    return Call(f"{_SERVICE}VoidGrant", request, grant_pb2.VoidGrantResponse, _written)


def grants(customer: str, *, meter: str = "", include_ended: bool = False, page_size: int = 500) -> Pages[Grant]:
    """Iterate over a customer's grants with what is left of them, newest first; pages are fetched as they are needed.

    Only on this ``meter``, where it is named. ``include_ended``: also those that have ended or were taken back.

    Raises:
        NotFound: No such customer.
    """
    request = grant_pb2.ListGrantsRequest(
        customer=customer, meter=meter, include_ended=include_ended, page_size=page_size
    )
    reply = grant_pb2.ListGrantsResponse
    return paged(f"{_SERVICE}ListGrants", request, reply, lambda answer: map(_grant, answer.grants))


def grant_moves(customer: str, *, meter: str = "", grant_id: str = "", page_size: int = 500) -> Pages[GrantMove]:
    """Iterate over what became of a customer's grants, newest first; pages are fetched as they are needed.

    Only on this ``meter`` and of this grant, where they are named.

    Raises:
        NotFound: No such customer.
    """
    request = grant_pb2.ListGrantMovesRequest(customer=customer, meter=meter, grant_id=grant_id, page_size=page_size)
    reply = grant_pb2.ListGrantMovesResponse
    return paged(f"{_SERVICE}ListGrantMoves", request, reply, lambda answer: map(_move, answer.moves))


def _written(reply: grant_pb2.CreateGrantResponse | grant_pb2.VoidGrantResponse) -> Grant:
    return _grant(reply.grant, reply.token)


def _grant(grant: grant_pb2.Grant, token: str = "") -> Grant:
    return Grant(
        id=grant.id,
        customer=grant.customer,
        meter=grant.meter,
        amount=from_pb_decimal(grant.amount),
        priority=grant.priority,
        start_time=from_pb_time(grant, "start_time"),
        end_time=from_pb_time(grant, "end_time"),
        recurs=from_pb_word(catalog_pb2.Period, "PERIOD_", grant.recurs),
        until_time=from_pb_time(grant, "until_time"),
        rollover_min=from_pb_decimal(grant.rollover_min),
        rollover_max=from_pb_decimal(grant.rollover_max),
        rolled=from_pb_decimal(grant.rolled),
        burned=from_pb_decimal(grant.burned),
        lost=from_pb_decimal(grant.lost),
        left=from_pb_decimal(grant.left),
        state=from_pb_word(grant_pb2.Grant.State, "STATE_", grant.state),
        seq=grant.seq,
        create_time=from_pb_time(grant, "create_time"),
        token=token,
    )


def _move(move: grant_pb2.GrantMove) -> GrantMove:
    return GrantMove(
        seq=move.seq,
        create_time=from_pb_time(move, "create_time"),
        meter=move.meter,
        grant=move.grant,
        kind=from_pb_word(grant_pb2.GrantMove.Kind, "KIND_", move.kind),
        amount=from_pb_decimal(move.amount),
    )
