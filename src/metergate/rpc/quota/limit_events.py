"""QuotaService, the part that tells which thresholds were reached: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.quota.limit_events import ListLimitEvents, Place
from metergate.app.tokens import Sealer
from metergate.domain.period import LATEST
from metergate.domain.quantity import to_text
from metergate.domain.quota import read_filter
from metergate.domain.threshold import LimitEvent
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_time
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import decision_pb2, quota_pb2


@dataclass(frozen=True, slots=True)
class LimitEventService:
    """The servicer."""

    events: ListLimitEvents
    sealer: Sealer

    async def ListLimitEvents(
        self, request: quota_pb2.ListLimitEventsRequest, call: Call
    ) -> quota_pb2.ListLimitEventsResponse:
        """A page of limit events."""
        tenant, digest = call.caller.tenant, request_digest(request)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = Place(*place) if place else None
        page, behind = await self.events.list(call.caller, request.customer, page_size(request.page_size), after)
        token = self.sealer.page(tenant, digest, list(behind)) if behind else ""
        return quota_pb2.ListLimitEventsResponse(events=[_to_pb(event) for event in page], next_page_token=token)


def _to_pb(event: LimitEvent) -> quota_pb2.LimitEvent:
    key = event.key
    message = quota_pb2.LimitEvent(
        customer=key.customer,
        limit=event.limit,
        meter=key.meter,
        subject=key.subject,
        labels=read_filter(key.filter),
        threshold=event.threshold,
        taken=to_text(event.taken),
        max=to_text(event.max),
        seq=event.seq,
        create_time=to_pb_time(event.recorded_at),
    )
    if key.end < LATEST:
        window = decision_pb2.Window(start_time=to_pb_time(key.start), end_time=to_pb_time(key.end))
        message.window.CopyFrom(window)
    return message
