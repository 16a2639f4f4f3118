"""Invoices, credit notes and logos to make papers of."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind, Tax
from metergate.domain.offer import BillingDetails, Seller
from metergate.domain.period import Window, from_datetime


def at(*moment: int) -> int:
    """The instant of that moment in UTC."""
    return from_datetime(datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type]


OCTOBER, NOVEMBER = Window(at(2026, 10, 1), at(2026, 11, 1)), Window(at(2026, 11, 1), at(2026, 12, 1))
SELLER = Seller(
    name="Northwind Metering GmbH",
    address=("Torstraße 101", "10119 Berlin"),
    tax_ids=("VAT DE 812 345 678",),
    email="billing@northwind.example",
    notes="Thank you.",
    payment_instructions="IBAN DE89 3704 0044 0532 0130 00\nReference: the invoice number",
)
BUYER = BillingDetails("Acme Inc.", ("548 Market Street", "San Francisco"), "US", notes="Purchase order 4711")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 6"><circle cx="3" cy="3" r="2" fill="#06b"/></svg>'


def png(width: int, height: int) -> bytes:
    """A picture of one colour (PNG 5.2: signature, IHDR, IDAT, IEND)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x1e\x5a\xc8" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def line(number: int, description: str, amount: int, **fields: Any) -> Line:
    """A line of usage in October."""
    return Line(number, LineKind.USAGE, description, amount, fields.pop("window", OCTOBER), **fields)


LINES = (
    line(1, "Pro plan", 19_900, window=NOVEMBER, quantity=Decimal(1), unit_amount=Decimal(199)),
    line(2, "Orders", 12_500, quantity=Decimal(1_250), unit_amount=Decimal("0.1")),
    line(3, "API calls", 50, quantity=Decimal(50_000), unit_amount=Decimal("0.00001"), flat_amount=Decimal(5)),
)


def invoice(**fields: Any) -> Invoice:
    """An open invoice of 324.50 USD, with these fields in the place of its own."""
    lines = fields.pop("lines", LINES)
    subtotal = sum(one.amount for one in lines)
    base = {
        "id": "inv_1",
        "customer": "acme",
        "subscription": "sub_1",
        "currency": "USD",
        "period": OCTOBER,
        "state": InvoiceState.OPEN,
        "lines": lines,
        "seq": 7,
        "subtotal": subtotal,
        "discount": 0,
        "taxes": (),
        "total": subtotal,
        "created_at": at(2026, 11, 1, 0, 5),
        "number": "INV-000042",
        "finalized_at": at(2026, 11, 1, 1),
        "due_at": at(2026, 11, 15, 1),
        "seller": SELLER,
        "buyer": BUYER,
    }
    return Invoice(**(base | fields))


VAT = Tax("vat", Decimal(19), False, 32_450, 6_166, "VAT")
NOTE = CreditNote(
    id="cn_1",
    number="CN-000001",
    invoice="inv_1",
    customer="acme",
    currency="USD",
    lines=(CreditLine(2, 500, quantity=Decimal(50)), CreditLine(1, 1_000, "Two hours without service")),
    taxes=(Tax("vat", Decimal(19), False, 1_500, 285, "VAT"),),
    total=1_785,
    reason="The service was down on 3 October.",
    created_at=at(2026, 11, 20),
)
