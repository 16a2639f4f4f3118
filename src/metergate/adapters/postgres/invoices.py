"""Invoices in PostgreSQL.

A change holds the heads of the customers whose invoices it changes, then the invoices, and last the series that it
takes numbers from: always in this order. What a closed invoice cannot become, the triggers of migration 0019 refuse.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres.billing_rows import (
    INVOICE_COLUMNS,
    PAYMENT_COLUMNS,
    invoice_body,
    logo_digest,
    note_body,
    to_invoice,
    to_payment,
)
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver, load_catalog
from metergate.adapters.postgres.drafts import load_invoices, load_notes
from metergate.adapters.postgres.earlier import load_others
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.offers import details_from_json
from metergate.adapters.postgres.once import PostgresOnce
from metergate.adapters.postgres.outbox import write_outbox
from metergate.app.billing.ports import Beside, DueDraft, FinalizingChange, InvoiceQuery
from metergate.app.stores import Once
from metergate.domain.invoice import CreditNote, Invoice, InvoiceState, Payment
from metergate.domain.invoice_news import invoice_news
from metergate.domain.news import NewsKind
from metergate.domain.offer import NO_DETAILS, BillingDetails, Seller

_PAYMENTS = f"SELECT {PAYMENT_COLUMNS} FROM payment WHERE tenant = $1 AND invoice = $2 ORDER BY paid_at, id"
# The sub-select makes one instant of the clock, by which the index can be searched.
_DUE = """
SELECT tenant, id FROM invoice WHERE state = 'draft' AND finalize_at <= (SELECT clock_timestamp())
ORDER BY finalize_at LIMIT $1"""
_POSTPONE = """
UPDATE invoice SET finalize_at = clock_timestamp() + $3 * interval '1 microsecond'
WHERE tenant = $1 AND id = $2 AND state = 'draft'"""

# Two calls of one request id wait for each other, though they may be about different customers.
_ONE_BY_ONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_LOCK_HEADS = """
SELECT FROM customer_head WHERE tenant = $1
    AND customer = ANY(ARRAY(SELECT customer FROM invoice WHERE tenant = $1 AND id = ANY($2::text[])))
ORDER BY customer FOR UPDATE"""
_LOCK_FREE_HEADS = """
SELECT customer FROM customer_head WHERE tenant = $1
    AND customer = ANY(ARRAY(SELECT customer FROM invoice WHERE tenant = $1 AND id = ANY($2::text[])))
ORDER BY customer FOR UPDATE SKIP LOCKED"""
_LOCK = "SELECT FROM invoice WHERE tenant = $1 AND id = ANY($2::text[]) ORDER BY id FOR UPDATE"
_LOCK_DUE = """
SELECT id FROM invoice WHERE tenant = $1 AND id = ANY($2::text[]) AND customer = ANY($3::text[])
    AND state = 'draft' AND finalize_at <= clock_timestamp()
ORDER BY id FOR UPDATE"""
_BUYERS = "SELECT customer, body::text FROM billing_details WHERE tenant = $1 AND customer = ANY($2::text[])"
_TAKE_NUMBERS = """
INSERT INTO invoice_series AS s (tenant, series, last) VALUES ($1, $2, $3)
ON CONFLICT (tenant, series) DO UPDATE SET last = s.last + excluded.last RETURNING last - $3 + 1"""
_CLOSE = """
WITH logo AS (
    INSERT INTO invoice_logo (tenant, digest, content) SELECT $1, $9, $10 WHERE $9 <> '' ON CONFLICT DO NOTHING
)
UPDATE invoice i SET state = q.state, number = q.number, finalized_at = q.finalized_at, due_at = q.due_at,
    paid_at = q.paid_at, body = q.body::jsonb
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::text[])
    AS q(id, state, number, finalized_at, due_at, paid_at, body)
