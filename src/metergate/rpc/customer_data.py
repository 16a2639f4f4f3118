"""CustomerDataService: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metergate.app.customer.data import Cut, Erasure, Moved, MovesQuery
from metergate.app.customer.erase import EraseCustomers
from metergate.app.customer.export import ExportCustomer, Position
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.tokens import Sealer
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_time
from metergate.rpc.pages import once, page_size, request_digest
from metergate.v1 import customer_data_pb2 as pb


@dataclass(frozen=True, slots=True)
class CustomerDataService:
    """The servicer."""

    moves: MoveSubjects
    merges: MergeCustomers
    exports: ExportCustomer
    erasures: EraseCustomers
    sealer: Sealer

    async def MoveSubject(self, request: pb.MoveSubjectRequest, call: Call) -> pb.MoveSubjectResponse:
        """Moves a subject."""

        def encode(moved: Moved | None) -> pb.MoveSubjectResponse:
            return pb.MoveSubjectResponse(move=None if moved is None else _to_pb_move(moved))

        first = once(request, "MoveSubject", encode)
        moved = await self.moves.move(call.caller, request.subject, request.customer, first)
        if first is not None and first.answer is not None:
            return pb.MoveSubjectResponse.FromString(first.answer)
        return encode(moved)

    async def MergeCustomers(self, request: pb.MergeCustomersRequest, call: Call) -> pb.MergeCustomersResponse:
        """Merges a customer into another one."""

        def encode(moved: Sequence[Moved]) -> pb.MergeCustomersResponse:
            return pb.MergeCustomersResponse(moved_subjects=len(moved))

        first = once(request, "MergeCustomers", encode)
        moved = await self.merges.merge(call.caller, request.customer, request.into, first)
        if first is not None and first.answer is not None:
            return pb.MergeCustomersResponse.FromString(first.answer)
        return encode(moved)

    async def ListSubjectMoves(self, request: pb.ListSubjectMovesRequest, call: Call) -> pb.ListSubjectMovesResponse:
        """A page of moves."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1], place[2], place[3]) if place else None
        query = MovesQuery(request.customer, request.subject, after, size + 1)
        found = await self.moves.history(call.caller, query)
        page = found[:size]
        token = ""
        if len(found) > size:
            last = page[-1]
            token = self.sealer.page(tenant, digest, [last.at, last.from_customer, last.from_seq, last.subject])
        return pb.ListSubjectMovesResponse(moves=[_to_pb_move(one) for one in page], next_page_token=token)

    async def ExportCustomer(self, request: pb.ExportCustomerRequest, call: Call) -> pb.ExportCustomerResponse:
        """A page of an export."""
        tenant, digest = call.caller.tenant, request_digest(request)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        lines, position = await self.exports.export(
            call.caller, request.customer, _to_position(place) if place else None, page_size(request.page_size)
        )
        token = self.sealer.page(tenant, digest, _from_position(position)) if position else ""
        return pb.ExportCustomerResponse(lines=lines, next_page_token=token)

    async def EraseCustomer(self, request: pb.EraseCustomerRequest, call: Call) -> pb.EraseCustomerResponse:
        """Erases a customer's personal data, or goes on with it."""
        erasure = await self.erasures.erase(
            call.caller,
            request.customer,
            dimensions=request.erase_dimensions,
            event_ids=request.erase_event_ids,
            new_id=request.new_id,
            request_id=request.request_id,
        )
        return pb.EraseCustomerResponse(erasure=_to_pb_erasure(erasure))

    async def ListErasures(self, request: pb.ListErasuresRequest, call: Call) -> pb.ListErasuresResponse:
        """A page of erasures."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = (place[0], place[1]) if place else None
        found = await self.erasures.list(call.caller, request.customer, after, size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].started_at, page[-1].id]) if len(found) > size else ""
        return pb.ListErasuresResponse(erasures=[_to_pb_erasure(one) for one in page], next_page_token=token)


def _to_position(place: list[Any]) -> Position:
    seq, as_of, part, after, counts = place
    return Position(Cut(seq, as_of), part, after, counts)


def _from_position(position: Position) -> list[Any]:
    after = None if position.after is None else list(position.after)
    return [*position.cut, position.part, after, position.counts]


def _to_pb_move(moved: Moved) -> pb.SubjectMove:
    return pb.SubjectMove(
        subject=moved.subject,
        from_customer=moved.from_customer,
        from_seq=moved.from_seq,
        to_customer=moved.to_customer,
        to_seq=moved.to_seq,
        create_time=to_pb_time(moved.at),
        merged=moved.merged,
        service=moved.service,
        key_id=moved.key_id,
    )


def _to_pb_erasure(erasure: Erasure) -> pb.Erasure:
    return pb.Erasure(
        id=erasure.id,
        customer=erasure.customer,
        erase_dimensions=erasure.dimensions,
        erase_event_ids=erasure.event_ids,
        new_id=erasure.new_id,
        service=erasure.service,
        key_id=erasure.key_id,
        create_time=to_pb_time(erasure.started_at),
        finish_time=None if erasure.finished_at is None else to_pb_time(erasure.finished_at),
        rows=erasure.counts,
    )
