"""Prices, features and what else is sold, as nobody can mean it; and versions of plans that subscriptions are on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.calls import Caller

METER = {"name": "calls", "event_type": "calls", "dimensions": ["region"]}
BASE = {"name": "base", "currency": "USD", "unit_amount": "99"}
GRADUATED, VOLUME, UNIT, YEAR = 4, 5, 3, 3
PRICE, GIVES = "plans[0].prices[0]", "plans[0].features[0]"


def _catalog(price: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    plan = {"name": "default", "prices": [BASE if price is None else price]}
    return {"meters": [METER], "plans": [plan], **fields}


def _tiers(*tiers: dict[str, str], model: int = GRADUATED) -> dict[str, Any]:
    return _catalog({"name": "calls", "model": model, "currency": "USD", "meter": "calls", "tiers": tiers})


def _gives(**fields: Any) -> dict[str, Any]:
    feature = {"name": "calls", "kind": "FEATURE_KIND_METERED", "meter": "calls"}
    plan = {"name": "default", "features": [{"feature": "calls", **fields}]}
    return {"meters": [METER], "features": [feature], "plans": [plan]}


OFFERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "overlapping tiers": (
        _tiers({"up_to": "100", "unit_amount": "2"}, {"up_to": "50", "unit_amount": "1"}, {}), "CATALOG_INVALID",
        f"{PRICE}.tiers[1].up_to",
    ),
    "a tier that overlaps by where it begins": (
        _tiers({"up_to": "100", "unit_amount": "2"}, {"above": "99", "unit_amount": "1"}), "FIELD_INVALID",
        f"{PRICE}.tiers[1].above",
    ),
    "a gap between tiers": (
        _tiers({"up_to": "100", "unit_amount": "2"}, {"above": "101", "unit_amount": "1"}, model=VOLUME),
        "FIELD_INVALID", f"{PRICE}.tiers[1].above",
    ),
    "a gap before the first tier": (_tiers({"above": "1"}), "FIELD_INVALID", f"{PRICE}.tiers[0].above"),
    "a closed last tier": (
        _tiers({"up_to": "10000", "unit_amount": "0.10"}, {"up_to": "50000", "unit_amount": "0.05"}),
        "CATALOG_INVALID", f"{PRICE}.tiers[1].up_to",
    ),
    "a graduated price without tiers": (_tiers(), "CATALOG_INVALID", f"{PRICE}.tiers"),
    "a tier's price in words": (_tiers({"unit_amount": "cheap"}), "QUANTITY_INVALID", f"{PRICE}.tiers[0].unit_amount"),
    "no currency": (_catalog(BASE | {"currency": ""}), "CATALOG_INVALID", f"{PRICE}.currency"),
    "no such currency": (_catalog(BASE | {"currency": "BTC"}), "CATALOG_INVALID", f"{PRICE}.currency"),
    "a price of 13 places": (
        _catalog(BASE | {"unit_amount": "0.0000000000001"}), "QUANTITY_INVALID", f"{PRICE}.unit_amount",
    ),
    "a price of less than nothing": (_catalog(BASE | {"unit_amount": "-1"}), "CATALOG_INVALID", f"{PRICE}.unit_amount"),
    "a price with an exponent": (_catalog(BASE | {"unit_amount": "1e3"}), "QUANTITY_INVALID", f"{PRICE}.unit_amount"),
    "a price by name only": (_catalog({"name": "x"}), "CATALOG_INVALID", f"{PRICE}.currency"),
    "an unknown model": (_catalog(BASE | {"model": 99}), "FIELD_INVALID", f"{PRICE}.model"),
    "an unknown interval": (_catalog(BASE | {"interval": 12}), "FIELD_INVALID", f"{PRICE}.interval"),
    "an unknown timing": (_catalog(BASE | {"timing": 3}), "FIELD_INVALID", f"{PRICE}.timing"),
    "usage of no meter": (_catalog(BASE | {"model": UNIT}), "CATALOG_INVALID", f"{PRICE}.meter"),
    "a flat price with units included": (_catalog(BASE | {"included": "5"}), "CATALOG_INVALID", f"{PRICE}.included"),
    "a minimum over the maximum": (
        _catalog({**BASE, "model": UNIT, "meter": "calls", "minimum": "2", "maximum": "1"}), "CATALOG_INVALID",
        f"{PRICE}.maximum",
    ),
    "a version of less than nothing": (
        {"plans": [{"name": "default", "version": -1}]}, "CATALOG_INVALID", "plans[0].version",
    ),
    "a trial of less than nothing": (
        {"plans": [{"name": "default", "trial_days": -1}]}, "CATALOG_INVALID", "plans[0].trial_days",
    ),
    "a metered feature that says not how much": (_gives(), "FIELD_INVALID", f"{GIVES}.included"),
    "a metered feature of many": (_gives(included="many"), "QUANTITY_INVALID", f"{GIVES}.included"),
    "a price beyond everything": (
        _gives(included="unlimited", overage={"USD": "1"}), "CATALOG_INVALID", f"{GIVES}.overage",
    ),
    "a feature's price in no currency": (
        _gives(included="1", overage={"": "1"}), "CATALOG_INVALID", f"{GIVES}.overage",
    ),
    "a feature's price in words": (_gives(included="1", overage={"USD": "x"}), "QUANTITY_INVALID", f"{GIVES}.overage"),
    "an unknown kind of feature": ({"features": [{"name": "x", "kind": 9}]}, "FIELD_INVALID", "features[0].kind"),
    "a coupon for nothing": ({"coupons": [{"name": "x"}]}, "CATALOG_INVALID", "coupons[0].percent"),
    "a coupon of all and more": (
        {"coupons": [{"name": "x", "percent": "100.01"}]}, "CATALOG_INVALID", "coupons[0].percent",
    ),
    "a coupon of a tenth of a yen": (
        {"coupons": [{"name": "x", "amount": "0.1", "currency": "JPY"}]}, "CATALOG_INVALID", "coupons[0].amount",
    ),
    "an unknown duration of a coupon": (
        {"coupons": [{"name": "x", "percent": "1", "duration": 7}]}, "FIELD_INVALID", "coupons[0].duration",
    ),
    "a tax of no per cent": ({"tax_rates": [{"name": "x"}]}, "QUANTITY_INVALID", "tax_rates[0].percent"),
    "a tax of a land": (
        {"tax_rates": [{"name": "x", "percent": "19", "country": "de"}]}, "CATALOG_INVALID", "tax_rates[0].country",
    ),
    "a seller whose invoices are credit notes": ({"seller": {"series": "CN"}}, "CATALOG_INVALID", "seller.series"),
    "a seller's logo that is none": ({"seller": {"logo": b"no picture"}}, "CATALOG_INVALID", "seller.logo"),
    "a seller who waits for 100 years": ({"seller": {"due_days": 36_500}}, "CATALOG_INVALID", "seller.due_days"),
    "a seller of a name of 1 MB": ({"seller": {"name": "x" * 1_000_000}}, "CATALOG_INVALID", "seller.name"),
}  # fmt: skip


@pytest.mark.parametrize("what", OFFERS)
async def test_p12_an_offer_that_cannot_be_meant(api: Caller, what: str) -> None:
    catalog, reason, field = OFFERS[what]
    answer = await api.refused("ApplyCatalog", catalog=catalog)
    assert (answer.short, answer.field) == (("INVALID_ARGUMENT", reason), field)
    assert (await api("GetCatalog")).version == 0


LISTS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "prices in no currency": ("ListPrices", {"currency": "usd"}, "FIELD_INVALID", "currency"),
    "prices in a sentence": ("ListPrices", {"currency": "US dollars"}, "FIELD_INVALID", "currency"),
    "prices per fortnight": ("ListPrices", {"interval": 9}, "FIELD_INVALID", "interval"),
    "prices of an unknown plan": ("ListPrices", {"plans": ["nope"]}, "PLAN_NOT_FOUND", ""),
    "prices of a plan of two lines": ("ListPrices", {"plans": ["a\nb"]}, "FIELD_INVALID", "plans[0]"),
    "a feature of nobody": ("CheckFeature", {"feature": "x"}, "FIELD_INVALID", "subject"),
    "no feature": ("CheckFeature", {"subject": "acme"}, "FIELD_INVALID", "feature"),
    "a feature of an unknown subject": ("CheckFeature", {"subject": "nobody", "feature": "x"}, "SUBJECT_NOT_FOUND", ""),
    "an unknown feature": ("CheckFeature", {"subject": "acme", "feature": "x"}, "FEATURE_NOT_FOUND", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", LISTS)
async def test_p12_questions_about_an_offer(api: Caller, what: str) -> None:
    method, request, reason, field = LISTS[what]
    await api("CreateCustomer", customer={"id": "acme"})
    answer = await api.refused(method, **request)
    code = "NOT_FOUND" if reason.endswith("_NOT_FOUND") else "INVALID_ARGUMENT"
    assert (answer.short, answer.field) == ((code, reason), field)


def _sold(version: int, amount: str, **fields: Any) -> dict[str, Any]:
    plan = {"name": "pro", "version": version, "prices": [BASE | {"unit_amount": amount}], **fields}
    return {"meters": [METER], "plans": [{"name": "default"}, plan]}


async def test_a_version_that_subscriptions_are_on_does_not_change(api: Caller) -> None:
    await api("ApplyCatalog", catalog=_sold(1, "10"))
    await api("ApplyCatalog", catalog=_sold(1, "99"))  # nobody subscribed to it
    await api("CreateCustomer", customer={"id": "acme"})
    await api("CreateSubscription", customer="acme", items=[{"plan": "pro"}])
    limited = [{"meter": "calls", "max": "5"}]
    for other in (_sold(1, "98"), _sold(1, "99", limits=limited), _sold(1, "99") | {"meters": [METER]}):
        if other == _sold(1, "99"):
            assert not (await api("ApplyCatalog", catalog=other)).changes
            continue
        for dry_run in (True, False):
            answer = await api.refused("ApplyCatalog", catalog=other, dry_run=dry_run)
            assert answer.short == ("FAILED_PRECONDITION", "PLAN_VERSION_IN_USE")
            assert answer.metadata == {"plan": "pro", "version": "1", "subscriptions": "1"}
    answer = await api.refused("SetLimit", plan="pro", limit={"meter": "calls", "max": "5"})
    assert answer.short == ("FAILED_PRECONDITION", "PLAN_VERSION_IN_USE")
    changes = (await api("ApplyCatalog", catalog=_sold(2, "119", limits=limited))).changes
    assert [(one.kind, one.name, list(one.differences)) for one in changes] == [
        ("plan", "pro", ["version: 1 -> 2"]), ("limit", "pro/calls/month", []),
        ("price", "pro/base/USD/month", ["unit_amount: 99 -> 119"]),
    ]  # fmt: skip
    # A version that was kept is not used again for something else, but can be gone back to.
    answer = await api.refused("ApplyCatalog", catalog=_sold(1, "100"))
    assert answer.short == ("FAILED_PRECONDITION", "PLAN_VERSION_IN_USE")
    await api("ApplyCatalog", catalog=_sold(1, "99"))
    await api("ApplyCatalog", catalog={"meters": [METER], "plans": [{"name": "default"}]})  # it is sold no more
    assert (await api.refused("ApplyCatalog", catalog=_sold(1, "100"))).metadata["version"] == "1"
    await api("ApplyCatalog", catalog=_sold(3, "100", display_name="Pro"))


async def test_a_meter_that_subscriptions_are_charged_by_stays(api: Caller) -> None:
    usage = {"name": "calls", "model": UNIT, "currency": "USD", "meter": "calls", "unit_amount": "1"}
    plans = [{"name": "default"}, {"name": "pro", "prices": [usage | {"per_labels": ["region"]}]}]
    await api("ApplyCatalog", catalog={"meters": [METER], "plans": plans})
    await api("CreateCustomer", customer={"id": "acme"})
    await api("CreateSubscription", customer="acme", items=[{"plan": "pro"}])
    for meters in ([], [METER | {"dimensions": []}]):
        answer = await api.refused("ApplyCatalog", catalog={"meters": meters, "plans": plans[:1]})
        assert answer.short == ("FAILED_PRECONDITION", "PLAN_VERSION_IN_USE")
    await api("ApplyCatalog", catalog={"meters": [METER], "plans": plans[:1]})
