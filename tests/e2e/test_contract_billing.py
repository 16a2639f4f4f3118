"""Billing as clients meet it: subscriptions, their limits, invoices to the last payment, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from tests.e2e.billing import (
    amounts,
    close,
    consume,
    customer,
    days_ago,
    flat,
    invoices,
    meter,
    metered,
    plan,
    stamped,
    subscribe,
    use,
)
from tests.e2e.calls import BILLING, Caller, caller, eventually

LADDER = [{"up_to": "100", "unit_amount": "0.10"}, {"unit_amount": "0.05"}]
CATALOG: dict[str, Any] = {
    "meters": [meter("calls"), meter("yen")],
    "plans": [
        plan("default", limits=[{"meter": "calls", "max": "5"}]),
        plan(
            "basic", flat("10"), metered("UNIT", "calls", unit_amount="0.10", included="100"),
            limits=[{"meter": "calls", "max": "10"}],
        ),
        plan("big", flat("31"), limits=[{"meter": "calls", "max": "20"}]),
        plan("euro", flat("8", currency="EUR")),
        plan("yen", flat("1000", currency="JPY")),
        plan("seats", flat("3", "seat"), add_on=True, limits=[{"meter": "calls", "max": "2"}]),
        plan("euro-seats", flat("2", "seat", currency="EUR"), add_on=True),
    ],
    "coupons": [
        {"name": "TENTH", "percent": "10", "duration": "COUPON_DURATION_FOREVER"},
        {"name": "EURO", "amount": "1", "currency": "EUR"},
    ],
    "tax_rates": [{"name": "de", "percent": "19", "country": "DE", "display_name": "USt"}],
    "seller": {"name": "Example Ltd", "series": "EX"},
}  # fmt: skip


@pytest.fixture
async def sold(api: Caller) -> Caller:
    """A tenant that sells plans."""
    await api("ApplyCatalog", catalog=CATALOG)
    return api


async def opened(api: Caller, *plans: str, **fields: Any) -> Any:
    """The first invoice of a new subscription, finalized."""
    made = await close(api, await subscribe(api, await customer(api), *(plans or ("basic",)), **fields))
    return (await api("FinalizeInvoice", id=made[0].id)).invoice


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
    invoice = (await sold("FinalizeInvoice", id=second.id, request_id="f-1")).invoice
    assert (await sold("FinalizeInvoice", id=second.id, request_id="f-1")).invoice == invoice
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


@pytest.mark.parametrize(
    ("items", "fields", "short"),
    [
        (["default"], {}, ("FAILED_PRECONDITION", "PLAN_HAS_NO_PRICES")),
        (["basic"], {"interval": "PRICE_INTERVAL_YEAR"}, ("FAILED_PRECONDITION", "PLAN_HAS_NO_PRICES")),
        (["basic"], {"currency": "EUR"}, ("FAILED_PRECONDITION", "CURRENCY_MISMATCH")),
        (["basic", "euro-seats"], {}, ("FAILED_PRECONDITION", "CURRENCY_MISMATCH")),
        (["basic"], {"coupons": ["EURO"]}, ("FAILED_PRECONDITION", "CURRENCY_MISMATCH")),
        (["basic"], {"coupons": ["NONE"]}, ("NOT_FOUND", "COUPON_NOT_FOUND")),
        (["none"], {}, ("NOT_FOUND", "PLAN_NOT_FOUND")),
        (["basic"], {"customer": "nobody"}, ("NOT_FOUND", "CUSTOMER_NOT_FOUND")),
        (["basic"], {"currency": "XXX"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic"], {"currency": "usd"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic"], {"interval": 9}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic"], {"anchor_day": 32}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic"], {"trial_days": -1}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic"], {"start_time": stamped(days_ago(400))}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        ([], {}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["basic", "big"], {}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["seats"], {}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
    ],
)
async def test_p12_subscriptions_that_cannot_be(
    sold: Caller, items: list[str], fields: dict[str, Any], short: tuple[str, str]
) -> None:
    who = await customer(sold)
    wanted = {"customer": who, "items": [{"plan": one} for one in items], **fields}
    assert (await sold.refused("CreateSubscription", **wanted)).short == short
    assert not (await sold("ListSubscriptions", customer=who)).subscriptions


async def test_p12_a_change_across_currencies_is_refused(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic")
    for at_period_end in (False, True):
        refused = await sold.refused(
            "ChangeSubscription", id=made.id, items=[{"plan": "euro"}], at_period_end=at_period_end
        )
        assert refused.short == ("FAILED_PRECONDITION", "CURRENCY_MISMATCH")
    assert (await sold("GetSubscription", id=made.id)).subscription == made


async def test_p12_states_that_do_not_allow_it(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic")
    for method in ("ActivateSubscription", "ResumeSubscription", "UndoSubscription"):
        refused = await sold.refused(method, id=made.id)
        assert refused.short == ("FAILED_PRECONDITION", "SUBSCRIPTION_STATE"), method
    await sold("CancelSubscription", id=made.id)
    for method, fields in (
        ("PauseSubscription", {}), ("CancelSubscription", {}), ("ChangeSubscription", {"items": [{"plan": "big"}]}),
        ("ApplyCoupon", {"coupon": "TENTH"}),
    ):  # fmt: skip
        refused = await sold.refused(method, id=made.id, **fields)
        assert refused.short == ("FAILED_PRECONDITION", "SUBSCRIPTION_STATE"), method


@pytest.mark.parametrize(
    "tiers",
    [
        [{"up_to": "100", "unit_amount": "1"}, {"up_to": "50", "unit_amount": "1"}, {"unit_amount": "1"}],
        [{"up_to": "100", "unit_amount": "1"}, {"above": "90", "unit_amount": "1"}],
        [{"up_to": "100", "unit_amount": "1"}, {"above": "110", "unit_amount": "1"}],
        [{"up_to": "100", "unit_amount": "1"}, {"up_to": "200", "unit_amount": "1"}],
        [{"unit_amount": "1"}, {"up_to": "100", "unit_amount": "1"}],
        [{"unit_amount": "0.0000000000001"}],
        [],
    ],
    ids=["falling", "overlap", "gap", "closed", "open-first", "13-places", "none"],
)
async def test_p12_tiers_that_contradict_each_other(sold: Caller, tiers: list[dict[str, str]]) -> None:
    before = (await sold("GetCatalog")).version
    for model in ("GRADUATED", "VOLUME"):
        broken = {**CATALOG, "plans": [plan("default"), plan("p", metered(model, "calls", tiers=tiers))]}
        refused = await sold.refused("ApplyCatalog", catalog=broken)
        assert refused.code.name == "INVALID_ARGUMENT"
        assert refused.reason in ("CATALOG_INVALID", "FIELD_INVALID", "QUANTITY_INVALID")
        assert any("tiers" in field for field in refused.violations), refused
    assert (await sold("GetCatalog")).version == before


async def test_p12_a_period_is_closed_once(sold: Caller) -> None:
    who = await customer(sold)
    made = await subscribe(sold, who, "basic")
    await close(sold, made)
    for _ in range(2):
        refused = await sold.refused("ClosePeriods", subscriptions=[made.id])
        assert refused.short == ("FAILED_PRECONDITION", "PERIOD_OPEN")
    assert len(await invoices(sold, made)) == 1


async def test_p12_steps_that_an_invoice_does_not_allow(sold: Caller) -> None:
    invoice = await opened(sold)

    async def refused(method: str, **fields: Any) -> str:
        answer = await sold.refused(method, **{"id": invoice.id, **fields})
        assert answer.code.name in ("FAILED_PRECONDITION", "INVALID_ARGUMENT"), answer
        return answer.reason

    def usd(text: str) -> dict[str, str]:
        return {"currency": "USD", "text": text}

    assert await refused("FinalizeInvoice") == "INVOICE_STATE"
    assert await refused("PayInvoice", amount=usd("10.01")) == "PAYMENT_TOO_LARGE"
    assert await refused("PayInvoice", amount=usd("0")) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount=usd("-1")) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount=usd("1.001")) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount=usd("ten")) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount={**usd("1.00"), "minor_units": 101}) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount={"minor_units": 100}) == "FIELD_INVALID"
    assert await refused("PayInvoice", amount={"currency": "EUR", "minor_units": 100}) == "CURRENCY_MISMATCH"
    assert await refused("PayInvoice", amount={"currency": "JPY", "text": "1.5"}) == "FIELD_INVALID"

    async def not_credited(*lines: dict[str, Any]) -> str:
        answer = await sold.refused("CreateCreditNote", invoice=invoice.id, lines=lines)
        return answer.reason

    assert await not_credited({"line": 1, "amount": usd("10.01")}) == "CREDIT_TOO_LARGE"
    assert await not_credited(*[{"line": 1, "amount": usd("5.01")}] * 2) in ("CREDIT_TOO_LARGE", "FIELD_INVALID")
    assert await not_credited({"line": 2, "amount": usd("1.00")}) in ("INVOICE_NOT_FOUND", "FIELD_INVALID")
    assert await not_credited({"line": 1, "amount": usd("1.001")}) == "FIELD_INVALID"
    assert await not_credited({"line": 1, "amount": {"currency": "EUR", "text": "1"}}) == "CURRENCY_MISMATCH"
    await sold("PayInvoice", id=invoice.id)
    for method in ("VoidInvoice", "PayInvoice", "FinalizeInvoice", "MarkInvoiceUncollectible"):
        assert await refused(method) == "INVOICE_STATE", method
    assert (await sold("GetInvoice", id=invoice.id)).invoice.paid.text == "10.00"
    assert (await sold("CreateCreditNote", invoice=invoice.id)).credit_note.total.text == "10.00"
    assert (await sold.refused("CreateCreditNote", invoice=invoice.id)).reason == "CREDIT_TOO_LARGE"


async def test_p12_a_draft_is_neither_paid_nor_voided_nor_credited(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic")
    draft = (await close(sold, made))[0]
    for method in ("PayInvoice", "VoidInvoice", "MarkInvoiceUncollectible"):
        assert (await sold.refused(method, id=draft.id)).short == ("FAILED_PRECONDITION", "INVOICE_STATE"), method
    assert (await sold.refused("CreateCreditNote", invoice=draft.id)).reason == "INVOICE_STATE"


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


async def test_p6_p12_a_version_that_is_subscribed_to_does_not_change(sold: Caller) -> None:
    await subscribe(sold, await customer(sold), "basic")
    plans = [one if one["name"] != "basic" else {**one, "prices": [flat("11")]} for one in CATALOG["plans"]]
    refused = await sold.refused("ApplyCatalog", catalog={**CATALOG, "plans": plans})
    assert refused.short == ("FAILED_PRECONDITION", "PLAN_VERSION_IN_USE")
    newer = [one if one["name"] != "basic" else {**one, "version": 2} for one in plans]
    await sold("ApplyCatalog", catalog={**CATALOG, "plans": newer})
    made = await subscribe(sold, await customer(sold), "basic")
    assert amounts((await close(sold, made))[0]) == {"base": "11.00"}


async def test_p9_a_foreign_key_sees_nothing_of_billing(sold: Caller, server: Any) -> None:
    invoice = await opened(sold)
    await sold("PayInvoice", id=invoice.id)
    note = (await sold("CreateCreditNote", invoice=invoice.id)).credit_note
    made, who = invoice.subscription, invoice.customer
    items = [{"plan": "basic"}]
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("CreateSubscription", {"customer": who, "items": items}, "CUSTOMER_NOT_FOUND"),
        ("ChangeSubscription", {"id": made, "items": items}, "SUBSCRIPTION_NOT_FOUND"),
        *[
            (f"{verb}Subscription", {"id": made}, "SUBSCRIPTION_NOT_FOUND")
            for verb in ("Activate", "Pause", "Resume", "Cancel", "Undo", "Get")
        ],
        ("ApplyCoupon", {"id": made, "coupon": "TENTH"}, "SUBSCRIPTION_NOT_FOUND"),
        ("ListSubscriptions", {"customer": who}, "CUSTOMER_NOT_FOUND"),
        ("SetBillingDetails", {"customer": who, "details": {"name": "x"}}, "CUSTOMER_NOT_FOUND"),
        ("GetBillingDetails", {"customer": who}, "CUSTOMER_NOT_FOUND"),
        ("PreviewInvoice", {"subscription": made}, "SUBSCRIPTION_NOT_FOUND"),
        ("ClosePeriods", {"subscriptions": [made]}, "SUBSCRIPTION_NOT_FOUND"),
        ("ListInvoices", {"customer": who}, "CUSTOMER_NOT_FOUND"),
        *[
            (method, {"id": invoice.id}, "INVOICE_NOT_FOUND")
            for method in (
                "GetInvoice", "FinalizeInvoice", "PayInvoice", "VoidInvoice", "MarkInvoiceUncollectible",
                "GetInvoicePdf",
            )
        ],
        ("GetInvoicePdf", {"id": invoice.id, "credit_note": note.id}, "INVOICE_NOT_FOUND"),
        *[
            (method, {"invoice": invoice.id}, "INVOICE_NOT_FOUND")
            for method in ("CreateCreditNote", "ListCreditNotes", "ListPayments")
        ],
        ("ExplainInvoiceLine", {"invoice": invoice.id, "line": 1}, "INVOICE_NOT_FOUND"),
        ("SetBudget", {"subscription": made, "amount": "1"}, "SUBSCRIPTION_NOT_FOUND"),
        ("GetBudget", {"subscription": made}, "SUBSCRIPTION_NOT_FOUND"),
    ]  # fmt: skip
    assert {method for method, *_ in asked} == BILLING
    before = (await sold("GetInvoice", id=invoice.id)).invoice
    async with caller(server.grpc_url, await server.new_key(f"other-{server.tenant}")) as foreign:
        await foreign("ApplyCatalog", catalog=CATALOG)
        for method, fields, reason in asked:
            assert (await foreign.refused(method, **fields)).reason == reason, method
        assert not (await foreign("ListSubscriptions")).subscriptions
        assert not (await foreign("ListInvoices")).invoices
        assert not (await foreign("ListInvoices", subscription=made)).invoices
        # A credit note of this tenant is not found under another invoice of it.
        mine = await opened(foreign)
        assert (await foreign.refused("GetInvoicePdf", id=mine.id, credit_note=note.id)).code.name == "NOT_FOUND"
    assert (await sold("GetInvoice", id=invoice.id)).invoice == before


async def test_the_change_at_the_periods_end_comes_by_itself(sold: Caller) -> None:
    who = await customer(sold)
    made = await subscribe(sold, who, "basic", trial_end_time=stamped(days_ago(0) + timedelta(seconds=2)))
    assert made.state == 2

    async def active() -> bool:
        return bool((await sold("GetSubscription", id=made.id)).subscription.state == 3)

    await eventually(active, within=10)
    assert amounts((await close(sold, made))[0]) == {"base": "10.00"}
