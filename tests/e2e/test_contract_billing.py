"""Billing as clients meet it: subscriptions, their limits, and invoices to the last payment."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from tests.e2e.billing import (
    CATALOG,
    amounts,
    close,
    consume,
    customer,
    days_ago,
    flat,
    invoices,
    opened,
    subscribe,
    use,
)
from tests.e2e.calls import Caller


@pytest.fixture
async def sold(api: Caller) -> Caller:
    """A tenant that sells plans."""
    await api("ApplyCatalog", catalog=CATALOG)
    return api


async def test_a_subscription_from_its_begin_to_its_end(sold: Caller) -> None:
    who = await customer(sold, time_zone="Asia/Kathmandu")
    made = await subscribe(sold, who, "basic", "seats", request_id="r-1")
    assert await subscribe(sold, who, "basic", "seats", request_id="r-1") == made
    assert (made.state, made.currency, made.time_zone) == (3, "USD", "Asia/Kathmandu")
    assert [(one.plan, one.version, one.quantity) for one in made.items] == [("basic", 1, "1"), ("seats", 1, "1")]
    assert made.period_start_time == made.start_time == made.anchor_time
    changed = (await sold("ChangeSubscription", id=made.id, items=[{"plan": "big"}], at_period_end=True)).subscription
    assert [one.plan for one in changed.items] == ["basic", "seats"]
    assert [one.plan for one in changed.segments[-1].items] == ["big"]
    assert changed.segments[-1].start_time == made.period_end_time
    assert len((await sold("UndoSubscription", id=made.id)).subscription.segments) == 1
    assert (await sold("PauseSubscription", id=made.id)).subscription.state == 4
    assert (await sold("ResumeSubscription", id=made.id)).subscription.state == 3
    [coupon] = (await sold("ApplyCoupon", id=made.id, coupon="TENTH")).subscription.coupons
    assert coupon.coupon == "TENTH"
    ending = (await sold("CancelSubscription", id=made.id, at_period_end=True)).subscription
    assert (ending.state, ending.end_time) == (3, made.period_end_time)
    assert (await sold("CancelSubscription", id=made.id)).subscription.state == 5
    assert (await sold("GetSubscription", id=made.id)).subscription.state == 5
    assert [one.id for one in (await sold("ListSubscriptions", customer=who)).subscriptions] == [made.id]


async def test_a_trial_is_activated(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic", trial_days=14, cancel_after_trial=True)
    assert (made.state, made.end_time) == (2, made.trial_end_time)
    assert made.trial_end_time.seconds - made.start_time.seconds == 14 * 86_400
    active = (await sold("ActivateSubscription", id=made.id)).subscription
    assert active.state == 3
    assert not active.HasField("end_time")


async def test_limits_hold_with_the_commit_that_changes_them(sold: Caller) -> None:
    who = await customer(sold)
    assert (await consume(sold, who, "calls", 5)).allowed
    assert not (await consume(sold, who, "calls", 1)).allowed
    made = await subscribe(sold, who, "basic")
    assert (await consume(sold, who, "calls", 5)).allowed
    refused = await consume(sold, who, "calls", 1)
    assert (refused.allowed, refused.plan, refused.limits[0].max) == (False, "basic", "10")
    items = [{"plan": "big"}, {"plan": "seats", "quantity": "2"}]
    await sold("ChangeSubscription", id=made.id, items=items)
    assert (await consume(sold, who, "calls", 14)).allowed
    refused = await consume(sold, who, "calls", 1)
    assert (refused.allowed, refused.limits[0].max) == (False, "24")
    assert (await sold.refused("AssignPlan", customer=who, plan="euro")).reason == "PLAN_FROM_SUBSCRIPTION"
    await sold("CancelSubscription", id=made.id)
    assert (await consume(sold, who, "calls", 0)).plan == "default"
    assert not (await consume(sold, who, "calls", 1)).allowed


async def test_an_invoice_from_its_preview_to_its_credit_note(sold: Caller) -> None:
    who, start = await customer(sold), days_ago(33)
    details = {"name": "Payer GmbH", "address": ["Weg 1"], "country": "DE", "tax_ids": ["DE1"]}
    await sold("SetBillingDetails", customer=who, details=details)
    assert (await sold("GetBillingDetails", customer=who)).details.name == "Payer GmbH"
    await use(sold, who, start + timedelta(days=3), {"calls": 1_100})
    made = await subscribe(sold, who, "basic", start=start)
    first, second = await close(sold, made, made.period_start_time.ToDatetime(start.tzinfo))
    assert amounts(first) == {"base": "10.00"}
    assert amounts(second) == {"base": "10.00", "calls": "100.00"}
    assert (second.state, second.number) == (1, "")
    [tax] = second.taxes
    assert (tax.display_name, tax.percent, tax.taxable.text, tax.amount.text) == ("USt", "19", "110.00", "20.90")
    assert second.total.text == "130.90"
    noted = {"notes": "PO 7", "metadata": {"crm": "42"}, "request_id": "f-1"}
    invoice = (await sold("FinalizeInvoice", id=second.id, **noted)).invoice
    assert (await sold("FinalizeInvoice", id=second.id, **noted)).invoice == invoice
    assert (await sold("GetInvoice", id=second.id)).invoice == invoice
    assert (invoice.notes, dict(invoice.metadata)) == ("PO 7", {"crm": "42"})
    assert (invoice.state, invoice.number[:3], invoice.due.text) == (2, "EX-", "130.90")
    assert (invoice.buyer.name, invoice.seller.name) == ("Payer GmbH", "Example Ltd")
    part = {"currency": "USD", "text": "30.90"}
    paid = (await sold("PayInvoice", id=invoice.id, amount=part, method="transfer", reference="r")).invoice
    assert (paid.state, paid.paid.text, paid.due.text) == (2, "30.90", "100.00")
    line = next(one.number for one in invoice.lines if one.meter)
    taken = {"line": line, "amount": {"currency": "USD", "text": "20.00"}, "description": "Credited"}
    note = (await sold("CreateCreditNote", invoice=invoice.id, lines=[taken], reason="Broken")).credit_note
    assert (note.number[:3], note.total.text, note.reason) == ("CN-", "23.80", "Broken")
    assert (await sold("ListCreditNotes", invoice=invoice.id)).credit_notes == [note]
    both = await sold.refused("CreateCreditNote", invoice=invoice.id, lines=[taken], amount=taken["amount"])
    assert both.field == "amount"
    done = (await sold("PayInvoice", id=invoice.id)).invoice
    assert (done.state, done.paid.text, done.credited.text, done.due.text) == (3, "107.10", "23.80", "0.00")
    payments = (await sold("ListPayments", invoice=invoice.id)).payments
    assert [(one.amount.text, one.method, one.reference) for one in payments] == [
        ("30.90", "transfer", "r"), ("76.20", "", ""),
    ]  # fmt: skip
    for names in ({}, {"credit_note": note.id}):
        pdf = (await sold("GetInvoicePdf", id=invoice.id, **names)).pdf
        assert pdf.startswith(b"%PDF")
        assert (await sold("GetInvoicePdf", id=invoice.id, **names)).pdf == pdf


async def test_a_line_is_explained_by_its_events(sold: Caller) -> None:
    who, start = await customer(sold), days_ago(33)
    for day in range(3):
        await use(sold, who, start + timedelta(days=day), {"calls": 100 + day})
    made = await subscribe(sold, who, "basic", start=start)
    invoice = (await close(sold, made, made.period_start_time.ToDatetime(start.tzinfo)))[-1]
    await use(sold, who, start + timedelta(days=4), {"calls": 7})  # after the cut
    line = next(one for one in invoice.lines if one.meter)
    explained = await sold("ExplainInvoiceLine", invoice=invoice.id, line=line.number, page_size=2)
    assert explained.line == line
    assert (explained.quantity, explained.amount, explained.event_count) == ("303", line.amount, 3)
    rest = await sold(
        "ExplainInvoiceLine", invoice=invoice.id, line=line.number, page_size=2, page_token=explained.next_page_token
    )
    assert [one.event.amount for one in (*explained.events, *rest.events)] == ["100", "101", "102"]
    assert not rest.next_page_token


async def test_a_preview_keeps_nothing(sold: Caller) -> None:
    who, start = await customer(sold), days_ago(10)
    await use(sold, who, start + timedelta(days=1), {"calls": 200})
    made = await subscribe(sold, who, "basic", start=start)
    first = (await close(sold, made))[0]
    now = (await sold("PreviewInvoice", subscription=made.id)).invoice
    assert (now.id, now.number, now.state) == ("", "", 1)
    assert (now.start_time, now.end_time) == (made.start_time, made.period_end_time)
    assert amounts(now) == {"base": "10.00", "calls": "10.00"}
    later = (await sold("PreviewInvoice", subscription=made.id, projected=True)).invoice
    assert later.total.minor_units > now.total.minor_units
    assert [one.id for one in await invoices(sold, made)] == [first.id]


async def test_late_usage_is_on_the_next_invoice(sold: Caller) -> None:
    who, start = await customer(sold), days_ago(33)
    await use(sold, who, start + timedelta(days=1), {"calls": 150})
    made = await subscribe(sold, who, "basic", start=start)
    billed = (await close(sold, made, made.period_start_time.ToDatetime(start.tzinfo)))[-1]
    assert amounts(billed)["calls"] == "5.00"
    await use(sold, who, start + timedelta(days=2), {"calls": 50})
    upcoming = (await sold("PreviewInvoice", subscription=made.id)).invoice
    [late] = [line for line in upcoming.lines if line.kind == 7]
    assert (late.quantity, late.amount.text) == ("50", "5.00")
    assert (await sold("GetInvoice", id=billed.id)).invoice.lines == billed.lines


async def test_an_upgrade_is_prorated_to_the_second(sold: Caller) -> None:
    start = days_ago(33)
    made = await subscribe(sold, await customer(sold), "basic", start=start)
    await close(sold, made, made.period_start_time.ToDatetime(start.tzinfo))
    changed = (await sold("ChangeSubscription", id=made.id, items=[{"plan": "big"}])).subscription
    end = changed.period_end_time.seconds
    share = Fraction(end - changed.segments[-1].start_time.seconds, end - changed.period_start_time.seconds)
    upcoming = (await sold("PreviewInvoice", subscription=made.id)).invoice
    prorated = [line.amount.minor_units for line in upcoming.lines if line.kind == 6]
    assert prorated == [-_rounded(1_000 * share), _rounded(3_100 * share)]
    assert upcoming.total.minor_units == 3_100 + sum(prorated)  # the next month of the larger plan comes with it


def _rounded(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


async def test_coupons_go_before_taxes_within_and_on_top(sold: Caller) -> None:
    rates = [*CATALOG["tax_rates"], {"name": "within", "percent": "25", "country": "SE", "inclusive": True}]
    await sold("ApplyCatalog", catalog={**CATALOG, "tax_rates": rates})
    sums = {}
    for country in ("DE", "SE", "US"):
        who = await customer(sold)
        await sold("SetBillingDetails", customer=who, details={"country": country})
        [invoice] = await close(sold, await subscribe(sold, who, "basic", coupons=["TENTH"]))
        sums[country] = (
            invoice.subtotal.text, invoice.discount.text, *[tax.amount.text for tax in invoice.taxes],
            invoice.total.text,
        )  # fmt: skip
    assert sums == {
        "DE": ("10.00", "1.00", "1.71", "10.71"),
        "SE": ("10.00", "1.00", "1.80", "9.00"),
        "US": ("10.00", "1.00", "9.00"),
    }


async def test_a_customers_own_price_stands_for_the_plans(sold: Caller) -> None:
    own = [flat("7.50"), flat("2", "support")]
    [invoice] = await close(sold, await subscribe(sold, await customer(sold), "basic", custom_prices=own))
    assert amounts(invoice) == {"base": "7.50", "support": "2.00"}


async def test_an_id_of_a_request_with_another_body_is_refused(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic", request_id="r-1")
    invoice = await opened(sold)
    part = {"currency": "USD", "minor_units": 100}
    for method, fields, other in (
        ("CreateSubscription", {"customer": made.customer, "items": [{"plan": "big"}]}, "r-1"),
        ("PauseSubscription", {"id": made.id}, "r-1"),
    ):  # fmt: skip
        assert (await sold.refused(method, **fields, request_id=other)).reason == "REQUEST_ID_REUSED"
    for method, fields in (("PayInvoice", {"amount": part}), ("CreateCreditNote", {})):
        named = {"id": invoice.id} if method == "PayInvoice" else {"invoice": invoice.id}
        first = await sold(method, **named, **fields, request_id=method)
        assert await sold(method, **named, **fields, request_id=method) == first
    assert len((await sold("ListPayments", invoice=invoice.id)).payments) == 1
    assert len((await sold("ListCreditNotes", invoice=invoice.id)).credit_notes) == 1


async def test_a_credit_note_of_an_amount_is_spread_over_the_lines(sold: Caller) -> None:
    invoice = await opened(sold, "basic", "seats")
    amount = {"currency": "USD", "text": "6.50"}
    note = (await sold("CreateCreditNote", invoice=invoice.id, amount=amount)).credit_note
    assert [(one.line, one.amount.text) for one in note.lines] == [(1, "5.00"), (2, "1.50")]
    refused = await sold.refused("CreateCreditNote", invoice=invoice.id, amount=amount | {"text": "6.51"})
    assert refused.reason == "CREDIT_TOO_LARGE"


async def test_pages(sold: Caller) -> None:
    who = await customer(sold)
    made = [await subscribe(sold, who, "basic") for _ in range(3)]
    for one in made:
        await close(sold, one)
    for method, field in (("ListSubscriptions", "subscriptions"), ("ListInvoices", "invoices")):
        found, token = [], ""
        while True:
            page = await sold(method, customer=who, page_size=2, page_token=token)
            found += [one.id for one in getattr(page, field)]
            if not (token := page.next_page_token):
                break
        assert len(set(found)) == len(found) == 3
    assert not (await sold("ListInvoices", customer=who, state="STATE_PAID")).invoices
    assert not (await sold("ListInvoices", customer=who)).invoices[0].lines


async def test_void_and_uncollectible(sold: Caller) -> None:
    void = (await sold("VoidInvoice", id=(await opened(sold)).id)).invoice
    assert (void.state, void.due.text, void.HasField("void_time")) == (4, "0.00", True)
    assert (await sold.refused("PayInvoice", id=void.id)).reason == "INVOICE_STATE"
    lost = (await sold("MarkInvoiceUncollectible", id=(await opened(sold)).id)).invoice
    assert lost.state == 5
    assert (await sold("PayInvoice", id=lost.id)).invoice.state == 3


async def test_jpy_has_no_minor_units(sold: Caller) -> None:
    invoice = await opened(sold, "yen")
    assert (invoice.total.minor_units, invoice.total.text, invoice.total.currency) == (1_000, "1000", "JPY")
    refused = await sold.refused("PayInvoice", id=invoice.id, amount={"currency": "JPY", "text": "10.5"})
    assert refused.field == "amount.text"
