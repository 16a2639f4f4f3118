"""BackfillService: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metergate.app.backfill.manage import ManageBackfills
from metergate.app.backfill.ports import Difference, Problem
from metergate.app.tokens import Sealer
from metergate.domain.backfill import Backfill, RowState, Scope, State
from metergate.domain.errors import invalid
from metergate.domain.period import EARLIEST, LATEST
from metergate.domain.quantity import to_text
from metergate.domain.usage import MAX_NAME, check_text
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_fact, from_pb_time, to_pb_receipt, to_pb_time
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import backfill_pb2 as pb

_STATES: Mapping[State, pb.BackfillState] = {
    State.OPEN: pb.BACKFILL_STATE_OPEN,
    State.COMMITTING: pb.BACKFILL_STATE_COMMITTING,
    State.COMMITTED: pb.BACKFILL_STATE_COMMITTED,
    State.REVERTING: pb.BACKFILL_STATE_REVERTING,
    State.REVERTED: pb.BACKFILL_STATE_REVERTED,
    State.DISCARDED: pb.BACKFILL_STATE_DISCARDED,
}
_BY_NUMBER: Mapping[int, State | None] = {number: state for state, number in _STATES.items()} | {0: None}
_PROBLEMS = (RowState.CONFLICT, RowState.REJECTED, RowState.KEPT)


@dataclass(frozen=True, slots=True)
class BackfillService:
    """The servicer."""

    backfills: ManageBackfills
    sealer: Sealer

    async def OpenBackfill(self, request: pb.OpenBackfillRequest, call: Call) -> pb.OpenBackfillResponse:
        """Begins one."""
        scope = _from_pb_scope(request.replace) if request.HasField("replace") else None
        opened = await self.backfills.open(
            call.caller, request.reason, scope, request.request_id, request_digest(request)
        )
        return pb.OpenBackfillResponse(backfill=_to_pb(opened))

    async def LoadBackfill(self, request: pb.LoadBackfillRequest, call: Call) -> pb.LoadBackfillResponse:
        """Stages events."""
        events = [from_pb_fact(event, call.caller.service) for event in request.events]
        receipts = await self.backfills.load(call.caller, request.id, events)
        return pb.LoadBackfillResponse(receipts=[to_pb_receipt(receipt) for receipt in receipts])

    async def PreviewBackfill(self, request: pb.PreviewBackfillRequest, call: Call) -> pb.PreviewBackfillResponse:
        """What a commit would change."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1]) if place else None
        plan, found = await self.backfills.preview(call.caller, request.id, after, size + 1)
        page = found[:size]
        return pb.PreviewBackfillResponse(
            differences=[_to_pb_difference(one) for one in page],
            next_page_token=self.sealer.page(tenant, digest, [*page[-1][:2]]) if len(found) > size else "",
            start_time=to_pb_time(plan.start) if plan.changes else None,
            last_time=to_pb_time(plan.end) if plan.changes else None,
            new_count=plan.new,
            amended_count=plan.amended,
            voided_count=plan.voided,
            duplicate_count=plan.others.get(RowState.DUPLICATE, 0),
            problem_count=sum([plan.others.get(state, 0) for state in _PROBLEMS]),
        )

    async def CommitBackfill(self, request: pb.CommitBackfillRequest, call: Call) -> pb.CommitBackfillResponse:
        """Has it applied."""
        return pb.CommitBackfillResponse(backfill=_to_pb(await self.backfills.commit(call.caller, request.id)))

    async def DiscardBackfill(self, request: pb.DiscardBackfillRequest, call: Call) -> pb.DiscardBackfillResponse:
        """Throws it away."""
        return pb.DiscardBackfillResponse(backfill=_to_pb(await self.backfills.discard(call.caller, request.id)))

    async def RevertBackfill(self, request: pb.RevertBackfillRequest, call: Call) -> pb.RevertBackfillResponse:
        """Has it undone."""
        return pb.RevertBackfillResponse(backfill=_to_pb(await self.backfills.revert(call.caller, request.id)))

    async def GetBackfill(self, request: pb.GetBackfillRequest, call: Call) -> pb.GetBackfillResponse:
        """One, with its progress."""
        return pb.GetBackfillResponse(backfill=_to_pb(await self.backfills.get(call.caller, request.id)))

    async def ListBackfills(self, request: pb.ListBackfillsRequest, call: Call) -> pb.ListBackfillsResponse:
        """A page of them."""
        if request.state not in _BY_NUMBER:
            raise invalid("state", f"{request.state} is not one of its values")
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1]) if place else None
        found = await self.backfills.list(call.caller, _BY_NUMBER[request.state], after, size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].created_at, page[-1].id]) if len(found) > size else ""
        return pb.ListBackfillsResponse(backfills=[_to_pb(one) for one in page], next_page_token=token)

    async def ListBackfillProblems(
        self, request: pb.ListBackfillProblemsRequest, call: Call
    ) -> pb.ListBackfillProblemsResponse:
        """A page of what it cannot take."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token) or ["", ""]
        found = await self.backfills.problems(call.caller, request.id, (place[0], place[1]), size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [*page[-1][:2]]) if len(found) > size else ""
        return pb.ListBackfillProblemsResponse(problems=[_to_pb_problem(one) for one in page], next_page_token=token)


def _from_pb_scope(scope: pb.BackfillScope) -> Scope:
    for field in ("customers", "subjects", "types"):
        for name in getattr(scope, field):
            check_text(name, f"replace.{field}", MAX_NAME)
    return Scope(
        tuple(dict.fromkeys(scope.customers)),
        tuple(dict.fromkeys(scope.subjects)),
        tuple(dict.fromkeys(scope.types)),
        from_pb_time(scope.start_time, "replace.start_time") if scope.HasField("start_time") else EARLIEST,
        from_pb_time(scope.end_time, "replace.end_time") if scope.HasField("end_time") else LATEST,
    )


def _to_pb(backfill: Backfill) -> pb.Backfill:
    counts, scope = backfill.counts, backfill.scope
    made = pb.Backfill(
        id=backfill.id,
        state=_STATES[backfill.state],
        reason=backfill.reason,
        service=backfill.service,
        key_id=backfill.key_id,
        create_time=to_pb_time(backfill.created_at),
        update_time=to_pb_time(backfill.changed_at),
        expire_time=to_pb_time(backfill.expires_at) if backfill.state is State.OPEN else None,
        expired=backfill.expired,
        pending_count=counts.get(RowState.PENDING, 0),
        applied_count=counts.get(RowState.APPLIED, 0),
        duplicate_count=counts.get(RowState.DUPLICATE, 0),
        problem_count=sum([counts.get(state, 0) for state in _PROBLEMS]),
        reverted_count=counts.get(RowState.REVERTED, 0),
    )
    if scope is not None:
        made.replace.customers.extend(scope.customers)
        made.replace.subjects.extend(scope.subjects)
        made.replace.types.extend(scope.types)
        if scope.start > EARLIEST:
            made.replace.start_time.CopyFrom(to_pb_time(scope.start))
        if scope.end < LATEST:
            made.replace.end_time.CopyFrom(to_pb_time(scope.end))
    return made


def _to_pb_difference(one: Difference) -> pb.BackfillDifference:
    return pb.BackfillDifference(
        customer=one.customer,
        meter=one.meter,
        before="" if one.before is None else to_text(one.before),
        after="" if one.after is None else to_text(one.after),
    )


def _to_pb_problem(one: Problem) -> pb.BackfillProblem:
    return pb.BackfillProblem(
        event_id=one.id,
        source=one.source,
        reason=f"ERROR_REASON_{one.reason}",
        field=one.field,
        message=one.message,
    )
