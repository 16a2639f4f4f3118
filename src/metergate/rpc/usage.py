"""UsageService: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metergate.app.quota.list_limits import ListLimits
from metergate.app.tokens import Sealer
from metergate.app.usage.list_events import EventsRequest, Listed, ListEvents
from metergate.app.usage.record import RecordUsage
from metergate.app.usage.summarize import Series, SummarizeUsage, Summary, SummaryRequest
from metergate.domain import quantity
from metergate.domain.errors import invalid
from metergate.domain.period import Period
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_fact, from_pb_time, to_pb_limit_state, to_pb_receipt, to_pb_time
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import decision_pb2, usage_event_pb2, usage_pb2

_GRANULARITIES: dict[int, Period | None] = {
    usage_pb2.GRANULARITY_UNSPECIFIED: None,
    usage_pb2.GRANULARITY_NONE: None,
    usage_pb2.GRANULARITY_MINUTE: Period.MINUTE,
    usage_pb2.GRANULARITY_HOUR: Period.HOUR,
    usage_pb2.GRANULARITY_DAY: Period.DAY,
    usage_pb2.GRANULARITY_WEEK: Period.WEEK,
    usage_pb2.GRANULARITY_MONTH: Period.MONTH,
}


@dataclass(frozen=True, slots=True)
class UsageService:
    """The servicer."""

    record: RecordUsage
    summarize: SummarizeUsage
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

    async def GetUsageSummary(
        self, request: usage_pb2.GetUsageSummaryRequest, call: Call
    ) -> usage_pb2.GetUsageSummaryResponse:
        """Sums over a range. They come from the ledger, which has seen every write whose token there is."""
        self.sealer.open_write(call.caller.tenant, request.token)
        if request.granularity not in _GRANULARITIES:
            raise invalid("granularity", f"{request.granularity} is not one of its values")
        summary = await self.summarize.summarize(
            call.caller,
            SummaryRequest(
                request.customer,
                request.subject,
                list(request.meters),
                _moment(request, "start_time"),
                _moment(request, "end_time"),
                _GRANULARITIES[request.granularity],
                request.time_zone,
                tuple(dict.fromkeys(request.group_by)),
                dict(request.filters),
            ),
        )
        return usage_pb2.GetUsageSummaryResponse(
            series=[_to_pb_series(one, summary) for one in summary.series],
            as_of=to_pb_time(summary.as_of),
            window=decision_pb2.Window(
                start_time=to_pb_time(summary.window.start), end_time=to_pb_time(summary.window.end)
            ),
            held=[
                usage_pb2.HeldUsage(
                    meter=meter,
                    reserved=quantity.to_text(figures.reserved),
                    leased=quantity.to_text(figures.leased),
                    forfeited=quantity.to_text(figures.forfeited),
                )
                for meter, figures in summary.held
            ],
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
                _moment(request, "start_time"),
                _moment(request, "end_time"),
                request.unmatched_only,
                page_size(request.page_size),
                (place[0], place[1], place[2]) if place else None,
            ),
        )
        return usage_pb2.ListUsageEventsResponse(
            events=[_to_pb_recorded(one) for one in listed],
            next_page_token=self.sealer.page(tenant, digest, list(after)) if after else "",
        )


def _moment(request: Any, field: str) -> int | None:
    return from_pb_time(getattr(request, field), field) if request.HasField(field) else None


def _to_pb_series(series: Series, summary: Summary) -> usage_pb2.UsageSeries:
    points = [
        usage_pb2.UsagePoint(
            start_time=to_pb_time(piece.start), end_time=to_pb_time(piece.end), value=quantity.to_text(value)
        )
        for piece, value in zip(summary.pieces, series.points, strict=False)
    ]
    return usage_pb2.UsageSeries(
        meter=series.meter,
        group=series.group,
        total=quantity.to_text(series.total),
        points=points,
        event_count=series.count,
    )


def _to_pb_recorded(listed: Listed) -> usage_pb2.RecordedEvent:
    recorded = listed.recorded
    event = recorded.event
    return usage_pb2.RecordedEvent(
        event=usage_event_pb2.UsageEvent(
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.subject,
            time=None if event.time is None else to_pb_time(event.time),
            amount="" if event.amount is None else quantity.to_text(event.amount),
            values={name: quantity.to_text(value) for name, value in event.values.items()},
            labels=event.labels,
            settles=event.settles,
        ),
        customer=recorded.customer,
        count_time=to_pb_time(recorded.counted_at),
        record_time=to_pb_time(recorded.recorded_at),
        seq=recorded.seq,
        meters=listed.meters,
        unmatched=listed.unmatched,
    )
