"""Invoices with their lines, as they are loaded, and drafts as they are made: each for many in few round trips.

These take a driver connection, in whatever transaction they are part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metergate.adapters.postgres.billing_rows import (
    INVOICE_COLUMNS,
    LINE_COLUMNS,
    NOTE_COLUMNS,
    NOTE_LINE_COLUMNS,
    invoice_row,
    line_row,
    logos_of,
    to_invoice,
    to_lines,
    to_notes,
)
from metergate.adapters.postgres.holds import literal
from metergate.adapters.postgres.statements import INSTANT, lists
from metergate.domain.invoice import CreditNote, Invoice

_INVOICES = f"SELECT {INVOICE_COLUMNS} FROM invoice WHERE tenant = $1 AND id = ANY($2::text[]) ORDER BY id"
_LINES = f"""
SELECT invoice, {LINE_COLUMNS} FROM invoice_line WHERE tenant = $1 AND invoice = ANY($2::text[])
ORDER BY invoice, number"""
_LOGOS = "SELECT digest, content FROM invoice_logo WHERE tenant = $1 AND digest = ANY($2::text[])"
_NOTES = f"SELECT {NOTE_COLUMNS} FROM credit_note WHERE tenant = $1 AND invoice = $2 ORDER BY created_at, id"
_NOTE_LINES = f"""
SELECT {NOTE_LINE_COLUMNS} FROM credit_note_line WHERE tenant = $1 AND credit_note = ANY($2::text[])
ORDER BY credit_note, number"""

# A period that has its invoice keeps it: whoever comes second makes none. Rows come sorted by key.
# Lists go as one array literal each, as those of commits do: see `statements.py`.
_INSERT = f"""
WITH made AS (
    INSERT INTO invoice (tenant, id, customer, subscription, state, currency, period_start, period_end, seq, subtotal,
        discount, total, created_at, finalize_at, body)
    SELECT $1, q.id, q.customer, q.subscription, 'draft', q.currency, {INSTANT.format("q.period_start")},
        {INSTANT.format("q.period_end")}, q.seq::bigint, q.subtotal::bigint, q.discount::bigint, q.total::bigint,
        {INSTANT.format("q.created_at")}, {INSTANT.format("q.finalize_at")}, q.body::jsonb
    FROM unnest({lists(*range(2, 15))})
        AS q(id, customer, subscription, currency, period_start, period_end, seq, subtotal, discount, total,
            created_at, finalize_at, body)
    ON CONFLICT (tenant, subscription, period_start, period_end) DO NOTHING
    RETURNING id
), lines AS (
    INSERT INTO invoice_line (tenant, invoice, number, customer, subscription, kind, price, meter, plan, version,
        window_start, window_end, labels, quantity, billed, amount, discount, body)
    SELECT $1, l.invoice, l.number::int, l.customer, l.subscription, l.kind, l.price, l.meter, l.plan, l.version::int,
        {INSTANT.format("l.window_start")}, {INSTANT.format("l.window_end")}, l.labels::jsonb, l.quantity::numeric,
        l.billed::numeric, l.amount::bigint, l.discount::bigint, l.body::jsonb
    FROM unnest({lists(*range(15, 32))})
        AS l(invoice, number, customer, subscription, kind, price, meter, plan, version, window_start, window_end,
            labels, quantity, billed, amount, discount, body)
    JOIN made ON made.id = l.invoice
)
SELECT id FROM made"""
_DELETE = """
WITH gone AS (
    DELETE FROM invoice WHERE tenant = $1 AND id = ANY($2::text[]) AND state = 'draft' RETURNING id
)
DELETE FROM invoice_line l USING gone WHERE l.tenant = $1 AND l.invoice = gone.id"""
_LINE_WIDTH = 17


async def insert_drafts(connection: Any, tenant: str, invoices: Sequence[Invoice]) -> set[str]:
    """Makes drafts with their lines, in one round trip; the ids of those that were made. A period of a subscription
    that has an invoice already keeps that one."""
    if not invoices:
        return set()
    given = sorted(invoices, key=lambda one: (one.subscription, one.period.start, one.period.end))
    rows = zip(*[invoice_row(one) for one in given], strict=True)
    lines = [line_row(one, line) for one in given for line in one.lines]
    columns = zip(*lines, strict=True) if lines else [()] * _LINE_WIDTH
    written = [literal([None if one is None else str(one) for one in column]) for column in (*rows, *columns)]
    return {row[0] for row in await connection.fetch(_INSERT, tenant, *written)}


async def delete_drafts(connection: Any, tenant: str, ids: Sequence[str]) -> None:
    """Takes drafts away, to be made anew: under the same ids if need be. Closed invoices stay."""
    await connection.execute(_DELETE, tenant, ids)


async def load_invoices(connection: Any, tenant: str, ids: Sequence[str]) -> list[Invoice]:
    """Those of these ids that are there, by id, with their lines."""
    rows = await connection.fetch(_INVOICES, tenant, ids)
    if not rows:
        return []
    lines = to_lines(await connection.fetch(_LINES, tenant, ids))
    digests = logos_of(rows)
    logos = dict(map(tuple, await connection.fetch(_LOGOS, tenant, digests))) if digests else {}
    return [to_invoice(row, lines.get(row["id"], ()), logos) for row in rows]


async def load_notes(connection: Any, tenant: str, invoice: str) -> list[CreditNote]:
    """An invoice's credit notes, oldest first, with their lines."""
    rows = await connection.fetch(_NOTES, tenant, invoice)
    return to_notes(rows, await connection.fetch(_NOTE_LINES, tenant, [row["id"] for row in rows]) if rows else ())
