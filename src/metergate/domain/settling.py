"""What becomes of an invoice: from a draft to an open one, and from there to one that is paid, void or uncollectible.

Each step takes the invoice as it is and gives it as it will be; states only move forwards, and sums only rise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from metergate.domain import money
from metergate.domain.draft import Earlier
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import Invoice, InvoiceState
from metergate.domain.left import left_of
from metergate.domain.offer import BillingDetails, Seller
from metergate.domain.period import DAY

CREDIT_SERIES = "CN"
"""Begins the numbers of credit notes."""
_DIGITS = 6
_UNPAID = (InvoiceState.OPEN, InvoiceState.UNCOLLECTIBLE)
_CREDITED = (*_UNPAID, InvoiceState.PAID)


def number_of(series: str, place: int) -> str:
    """The number at this place (from 1) of a series: INV-000001."""
    return f"{series}-{place:0{_DIGITS}d}"


def not_found(id: str) -> MetergateError:
    """The tenant has no such invoice."""
    shown = id[:80]
    return MetergateError(Reason.INVOICE_NOT_FOUND, f"no invoice has the id {shown!r}", {"invoice": shown})


def rest(invoice: Invoice) -> int:
    """What was neither paid nor credited, in minor units; of an uncollectible one too."""
    return max(invoice.total - invoice.paid - invoice.credited, 0)


def check_draft(invoice: Invoice) -> None:
    """Raises INVOICE_STATE unless it can be finalized."""
    _check(invoice, (InvoiceState.DRAFT,), "only drafts are finalized")


def finalized(invoice: Invoice, number: str, seller: Seller, buyer: BillingDetails, now: int) -> Invoice:
    """Closes a draft under its number, with who sells and who buys as they are now. One that has nothing due, or less
    than that, is paid at once.

    Raises:
        MetergateError: INVOICE_STATE.
    """
    check_draft(invoice)
    due_at = now + seller.due_days * DAY
    opened = replace(invoice, number=number, seller=seller, buyer=buyer, finalized_at=now, due_at=due_at)
    return _settled(replace(opened, state=InvoiceState.OPEN), now)


def paid(invoice: Invoice, amount: int | None, now: int) -> tuple[Invoice, int]:
    """Pays minor units, None = all that is left; also how much that is.

    Raises:
        MetergateError: INVOICE_STATE, FIELD_INVALID on `amount`, PAYMENT_TOO_LARGE.
    """
    _check(invoice, _UNPAID, "only open and uncollectible ones are paid")
    left = rest(invoice)
    given = left if amount is None else amount
    if given <= 0:
        raise invalid("amount", "must be more than 0")
    if given > left:
        due = money.to_text(left, invoice.currency)
        message = f"a payment of {money.to_text(given, invoice.currency)} {invoice.currency} is more than the {due} due"
        raise MetergateError(Reason.PAYMENT_TOO_LARGE, message, {"invoice": invoice.id, "due": due})
    return _settled(replace(invoice, paid=invoice.paid + given), now), given


def voided(invoice: Invoice, others: Sequence[Earlier], now: int) -> Invoice:
    """Takes an invoice out of what is owed, as one that should not have been sent. It keeps its number. `others` of its
    subscription are those that `left.left_of` asks for.

    Raises:
        MetergateError: INVOICE_STATE; also where something was paid or credited, since a void one owes nothing back,
            and where another invoice gave something of it back, which then nobody would have charged for.
    """
    _check(invoice, _UNPAID, "only open and uncollectible ones are voided; credit a paid one instead")
    if invoice.paid or invoice.credited:
        raise _refused(invoice, "a part of it was paid or credited: credit the rest instead")
    if left_of(invoice, (), others).given_elsewhere:
        raise _refused(invoice, "a later invoice gave a part of it back: credit the rest instead")
    return replace(invoice, state=InvoiceState.VOID, voided_at=now)


def uncollectible(invoice: Invoice) -> Invoice:
    """Says that nobody expects the payment any more. It may still be paid.

    Raises:
        MetergateError: INVOICE_STATE.
    """
    _check(invoice, (InvoiceState.OPEN,), "only open ones are marked uncollectible")
    return replace(invoice, state=InvoiceState.UNCOLLECTIBLE)


def check_creditable(invoice: Invoice) -> None:
    """Raises INVOICE_STATE unless credit notes may be made on it."""
    _check(invoice, _CREDITED, "credit notes are made on open, paid and uncollectible ones")


def credited(invoice: Invoice, total: int, now: int) -> Invoice:
    """The invoice with this much more credited. Where nothing is left to pay, it is paid.

    Raises:
        MetergateError: INVOICE_STATE.
    """
    check_creditable(invoice)
    return _settled(replace(invoice, credited=invoice.credited + total), now)


def _settled(invoice: Invoice, now: int) -> Invoice:
    if rest(invoice) or invoice.state is InvoiceState.PAID:
        return invoice
    return replace(invoice, state=InvoiceState.PAID, paid_at=now)


def _check(invoice: Invoice, allowed: Collection[InvoiceState], rule: str) -> None:
    if invoice.state not in allowed:
        raise _refused(invoice, rule)


def _refused(invoice: Invoice, why: str) -> MetergateError:
    state = invoice.state.name
    message = f"invoice {invoice.number or invoice.id} is {state}: {why}"
    return MetergateError(Reason.INVOICE_STATE, message, {"invoice": invoice.id, "state": state})
