"""UsageService: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.quota.list_limits import ListLimits
from metergate.app.tokens import Sealer
from metergate.app.usage.list_events import EventsRequest, Listed, ListEvents
from metergate.app.usage.record import RecordUsage
from metergate.rpc.call import Call
from metergate.rpc.convert import (
    from_pb_fact,
    moment,
    to_pb_event,
    to_pb_limit_state,
    to_pb_receipt,
    to_pb_time,
)
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import usage_pb2


@dataclass(frozen=True, slots=True)
class UsageService:
    """The servicer."""

    record: RecordUsage
    list_events: ListEvents
    list_limits: ListLimits
    sealer: Sealer

    async def RecordUsage(self, request: usage_pb2.RecordUsageRequest, call: Call) -> usage_pb2.RecordUsageResponse:
        """One fact. What is wrong with it is a status here, and a receipt in a batch."""
        event = from_pb_fact(request.event, call.caller.service)
        recorded = await self.record.record(call.caller, [event], request.backfill)
        receipt = recorded.receipts[0]
        if receipt.error is not None:
            raise receipt.error
        response = usage_pb2.RecordUsageResponse(
            receipt=to_pb_receipt(receipt), token=self.sealer.write(call.caller.tenant, recorded.seqs)
        )
        if request.include_limits and receipt.unmatched != "subject":
            limits = await self.list_limits.of_type(call.caller, request.event.subject, request.event.type)
            response.limits.extend([to_pb_limit_state(state) for state in limits.states])
        return response

    async def BatchRecordUsage(
        self, request: usage_pb2.BatchRecordUsageRequest, call: Call
    ) -> usage_pb2.BatchRecordUsageResponse:
        """Many facts, each on its own."""
        service = call.caller.service
        events = [from_pb_fact(event, service) for event in request.events]
        recorded = await self.record.record(call.caller, events, request.backfill)
        return usage_pb2.BatchRecordUsageResponse(
            receipts=[to_pb_receipt(receipt) for receipt in recorded.receipts],
            token=self.sealer.write(call.caller.tenant, recorded.seqs),
        )

    async def ListUsageEvents(
        self, request: usage_pb2.ListUsageEventsRequest, call: Call
    ) -> usage_pb2.ListUsageEventsResponse:
        """A page of events."""
        tenant, digest = call.caller.tenant, request_digest(request)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        listed, after = await self.list_events.list(
            call.caller,
            EventsRequest(
                request.customer,
                request.subject,
                request.type,
                moment(request, "start_time"),
                moment(request, "end_time"),
                request.unmatched_only,
                page_size(request.page_size),
                (place[0], place[1], place[2]) if place else None,
            ),
        )
        return usage_pb2.ListUsageEventsResponse(
            events=[to_pb_recorded(one) for one in listed],
            next_page_token=self.sealer.page(tenant, digest, list(after)) if after else "",
        )


def to_pb_recorded(listed: Listed) -> usage_pb2.RecordedEvent:
    """The event with what the ledger knows of it."""
    recorded = listed.recorded
    return usage_pb2.RecordedEvent(
        event=to_pb_event(recorded.event),
        customer=recorded.customer,
        count_time=to_pb_time(recorded.counted_at),
        record_time=to_pb_time(recorded.recorded_at),
        seq=recorded.seq,
        version=recorded.version,
        taken_back=recorded.sign < 0,
        meters=listed.meters,
        unmatched=listed.unmatched,
    )