WHERE i.tenant = $1 AND i.id = q.id"""
_SAVE = """
UPDATE invoice SET state = $3, paid = $4, credited = $5, paid_at = $6, voided_at = $7 WHERE tenant = $1 AND id = $2"""
# Whoever closes a period has read what was credited by then: for a changed row it reads again. See `closing.py`.
_NOTICE = "UPDATE subscription SET id = id WHERE tenant = $1 AND id = $2"
_PAY = """
INSERT INTO payment (tenant, id, invoice, amount, method, reference, paid_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_CREDIT = """
WITH note AS (
    INSERT INTO credit_note (tenant, id, number, invoice, customer, currency, total, reason, created_at, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb)
)
INSERT INTO credit_note_line (tenant, credit_note, number, invoice, line, amount, quantity, description)
SELECT $1, $2, q.number, $4, q.line, q.amount, q.quantity, q.description
FROM unnest($11::int[], $12::int[], $13::bigint[], $14::numeric[], $15::text[])
    AS q(number, line, amount, quantity, description)"""
_WANTED = "SELECT EXISTS (SELECT FROM webhook_endpoint WHERE tenant = $1 AND enabled AND $2 = ANY(kinds))"
_RAISE = """
UPDATE customer_head SET seq = seq + 1 WHERE tenant = $1 AND customer = ANY($2::text[]) RETURNING customer, seq"""


def _list(query: InvoiceQuery) -> tuple[str, list[Any]]:
    """The statement that lists them, for $1 = the tenant, and its further parameters: only what is asked for is said,
    so that each has the plan of its index."""
    values: list[Any] = []
    where = ["tenant = $1"]
    asked = (("customer", query.customer), ("subscription", query.subscription), ("state", query.state))
    for column, value in asked:
        if value:
            values.append(str(value))
            where.append(f"{column} = ${len(values) + 1}")
    if query.after is not None:
        values += query.after
        where.append(f"(period_end, id) < (${len(values)}, ${len(values) + 1})")
    values.append(query.most)
    order = f"ORDER BY period_end DESC, id DESC LIMIT ${len(values) + 1}"
    return f"SELECT {INVOICE_COLUMNS} FROM invoice WHERE {' AND '.join(where)} {order}", values


class PostgresInvoices:
    """`app.billing.ports.InvoiceStore` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, tenant: str, invoice: str) -> Invoice | None:
        """See `app.billing.ports.InvoiceReader`."""
        with engine_errors():
            async with snapshots(self._engine).connect() as connection:
                return next(iter(await load_invoices(await driver(connection), tenant, [invoice])), None)

    async def list(self, tenant: str, query: InvoiceQuery) -> list[Invoice]:
        """See `app.billing.ports.InvoiceReader`."""
        statement, values = _list(query)
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(statement, tenant, *values)
        return [to_invoice(row, (), {}) for row in rows]

    async def credit_notes(self, tenant: str, invoice: str) -> Sequence[CreditNote]:
        """See `app.billing.ports.InvoiceReader`."""
        with engine_errors():
            async with snapshots(self._engine).connect() as connection:
                return await load_notes(await driver(connection), tenant, invoice)

    async def payments(self, tenant: str, invoice: str) -> Sequence[Payment]:
        """See `app.billing.ports.InvoiceReader`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(_PAYMENTS, tenant, invoice)
        return [to_payment(row) for row in rows]

    async def due(self, most: int) -> Sequence[DueDraft]:
        """See `app.billing.ports.InvoiceStore`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(_DUE, most)
        return [DueDraft(*row) for row in rows]

    async def postpone(self, draft: DueDraft, by: int) -> None:
        """See `app.billing.ports.InvoiceStore`."""
        with engine_errors():
            async with self._engine.begin() as connection:
                await (await driver(connection)).execute(_POSTPONE, *draft, by)

    def change(self, tenant: str) -> AbstractAsyncContextManager[FinalizingChange]:
        """See `app.billing.ports.InvoiceStore`."""
        return self._change(tenant)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncGenerator[PostgresInvoiceChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                yield PostgresInvoiceChange(connection, await driver(connection), tenant)


class PostgresInvoiceChange(PostgresOnce):
    """See `app.billing.ports.FinalizingChange`."""

    def __init__(self, connection: AsyncConnection, raw: Any, tenant: str) -> None:
        super().__init__(connection, tenant)
        self._raw = raw

    async def repeated(self, once: Once | None) -> bool:
        """See `app.stores.OnceStore`."""
        if once is not None:
            await self._raw.execute(_ONE_BY_ONE, orjson.dumps([self._tenant, once.request_id]).decode())
        return await super().repeated(once)

    async def lock(self, invoice: str) -> Invoice | None:
        """See `app.billing.ports.InvoiceChange`."""
        for statement in (_LOCK_HEADS, _LOCK):
            await self._raw.execute(statement, self._tenant, [invoice])
        return next(iter(await load_invoices(self._raw, self._tenant, [invoice])), None)

    async def lock_due(self, invoices: Sequence[str]) -> list[Invoice]:
        """See `app.billing.ports.FinalizingChange`."""
        heads = await self._raw.fetch(_LOCK_FREE_HEADS, self._tenant, invoices)
        held = await self._raw.fetch(_LOCK_DUE, self._tenant, invoices, [row[0] for row in heads])
        return await load_invoices(self._raw, self._tenant, [row[0] for row in held])

    async def now(self) -> int:
        """See `app.billing.ports.InvoiceChange`."""
        instant: int = await self._raw.fetchval("SELECT clock_timestamp()")
        return instant

    async def beside(self, invoice: Invoice) -> Beside:
        """See `app.billing.ports.InvoiceChange`."""
        notes = await load_notes(self._raw, self._tenant, invoice.id)
        return Beside(notes, await load_others(self._raw, self._tenant, invoice))

    async def seller(self) -> Seller:
        """See `app.billing.ports.FinalizingChange`."""
        return (await load_catalog(self._raw, self._tenant)).seller

    async def buyers(self, customers: Sequence[str]) -> Mapping[str, BillingDetails]:
        """See `app.billing.ports.FinalizingChange`."""
        rows = await self._raw.fetch(_BUYERS, self._tenant, customers)
        return dict.fromkeys(customers, NO_DETAILS) | {row[0]: details_from_json(orjson.loads(row[1])) for row in rows}

    async def take_numbers(self, series: str, count: int) -> int:
        """See `app.billing.ports.FinalizingChange`."""
        first: int = await self._raw.fetchval(_TAKE_NUMBERS, self._tenant, series, count)
        return first

    async def close(self, invoices: Sequence[Invoice]) -> None:
        """See `app.billing.ports.FinalizingChange`."""
        rows = [
            (one.id, one.state.value, one.number, one.finalized_at, one.due_at, one.paid_at, invoice_body(one))
            for one in invoices
        ]
        logo = invoices[0].seller.logo  # all are of one seller
        await self._raw.execute(_CLOSE, self._tenant, *zip(*rows, strict=True), logo_digest(logo), logo)

    async def save(self, invoice: Invoice) -> None:
        """See `app.billing.ports.InvoiceChange`."""
        one = invoice
        moved = (one.state.value, one.paid, one.credited, one.paid_at, one.voided_at)
        await self._raw.execute(_SAVE, self._tenant, one.id, *moved)
        if one.credited or one.state is InvoiceState.VOID:
            await self._raw.execute(_NOTICE, self._tenant, one.subscription)

    async def pay(self, payment: Payment) -> None:
        """See `app.billing.ports.InvoiceChange`."""
        one = payment
        row = (one.id, one.invoice, one.amount, one.method, one.reference, one.paid_at)
        await self._raw.execute(_PAY, self._tenant, *row)

    async def credit(self, note: CreditNote) -> None:
        """See `app.billing.ports.InvoiceChange`."""
        one = note
        row = (
            one.id, one.number, one.invoice, one.customer, one.currency, one.total, one.reason, one.created_at,
            note_body(one),
        )  # fmt: skip
        lines = [
            (number, line.line, line.amount, line.quantity, line.description)
            for number, line in enumerate(one.lines, 1)
        ]
        await self._raw.execute(_CREDIT, self._tenant, *row, *zip(*lines, strict=True))

    async def tell(self, kind: NewsKind, invoices: Sequence[Invoice], now: int) -> None:
        """See `app.billing.ports.InvoiceChange`."""
        if invoices and await self._raw.fetchval(_WANTED, self._tenant, kind.value):
            customers = sorted({one.customer for one in invoices})
            seqs = dict(tuple(row) for row in await self._raw.fetch(_RAISE, self._tenant, customers))
            await write_outbox(self._raw, self._tenant, invoice_news(kind, invoices, seqs, now))
