"""CustomerService, the part on grants: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from metergate.app.customer.grants import Asked, GrantQuery, Grants, Moved, MoveQuery
from metergate.app.tokens import Sealer
from metergate.domain import quantity
from metergate.domain.errors import invalid
from metergate.domain.grant import Grant, MoveKind, State
from metergate.domain.period import Period
from metergate.domain.quantity import ZERO, to_text
from metergate.rpc.call import Call
from metergate.rpc.convert import PERIODS, from_pb_time, to_pb_time
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import grant_pb2 as pb

_STATES: Mapping[State, pb.Grant.State] = {
    State.PENDING: pb.Grant.STATE_PENDING,
    State.ACTIVE: pb.Grant.STATE_ACTIVE,
    State.ENDED: pb.Grant.STATE_ENDED,
    State.VOIDED: pb.Grant.STATE_VOIDED,
}
_KINDS: Mapping[MoveKind, pb.GrantMove.Kind] = {
    MoveKind.BASE: pb.GrantMove.KIND_BASE,
    MoveKind.START: pb.GrantMove.KIND_START,
    MoveKind.ROLL: pb.GrantMove.KIND_ROLL,
    MoveKind.BURN: pb.GrantMove.KIND_BURN,
    MoveKind.EXPIRE: pb.GrantMove.KIND_EXPIRE,
    MoveKind.VOID: pb.GrantMove.KIND_VOID,
}
_RECURS: Mapping[int, Period | None] = {number: period for period, number in PERIODS.items()} | {0: None}


@dataclass(frozen=True, slots=True)
class GrantService:
    """The servicer."""

    grants: Grants
    sealer: Sealer

    async def CreateGrant(self, request: pb.CreateGrantRequest, call: Call) -> pb.CreateGrantResponse:
        """Gives units to a customer."""
        if request.recurs not in _RECURS:
            raise invalid("recurs", f"{request.recurs} is not one of its values")
        asked = Asked(
            request.customer,
            request.meter,
            quantity.parse(request.amount, "amount"),
            request.priority,
            _from_pb_moment(request, "start_time"),
            _from_pb_moment(request, "end_time"),
            _RECURS[request.recurs],
            _from_pb_quantity(request.rollover_min, "rollover_min"),
            _from_pb_quantity(request.rollover_max, "rollover_max"),
        )
        made, seqs = await self.grants.create(call.caller, asked, request.request_id)
        return pb.CreateGrantResponse(grant=_to_pb(made.grant), token=self.sealer.write(call.caller.tenant, seqs))

    async def VoidGrant(self, request: pb.VoidGrantRequest, call: Call) -> pb.VoidGrantResponse:
        """Takes a grant back."""
        voided, seqs = await self.grants.void(call.caller, request.grant_id)
        return pb.VoidGrantResponse(grant=_to_pb(voided.grant), token=self.sealer.write(call.caller.tenant, seqs))

    async def ListGrants(self, request: pb.ListGrantsRequest, call: Call) -> pb.ListGrantsResponse:
        """A page of a customer's grants."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1]) if place else None
        query = GrantQuery(request.customer, request.meter, request.include_ended, after, size + 1)
        found = await self.grants.list(call.caller, query)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].seq, page[-1].id]) if len(found) > size else ""
        return pb.ListGrantsResponse(grants=[_to_pb(one) for one in page], next_page_token=token)

    async def ListGrantMoves(self, request: pb.ListGrantMovesRequest, call: Call) -> pb.ListGrantMovesResponse:
        """A page of what became of a customer's grants."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1]) if place else None
        query = MoveQuery(request.customer, request.meter, request.grant_id, after, size + 1)
        found = await self.grants.history(call.caller, query)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].seq, page[-1].place]) if len(found) > size else ""
        return pb.ListGrantMovesResponse(moves=[_to_pb_move(one) for one in page], next_page_token=token)


def _from_pb_moment(request: Any, field: str) -> int | None:
    return from_pb_time(getattr(request, field), field) if request.HasField(field) else None


def _from_pb_quantity(text: str, field: str) -> Decimal:
    return quantity.parse(text, field) if text else ZERO


def _to_pb(grant: Grant) -> pb.Grant:
    made = pb.Grant(
        id=grant.id,
        customer=grant.customer,
        meter=grant.meter,
        amount=to_text(grant.amount),
        priority=grant.priority,
        start_time=to_pb_time(grant.start),
        recurs=PERIODS[grant.recurs] if grant.recurs else None,
        rollover_min=to_text(grant.rollover_min),
        rollover_max=to_text(grant.rollover_max),
        rolled=to_text(grant.rolled),
        burned=to_text(grant.burned),
        lost=to_text(grant.lost),
        left=to_text(grant.left),
        state=_STATES[grant.state],
        seq=grant.seq,
        create_time=to_pb_time(grant.created_at),
    )
    if grant.end is not None:
        made.end_time.CopyFrom(to_pb_time(grant.end))
    if grant.recurs and grant.until is not None:
        made.until_time.CopyFrom(to_pb_time(grant.until))
    return made


def _to_pb_move(moved: Moved) -> pb.GrantMove:
    return pb.GrantMove(
        seq=moved.seq,
        create_time=to_pb_time(moved.recorded_at),
        meter=moved.meter,
        grant=moved.move.grant,
        kind=_KINDS[moved.move.kind],
        amount=to_text(moved.move.amount),
    )
