"""Invoices: from a draft to a closed one, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.drafts import delete_drafts
from metergate.app.billing.invoices import Crediting, InvoiceQuery, Paying
from metergate.app.stores import Once
from metergate.domain import money
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, InvoiceState, LineKind, Tax
from metergate.domain.offer import BillingDetails, Seller
from metergate.domain.period import DAY, MINUTE, Window
from tests.integration.books import START, Books, draft, line
from tests.integration.processes import PRINCIPAL, TENANT, Process

PAID, OPEN, VOID, UNCOLLECTIBLE = (
    InvoiceState.PAID, InvoiceState.OPEN, InvoiceState.VOID, InvoiceState.UNCOLLECTIBLE,
)  # fmt: skip
VAT = Tax("vat", Decimal(20), False, 10_000, 2_000, "VAT")
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
OTHER_LOGO = LOGO.replace(b"4", b"3")
SELLER = Seller("Gate Ltd", ("1 Road", "Town"), ("GB1",), "a@b.example", LOGO, series="GATE", due_days=30)
BUYER = BillingDetails("Acme Inc", ("2 Lane",), "GB", tax_ids=("GB2",), tax_exempt=True)


@pytest.fixture
async def books(one: Process) -> Books:
    made = Books(one)
    await made.begin()
    return made


async def opened(books: Books, *amounts: int, id: str = "inv_1", taxes: tuple[Tax, ...] = ()) -> str:
    """An open invoice."""
    await books.drafts(draft(id, *amounts, taxes=taxes))
    await books.invoices.finalize(PRINCIPAL, id)
    return id


async def refused(doing: Awaitable[object], reason: Reason) -> MetergateError:
    with pytest.raises(MetergateError) as caught:
        await doing
    assert caught.value.reason is reason
    return caught.value


def once(request_id: str, body: bytes = b"body") -> Once:
    return Once(request_id, body, lambda result: repr(result).encode())


async def test_a_draft_is_read_as_it_was_made(books: Books) -> None:
    used = replace(
        line(2, 30, 5), kind=LineKind.USAGE, plan="pro", version=3, price="calls", meter="calls", why="trial", tier=2,
        labels=(("region", "eu"), ("zone", "")), quantity=Decimal("1234.000000000001"),
        unit_amount=Decimal("0.0000025"), flat_amount=Decimal("1.5"), billed=Decimal("-7.1"),
    )  # fmt: skip
    made = draft("inv_1", 100, used, taxes=[VAT], notes="Thanks", metadata=(("order", "7"), ("zażółć", "ü")))
    assert await books.drafts(made, draft("inv_2")) == {"inv_1", "inv_2"}
    assert await books.invoices.get(PRINCIPAL, "inv_1") == made
    assert (await books.invoices.get(PRINCIPAL, "inv_2")).lines == ()


async def test_a_period_has_one_invoice(books: Books) -> None:
    first, again = draft("inv_1", 100), draft("inv_2", 200, subscription="sub_inv_1")
    assert await books.drafts(first) == {"inv_1"}
    assert await books.drafts(again, draft("inv_3", 5)) == {"inv_3"}
    assert await books.invoices.get(PRINCIPAL, "inv_1") == first
    assert await books.one.fetch("SELECT DISTINCT invoice FROM invoice_line ORDER BY 1") == [("inv_1",), ("inv_3",)]


async def test_a_draft_is_made_anew_and_a_closed_one_is_not(books: Books) -> None:
    await books.drafts(draft("inv_1", 100), draft("inv_2", 100))
    closed = await books.invoices.finalize(PRINCIPAL, "inv_2")
    async with books.one.engine.begin() as connection:
        await delete_drafts(await driver(connection), TENANT, ["inv_1", "inv_2"])
    anew = [draft("inv_1", 70, 7), draft("inv_2", 70)]
    assert await books.drafts(*anew) == {"inv_1"}
    assert await books.invoices.get(PRINCIPAL, "inv_1") == anew[0]
    assert await books.invoices.get(PRINCIPAL, "inv_2") == closed


async def test_an_invoice_bears_the_taxes_of_the_buyer_that_stands_on_it(books: Books) -> None:
    """Who buys may be said, or be exempt, after the draft was made."""
    late, exempt = draft("inv_1", 100, 101), draft("inv_2", 10_000, taxes=[VAT], customer="exempt")
    await books.one.customer("exempt")
    await books.drafts(late, exempt)
    for customer, body in (("acme", '{"tax_rates": ["vat"]}'), ("exempt", '{"tax_exempt": true}')):
        await books.one.fetch("DELETE FROM billing_details WHERE customer = $1", customer)
        await books.one.fetch("INSERT INTO billing_details VALUES ('t', $1, $2::text::jsonb)", customer, body)
    closed = await books.invoices.finalize(PRINCIPAL, "inv_1")
    assert ([tax.amount for tax in closed.taxes], closed.total, closed.due) == ([40], 241, 241)
    assert await books.invoices.get(PRINCIPAL, "inv_1") == closed
    free = await books.invoices.finalize(PRINCIPAL, "inv_2")
    assert (free.taxes, free.total, free.buyer.tax_exempt) == ((), 10_000, True)
    await books.drafts(draft("inv_3", 5))
    await books.one.fetch("""UPDATE billing_details SET body = '{"tax_rates": ["gone"]}'""")
    await refused(books.invoices.finalize(PRINCIPAL, "inv_3"), Reason.FIELD_INVALID)


async def test_finalizing_freezes_the_number_and_who_sells_and_buys(one: Process) -> None:
    books = Books(one)
    await books.begin(SELLER)
    details = orjson.dumps(
        {"name": "Acme Inc", "address": ["2 Lane"], "country": "GB", "tax_ids": ["GB2"], "tax_exempt": True}
    )
    await one.fetch("INSERT INTO billing_details VALUES ('t', 'acme', $1::text::jsonb)", details.decode())
    await books.drafts(draft("inv_1", 100), draft("inv_2", 100))
    before = await one.now()
    closed = await books.invoices.finalize(PRINCIPAL, "inv_1")
    assert (closed.state, closed.number, closed.seller, closed.buyer) == (OPEN, "GATE-000001", SELLER, BUYER)
    assert closed.finalized_at is not None
    assert before <= closed.finalized_at <= await one.now()
    assert (closed.due_at, closed.due) == (closed.finalized_at + 30 * DAY, 100)
    await one.fetch("""UPDATE billing_details SET body = '{"name": "Another"}'""")
    await books.begin(replace(SELLER, name="Other Ltd", logo=OTHER_LOGO, series="OTHER"))
    assert await books.invoices.get(PRINCIPAL, "inv_1") == closed
    second = await books.invoices.finalize(PRINCIPAL, "inv_2")
    assert (second.number, second.seller.logo, second.buyer.name) == ("OTHER-000001", OTHER_LOGO, "Another")
    assert await one.fetch("SELECT count(*) FROM invoice_logo") == [(2,)]


async def test_the_seller_of_another_process_is_the_one_in_force(one: Process, books: Books) -> None:
    await one.directory.catalog(TENANT)  # is remembered, and nobody tells of the change
    await one.fetch("UPDATE tenant SET offer = jsonb_set(offer, '{seller}', '{\"name\": \"New\"}')")
    await books.drafts(draft("inv_1", 100))
    assert (await books.invoices.finalize(PRINCIPAL, "inv_1")).seller.name == "New"


async def test_finalizing_twice_is_refused_but_for_a_repeat(books: Books) -> None:
    await books.drafts(draft("inv_1", 100), draft("inv_2", 100))
    first = once("r")
    closed = await books.invoices.finalize(PRINCIPAL, "inv_1", first)
    assert first.answer is None
    repeat = once("r")
    assert await books.invoices.finalize(PRINCIPAL, "inv_1", repeat) == closed
    assert repeat.answer == repr(closed).encode()
    error = await refused(books.invoices.finalize(PRINCIPAL, "inv_1"), Reason.INVOICE_STATE)
    assert error.metadata == {"invoice": "inv_1", "state": "OPEN"}
    await refused(books.invoices.finalize(PRINCIPAL, "inv_2", once("r", b"other")), Reason.REQUEST_ID_REUSED)
    assert (await books.invoices.finalize(PRINCIPAL, "inv_2")).number == "INV-000002"


async def test_nothing_to_pay_is_paid_at_once(books: Books) -> None:
    await books.drafts(draft("inv_zero", line(1, 100, 100)), draft("inv_less", 100, -250), draft("inv_empty"))
    for id_ in ("inv_zero", "inv_less", "inv_empty"):
        closed = await books.invoices.finalize(PRINCIPAL, id_)
        assert (closed.state, closed.paid, closed.due, closed.paid_at) == (PAID, 0, 0, closed.finalized_at)
        assert await books.invoices.get(PRINCIPAL, id_) == closed
        for doing in (
            books.invoices.pay(PRINCIPAL, id_, Paying(None)), books.invoices.void(PRINCIPAL, id_),
            books.invoices.mark_uncollectible(PRINCIPAL, id_),
        ):  # fmt: skip
            await refused(doing, Reason.INVOICE_STATE)
        await refused(books.invoices.credit(PRINCIPAL, id_, Crediting(None, "")), Reason.CREDIT_TOO_LARGE)


async def test_an_invoice_is_paid_whole_or_in_parts(books: Books) -> None:
    whole, parts = await opened(books, 21_900), await opened(books, 21_900, id="inv_2")
    paid = await books.invoices.pay(PRINCIPAL, whole, Paying(None, "transfer", "7/2026"))
    assert (paid.state, paid.paid, paid.due, paid.paid_at is None) == (PAID, 21_900, 0, False)
    assert await books.invoices.get(PRINCIPAL, whole) == paid
    first = await books.invoices.pay(PRINCIPAL, parts, Paying(1_900, currency="USD"))
    assert (first.state, first.paid, first.due, first.paid_at) == (OPEN, 1_900, 20_000, None)
    await books.invoices.pay(PRINCIPAL, parts, Paying(19_999))
    last = await books.invoices.pay(PRINCIPAL, parts, Paying(1))
    assert (last.state, last.paid, last.due) == (PAID, 21_900, 0)
    assert [one.amount for one in await books.invoices.payments(PRINCIPAL, parts)] == [1_900, 19_999, 1]
    (one,) = await books.invoices.payments(PRINCIPAL, whole)
    assert (one.invoice, one.amount, one.method, one.reference) == (whole, 21_900, "transfer", "7/2026")
    assert one.paid_at == paid.paid_at


async def test_bad_payments_change_nothing(books: Books) -> None:
    id_ = await opened(books, 21_900)
    await books.invoices.pay(PRINCIPAL, id_, Paying(1_900))
    error = await refused(books.invoices.pay(PRINCIPAL, id_, Paying(20_001)), Reason.PAYMENT_TOO_LARGE)
    assert error.metadata == {"invoice": id_, "due": "200.00"}
    for amount in (0, -1):
        error = await refused(books.invoices.pay(PRINCIPAL, id_, Paying(amount)), Reason.FIELD_INVALID)
        assert error.field == "amount"
    await refused(books.invoices.pay(PRINCIPAL, id_, Paying(5, currency="EUR")), Reason.CURRENCY_MISMATCH)
    for text, currency in (("1.234", "USD"), ("0.5", "JPY"), ("1.2345", "KWD")):
        with pytest.raises(MetergateError, match="more decimals"):
            money.parse_amount(text, currency, "amount")
    assert (await books.invoices.get(PRINCIPAL, id_)).paid == 1_900
    await books.drafts(draft("inv_draft", 5))
    await refused(books.invoices.pay(PRINCIPAL, "inv_draft", Paying(5)), Reason.INVOICE_STATE)


async def test_a_payment_counts_once(books: Books) -> None:
    id_ = await opened(books, 100)
    repeats = [once("r") for _ in range(5)]
    await asyncio.gather(*(books.invoices.pay(PRINCIPAL, id_, Paying(30), one) for one in repeats))
    assert (await books.invoices.get(PRINCIPAL, id_)).paid == 30
    assert sum(one.answer is None for one in repeats) == 1


async def test_payments_at_once_never_pay_too_much(books: Books) -> None:
    id_ = await opened(books, 100)
    paying = [books.invoices.pay(PRINCIPAL, id_, Paying(30)) for _ in range(6)]
    results = await asyncio.gather(*paying, return_exceptions=True)
    assert [one.reason for one in results if isinstance(one, MetergateError)] == [Reason.PAYMENT_TOO_LARGE] * 3
    assert (await books.invoices.get(PRINCIPAL, id_)).paid == 90


async def test_a_void_invoice_keeps_its_number_and_owes_nothing(books: Books) -> None:
    id_ = await opened(books, 100)
    void = await books.invoices.void(PRINCIPAL, id_)
    assert (void.state, void.number, void.due, void.voided_at is None) == (VOID, "INV-000001", 0, False)
    assert await books.invoices.get(PRINCIPAL, id_) == void
    for doing in (
        books.invoices.void(PRINCIPAL, id_), books.invoices.pay(PRINCIPAL, id_, Paying(None)),
        books.invoices.mark_uncollectible(PRINCIPAL, id_), books.invoices.finalize(PRINCIPAL, id_),
        books.invoices.credit(PRINCIPAL, id_, Crediting(None, "")),
    ):  # fmt: skip
        await refused(doing, Reason.INVOICE_STATE)


async def test_what_was_paid_is_not_voided(books: Books) -> None:
    paid, partly, credited = [await opened(books, 100, id=f"inv_{number}") for number in range(3)]
    await books.invoices.pay(PRINCIPAL, paid, Paying(None))
    await books.invoices.pay(PRINCIPAL, partly, Paying(1))
    await books.invoices.credit(PRINCIPAL, credited, Crediting([CreditLine(1, 1)], ""))
    for id_, state in ((paid, "PAID"), (partly, "OPEN"), (credited, "OPEN")):
        error = await refused(books.invoices.void(PRINCIPAL, id_), Reason.INVOICE_STATE)
        assert error.metadata == {"invoice": id_, "state": state}
    await books.drafts(draft("inv_draft", 5))
    await refused(books.invoices.void(PRINCIPAL, "inv_draft"), Reason.INVOICE_STATE)


async def test_an_uncollectible_one_may_still_be_paid_or_voided(books: Books) -> None:
    paid, void = await opened(books, 100), await opened(books, 100, id="inv_2")
    for id_ in (paid, void):
        marked = await books.invoices.mark_uncollectible(PRINCIPAL, id_)
        assert (marked.state, marked.due) == (UNCOLLECTIBLE, 0)
        await refused(books.invoices.mark_uncollectible(PRINCIPAL, id_), Reason.INVOICE_STATE)
    assert (await books.invoices.pay(PRINCIPAL, paid, Paying(40))).state is UNCOLLECTIBLE
    await refused(books.invoices.pay(PRINCIPAL, paid, Paying(61)), Reason.PAYMENT_TOO_LARGE)
    assert (await books.invoices.pay(PRINCIPAL, paid, Paying(None))).state is PAID
    assert (await books.invoices.void(PRINCIPAL, void)).state is VOID


async def test_a_credit_note_for_the_whole_gives_back_all_with_its_taxes(books: Books) -> None:
    id_ = await opened(books, 7_500, 2_500, taxes=(VAT,))
    await books.invoices.pay(PRINCIPAL, id_, Paying(None))
    note = await books.invoices.credit(PRINCIPAL, id_, Crediting(None, "All was wrong"))
    assert (note.number, note.total, note.reason, note.currency) == ("CN-000001", 12_000, "All was wrong", "USD")
    assert [(one.line, one.amount) for one in note.lines] == [(1, 7_500), (2, 2_500)]
    assert [tax.amount for tax in note.taxes] == [2_000]
    assert await books.invoices.credit_notes(PRINCIPAL, id_) == [note]
    after = await books.invoices.get(PRINCIPAL, id_)
    assert (after.state, after.paid, after.credited, after.number) == (PAID, 12_000, 12_000, "INV-000001")
    await refused(books.invoices.credit(PRINCIPAL, id_, Crediting(None, "")), Reason.CREDIT_TOO_LARGE)


async def test_credit_notes_by_line_lower_what_is_due(books: Books) -> None:
    id_ = await opened(books, 7_500, 2_500, taxes=(VAT,))
    first = await books.invoices.credit(
        PRINCIPAL, id_, Crediting([CreditLine(2, 500, "a part", Decimal(5))], "", "USD")
    )
    assert (first.total, (await books.invoices.get(PRINCIPAL, id_)).due) == (600, 11_400)
    await refused(books.invoices.pay(PRINCIPAL, id_, Paying(11_401)), Reason.PAYMENT_TOO_LARGE)
    await refused(books.invoices.credit(PRINCIPAL, id_, Crediting([CreditLine(2, 2_001)], "")), Reason.CREDIT_TOO_LARGE)
    error = await refused(
        books.invoices.credit(PRINCIPAL, id_, Crediting([CreditLine(9, 1)], "")), Reason.FIELD_INVALID
    )
    assert error.field == "lines[0].line"
    await refused(books.invoices.credit(PRINCIPAL, id_, Crediting(None, "", "EUR")), Reason.CURRENCY_MISMATCH)
    second = await books.invoices.credit(PRINCIPAL, id_, Crediting(None, "the rest"))
    assert (second.number, second.total) == ("CN-000002", 11_400)
    after = await books.invoices.get(PRINCIPAL, id_)
    assert (after.state, after.paid, after.credited, after.due) == (PAID, 0, 12_000, 0)
    assert await books.invoices.credit_notes(PRINCIPAL, id_) == [first, second]


async def test_a_credit_note_by_amount_is_spread_over_the_lines(books: Books) -> None:
    id_ = await opened(books, 7_500, 2_500, taxes=(VAT,))
    note = await books.invoices.credit(PRINCIPAL, id_, Crediting(None, "", amount=1_001))
    assert [(one.line, one.amount) for one in note.lines] == [(1, 751), (2, 250)]
    assert note.total == 1_001 + 200
    too_much = Crediting(None, "", amount=10_000 - 1_001 + 1)
    await refused(books.invoices.credit(PRINCIPAL, id_, too_much), Reason.CREDIT_TOO_LARGE)
    await refused(books.invoices.credit(PRINCIPAL, id_, Crediting(None, "", amount=0)), Reason.FIELD_INVALID)


async def test_a_credit_note_is_made_once(books: Books) -> None:
    id_ = await opened(books, 100)
    crediting = Crediting([CreditLine(1, 60)], "")
    note = await books.invoices.credit(PRINCIPAL, id_, crediting, once("r"))
    assert await books.invoices.credit(PRINCIPAL, id_, crediting, once("r")) == note
    await refused(books.invoices.credit(PRINCIPAL, id_, crediting), Reason.CREDIT_TOO_LARGE)
    await books.drafts(draft("inv_draft", 5))
    await refused(books.invoices.credit(PRINCIPAL, "inv_draft", Crediting(None, "")), Reason.INVOICE_STATE)


async def test_invoices_of_another_tenant_are_not_there(books: Books) -> None:
    id_ = await opened(books, 100)
    stranger, invoices = Principal("other", "tests", "key"), books.invoices
    for other in (stranger, PRINCIPAL):
        asked = id_ if other is stranger else "inv_nobody"
        for doing in (
            invoices.get(other, asked), invoices.finalize(other, asked), invoices.pay(other, asked, Paying(None)),
            invoices.void(other, asked), invoices.mark_uncollectible(other, asked), invoices.payments(other, asked),
            invoices.credit(other, asked, Crediting(None, "")), invoices.credit_notes(other, asked),
        ):  # fmt: skip
            assert (await refused(doing, Reason.INVOICE_NOT_FOUND)).metadata == {"invoice": asked}
    assert await invoices.list(stranger, InvoiceQuery("", "", None, None, 10)) == []
    assert (await invoices.get(PRINCIPAL, id_)).state is OPEN


async def test_lists_go_by_period_and_what_is_asked_for(books: Books) -> None:
    await books.one.customer("beta")
    made = [
        draft(f"inv_{number}", number, customer="acme" if number % 2 else "beta", subscription=f"sub_{number % 3}")
        for number in range(6)
    ]
    made = [replace(one, period=Window(START, START + (number // 2 + 1) * DAY)) for number, one in enumerate(made)]
    await books.drafts(*made)
    await books.invoices.finalize(PRINCIPAL, "inv_3")

    async def ids(customer: str = "", subscription: str = "", state: InvoiceState | None = None) -> list[str]:
        found, after = [], None
        while page := await books.invoices.list(PRINCIPAL, InvoiceQuery(customer, subscription, state, after, 2)):
            assert all(one.lines == () for one in page)
            found += [one.id for one in page]
            after = (page[-1].period.end, page[-1].id)
        return found

    assert await ids() == ["inv_5", "inv_4", "inv_3", "inv_2", "inv_1", "inv_0"]
    assert await ids("acme") == ["inv_5", "inv_3", "inv_1"]
    assert await ids(subscription="sub_0") == ["inv_3", "inv_0"]
    assert await ids(state=OPEN) == ["inv_3"]
    assert await ids("beta", state=OPEN) == []
    await refused(ids("nobody"), Reason.CUSTOMER_NOT_FOUND)


async def test_due_drafts_are_finalized_by_themselves(books: Books) -> None:
    later = await books.one.now() + 10 * MINUTE
    await books.drafts(*[draft(f"inv_{n}", 100 + n) for n in range(5)], draft("inv_later", 1, finalize_at=later))
    await books.due.work()
    found = await books.one.fetch("SELECT id, state, number <> '' FROM invoice ORDER BY id")
    assert found == [(f"inv_{n}", "open", True) for n in range(5)] + [("inv_later", "draft", False)]


async def test_a_draft_that_cannot_be_finalized_delays_no_other(books: Books) -> None:
    await books.drafts(*[draft(f"inv_{n}", 100) for n in range(3)])
    await books.one.fetch("UPDATE invoice SET subtotal = 5 WHERE id = 'inv_1'")
    await books.due.work()
    found = await books.one.fetch("SELECT id, number, finalize_at > now() FROM invoice ORDER BY id")
    assert found == [("inv_0", "INV-000001", False), ("inv_1", "", True), ("inv_2", "INV-000002", False)]


async def test_a_customer_whose_head_is_held_delays_no_other(books: Books) -> None:
    await books.one.customer("beta")
    await books.drafts(draft("inv_1", 100), draft("inv_2", 100, customer="beta"))
    async with books.one.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM customer_head WHERE customer = 'acme' FOR UPDATE")
        await books.due.work()
    assert await books.one.fetch("SELECT id FROM invoice WHERE state = 'open'") == [("inv_2",)]
    await books.due.work()
    assert await books.one.fetch("SELECT count(*) FROM invoice WHERE state = 'open'") == [(2,)]


async def test_news_of_invoices_come_with_the_commit_that_makes_them(books: Books) -> None:
    async def told() -> list[tuple[str, str, str, int]]:
        rows = await books.one.fetch(
            "SELECT kind, body, customer, seq, place FROM outbox ORDER BY customer, seq, place"
        )
        return [
            (kind, one["invoice"]["id"], one["invoice"]["state"], place)
            for kind, body, customer, seq, place in rows
            for one in [orjson.loads(body)["data"]]
            if (one["customer"], one["seq"]) == (customer, seq)
        ]

    await opened(books, 100, id="inv_0")
    assert await told() == []  # nobody wants to know
    await books.one.fetch(
        "INSERT INTO webhook_endpoint (tenant, endpoint, url, kinds, description, enabled, disabled_reason, secret, "
        "since, created_at) VALUES ('t', 'e', 'https://x.example', $1::text[], '', true, '', 's', "
        "array_fill(now(), ARRAY[cardinality($1::text[])]), now())",
        ["invoice.finalized", "invoice.paid", "invoice.voided"],
    )
    await books.drafts(draft("inv_1", 100), draft("inv_2", 0), draft("inv_3", 100))
    await books.due.work()
    await books.invoices.pay(PRINCIPAL, "inv_1", Paying(99))
    await books.invoices.pay(PRINCIPAL, "inv_1", Paying(1))
    await books.invoices.void(PRINCIPAL, "inv_3")
    assert await told() == [
        ("invoice.finalized", "inv_1", "OPEN", 0), ("invoice.finalized", "inv_2", "PAID", 1),
        ("invoice.finalized", "inv_3", "OPEN", 2), ("invoice.paid", "inv_2", "PAID", 0),
        ("invoice.paid", "inv_1", "PAID", 0), ("invoice.voided", "inv_3", "VOID", 0),
    ]  # fmt: skip
    last = orjson.loads((await books.one.fetch("SELECT body FROM outbox ORDER BY seq DESC LIMIT 1"))[0][0])
    assert last["data"]["invoice"] | {"total": "1.00", "due": "1.00", "paid": "0.00"} == last["data"]["invoice"]
