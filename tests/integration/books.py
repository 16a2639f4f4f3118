"""What the tests of invoices share: drafts with round sums, and the verbs on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.drafts import insert_drafts
from metergate.adapters.postgres.invoices import PostgresInvoices
from metergate.app.billing.finalize_due import FinalizeDue
from metergate.app.billing.invoices import Invoices
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.invoice import Invoice, InvoiceState, Line, LineKind, Tax
from metergate.domain.offer import NO_SELLER, Seller, TaxRate
from metergate.domain.period import DAY, HOUR, Window
from tests.integration.processes import TENANT, Process

START = 1_790_000_000 * 1_000_000

_DETAILS = """
INSERT INTO billing_details VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (tenant, customer) DO UPDATE SET body = excluded.body"""


def line(number: int, amount: int, discount: int = 0, **fields: Any) -> Line:
    """A flat line of the first month."""
    window = Window(START, START + 30 * DAY)
    return Line(number, LineKind.FLAT, f"Part {number}", amount, window, discount=discount, **fields)


def draft(id: str, *amounts: int | Line, taxes: Sequence[Tax] = (), **fields: Any) -> Invoice:
    """A draft of these lines, of acme's subscription of the same name, due to be finalized an hour ago."""
    lines = tuple([line(n, one) if isinstance(one, int) else one for n, one in enumerate(amounts, 1)])
    subtotal, discount = sum(one.amount for one in lines), sum(one.discount for one in lines)
    total = subtotal - discount + sum(tax.amount for tax in taxes if not tax.inclusive)
    period = Window(START, START + 30 * DAY)
    given: dict[str, Any] = {
        "customer": "acme", "subscription": f"sub_{id}", "currency": "USD", "finalize_at": START - HOUR, **fields,
    }  # fmt: skip
    return Invoice(
        id=id, period=period, state=InvoiceState.DRAFT, lines=lines, seq=1, subtotal=subtotal, discount=discount,
        taxes=tuple(taxes), total=total, created_at=START, **given,
    )  # fmt: skip


class Books:
    """A process's verbs on invoices."""

    def __init__(self, one: Process) -> None:
        self.one = one
        self.store = PostgresInvoices(one.engine)
        self.invoices = Invoices(self.store, one.directory)
        self.due = FinalizeDue(self.store)

    async def begin(self, seller: Seller = NO_SELLER, *customers: str) -> None:
        """A catalog of this seller, and customers; acme is one."""
        rates = (TaxRate("vat", Decimal(20), display_name="VAT"),)
        await self.one.apply(Catalog((), (Plan("default", ()),), tax_rates=rates, seller=seller))
        for customer in ("acme", *customers):
            await self.one.customer(customer)

    async def drafts(self, *invoices: Invoice, tenant: str = TENANT) -> set[str]:
        """Makes them, for who pays their taxes; the ids of those that are new."""
        for one in invoices:
            if one.taxes:
                body = json.dumps({"tax_rates": [tax.name for tax in one.taxes]})
                await self.one.fetch(_DETAILS, tenant, one.customer, body)
        return await make_drafts(self.one.engine, tenant, invoices)


async def make_drafts(engine: AsyncEngine, tenant: str, invoices: Sequence[Invoice]) -> set[str]:
    """Makes drafts in a commit of their own."""
    async with engine.begin() as connection:
        return await insert_drafts(await driver(connection), tenant, invoices)
