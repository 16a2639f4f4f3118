"""The invoices of subscriptions, as far as another one needs them: one that is made, or one that is taken back.

These take a driver connection, in whatever transaction they are part of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metergate.adapters.postgres.billing_rows import LINE_COLUMNS, to_lines
from metergate.domain.draft import Earlier
from metergate.domain.invoice import CreditLine, Invoice, InvoiceState
from metergate.domain.period import LATEST, Window

_EARLIER = """
SELECT i.subscription, i.id, i.period_start, i.period_end, i.state, i.seq, i.subtotal, i.total,
    i.subtotal <= 0 AND EXISTS (SELECT FROM invoice_line WHERE tenant = $1 AND invoice = i.id AND discount > 0)
FROM unnest($2::text[]) AS q(subscription)
CROSS JOIN LATERAL (SELECT * FROM invoice WHERE tenant = $1 AND subscription = q.subscription OFFSET 0) i
WHERE i.created_at < $3 ORDER BY i.subscription, i.period_start, i.period_end"""
_LINES = f"""
SELECT l.invoice, {LINE_COLUMNS} FROM unnest($2::text[], $3::timestamptz[]) AS q(subscription, since)
CROSS JOIN LATERAL (
    SELECT * FROM invoice_line WHERE tenant = $1 AND subscription = q.subscription
        AND (window_end > q.since OR kind = 'carried') OFFSET 0
) l ORDER BY l.invoice, l.number"""
# By the index of prices and windows: no more is read than lies in these. Windows of one price may lie in each other.
_BY_INDEX = "SET LOCAL enable_seqscan = off"
_WITHIN = f"""
SELECT DISTINCT ON (l.invoice, l.number) l.invoice, {LINE_COLUMNS}
FROM unnest($3::text[], $4::timestamptz[], $5::timestamptz[]) AS q(named, since, until)
CROSS JOIN LATERAL (
    SELECT * FROM invoice_line WHERE tenant = $1 AND subscription = $2 AND price = q.named
        AND window_start >= q.since AND window_start <= q.until AND window_end <= q.until OFFSET 0
) l WHERE l.invoice <> $6 ORDER BY l.invoice, l.number"""
_CREDITED = """
SELECT c.invoice, c.line, c.amount, c.description, c.quantity FROM unnest($2::text[]) AS q(invoice)
CROSS JOIN LATERAL (SELECT * FROM credit_note_line WHERE tenant = $1 AND invoice = q.invoice OFFSET 0) c
JOIN credit_note n ON n.tenant = $1 AND n.id = c.credit_note AND n.created_at < $3"""


async def load_earlier(
    connection: Any, tenant: str, since: Mapping[str, int], until: int = LATEST
) -> dict[str, list[Earlier]]:
    """See `app.billing.close_ports.BillingSnapshot`."""
    invoices = await connection.fetch(_EARLIER, tenant, list(since), until)
    lines = await connection.fetch(_LINES, tenant, list(since), list(since.values())) if invoices else ()
    found: dict[str, list[Earlier]] = {subscription: [] for subscription in since}
    for subscription, one in await _with_lines(connection, tenant, invoices, lines, until):
        found[subscription].append(one)
    return found


async def load_others(connection: Any, tenant: str, invoice: Invoice) -> list[Earlier]:
    """The other invoices of its subscription that have lines of the same prices within the windows of its lines, with
    these lines alone."""
    windows = sorted({(line.price, line.window.start, line.window.end) for line in invoice.lines})
    if not windows:
        return []
    columns = [list(column) for column in zip(*windows, strict=True)]
    await connection.execute(_BY_INDEX)
    lines = await connection.fetch(_WITHIN, tenant, invoice.subscription, *columns, invoice.id)
    if not lines:
        return []
    invoices = await connection.fetch(_EARLIER, tenant, [invoice.subscription], LATEST)
    found = await _with_lines(connection, tenant, invoices, lines, LATEST)
    return [one for _, one in found if one.lines]


async def _with_lines(
    connection: Any, tenant: str, invoices: Iterable[Any], rows: Sequence[Any], until: int
) -> list[tuple[str, Earlier]]:
    """The invoices, each with its subscription, with these of their lines and what was credited of them."""
    lines = to_lines(rows)
    credited: dict[str, list[CreditLine]] = defaultdict(list)
    for row in await connection.fetch(_CREDITED, tenant, sorted(lines), until) if lines else ():
        credited[row[0]].append(CreditLine(*tuple(row)[1:]))
    return [
        (
            subscription,
            Earlier(
                id_, Window(start, end), InvoiceState(state), seq, subtotal, total, tuple(lines.get(id_, ())),
                tuple(credited.get(id_, ())), discounted,
            ),
        )
        for subscription, id_, start, end, state, seq, subtotal, total, discounted in map(tuple, invoices)
    ]  # fmt: skip
