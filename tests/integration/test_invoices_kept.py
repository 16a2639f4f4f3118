"""P6: closed invoices, their lines, credit notes, payments and numbers stand against any SQL of the server's role."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import asyncpg
import pytest

from metergate.app.billing.invoices import Crediting, Paying
from metergate.domain.invoice import CreditLine, InvoiceState, Tax
from metergate.domain.offer import Seller
from tests.integration.books import Books, draft, line
from tests.integration.processes import PRINCIPAL, TENANT, Process

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
CLOSED = ("inv_open", "inv_part", "inv_paid", "inv_credited", "inv_void", "inv_bad", "inv_zero")
TABLES = (
    "invoice", "invoice_line", "credit_note", "credit_note_line", "payment", "invoice_series", "invoice_logo",
)  # fmt: skip


async def all_states(one: Process) -> Books:
    """An invoice in each state, with what belongs to it, and a draft."""
    books = Books(one)
    await books.begin(Seller(name="Gate", logo=LOGO))
    tax = Tax("vat", Decimal(10), False, 100, 10)
    await books.drafts(
        *[draft(id_, line(1, 120, 20), taxes=[tax]) for id_ in CLOSED[:-1]], draft("inv_zero"), draft("inv_draft", 5)
    )
    for id_ in CLOSED:
        await books.invoices.finalize(PRINCIPAL, id_)
    await books.invoices.pay(PRINCIPAL, "inv_part", Paying(40))
    await books.invoices.pay(PRINCIPAL, "inv_paid", Paying(None))
    await books.invoices.credit(PRINCIPAL, "inv_credited", Crediting([CreditLine(1, 60)], "late"))
    await books.invoices.void(PRINCIPAL, "inv_void")
    await books.invoices.mark_uncollectible(PRINCIPAL, "inv_bad")
    return books


async def contents(one: Process) -> dict[str, list[str]]:
    """All rows of all tables, as texts."""
    return {table: sorted(row[0] for row in await one.fetch(f"SELECT t::text FROM {table} t")) for table in TABLES}


async def commit(one: Process, *statements: str) -> None:
    """Runs the statements in one transaction."""
    async with one.pool.acquire() as connection, connection.transaction():
        for statement in statements:
            await connection.execute(statement)


COLUMNS = (
    "customer = 'x'", "subscription = 'x'", "period_start = now()", "period_end = now()", "currency = 'EUR'",
    "number = 'X-1'", "number = ''", "seq = 9", "subtotal = subtotal + 1", "discount = discount + 1",
    "total = total + 1", "created_at = now()", "finalize_at = NULL", "finalized_at = now()", "due_at = now()",
    "body = '{}'", "body = jsonb_set(body, '{taxes}', '[{}]')", "tenant = 'x'", "id = id || 'x'", "state = 'draft'",
    "state = 'odd'",
)  # fmt: skip
SLIP = """
INSERT INTO invoice_line SELECT tenant, 'ID', 9, customer, subscription, kind, price, meter, plan, version,
    window_start, window_end, labels, quantity, billed, 0, 0, body FROM invoice_line WHERE invoice = 'inv_draft'"""
FORBIDDEN = (
    *[f"UPDATE invoice SET {column} WHERE id = 'ID'" for column in COLUMNS],
    "DELETE FROM invoice WHERE id = 'ID'",
    "UPDATE invoice_line SET amount = amount + 1 WHERE invoice IN ('ID', 'inv_paid')",
    "UPDATE invoice_line SET invoice = 'inv_draft', number = 9 WHERE invoice IN ('ID', 'inv_paid')",
    "UPDATE invoice_line SET invoice = 'ID', number = 9 WHERE invoice = 'inv_draft'",
    "DELETE FROM invoice_line WHERE invoice IN ('ID', 'inv_paid')",
    SLIP,
)


async def test_p6_nothing_of_a_closed_invoice_is_changed_or_deleted(one: Process) -> None:
    await all_states(one)
    before = await contents(one)
    for id_ in CLOSED:
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.RestrictViolationError):
                await commit(one, statement.replace("ID", id_))
    assert await contents(one) == before


async def test_p6_nothing_that_was_appended_is_changed_deleted_or_emptied(one: Process) -> None:
    await all_states(one)
    before = await contents(one)
    for table in ("credit_note", "credit_note_line", "payment", "invoice_logo"):
        for statement in (f"UPDATE {table} SET tenant = tenant", f"DELETE FROM {table}"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await commit(one, statement)
    for table in TABLES:
        with pytest.raises(asyncpg.RestrictViolationError):
            await commit(one, f"TRUNCATE {table}")
    assert await contents(one) == before


NOTE = (
    "INSERT INTO credit_note VALUES ('t', 'cn_x', 'CN-000002', 'inv_paid', 'acme', 'USD', 7, '', now(), "
    """'{{"taxes": [], "lines": {lines}}}')"""
)
NOTE_LINE = "INSERT INTO credit_note_line VALUES ('t', '{note}', 9, 'inv_paid', 1, 7, NULL, '')"
OPENED = "state = 'open', number = 'N-1', finalized_at = now(), due_at = now()"
CREDITED = "UPDATE invoice SET credited = credited + 7 WHERE id = 'inv_paid'"


UNTRUE: Sequence[Sequence[str]] = (
    # Sums that are not those of payments and credit notes.
    ["INSERT INTO payment VALUES ('t', 'p', 'inv_open', 5, '', '', now())"],
    ["UPDATE invoice SET paid = 5 WHERE id = 'inv_open'"],
    ["UPDATE invoice SET credited = 5 WHERE id = 'inv_open'"],
    ["INSERT INTO payment VALUES ('t', 'p', 'inv_nobody', 5, '', '', now())"],
    [NOTE.format(lines=1), NOTE_LINE.format(note="cn_x")],
    # A credit note that has not the lines that it came with.
    [NOTE.format(lines=1), CREDITED],
    ["INSERT INTO credit_note_line SELECT tenant, id, 9, invoice, 1, 0, NULL, '' FROM credit_note"],
    [NOTE_LINE.format(note="cn_nobody")],
    # Numbers that nobody bears, or that come back.
    ["UPDATE invoice_series SET last = last + 1"],
    ["UPDATE invoice_series SET last = last - 1"],
    ["DELETE FROM invoice_series"],
    ["INSERT INTO invoice_series VALUES ('t', 'NEW', 1)"],
    # States that say what is not so, or that go back.
    ["UPDATE invoice SET state = 'paid', paid_at = now() WHERE id = 'inv_open'"],
    ["UPDATE invoice SET state = 'void', voided_at = now() WHERE id = 'inv_paid'"],
    ["UPDATE invoice SET state = 'void', voided_at = now() WHERE id = 'inv_part'"],
    ["UPDATE invoice SET state = 'void' WHERE id = 'inv_open'"],
    ["UPDATE invoice SET state = 'open', voided_at = NULL WHERE id = 'inv_void'"],
    ["UPDATE invoice SET voided_at = now() WHERE id = 'inv_void'"],
    ["UPDATE invoice SET paid_at = now() WHERE id = 'inv_paid'"],
    ["UPDATE invoice SET state = 'open', paid_at = NULL WHERE id = 'inv_paid'"],
    ["UPDATE invoice SET state = 'open' WHERE id = 'inv_bad'"],
    ["UPDATE invoice SET state = 'uncollectible', paid_at = NULL WHERE id = 'inv_zero'"],
    ["UPDATE invoice SET paid = paid - 1 WHERE id = 'inv_part'"],
    # Drafts that are closed, or begin, as what they are not.
    ["UPDATE invoice SET state = 'open' WHERE id = 'inv_draft'"],
    ["UPDATE invoice SET number = 'INV-000099' WHERE id = 'inv_draft'"],
    [f"UPDATE invoice SET subtotal = 9, {OPENED} WHERE id = 'inv_draft'"],
    [f"UPDATE invoice SET total = 9, {OPENED} WHERE id = 'inv_draft'"],
    [f"UPDATE invoice SET discount = 9, {OPENED} WHERE id = 'inv_draft'"],
    ["CREATE TEMPORARY TABLE new ON COMMIT DROP AS SELECT * FROM invoice WHERE id = 'inv_open'",
     "UPDATE new SET id = 'inv_new', subscription = 'new', number = ''", "INSERT INTO invoice SELECT * FROM new"],
)  # fmt: skip


async def test_p6_what_is_not_so_is_not_written(one: Process) -> None:
    await all_states(one)
    before = await contents(one)
    for statements in UNTRUE:
        with pytest.raises(asyncpg.RestrictViolationError):
            await commit(one, *statements)
    assert await contents(one) == before


async def test_p6_a_line_is_not_slipped_into_an_invoice_that_is_being_finalized(one: Process) -> None:
    books = Books(one)
    await books.begin()
    await books.drafts(draft("inv_1", 100), draft("inv_2", 100))
    slip = SLIP.replace("inv_draft", "inv_2").replace("ID", "inv_1")
    async with one.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT FROM invoice WHERE id = 'inv_1' FOR UPDATE")  # who finalizes is here
        slipping = asyncio.create_task(commit(one, slip))
        await asyncio.sleep(0.1)
        await connection.execute(f"UPDATE invoice SET {OPENED} WHERE id = 'inv_1'")
        await transaction.commit()
    with pytest.raises(asyncpg.RestrictViolationError):
        await slipping
    closed = await books.store.get(TENANT, "inv_1")
    assert closed is not None
    assert (closed.state, len(closed.lines)) == (InvoiceState.OPEN, 1)
