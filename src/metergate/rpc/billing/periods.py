"""BillingService, the part on what invoices are made from: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.billing.close_batch import Closed
from metergate.app.billing.close_period import ClosePeriods
from metergate.app.billing.close_ports import EventPlace
from metergate.app.billing.explain import ExplainLine
from metergate.app.billing.invoices import Invoices
from metergate.app.billing.preview import PreviewInvoice
from metergate.app.billing.subscribe import Subscriptions
from metergate.app.ports.readers import RecordedEvent
from metergate.app.tokens import Sealer
from metergate.app.usage.list_events import Listed
from metergate.domain import quantity
from metergate.domain.usage import MAX_NAME, check_text
from metergate.rpc.billing.convert_invoice import to_pb_invoice, to_pb_line
from metergate.rpc.billing.convert_money import to_pb_money
from metergate.rpc.call import Call
from metergate.rpc.pages import page_size, request_digest
from metergate.rpc.usage import to_pb_recorded
from metergate.v1 import billing_pb2 as pb

_EVENTS = 500


@dataclass(frozen=True, slots=True)
class PeriodService:
    """The servicer."""

    subscriptions: Subscriptions
    invoices: Invoices
    preview: PreviewInvoice
    periods: ClosePeriods
    explain: ExplainLine
    sealer: Sealer

    async def PreviewInvoice(self, request: pb.PreviewInvoiceRequest, call: Call) -> pb.PreviewInvoiceResponse:
        """The next invoice as it would be."""
        made = await self.preview.preview(call.caller, request.subscription, request.projected)
        return pb.PreviewInvoiceResponse(invoice=to_pb_invoice(made))

    async def ClosePeriods(self, request: pb.ClosePeriodsRequest, call: Call) -> pb.ClosePeriodsResponse:
        """Makes the drafts of all periods that are over."""
        for at, subscription in enumerate(request.subscriptions):
            check_text(subscription, f"subscriptions[{at}]", MAX_NAME)
            await self.subscriptions.get(call.caller, subscription)
        closed = await self.periods.close(call.caller.tenant, subscriptions=list(request.subscriptions) or None)
        return pb.ClosePeriodsResponse(
            periods=closed.periods, invoices=closed.invoices, failures=await self._failures(call, closed)
        )

    async def _failures(self, call: Call, closed: Closed) -> list[pb.CloseFailure]:
        if not closed.failed:
            return []
        said = {one.subscription: one.message for one in await self.periods.failures(call.caller.tenant)}
        return [pb.CloseFailure(subscription=id_, reason=why, message=said.get(id_, "")) for id_, why in closed.failed]

    async def ExplainInvoiceLine(
        self, request: pb.ExplainInvoiceLineRequest, call: Call
    ) -> pb.ExplainInvoiceLineResponse:
        """What a line was made from."""
        tenant, digest, size = call.caller.tenant, request_digest(request), min(page_size(request.page_size), _EVENTS)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = EventPlace(*place) if place else None
        found = await self.explain.explain(call.caller, request.invoice, request.line, after, size + 1)
        currency = (await self.invoices.get(call.caller, request.invoice)).currency
        page, line = found.events[:size], found.line
        token = self.sealer.page(tenant, digest, _place(page[-1])) if len(found.events) > size else ""
        return pb.ExplainInvoiceLineResponse(
            line=to_pb_line(line, currency),
            quantity="" if found.quantity is None else quantity.to_text(found.quantity),
            amount=to_pb_money(found.amount, currency),
            event_count=found.count,
            events=[to_pb_recorded(Listed(one, [line.meter], "")) for one in page],
            next_page_token=token,
        )


def _place(last: RecordedEvent) -> list[object]:
    return [last.counted_at, last.event.source, last.event.id, last.version, last.sign]
