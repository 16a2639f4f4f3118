"""Invoices, their lines, credit notes and payments as rows, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

import orjson

from metergate.adapters.postgres.offers import details_from_json, seller_from_json, to_json
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind, Payment, Tax
from metergate.domain.offer import NO_DETAILS, NO_SELLER, Seller
from metergate.domain.period import Window
from metergate.domain.quantity import to_text

INVOICE_COLUMNS = (
    "id, customer, subscription, period_start, period_end, state, currency, number, seq, subtotal, discount, total, "
    "paid, credited, created_at, finalize_at, finalized_at, due_at, paid_at, voided_at, body::text"
)
LINE_COLUMNS = (
    "number, kind, price, meter, plan, version, window_start, window_end, labels::text, quantity, billed, "
    "amount, discount, body::text"
)
NOTE_COLUMNS = "id, number, invoice, customer, currency, total, reason, created_at, body::text"
NOTE_LINE_COLUMNS = "credit_note, line, amount, quantity, description"
PAYMENT_COLUMNS = "id, invoice, amount, method, reference, paid_at"


def to_invoice(row: Any, lines: Sequence[Line], logos: Mapping[str, bytes]) -> Invoice:
    """The invoice of a row of INVOICE_COLUMNS. `logos` by their digest."""
    body = orjson.loads(row["body"])
    seller, buyer = body.get("seller"), body.get("buyer")
    return Invoice(
        row["id"], row["customer"], row["subscription"], row["currency"],
        Window(row["period_start"], row["period_end"]), InvoiceState(row["state"]), tuple(lines), row["seq"],
        row["subtotal"], row["discount"], to_taxes(body["taxes"]), row["total"], row["created_at"], row["number"],
        row["paid"], row["credited"], row["finalize_at"], row["finalized_at"], row["due_at"], row["paid_at"],
        row["voided_at"],
        NO_SELLER if seller is None else _to_seller(seller, logos),
        NO_DETAILS if buyer is None else details_from_json(buyer),
        body.get("notes", ""), tuple([(name, value) for name, value in body.get("metadata", ())]),
    )  # fmt: skip


def logos_of(rows: Iterable[Any]) -> list[str]:
    """The digests of the logos that invoices of these rows bear."""
    bodies = [orjson.loads(row["body"]) for row in rows]
    return sorted({body["seller"]["logo"] for body in bodies if body.get("seller", {}).get("logo")})


def invoice_body(invoice: Invoice) -> str:
    """The column `body`: taxes, notes and metadata, and once it is finalized who sells and who buys."""
    body: dict[str, Any] = {"taxes": taxes_body(invoice.taxes)}
    if invoice.finalized_at is not None:
        body["seller"] = to_json(replace(invoice.seller, logo=b"")) | {"logo": logo_digest(invoice.seller.logo)}
        body["buyer"] = to_json(invoice.buyer)
    if invoice.notes:
        body["notes"] = invoice.notes
    if invoice.metadata:
        body["metadata"] = invoice.metadata
    return _json(body)


def invoice_row(invoice: Invoice) -> tuple[Any, ...]:
    """What a draft's row holds: id, customer, subscription, currency, period, seq, sums, created_at, finalize_at,
    body."""
    one = invoice
    return (
        one.id, one.customer, one.subscription, one.currency, one.period.start, one.period.end, one.seq, one.subtotal,
        one.discount, one.total, one.created_at, one.finalize_at, invoice_body(one),
    )  # fmt: skip


def line_row(invoice: Invoice, line: Line) -> tuple[Any, ...]:
    """What a line's row holds: the invoice's id, number, customer, subscription, and the others of LINE_COLUMNS."""
    body = {
        "description": line.description, "unit_amount": _text(line.unit_amount),
        "flat_amount": _text(line.flat_amount), "tier": line.tier or None, "why": line.why or None,
    }  # fmt: skip
    return (
        invoice.id, line.number, invoice.customer, invoice.subscription, line.kind.value, line.price, line.meter,
        line.plan, line.version, line.window.start, line.window.end, _json(line.labels), line.quantity, line.billed,
        line.amount, line.discount, _json({name: value for name, value in body.items() if value is not None}),
    )  # fmt: skip


def to_line(row: Any) -> Line:
    """The line of a row of LINE_COLUMNS."""
    (
        number, kind, price, meter, plan, version, start, end, labels, quantity, billed, amount, discount, written,
    ) = row  # fmt: skip
    body = orjson.loads(written)
    return Line(
        number, LineKind(kind), body["description"], amount, Window(start, end), plan, version, price, meter,
        tuple([(name, value) for name, value in orjson.loads(labels)]), quantity, _decimal(body.get("unit_amount")),
        _decimal(body.get("flat_amount")), body.get("tier", 0), billed, discount, body.get("why", ""),
    )  # fmt: skip


def to_lines(rows: Iterable[Any]) -> dict[str, list[Line]]:
    """Lines by invoice, of rows of the invoice's id and LINE_COLUMNS."""
    lines: dict[str, list[Line]] = {}
    for invoice, *row in map(tuple, rows):
        lines.setdefault(invoice, []).append(to_line(row))
    return lines


def to_notes(rows: Iterable[Any], line_rows: Iterable[Any]) -> list[CreditNote]:
    """Credit notes of rows of NOTE_COLUMNS and NOTE_LINE_COLUMNS."""
    lines: dict[str, list[CreditLine]] = {}
    for row in line_rows:
        line = CreditLine(row["line"], row["amount"], row["description"], row["quantity"])
        lines.setdefault(row["credit_note"], []).append(line)
    return [
        CreditNote(
            row["id"], row["number"], row["invoice"], row["customer"], row["currency"], tuple(lines.get(row["id"], ())),
            to_taxes(orjson.loads(row["body"])["taxes"]), row["total"], row["reason"], row["created_at"],
        )
        for row in rows
    ]  # fmt: skip


def note_body(note: CreditNote) -> str:
    """The column `body` of a credit note: its taxes, and how many lines it has."""
    return _json({"taxes": taxes_body(note.taxes), "lines": len(note.lines)})


def to_payment(row: Any) -> Payment:
    """The payment of a row of PAYMENT_COLUMNS."""
    return Payment(**dict(row))


def to_taxes(written: Iterable[Mapping[str, Any]]) -> tuple[Tax, ...]:
    """Taxes from a body."""
    return tuple([Tax(**{**one, "percent": Decimal(one["percent"])}) for one in written])


def taxes_body(taxes: Iterable[Tax]) -> list[dict[str, Any]]:
    """Taxes in a body."""
    return [to_json(one) for one in taxes]


def logo_digest(logo: bytes) -> str:
    """By which a logo is found; "" without one."""
    return sha256(logo).hexdigest() if logo else ""


def _to_seller(written: Mapping[str, Any], logos: Mapping[str, bytes]) -> Seller:
    seller = seller_from_json({name: value for name, value in written.items() if name != "logo"})
    return replace(seller, logo=logos.get(written.get("logo", ""), b""))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else to_text(amount)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
