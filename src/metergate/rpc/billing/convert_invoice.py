"""Invoices between the contract's messages and the domain's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from metergate.app.billing.invoices import Crediting
from metergate.domain import quantity
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind, Payment, Tax
from metergate.domain.offer import BillingDetails, Seller
from metergate.domain.usage import check_text
from metergate.rpc.billing.convert_money import from_pb_money, to_pb_money
from metergate.rpc.billing.convert_subscription import maybe_time
from metergate.rpc.convert import to_pb_time
from metergate.v1 import billing_pb2
from metergate.v1 import invoice_pb2 as pb

STATES: Mapping[InvoiceState, pb.Invoice.State] = {
    InvoiceState.DRAFT: pb.Invoice.STATE_DRAFT,
    InvoiceState.OPEN: pb.Invoice.STATE_OPEN,
    InvoiceState.PAID: pb.Invoice.STATE_PAID,
    InvoiceState.VOID: pb.Invoice.STATE_VOID,
    InvoiceState.UNCOLLECTIBLE: pb.Invoice.STATE_UNCOLLECTIBLE,
}
_STATE_OF: Mapping[int, InvoiceState | None] = {number: state for state, number in STATES.items()} | {0: None}
_KINDS: Mapping[LineKind, pb.InvoiceLine.Kind] = {
    LineKind.FLAT: pb.InvoiceLine.KIND_FLAT,
    LineKind.ONE_OFF: pb.InvoiceLine.KIND_ONE_OFF,
    LineKind.USAGE: pb.InvoiceLine.KIND_USAGE,
    LineKind.MINIMUM: pb.InvoiceLine.KIND_MINIMUM,
    LineKind.MAXIMUM: pb.InvoiceLine.KIND_MAXIMUM,
    LineKind.PRORATION: pb.InvoiceLine.KIND_PRORATION,
    LineKind.LATE: pb.InvoiceLine.KIND_LATE,
    LineKind.CARRIED: pb.InvoiceLine.KIND_CARRIED,
    LineKind.UNBILLED: pb.InvoiceLine.KIND_UNBILLED,
}
_TEXT_MOST = 256
_METADATA_MOST, _NAME_MOST, _VALUE_MOST = 50, 64, 512


def from_pb_state(number: int) -> InvoiceState | None:
    """The state, None = any.

    Raises:
        MetergateError: FIELD_INVALID.
    """
    if number not in _STATE_OF:
        raise invalid("state", f"{number} is not one of its values")
    return _STATE_OF[number]


def to_pb_invoice(invoice: Invoice, with_lines: bool = True) -> pb.Invoice:
    """The invoice as a message."""
    currency = invoice.currency
    return pb.Invoice(
        id=invoice.id,
        number=invoice.number,
        customer=invoice.customer,
        subscription=invoice.subscription,
        currency=currency,
        start_time=to_pb_time(invoice.period.start),
        end_time=to_pb_time(invoice.period.end),
        state=STATES[invoice.state],
        lines=[to_pb_line(line, currency) for line in invoice.lines] if with_lines else (),
        seq=invoice.seq,
        subtotal=to_pb_money(invoice.subtotal, currency),
        discount=to_pb_money(invoice.discount, currency),
        taxes=_to_pb_taxes(invoice.taxes, currency),
        total=to_pb_money(invoice.total, currency),
        paid=to_pb_money(invoice.paid, currency),
        credited=to_pb_money(invoice.credited, currency),
        due=to_pb_money(invoice.due, currency),
        create_time=to_pb_time(invoice.created_at),
        scheduled_finalize_time=maybe_time(invoice.finalize_at),
        finalize_time=maybe_time(invoice.finalized_at),
        due_time=maybe_time(invoice.due_at),
        pay_time=maybe_time(invoice.paid_at),
        void_time=maybe_time(invoice.voided_at),
        seller=_to_pb_seller(invoice.seller),
        buyer=to_pb_details(invoice.buyer),
        notes=invoice.notes,
        metadata=dict(invoice.metadata),
    )


def to_pb_line(line: Line, currency: str) -> pb.InvoiceLine:
    """The line as a message."""
    return pb.InvoiceLine(
        number=line.number,
        kind=_KINDS[line.kind],
        description=line.description,
        amount=to_pb_money(line.amount, currency),
        start_time=to_pb_time(line.window.start),
        end_time=to_pb_time(line.window.end),
        plan=line.plan,
        version=line.version,
        price=line.price,
        meter=line.meter,
        labels=dict(line.labels),
        quantity=_text(line.quantity),
        unit_amount=_text(line.unit_amount),
        flat_amount=_text(line.flat_amount),
        tier=line.tier,
        discount=to_pb_money(line.discount, currency),
        why=line.why,
        rated_quantity=_text(line.billed),
    )


def _text(number: Decimal | None) -> str:
    return "" if number is None else quantity.to_text(number)


def _to_pb_taxes(taxes: Sequence[Tax], currency: str) -> list[pb.InvoiceTax]:
    return [
        pb.InvoiceTax(
            name=tax.name,
            display_name=tax.display_name,
            percent=quantity.to_text(tax.percent),
            inclusive=tax.inclusive,
            taxable=to_pb_money(tax.taxable, currency),
            amount=to_pb_money(tax.amount, currency),
        )
        for tax in taxes
    ]


def _to_pb_seller(seller: Seller) -> pb.InvoiceSeller:
    return pb.InvoiceSeller(
        name=seller.name,
        address=seller.address,
        tax_ids=seller.tax_ids,
        email=seller.email,
        notes=seller.notes,
        payment_instructions=seller.payment_instructions,
    )


def to_pb_details(details: BillingDetails) -> pb.BillingDetails:
    """The details as a message."""
    return pb.BillingDetails(
        name=details.name,
        address=details.address,
        country=details.country,
        region=details.region,
        email=details.email,
        tax_ids=details.tax_ids,
        tax_rates=details.tax_rates,
        tax_exempt=details.tax_exempt,
        notes=details.notes,
    )


def from_pb_details(details: pb.BillingDetails) -> BillingDetails:
    """The details; the verb checks them."""
    return BillingDetails(
        name=details.name,
        address=tuple(details.address),
        country=details.country,
        region=details.region,
        email=details.email,
        tax_ids=tuple(details.tax_ids),
        tax_rates=tuple(details.tax_rates),
        tax_exempt=details.tax_exempt,
        notes=details.notes,
    )


def from_pb_crediting(request: billing_pb2.CreateCreditNoteRequest) -> Crediting:
    """What to take back of an invoice.

    Raises:
        MetergateError: FIELD_INVALID, QUANTITY_INVALID or CURRENCY_MISMATCH.
    """
    amount, lines, currencies = None, [], set()
    if request.HasField("amount"):
        if request.lines:
            raise invalid("amount", "is given in the place of lines: there must not be both")
        amount, currency = from_pb_money(request.amount, "amount")
        currencies.add(currency)
    for at, line in enumerate(request.lines):
        minor, currency = from_pb_money(line.amount, f"lines[{at}].amount")
        currencies.add(currency)
        if line.description:
            check_text(line.description, f"lines[{at}].description", _TEXT_MOST)
        number = quantity.parse(line.quantity, f"lines[{at}].quantity") if line.quantity else None
        lines.append(CreditLine(line.line, minor, line.description, number))
    if len(currencies) > 1:
        raise MetergateError(Reason.CURRENCY_MISMATCH, "the lines are in several currencies", {"field": "lines"})
    return Crediting(lines or None, request.reason, "".join(currencies), amount)


def from_pb_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What the caller wants to find on an invoice later, by name.

    Raises:
        MetergateError: FIELD_INVALID.
    """
    if len(metadata) > _METADATA_MOST:
        raise invalid("metadata", f"must have at most {_METADATA_MOST} entries, and has {len(metadata)}")
    for name, value in metadata.items():
        check_text(name, "metadata", _NAME_MOST)
        if value:
            check_text(value, "metadata", _VALUE_MOST)
    return tuple(sorted(metadata.items()))


def to_pb_credit_note(note: CreditNote) -> pb.CreditNote:
    """The credit note as a message."""
    return pb.CreditNote(
        id=note.id,
        number=note.number,
        invoice=note.invoice,
        customer=note.customer,
        lines=[_to_pb_credit_line(line, note.currency) for line in note.lines],
        taxes=_to_pb_taxes(note.taxes, note.currency),
        total=to_pb_money(note.total, note.currency),
        reason=note.reason,
        create_time=to_pb_time(note.created_at),
    )


def _to_pb_credit_line(line: CreditLine, currency: str) -> pb.CreditLine:
    return pb.CreditLine(
        line=line.line,
        amount=to_pb_money(line.amount, currency),
        description=line.description,
        quantity=_text(line.quantity),
    )


def to_pb_payment(payment: Payment, currency: str) -> pb.Payment:
    """The payment as a message."""
    return pb.Payment(
        id=payment.id,
        invoice=payment.invoice,
        amount=to_pb_money(payment.amount, currency),
        method=payment.method,
        reference=payment.reference,
        pay_time=to_pb_time(payment.paid_at),
    )
