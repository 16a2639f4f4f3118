"""What stands on an invoice or a credit note: plain texts in their places, for the template to set.

Figures are those of the invoice, written out; nothing is computed here but the sum of lines that have no room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from metergate.adapters.pdf import words
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, Tax
from metergate.domain.money import places
from metergate.domain.offer import BillingDetails, Seller

# One page holds some 25; so many take half a second of a processor and 150 MB. What is beyond stands in one line of its
# own, so that the sums stay right.
MOST_LINES = 1_000

# States in which a customer wants to know how to pay.
_TO_PAY = frozenset({InvoiceState.DRAFT, InvoiceState.OPEN, InvoiceState.UNCOLLECTIBLE})

Paper = dict[str, Any]


def of_invoice(invoice: Invoice, zone: ZoneInfo) -> Paper:
    """The paper of an invoice as it stands now."""
    name, seller = invoice.number or words.line(invoice.id), invoice.seller
    shown, rest = invoice.lines[:MOST_LINES], invoice.lines[MOST_LINES:]
    to_pay = seller.payment_instructions if invoice.state in _TO_PAY else ""
    facts = [
        ("Invoice number", invoice.number),
        ("Date of issue", _date(invoice.finalized_at, zone)),
        ("Date due", _date(invoice.due_at, zone)),
        ("Period", words.dates(invoice.period, zone)),
        ("Customer", words.line(invoice.customer)),
    ]
    return {
        **_frame("Invoice", name, facts, f"subscription {words.line(invoice.subscription)}", zone),
        **_parties(seller, invoice.buyer, "Bill to"),
        "mark": _mark(invoice, zone),
        "headline": _headline(invoice, zone),
        "columns": ["Quantity", "Unit price", f"Amount ({invoice.currency})"],
        "lines": [_line(one, invoice.currency, zone) for one in shown]
        + _rest([one.amount for one in rest], invoice.currency),
        "sums": _sums(invoice),
        "texts": _texts(("How to pay", to_pay), ("Notes", invoice.notes, invoice.buyer.notes, seller.notes)),
    }


def of_credit_note(note: CreditNote, invoice: Invoice, zone: ZoneInfo) -> Paper:
    """The paper of a credit note on that invoice."""
    lines, currency = {one.number: one for one in invoice.lines}, note.currency
    shown, rest = note.lines[:MOST_LINES], note.lines[MOST_LINES:]
    facts = [
        ("Credit note number", note.number),
        ("Date of issue", _date(note.created_at, zone)),
        ("For invoice", invoice.number),
        ("Invoice date", _date(invoice.finalized_at, zone)),
        ("Customer", words.line(note.customer)),
    ]
    return {
        **_frame("Credit note", note.number, facts, f"for invoice {invoice.number}", zone),
        **_parties(invoice.seller, invoice.buyer, "Credit to"),
        "mark": None,
        "headline": f"{words.with_code(note.total, currency)} credited",
        "columns": ["Quantity", "", f"Amount ({currency})"],
        "lines": [_credit_line(one, lines.get(one.line), currency, zone) for one in shown]
        + _rest([one.amount for one in rest], currency),
        "sums": [
            *_added(note.taxes, currency),
            _sum("Total credited", note.total, currency, "due"),
            *_within(note.taxes, currency),
        ],
        "texts": _texts(("Reason", note.reason), ("Notes", invoice.seller.notes)),
    }


def _frame(title: str, name: str, facts: Sequence[tuple[str, str]], of: str, zone: ZoneInfo) -> Paper:
    """What a paper is, beside its title and at the foot of each page."""
    foot = f"{title} {name} · {of} · days are those of {zone.key}"
    return {"title": title, "name": name, "foot": foot, "facts": [list(fact) for fact in facts if fact[1]]}


def _date(instant: int | None, zone: ZoneInfo) -> str:
    return "" if instant is None else words.date(instant, zone)


def _parties(seller: Seller, buyer: BillingDetails, to: str) -> Paper:
    return {
        "seller": _party("From", seller.name, seller.address, seller.email, seller.tax_ids),
        "buyer": _party(to, buyer.name, (*buyer.address, buyer.country), buyer.email, buyer.tax_ids),
        "country": buyer.country,
    }


def _party(role: str, name: str, address: Sequence[str], email: str, tax_ids: Sequence[str]) -> Paper:
    below = [words.line(one) for one in (*address, email, *tax_ids)]
    return {"role": role, "name": words.line(name), "below": [one for one in below if one]}


def _texts(*blocks: tuple[str, ...]) -> list[Paper]:
    """Blocks with a title, of one or more texts each; those without a text are left out."""
    said = [(title, words.lines("\n".join(filter(None, texts)))) for title, *texts in blocks]
    return [{"title": title, "lines": lines} for title, lines in said if lines]


def _mark(invoice: Invoice, zone: ZoneInfo) -> Paper | None:
    """What is stamped on it: a draft and a void one must not be taken for a demand."""
    stamps: dict[InvoiceState, tuple[str, int | None]] = {
        InvoiceState.DRAFT: ("Draft", None),
        InvoiceState.PAID: ("Paid", invoice.paid_at),
        InvoiceState.VOID: ("Void", invoice.voided_at),
    }
    if invoice.state not in stamps:
        return None
    text, at = stamps[invoice.state]
    return {"text": text, "date": _date(at, zone)}


def _headline(invoice: Invoice, zone: ZoneInfo) -> str:
    """What the customer has to do, in one line."""
    total = words.with_code(invoice.total, invoice.currency)
    match invoice.state:
        case InvoiceState.DRAFT:
            return f"{total}, not due yet"
        case InvoiceState.OPEN:
            on = f" on {_date(invoice.due_at, zone)}" if invoice.due_at is not None else ""
            return f"{words.with_code(invoice.due, invoice.currency)} due{on}"
        case InvoiceState.PAID if invoice.total > 0:
            return f"{total} paid"
        case InvoiceState.PAID if invoice.total < 0:
            return f"Nothing due: {words.with_code(-invoice.total, invoice.currency)} is carried to the next invoice"
        case InvoiceState.PAID | InvoiceState.VOID:
            return "Nothing due"
        case InvoiceState.UNCOLLECTIBLE:
            return total


def _line(one: Line, currency: str, zone: ZoneInfo) -> Paper:
    decimals = places(currency)
    unit = [words.number(one.unit_amount, decimals)] if one.unit_amount is not None else []
    if one.flat_amount:
        unit.append(f"+ {words.number(one.flat_amount, decimals)}")
    return {
        "number": str(one.number),
        "text": words.line(one.description),
        "detail": _details(one, currency, zone),
        "quantity": words.number(one.quantity) if one.quantity is not None else "",
        "unit": unit,
        "amount": words.amount(one.amount, currency),
    }


def _details(one: Line, currency: str, zone: ZoneInfo) -> list[str]:
    """What stands below the description: the discount too, for it is what remains that a credit note can take back."""
    discount = [f"discount {words.amount(-one.discount, currency)}"] if one.discount else []
    return [words.dates(one.window, zone), *discount]


def _credit_line(credit: CreditLine, line: Line | None, currency: str, zone: ZoneInfo) -> Paper:
    said = credit.description or (line.description if line else "")
    return {
        "number": str(credit.line),
        "text": words.line(said),
        "detail": [words.dates(line.window, zone)] if line else [],
        "quantity": words.number(credit.quantity) if credit.quantity is not None else "",
        "unit": [],
        "amount": words.amount(credit.amount, currency),
    }


def _rest(amounts: Sequence[int], currency: str) -> list[Paper]:
    if not amounts:
        return []
    text = f"{len(amounts):,} further lines, listed in full on request"
    blank = {"number": "", "detail": [], "quantity": "", "unit": []}
    return [{**blank, "text": text, "amount": words.amount(sum(amounts), currency)}]


def _sums(invoice: Invoice) -> list[Paper]:
    currency = invoice.currency
    sums = [_sum("Subtotal", invoice.subtotal, currency)]
    if invoice.discount:
        sums.append(_sum("Discount", -invoice.discount, currency))
    sums += [*_added(invoice.taxes, currency), _sum("Total", invoice.total, currency, "total")]
    sums += _within(invoice.taxes, currency)
    if invoice.paid:
        sums.append(_sum("Paid", -invoice.paid, currency))
    if invoice.credited:
        sums.append(_sum("Credited", -invoice.credited, currency))
    if invoice.state in (InvoiceState.OPEN, InvoiceState.PAID, InvoiceState.VOID):
        sums.append(_sum("Amount due", invoice.due, currency, "due"))
    return sums


def _added(taxes: Sequence[Tax], currency: str) -> list[Paper]:
    """Those that are added to the prices."""
    return [
        _sum(f"{_rate(tax)} on {words.amount(tax.taxable, currency)}", tax.amount, currency)
        for tax in taxes
        if not tax.inclusive
    ]


def _within(taxes: Sequence[Tax], currency: str) -> list[Paper]:
    """Those that are in the prices already."""
    return [
        _sum(f"{_rate(tax)} within {words.amount(tax.taxable, currency)}", tax.amount, currency, "within")
        for tax in taxes
        if tax.inclusive
    ]


def _rate(tax: Tax) -> str:
    return f"{words.line(tax.display_name or tax.name)} {words.number(tax.percent)}%"


def _sum(label: str, minor: int, currency: str, weight: str = "plain") -> Paper:
    shown = words.with_code if weight in ("total", "due") else words.amount
    return {"label": label, "amount": shown(minor, currency), "weight": weight}
