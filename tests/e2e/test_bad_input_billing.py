"""Promises P9 and P12 on billing: what cannot be is refused by its reason, and a foreign key finds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.billing import (
    CATALOG,
    amounts,
    close,
    customer,
    days_ago,
    flat,
    invoices,
    metered,
    opened,
    plan,
    stamped,
    subscribe,
)
from tests.e2e.calls import BILLING, Caller, caller


@pytest.fixture
async def sold(api: Caller) -> Caller:
    """A tenant that sells plans."""
    await api("ApplyCatalog", catalog=CATALOG)
    return api


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


async def test_p12_an_invoice_that_no_amount_can_tell(sold: Caller) -> None:
    made = await subscribe(sold, await customer(sold), "basic", custom_prices=[flat("999999999999999999")])
    answer = await sold.refused("PreviewInvoice", subscription=made.id)
    assert (*answer.short, answer.metadata["price"]) == ("FAILED_PRECONDITION", "AMOUNT_TOO_LARGE", "base")
    closed = await sold("ClosePeriods")
    assert {one.reason for one in closed.failures if one.subscription == made.id} <= {"AMOUNT_TOO_LARGE"}


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
