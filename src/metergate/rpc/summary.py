"""UsageService, sums: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metergate.app.ports.readers import Known
from metergate.app.tokens import Sealer
from metergate.app.usage.asked import SummaryRequest
from metergate.app.usage.summarize import Series, SummarizeUsage
from metergate.domain import money, quantity
from metergate.domain.errors import invalid
from metergate.domain.period import Period, Window
from metergate.domain.quota import Figures
from metergate.domain.summary import Projecting
from metergate.rpc.call import Call
from metergate.rpc.convert import moment, to_pb_time
from metergate.v1 import decision_pb2, usage_pb2

_GRANULARITIES: dict[int, Period | None] = {
    usage_pb2.GRANULARITY_UNSPECIFIED: None,
    usage_pb2.GRANULARITY_NONE: None,
    usage_pb2.GRANULARITY_MINUTE: Period.MINUTE,
    usage_pb2.GRANULARITY_HOUR: Period.HOUR,
    usage_pb2.GRANULARITY_DAY: Period.DAY,
    usage_pb2.GRANULARITY_WEEK: Period.WEEK,
    usage_pb2.GRANULARITY_MONTH: Period.MONTH,
}
_PROJECTIONS: dict[int, Projecting | None] = {
    usage_pb2.PROJECTION_METHOD_UNSPECIFIED: None,
    usage_pb2.PROJECTION_METHOD_LINEAR: Projecting.LINEAR,
    usage_pb2.PROJECTION_METHOD_SAME_WEEKDAY: Projecting.SAME_WEEKDAY,
}


@dataclass(frozen=True, slots=True)
class SummaryService:
    """The servicer."""

    summarize: SummarizeUsage
    sealer: Sealer

    async def GetUsageSummary(
        self, request: usage_pb2.GetUsageSummaryRequest, call: Call
    ) -> usage_pb2.GetUsageSummaryResponse:
        """Sums over a range. They come from the ledger, which has seen every write whose token there is."""
        self.sealer.open_write(call.caller.tenant, request.token)
        summary = await self.summarize.summarize(call.caller, _from_pb_request(request))
        return usage_pb2.GetUsageSummaryResponse(
            series=[_to_pb_series(one, summary.pieces, request.cost_currency) for one in summary.series],
            as_of=to_pb_time(summary.as_of),
            window=_to_pb_window(summary.window),
            held=[_to_pb_held(meter, figures) for meter, figures in summary.held],
            seq=summary.seq or 0,
            previous_window=_to_pb_window(summary.previous),
            projection=request.projection,
            projected_window=_to_pb_window(summary.projected),
        )


def _from_pb_request(request: usage_pb2.GetUsageSummaryRequest) -> SummaryRequest:
    for field, known in (("granularity", _GRANULARITIES), ("projection", _PROJECTIONS)):
        if (given := getattr(request, field)) not in known:
            raise invalid(field, f"{given} is not one of its values")
    filters: dict[str, Sequence[str]] = {label: (value,) for label, value in request.filters.items()}
    for label, several in request.filters_any.items():
        if label in filters:
            raise invalid("filters_any", f"{label!r} stands in filters too")
        filters[label] = tuple(dict.fromkeys(several.values))
    return SummaryRequest(
        request.customer,
        request.subject,
        list(request.meters),
        moment(request, "start_time"),
        moment(request, "end_time"),
        _GRANULARITIES[request.granularity],
        request.time_zone,
        tuple(dict.fromkeys(request.group_by)),
        filters,
        request.top,
        request.compare,
        _PROJECTIONS[request.projection],
        Known(request.known_at_seq or None, moment(request, "known_at_time")),
        request.cost_currency,
    )


def _to_pb_series(series: Series, pieces: Sequence[Window], currency: str) -> usage_pb2.UsageSeries:
    points = [
        usage_pb2.UsagePoint(start_time=to_pb_time(piece.start), end_time=to_pb_time(piece.end), value=_text(value))
        for piece, value in zip(pieces, series.points, strict=False)
    ]
    return usage_pb2.UsageSeries(
        meter=series.meter,
        group=series.group,
        total=_text(series.total),
        points=points,
        event_count=series.count,
        other=series.other,
        previous_total=_text(series.previous),
        change_percent=_text(series.change),
        projected_total=_text(series.projected),
        cost=_text_of_money(series.cost, currency),
        projected_cost=_text_of_money(series.projected_cost, currency),
    )


def _to_pb_held(meter: str, figures: Figures) -> usage_pb2.HeldUsage:
    return usage_pb2.HeldUsage(
        meter=meter,
        reserved=quantity.to_text(figures.reserved),
        leased=quantity.to_text(figures.leased),
        forfeited=quantity.to_text(figures.forfeited),
    )


def _to_pb_window(window: Window | None) -> decision_pb2.Window | None:
    if window is None:
        return None
    return decision_pb2.Window(start_time=to_pb_time(window.start), end_time=to_pb_time(window.end))


def _text_of_money(minor: int | None, currency: str) -> str:
    return "" if minor is None else money.to_text(minor, currency)


def _text(value: Decimal | None) -> str:
    return "" if value is None else quantity.to_text(value)
