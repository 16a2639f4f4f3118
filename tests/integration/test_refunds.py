"""No refund twice: what a later invoice gave back of an earlier one is not credited again, nor made void."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.earlier import _WITHIN, load_others
from metergate.app.billing.close_ports import BillingSnapshot
from metergate.app.billing.invoices import Crediting, Paying
from metergate.app.billing.subscribe import Changed
from metergate.domain import money
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, Invoice, InvoiceState, Line, LineKind
from metergate.domain.period import DAY, Window
from metergate.domain.subscription import Subscription
from tests.integration.biller import Biller, of_kind, short
from tests.integration.books import Books, draft
from tests.integration.processes import PRINCIPAL, TENANT, Process, Start

WHOLE = Crediting(None, "")


@pytest.fixture
async def biller(one: Process) -> Biller:
    return await Biller.of(one)


@pytest.fixture
def books(biller: Biller) -> Books:
    return Books(biller.one)


async def refused(doing: Awaitable[object], reason: Reason) -> MetergateError:
    with pytest.raises(MetergateError) as caught:
        await doing
    assert caught.value.reason is reason
    return caught.value


async def first_invoice(biller: Biller, books: Books) -> tuple[Subscription, Invoice]:
    """A subscription, and its first invoice: a month of `pro` in advance, 20.00, half of which is over."""
    subscription = await biller.subscribed(days=15)
    await biller.closer.close()
    (first,) = await biller.invoices()
    assert short(first) == [("flat", "base", Decimal(1), 2000)]
    return subscription, await books.invoices.finalize(PRINCIPAL, first.id)


async def upgraded(biller: Biller, books: Books) -> tuple[Invoice, Invoice, int]:
    """The first invoice and the draft of the next, which gives so much of it back."""
    subscription, first = await first_invoice(biller, books)
    await biller.subscriptions.change(PRINCIPAL, subscription.id, Changed([("team", 0, Decimal(1))]))
    await biller.closer.close(now=biller.now + 20 * DAY)
    _, second = await biller.invoices()
    given = -of_kind(second.lines, LineKind.PRORATION)[0].amount
    assert 0 < given < 2000 < second.total
    return first, second, given


def usd(minor: int) -> str:
    return money.to_text(minor, "USD")


async def test_p6_what_an_upgrade_gave_back_is_not_credited_again(biller: Biller, books: Books) -> None:
    first, second, given = await upgraded(biller, books)
    for _ in range(2):  # a draft gives back as well as a closed one
        error = await refused(
            books.invoices.credit(PRINCIPAL, first.id, Crediting([CreditLine(1, 2001 - given)], "")),
            Reason.CREDIT_TOO_LARGE,
        )
        assert error.metadata == {
            "field": "lines[0].amount", "invoice": first.id, "line": "1", "left": usd(2000 - given),
        }  # fmt: skip
        assert error.message.endswith("another invoice gave the rest back")
        error = await refused(
            books.invoices.credit(PRINCIPAL, first.id, Crediting(None, "", amount=2001 - given)),
            Reason.CREDIT_TOO_LARGE,
        )
        assert error.metadata == {"field": "amount", "invoice": first.id, "left": usd(2000 - given)}
        error = await refused(books.invoices.void(PRINCIPAL, first.id), Reason.INVOICE_STATE)
        assert error.metadata == {"invoice": first.id, "state": "OPEN"}
        assert "later invoice gave a part of it back" in error.message
        if second.state is InvoiceState.DRAFT:
            second = await books.invoices.finalize(PRINCIPAL, second.id)
    note = await books.invoices.credit(PRINCIPAL, first.id, WHOLE)
    assert (note.total, [(one.line, one.amount) for one in note.lines]) == (2000 - given, [(1, 2000 - given)])
    await refused(books.invoices.credit(PRINCIPAL, first.id, WHOLE), Reason.CREDIT_TOO_LARGE)
    again = await books.invoices.credit(PRINCIPAL, second.id, WHOLE)
    assert again.total == second.total
    assert (await books.invoices.credit(PRINCIPAL, first.id, WHOLE)).total == given
    for one in (first, second):
        assert (await books.invoices.get(PRINCIPAL, one.id)).credited == one.total


async def test_p6_a_draft_that_was_made_before_the_credit_gives_back_what_is_not_credited(
    biller: Biller, books: Books
) -> None:
    first, second, given = await upgraded(biller, books)
    assert (await books.invoices.credit(PRINCIPAL, first.id, WHOLE)).total == 2000 - given
    closed = await books.invoices.finalize(PRINCIPAL, second.id)
    assert closed.lines == second.lines
    await refused(books.invoices.credit(PRINCIPAL, first.id, WHOLE), Reason.CREDIT_TOO_LARGE)


async def test_p6_what_a_void_invoice_gave_back_is_credited_by_hand_and_by_no_later_invoice(
    biller: Biller, books: Books
) -> None:
    first, second, _ = await upgraded(biller, books)
    await books.invoices.finalize(PRINCIPAL, second.id)
    await books.invoices.void(PRINCIPAL, second.id)
    await biller.closer.close(now=biller.now + 50 * DAY)
    *_, third = await biller.invoices()
    assert third.id not in (first.id, second.id)
    assert not of_kind(third.lines, LineKind.PRORATION, LineKind.CARRIED)
    assert (await books.invoices.credit(PRINCIPAL, first.id, WHOLE)).total == 2000


async def test_p6_usage_that_was_voided_is_not_given_back_twice(biller: Biller, books: Books) -> None:
    await biller.subscribed(days=75)
    used = await biller.use("calls", 130, 60)
    await biller.use("calls", 40, 60)
    await biller.closer.close(now=biller.now - 40 * DAY)
    _, billed = await biller.invoices()
    billed = await books.invoices.finalize(PRINCIPAL, billed.id)
    calls = [line for line in billed.lines if line.price == "calls"]
    assert [line.amount for line in calls] == [1000, 350]
    await biller.one.void(used)
    await biller.closer.close()
    *_, later = await biller.invoices()
    assert [(line.quantity, line.amount) for line in of_kind(later.lines, LineKind.LATE)] == [(Decimal(-130), -950)]
    await refused(books.invoices.void(PRINCIPAL, billed.id), Reason.INVOICE_STATE)
    number = calls[0].number
    too_many, all_left = [Crediting([CreditLine(number, 100, "", Decimal(count))], "") for count in (41, 40)]
    error = await refused(books.invoices.credit(PRINCIPAL, billed.id, too_many), Reason.CREDIT_TOO_LARGE)
    named = {"field": "lines[0].quantity", "invoice": billed.id, "line": str(number), "left": "40"}
    assert error.metadata == named
    await books.invoices.credit(PRINCIPAL, billed.id, all_left)
    rest = await books.invoices.credit(PRINCIPAL, billed.id, WHOLE)
    assert rest.total == billed.total - 950 - 100
    assert sum(one.amount for one in rest.lines if one.line in [line.number for line in calls]) == 1350 - 950 - 100


async def test_p6_both_invoices_credited_at_once_by_two_processes_give_back_what_was_charged(
    biller: Biller, books: Books, start: Start
) -> None:
    first, second, given = await upgraded(biller, books)
    second = await books.invoices.finalize(PRINCIPAL, second.id)
    other = Books(await start())
    back = next(line for line in second.lines if line.kind is LineKind.PRORATION and line.amount < 0)
    charge = next(line for line in second.lines if line.kind is LineKind.FLAT)
    parts = [
        *[(first.id, Crediting(None, "", amount=given // 2 + number)) for number in range(4)],
        (second.id, Crediting([CreditLine(charge.number, 700), CreditLine(back.number, -given // 2)], "")),
        (second.id, Crediting([CreditLine(charge.number, 900), CreditLine(back.number, -given // 3)], "")),
    ]
    doing = [one.invoices.credit(PRINCIPAL, id_, crediting) for id_, crediting in parts for one in (books, other)]
    found = await asyncio.gather(*doing, return_exceptions=True)
    assert {one.reason for one in found if isinstance(one, MetergateError)} == {Reason.CREDIT_TOO_LARGE}
    assert len([one for one in found if not isinstance(one, BaseException)]) > 1
    taken = {id_: await books.invoices.credit_notes(PRINCIPAL, id_) for id_ in (first.id, second.id)}
    of_first = sum(line.amount for note in taken[first.id] for line in note.lines)
    taken_back = sum(line.amount for note in taken[second.id] for line in note.lines if line.line == back.number)
    assert 2000 - given - of_first - taken_back >= 0


@pytest.mark.parametrize("void", [False, True])
async def test_p6_what_is_credited_while_a_period_is_closed_is_not_given_back_by_it(
    biller: Biller, books: Books, void: bool
) -> None:
    """Between the look and the save of the close that would have given it back."""
    subscription, first = await first_invoice(biller, books)
    await biller.subscriptions.change(PRINCIPAL, subscription.id, Changed([("team", 0, Decimal(1))]))
    reader = biller.reader
    came = False

    class Interrupted:
        @asynccontextmanager
        async def snapshot(self, tenant: str, customers: Sequence[str]) -> AsyncGenerator[BillingSnapshot]:
            async with reader.snapshot(tenant, customers) as snapshot:
                yield snapshot
            nonlocal came
            if not came:
                came = True
                if void:
                    await books.invoices.void(PRINCIPAL, first.id)
                else:
                    await books.invoices.credit(PRINCIPAL, first.id, WHOLE)

    biller.closer._reader = Interrupted()
    await biller.closer.close(now=biller.now + 20 * DAY)
    assert came
    _, second = await biller.invoices()
    assert of_kind(second.lines, LineKind.PRORATION)[0].amount == 0


async def test_a_payment_or_a_repeat_is_as_it_was(biller: Biller, books: Books) -> None:
    first, _, given = await upgraded(biller, books)
    assert (await books.invoices.pay(PRINCIPAL, first.id, Paying(None))).paid == 2000
    assert (await books.invoices.credit(PRINCIPAL, first.id, WHOLE)).total == 2000 - given
    await refused(books.invoices.void(PRINCIPAL, first.id), Reason.INVOICE_STATE)


async def test_other_invoices_are_read_as_far_as_they_are_of_the_same_prices_and_windows(books: Books) -> None:
    whole, half, other = Window(0, 30 * DAY), Window(15 * DAY, 30 * DAY), Window(30 * DAY, 60 * DAY)

    def line(number: int, price: str, window: Window) -> Line:
        return Line(number, LineKind.FLAT, "", 100, window, "pro", 1, price, quantity=Decimal(1))

    mine = draft("inv_1", line(1, "base", whole), line(2, "seats", half), line(3, "base", half), subscription="s")
    within = [line(1, "base", half), line(2, "base", other), line(3, "seats", whole), line(4, "seats", half)]
    before = draft("inv_2", *within, subscription="s")
    before = replace(before, period=Window(before.period.start - DAY, before.period.start))
    await books.drafts(mine, before, draft("inv_3", line(1, "base", half)))
    async with books.one.engine.begin() as connection:
        raw = await driver(connection)
        (found,) = await load_others(raw, TENANT, mine)
        assert (found.id, found.period, [one.number for one in found.lines]) == ("inv_2", before.period, [1, 4])
        await raw.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        columns = ["base"], [whole.start], [whole.end]
        plan = await raw.fetch(f"EXPLAIN {_WITHIN}", TENANT, "s", *columns, "inv_1")
    text = "\n".join(row[0] for row in plan)
    assert "using invoice_line_window" in text
    (condition,) = [row[0] for row in plan if "Index Cond" in row[0]]
    for column in ("tenant", "subscription", "price", "window_start >=", "window_start <="):
        assert column in condition
