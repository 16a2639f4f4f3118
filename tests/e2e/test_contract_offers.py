"""What is sold, as the contract gives it back: the price list, features, and versions of plans."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from metergate.v1.catalog_pb2 import Catalog
from tests.e2e.calls import Caller

SELLER = {
    "name": "Example Ltd",
    "address": ["1 High Street", "Town"],
    "tax_ids": ["VAT 1"],
    "series": "EX",
    "due_days": 0,
}
TIERED = {
    "name": "calls", "model": "PRICE_MODEL_GRADUATED", "currency": "USD", "meter": "calls", "per_labels": ["region"],
    "tiers": [{"up_to": "10000", "unit_amount": "0.1"}, {"unit_amount": "0.05", "flat_amount": "3"}], "minimum": "5",
}  # fmt: skip
CATALOG: dict[str, Any] = {
    "meters": [
        {"name": "calls", "event_type": "calls", "dimensions": ["region"]}, {"name": "seats", "event_type": "seats"},
    ],
    "plans": [
        {"name": "free", "features": [{"feature": "calls", "included": "100"}]},
        {
            "name": "pro", "version": 3, "display_name": "Professional", "trial_days": 14,
            "prices": [
                {"name": "base", "currency": "USD", "unit_amount": "99"},
                {"name": "base", "currency": "USD", "interval": "PRICE_INTERVAL_YEAR", "unit_amount": "1009.8"},
                {"name": "base", "currency": "EUR", "unit_amount": "89", "timing": "PRICE_TIMING_ARREARS"},
            ],
            "features": [
                {"feature": "calls", "included": "10000", "overage": {"USD": "0.01", "EUR": "0.009"}},
                {"feature": "sso"}, {"feature": "support", "value": "24h"},
            ],
        },
        {"name": "usage", "prices": [TIERED]},
        {
            "name": "seat", "add_on": True, "limits": [{"name": "seats", "meter": "seats", "max": "5"}],
            "prices": [{"name": "seat", "currency": "USD", "unit_amount": "7"}],
        },
    ],
    "default_plan": "free",
    "features": [
        {"name": "calls", "kind": "FEATURE_KIND_METERED", "meter": "calls", "display_name": "API calls"},
        {"name": "sso", "kind": "FEATURE_KIND_BOOLEAN"}, {"name": "support", "kind": "FEATURE_KIND_STATIC"},
    ],
    "coupons": [{"name": "ten", "percent": "10", "duration": "COUPON_DURATION_PERIODS", "periods": 3}],
    "tax_rates": [{"name": "de", "percent": "19", "country": "DE", "inclusive": True}],
    "seller": SELLER,
}  # fmt: skip


async def test_a_catalog_with_prices_comes_back_as_it_was_written(api: Caller) -> None:
    planned = await api("ApplyCatalog", catalog=CATALOG, dry_run=True)
    assert (planned.version, (await api("GetCatalog")).version) == (1, 0)
    applied = await api("ApplyCatalog", catalog=CATALOG)
    assert [(one.kind, one.name) for one in applied.changes] == [(one.kind, one.name) for one in planned.changes]
    assert {"price", "plan_feature", "feature", "coupon", "tax_rate", "seller"} <= {one.kind for one in applied.changes}
    got = (await api("GetCatalog")).catalog
    assert not (
        await api("ApplyCatalog", catalog=json_format.MessageToDict(got, preserving_proto_field_name=True))
    ).changes
    plan = next(one for one in got.plans if one.name == "pro")
    wanted = json_format.ParseDict(CATALOG, Catalog())
    assert [price.name for price in plan.prices] == ["base"] * 3  # those of its features are written once
    assert list(plan.features) == list(wanted.plans[1].features)
    assert (plan.version, plan.trial_days, plan.limits) == (3, 14, [])
    assert (list(got.coupons), list(got.tax_rates)) == (list(wanted.coupons), list(wanted.tax_rates))
    assert (got.seller.name, got.seller.due_days, got.seller.draft_hours) == ("Example Ltd", 0, 1)


async def test_the_price_list(api: Caller) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    entries = (await api("ListPrices")).entries
    assert [(one.plan, one.currency, one.interval, [price.name for price in one.prices]) for one in entries] == [
        ("pro", "EUR", 1, ["base", "calls"]), ("pro", "USD", 1, ["base", "calls"]),
        ("pro", "USD", 3, ["base", "calls"]), ("usage", "USD", 1, ["calls"]), ("seat", "USD", 1, ["seat"]),
    ]  # fmt: skip
    euro, _, year, usage, seat = entries
    assert (euro.display_name, euro.version, euro.trial_days, seat.add_on) == ("Professional", 3, 14, True)
    assert [(price.unit_amount, price.included) for price in year.prices] == [("1009.8", ""), ("0.01", "10000")]
    assert [(one.feature, one.display_name, one.value, one.included, one.overage) for one in euro.features] == [
        ("calls", "API calls", "", "10000", "0.009"), ("sso", "", "", "", ""), ("support", "", "24h", "", ""),
    ]  # fmt: skip
    tiers = [(tier.above, tier.up_to, tier.unit_amount, tier.flat_amount) for tier in usage.prices[0].tiers]
    assert tiers == [("0", "10000", "0.1", ""), ("10000", "", "0.05", "3")]
    assert [one.plan for one in (await api("ListPrices", currency="EUR")).entries] == ["pro"]
    assert [one.plan for one in (await api("ListPrices", interval="PRICE_INTERVAL_YEAR")).entries] == ["pro"]
    assert [one.plan for one in (await api("ListPrices", plans=["free", "seat"])).entries] == ["seat"]


async def test_check_feature_by_hand_and_by_subscription(api: Caller) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    await api("CreateCustomer", customer={"id": "acme"})
    free = await api("CheckFeature", subject="acme", feature="calls")
    assert (free.allowed, free.plan, free.included) == (True, "free", "100")
    assert [(one.name, one.max, one.remaining) for one in free.decision.limits] == [("calls/month", "100", "100")]
    assert not (await api("CheckFeature", subject="acme", feature="sso")).allowed
    assert not (await api("CheckFeature", subject="acme", feature="support")).allowed
    used = [{"id": f"e-{number}", "type": "calls", "subject": "acme"} for number in range(100)]
    assert (await api("ConsumeQuota", events=used)).decision.allowed
    full = await api("CheckFeature", subject="acme", feature="calls")
    assert (full.allowed, full.decision.binding_limit, full.decision.limits[0].remaining) == (False, "calls/month", "0")
    refused = await api("ConsumeQuota", events=[{"id": "e-100", "type": "calls", "subject": "acme"}])
    assert (refused.decision.allowed, refused.decision.plan) == (False, "free")

    items = [{"plan": "pro"}, {"plan": "seat", "quantity": "2"}]
    await api("CreateSubscription", customer="acme", items=items, currency="USD")
    more = await api("CheckFeature", subject="acme", feature="calls")
    assert (more.allowed, more.included, more.plan) == (True, "10000", "pro@3+seat@1*2")
    assert more.decision.limits[0].remaining == "9900"
    assert (await api("CheckFeature", subject="acme", feature="sso")).allowed
    assert (await api("CheckFeature", subject="acme", feature="support")).value == "24h"
    limits = {one.name: one.max for one in (await api("ListLimits", subject="acme")).limits}
    assert limits == {"calls/month": "10000", "seats": "10"}


async def test_who_subscribed_stays_on_the_version_of_then(api: Caller) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    for customer in ("old", "new"):
        await api("CreateCustomer", customer={"id": customer})
    await api("CreateSubscription", customer="old", items=[{"plan": "pro"}], currency="USD")
    plans = [
        {**plan, "version": 4, "features": [{"feature": "calls", "included": "5"}, {"feature": "sso"}]}
        if plan["name"] == "pro" else plan for plan in CATALOG["plans"]
    ]  # fmt: skip
    await api("ApplyCatalog", catalog=CATALOG | {"plans": plans})
    await api("CreateSubscription", customer="new", items=[{"plan": "pro"}], currency="USD")
    told = {}
    for customer in ("old", "new"):
        answer = await api("CheckFeature", subject=customer, feature="calls")
        support = await api("CheckFeature", subject=customer, feature="support")
        told[customer] = (answer.plan, answer.included, answer.decision.limits[0].max, support.allowed)
    assert told == {"old": ("pro", "10000", "10000", True), "new": ("pro", "5", "5", False)}
    assert (await api("GetCustomer", id="old")).customer.plan == "pro"
    # The plan is sold no more, and its feature is gone: whoever has it has it still.
    await api("ApplyCatalog", catalog=CATALOG | {"plans": plans[:1], "features": CATALOG["features"][:1]})
    assert (await api("CheckFeature", subject="old", feature="support")).value == "24h"
    assert (await api("CheckFeature", subject="new", feature="calls")).included == "5"
    answer = await api(
        "ConsumeQuota", events=[{"id": f"n-{one}", "type": "calls", "subject": "new"} for one in range(6)]
    )
    assert not answer.decision.allowed
