"""BillingService, the part on invoices that are there: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from metergate.app.billing.invoices import InvoiceQuery, Invoices, Paying
from metergate.app.billing.pdf import InvoicePdf
from metergate.app.tokens import Sealer
from metergate.domain.invoice import Invoice
from metergate.rpc.billing.answers import done_once
from metergate.rpc.billing.convert_invoice import (
    from_pb_crediting,
    from_pb_metadata,
    from_pb_state,
    to_pb_credit_note,
    to_pb_invoice,
    to_pb_payment,
)
from metergate.rpc.billing.convert_money import from_pb_money
from metergate.rpc.call import Call
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import billing_pb2 as pb

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class InvoiceService:
    """The servicer."""

    verbs: Invoices
    pdf: InvoicePdf
    sealer: Sealer

    async def ListInvoices(self, request: pb.ListInvoicesRequest, call: Call) -> pb.ListInvoicesResponse:
        """A page of invoices."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        query = InvoiceQuery(
            request.customer,
            request.subscription,
            from_pb_state(request.state),
            (place[0], place[1]) if place else None,
            size + 1,
        )
        found = await self.verbs.list(call.caller, query)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].period.end, page[-1].id]) if len(found) > size else ""
        return pb.ListInvoicesResponse(
            invoices=[to_pb_invoice(one, with_lines=False) for one in page], next_page_token=token
        )

    async def GetInvoice(self, request: pb.GetInvoiceRequest, call: Call) -> pb.GetInvoiceResponse:
        """One invoice."""
        return _in(pb.GetInvoiceResponse)(await self.verbs.get(call.caller, request.id))

    async def FinalizeInvoice(self, request: pb.FinalizeInvoiceRequest, call: Call) -> pb.FinalizeInvoiceResponse:
        """Closes a draft."""
        notes, metadata, kind = request.notes, from_pb_metadata(request.metadata), pb.FinalizeInvoiceResponse
        return await done_once(
            request,
            kind,
            lambda once: self.verbs.finalize(call.caller, request.id, once, notes, metadata),
            _in(kind),
        )

    async def PayInvoice(self, request: pb.PayInvoiceRequest, call: Call) -> pb.PayInvoiceResponse:
        """Records a payment."""
        amount, currency = from_pb_money(request.amount, "amount") if request.HasField("amount") else (None, "")
        paying, kind = Paying(amount, request.method, request.reference, currency), pb.PayInvoiceResponse
        return await done_once(
            request, kind, lambda once: self.verbs.pay(call.caller, request.id, paying, once), _in(kind)
        )

    async def VoidInvoice(self, request: pb.VoidInvoiceRequest, call: Call) -> pb.VoidInvoiceResponse:
        """Takes an unpaid invoice back."""
        kind = pb.VoidInvoiceResponse
        return await done_once(request, kind, lambda once: self.verbs.void(call.caller, request.id, once), _in(kind))

    async def MarkInvoiceUncollectible(
        self, request: pb.MarkInvoiceUncollectibleRequest, call: Call
    ) -> pb.MarkInvoiceUncollectibleResponse:
        """Expects no payment any more."""
        kind = pb.MarkInvoiceUncollectibleResponse
        return await done_once(
            request, kind, lambda once: self.verbs.mark_uncollectible(call.caller, request.id, once), _in(kind)
        )

    async def CreateCreditNote(self, request: pb.CreateCreditNoteRequest, call: Call) -> pb.CreateCreditNoteResponse:
        """Takes a closed invoice, or parts of it, back."""
        crediting, kind = from_pb_crediting(request), pb.CreateCreditNoteResponse
        return await done_once(
            request,
            kind,
            lambda once: self.verbs.credit(call.caller, request.invoice, crediting, once),
            lambda note: kind(credit_note=to_pb_credit_note(note)),
        )

    async def ListCreditNotes(self, request: pb.ListCreditNotesRequest, call: Call) -> pb.ListCreditNotesResponse:
        """An invoice's credit notes."""
        found = await self.verbs.credit_notes(call.caller, request.invoice)
        return pb.ListCreditNotesResponse(credit_notes=[to_pb_credit_note(one) for one in found])

    async def ListPayments(self, request: pb.ListPaymentsRequest, call: Call) -> pb.ListPaymentsResponse:
        """An invoice's payments."""
        currency = (await self.verbs.get(call.caller, request.invoice)).currency
        found = await self.verbs.payments(call.caller, request.invoice)
        return pb.ListPaymentsResponse(payments=[to_pb_payment(one, currency) for one in found])

    async def GetInvoicePdf(self, request: pb.GetInvoicePdfRequest, call: Call) -> pb.GetInvoicePdfResponse:
        """An invoice, or one of its credit notes, as a PDF."""
        if request.credit_note:
            pdf = await self.pdf.credit_note_pdf(call.caller, request.id, request.credit_note)
        else:
            pdf = await self.pdf.pdf(call.caller, request.id)
        return pb.GetInvoicePdfResponse(pdf=pdf, file_name=f"{request.credit_note or request.id}.pdf")


def _in(kind: Callable[..., M]) -> Callable[[Any], M]:
    """What makes the response that holds an invoice."""

    def encode(made: Invoice) -> M:
        return kind(invoice=to_pb_invoice(made))

    return encode
