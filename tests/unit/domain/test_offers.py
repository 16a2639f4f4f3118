"""What a catalog sells: what makes it valid, what differs, which versions are kept, and the price list."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.aggregation import LevelUnit
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.catalog_changes import Action, changes
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import LEVEL, Meter
from metergate.domain.offer import Coupon, CouponDuration, Feature, FeatureKind, PlanFeature, Seller, TaxRate
from metergate.domain.price import Interval, Model, Price, Tier, Timing
from metergate.domain.price_list import price_list
from metergate.domain.quota import Kind, Limit, Policy

CALLS = Meter("calls", "calls", "count", dimensions=("region",))
LEVELS = replace(CALLS, aggregation=LEVEL, level_unit=LevelUnit.MONTH)
FEATURE = Feature("calls", FeatureKind.METERED, "calls")
SSO, SUPPORT = Feature("sso"), Feature("support", FeatureKind.STATIC)
BASE = Price("base", Model.FLAT, "USD", unit_amount=Decimal(99))
TIERS = (Tier(Decimal(10_000), Decimal("0.10")), Tier(None, Decimal("0.05")))
TIERED = Price("calls", Model.GRADUATED, "USD", meter="calls", tiers=TIERS)
GIVEN = PlanFeature("calls", included=Decimal(10_000), overage=(("USD", Decimal("0.01")),))
PRO = Plan("pro", prices=(BASE,), features=(GIVEN, PlanFeature("sso"), PlanFeature("support", "24h")))
FREE = Plan("free", features=(PlanFeature("calls", included=Decimal(100)),))
LOGO = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
COUPON = Coupon("ten", Decimal(10))
RATE = TaxRate("de", Decimal(19), "DE")


def sold(*plans: Plan, **fields: object) -> Catalog:
    base = Catalog((CALLS,), plans or (PRO, FREE), "free", features=(FEATURE, SSO, SUPPORT))
    return replace(base, **fields)  # type: ignore[arg-type]


def priced(*prices: Price) -> Catalog:
    return sold(replace(FREE, prices=prices))


def giving(*features: PlanFeature) -> Catalog:
    return sold(replace(FREE, features=features))


def test_a_metered_feature_is_a_limit_and_a_price() -> None:
    pro, free = sold().plan_of["pro"], sold().plan_of["free"]
    assert pro.all_limits == (Limit("calls/month", "calls", Decimal(10_000), policy=Policy.SOFT, kind=Kind.ANCHORED),)
    assert pro.all_prices == (
        BASE,
        Price(
            "calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.01"), included=Decimal(10_000),
            of_feature=True,
        ),
    )  # fmt: skip
    assert free.all_limits == (Limit("calls/month", "calls", Decimal(100), kind=Kind.ANCHORED),)
    assert free.all_prices == ()
    assert (pro.limits, free.limits) == ((), ())
    assert sold().limits("pro", "calls") == pro.all_limits


@pytest.mark.parametrize(
    "catalog",
    [
        sold(), priced(BASE, replace(BASE, currency="EUR"), replace(BASE, interval=Interval.YEAR)), priced(TIERED),
        priced(replace(TIERED, per_labels=("region",), minimum=Decimal(5), maximum=Decimal(5))),
        priced(replace(BASE, currency="JPY", unit_amount=Decimal("1200.5"))),  # rounded where a line is made
        priced(Price("fee", Model.PERCENT, "USD", meter="calls", percent=Decimal("2.9"), labels=(("region", "eu"),))),
        giving(PlanFeature("calls", included=None)), giving(),
        sold(coupons=(COUPON, Coupon("five", amount=Decimal("4.99"), currency="USD"))),
        sold(coupons=(replace(COUPON, duration=CouponDuration.PERIODS, periods=3),)),
        sold(tax_rates=(RATE, TaxRate("given", Decimal(0)), replace(RATE, name="tx", country="US", region="TX"))),
        sold(seller=Seller("Us", ("Street", "Town"), logo=LOGO, series="2026-A", due_days=0)),
    ],
)  # fmt: skip
def test_a_sound_offer_passes(catalog: Catalog) -> None:
    catalog.check()


PRICE = "plans[0].prices[0]"
GIVES = "plans[0].features[0]"
WRONG: dict[str, tuple[Catalog, str]] = {
    "tiers that overlap": (priced(replace(TIERED, tiers=(*TIERS[:1], *TIERS))), f"{PRICE}.tiers[1].up_to"),
    "a closed last tier": (priced(replace(TIERED, tiers=TIERS[:1])), f"{PRICE}.tiers[0].up_to"),
    "an open tier before others": (priced(replace(TIERED, tiers=TIERS[::-1])), f"{PRICE}.tiers[0].up_to"),
    "no tiers": (priced(replace(TIERED, tiers=())), f"{PRICE}.tiers"),
    "no currency": (priced(replace(BASE, currency="usd")), f"{PRICE}.currency"),
    "a price that is less than nothing": (priced(replace(BASE, unit_amount=Decimal(-1))), f"{PRICE}.unit_amount"),
    "no name": (priced(replace(BASE, name="")), f"{PRICE}.name"),
    "a name twice": (priced(BASE, BASE), "plans[0].prices[1].name"),
    "a metered name in two intervals": (
        priced(TIERED, replace(TIERED, interval=Interval.YEAR)), "plans[0].prices[1].name",
    ),
    "no such meter": (priced(replace(TIERED, meter="tokens")), f"{PRICE}.meter"),
    "a meter of a flat price": (priced(replace(BASE, meter="calls")), f"{PRICE}.meter"),
    "labels of a flat price": (priced(replace(BASE, per_labels=("region",))), f"{PRICE}.labels"),
    "a label that is no dimension": (priced(replace(TIERED, labels=(("city", "x"),))), f"{PRICE}.labels"),
    "a label's value of two lines": (priced(replace(TIERED, labels=(("region", "a\nb"),))), f"{PRICE}.labels"),
    "a label twice": (
        priced(replace(TIERED, labels=(("region", "x"),), per_labels=("region",))), f"{PRICE}.per_labels",
    ),
    "201 prices": (priced(*[replace(BASE, name=f"p{at}") for at in range(201)]), "plans[0].prices"),
    "version 0": (sold(replace(FREE, version=0)), "plans[0].version"),
    "three years of trial": (sold(replace(FREE, trial_days=1_000)), "plans[0].trial_days"),
    "an add-on as the default plan": (sold(replace(FREE, add_on=True)), "default_plan"),
    "an unknown feature": (giving(PlanFeature("nope")), f"{GIVES}.feature"),
    "a feature twice": (giving(PlanFeature("sso"), PlanFeature("sso")), "plans[0].features[1].feature"),
    "a static one without a value": (giving(PlanFeature("support")), f"{GIVES}.value"),
    "a boolean one with a value": (giving(PlanFeature("sso", "x")), f"{GIVES}.value"),
    "a boolean one with units": (giving(PlanFeature("sso", included=Decimal(1))), f"{GIVES}.included"),
    "less than none included": (giving(PlanFeature("calls", included=Decimal(-1))), f"{GIVES}.included"),
    "more than all": (giving(PlanFeature("calls", overage=(("USD", Decimal(1)),))), f"{GIVES}.overage"),
    "a feature in no currency": (
        giving(PlanFeature("calls", included=Decimal(1), overage=(("usd", Decimal(1)),))), f"{GIVES}.overage",
    ),
    "a feature's price that is there": (sold(replace(PRO, name="free", prices=(TIERED,))), f"{GIVES}.overage"),
    "a feature's limit that is there": (
        sold(replace(FREE, limits=(Limit("calls/month", "calls", Decimal(1)),))), GIVES,
    ),
    "a metered feature of no meter": (sold(features=(replace(FEATURE, meter="x"), SSO, SUPPORT)), "features[0].meter"),
    "a boolean feature of a meter": (
        sold(features=(FEATURE, replace(SSO, meter="calls"), SUPPORT)), "features[1].meter",
    ),
    "a feature of a long name": (
        replace(giving(PlanFeature("c" * 60, included=Decimal(1))), features=(replace(FEATURE, name="c" * 60),)),
        f"{GIVES}.feature",
    ),
    "a HARD feature of a level": (
        replace(giving(PlanFeature("calls", included=Decimal(1))), meters=(LEVELS,)), GIVES,
    ),
    "a coupon of nothing": (sold(coupons=(Coupon("x"),)), "coupons[0].percent"),
    "a coupon of 0 %": (sold(coupons=(replace(COUPON, percent=Decimal(0)),)), "coupons[0].percent"),
    "a coupon of 101 %": (sold(coupons=(replace(COUPON, percent=Decimal(101)),)), "coupons[0].percent"),
    "a coupon of both": (sold(coupons=(replace(COUPON, amount=Decimal(1), currency="USD"),)), "coupons[0].percent"),
    "a coupon of half a cent": (
        sold(coupons=(Coupon("x", amount=Decimal("0.005"), currency="USD"),)), "coupons[0].amount",
    ),
    "a coupon in no currency": (sold(coupons=(Coupon("x", amount=Decimal(1)),)), "coupons[0].currency"),
    "a per cent in a currency": (sold(coupons=(replace(COUPON, currency="USD"),)), "coupons[0].currency"),
    "a coupon for no periods": (
        sold(coupons=(replace(COUPON, duration=CouponDuration.PERIODS),)), "coupons[0].periods",
    ),
    "a coupon once for three": (sold(coupons=(replace(COUPON, periods=3),)), "coupons[0].periods"),
    "two coupons of a name": (sold(coupons=(COUPON, COUPON)), "coupons[0].name"),
    "a tax of 101 %": (sold(tax_rates=(replace(RATE, percent=Decimal(101)),)), "tax_rates[0].percent"),
    "a tax of 5 places": (sold(tax_rates=(replace(RATE, percent=Decimal("1.00001")),)), "tax_rates[0].percent"),
    "a tax of no country": (sold(tax_rates=(replace(RATE, country="Germany"),)), "tax_rates[0].country"),
    "a tax of a region alone": (sold(tax_rates=(replace(RATE, country="", region="TX"),)), "tax_rates[0].region"),
    "a series of credit notes": (sold(seller=Seller(series="CN")), "seller.series"),
    "a series in small letters": (sold(seller=Seller(series="inv")), "seller.series"),
    "a logo that is none": (sold(seller=Seller(logo=b"GIF89a")), "seller.logo"),
    "a huge logo": (sold(seller=Seller(logo=b"\x89PNG\r\n\x1a\n" + b"x" * 300_000)), "seller.logo"),
    "an address of 11 lines": (sold(seller=Seller(address=("x",) * 11)), "seller.address"),
    "due before it is sent": (sold(seller=Seller(due_days=-1)), "seller.due_days"),
    "a year of draft": (sold(seller=Seller(draft_hours=9_000)), "seller.draft_hours"),
    "a name with NUL": (sold(seller=Seller(name="a\0")), "seller.name"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_p12_an_offer_that_contradicts_itself(what: str) -> None:
    catalog, field = WRONG[what]
    with pytest.raises(MetergateError) as refused:
        catalog.check()
    assert refused.value.reason is Reason.CATALOG_INVALID
    assert refused.value.field == field


def test_changes_list_prices_features_and_what_else_is_sold() -> None:
    new = sold(
        replace(
            PRO, version=2, trial_days=14, features=(replace(GIVEN, included=Decimal(5_000)),),
            prices=(replace(BASE, unit_amount=Decimal(119), timing=Timing.ARREARS), replace(TIERED, name="graded")),
        ),
        FREE, coupons=(COUPON,), tax_rates=(RATE,), seller=Seller("Us", logo=b"\x89PNG\r\n\x1a\n"),
        features=(FEATURE, replace(SUPPORT, display_name="Help")),
    )  # fmt: skip
    old = sold(tax_rates=(replace(RATE, percent=Decimal(16)),))
    assert [(one.action, one.kind, one.name, one.differences) for one in changes(old, new)] == [
        (Action.UPDATE, "plan", "pro", ("version: 1 -> 2", "trial_days: 0 -> 14")),
        (Action.UPDATE, "price", "pro/base/USD/month", ("timing: advance -> arrears", "unit_amount: 99 -> 119")),
        (Action.CREATE, "price", "pro/graded/USD/month", ()),
        (Action.UPDATE, "plan_feature", "pro/calls", ("included: 10000 -> 5000",)),
        (Action.DELETE, "plan_feature", "pro/sso", ()),
        (Action.DELETE, "plan_feature", "pro/support", ()),
        (Action.DELETE, "feature", "sso", ()),
        (Action.UPDATE, "feature", "support", ("display_name: '' -> Help",)),
        (Action.CREATE, "coupon", "ten", ()),
        (Action.UPDATE, "tax_rate", "de", ("percent: 16 -> 19",)),
        (Action.UPDATE, "seller", "seller", ("name: '' -> Us", "logo: 0 bytes -> 8 bytes")),
    ]
    tiers = replace(TIERED, tiers=(replace(TIERS[0], flat_amount=Decimal(2)), TIERS[1]))
    (change,) = changes(priced(TIERED), priced(tiers))
    before, after = "up to 10000: 0.1", "up to 10000: 0.1 and 2 once"
    rest = "up to unlimited: 0.05"
    assert change.differences == (f"tiers: [{before}, {rest}] -> [{after}, {rest}]",)
    (change,) = changes(giving(GIVEN), giving(replace(GIVEN, overage=(("EUR", Decimal("0.02")),))))
    assert change.differences == ("overage: [USD=0.01] -> [EUR=0.02]",)


def test_versions_that_others_take_the_place_of_are_kept() -> None:
    first = Catalog().succeed(sold())
    second = first.succeed(sold(replace(PRO, version=2, prices=(replace(BASE, unit_amount=Decimal(119)),)), FREE))
    third = second.succeed(sold(FREE))
    assert [plan.key for plan in first.kept] == []
    assert [plan.key for plan in second.kept] == [("pro", 1)]
    assert [plan.key for plan in third.kept] == [("pro", 1), ("pro", 2)]
    for catalog in (second, third):
        old = catalog.plan_at("pro", 1)
        assert old is not None
        assert old.same_promise(first.plan_of["pro"])
        assert catalog.limits("pro@1", "calls") == first.limits("pro", "calls")
    back = third.succeed(sold())
    assert [plan.key for plan in back.kept] == [("pro", 2)]


def test_a_kept_version_goes_on_as_it_was_whatever_becomes_of_its_feature() -> None:
    tokens = Meter("tokens", "tokens")
    first = Catalog().succeed(sold())
    moved = first.succeed(
        sold(
            replace(PRO, version=2),
            FREE,
            meters=(CALLS, tokens),
            features=(replace(FEATURE, meter="tokens"), SSO, SUPPORT),
        )
    )
    assert [limit.meter for limit in moved.limits("pro@1", "calls")] == ["calls"]
    assert [limit.meter for limit in moved.limits("pro@2", "tokens")] == ["tokens"]
    gone = moved.succeed(replace(sold(FREE), features=(), plans=(Plan("free"),)))
    assert [price.meter for price in gone.kept[0].all_prices] == ["", "calls"]


def test_a_version_goes_with_the_meter_that_it_needs() -> None:
    first = Catalog().succeed(sold())
    gone = first.succeed(Catalog((Meter("tokens", "t"),), (Plan("free", version=2),), "free"))
    assert gone.kept == ()
    without = first.succeed(sold(FREE, meters=(replace(CALLS, dimensions=()),)))
    assert [plan.key for plan in without.kept] == [("pro", 1)]
    labelled = Catalog().succeed(
        sold(replace(PRO, features=(), prices=(replace(TIERED, per_labels=("region",)),)), FREE)
    )
    assert labelled.succeed(sold(FREE, meters=(replace(CALLS, dimensions=()),))).kept == ()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(PRO, display_name="Pro"), True), (replace(PRO, trial_days=7), True),
        (replace(PRO, prices=(replace(BASE, display_name="Fee"),)), True),
        (replace(PRO, prices=(replace(BASE, unit_amount=Decimal("99.00")),)), True),
        (replace(PRO, features=PRO.features[::-1]), True),
        (replace(PRO, prices=(replace(BASE, unit_amount=Decimal(98)),)), False),
        (replace(PRO, prices=(BASE, replace(BASE, currency="EUR"))), False),
        (replace(PRO, features=PRO.features[:2]), False),
        (replace(PRO, features=(*PRO.features[:2], PlanFeature("support", "8h"))), False),
        (replace(PRO, features=(replace(GIVEN, included=Decimal(9_999)), *PRO.features[1:])), False),
        (replace(PRO, limits=(Limit("x", "calls", None),)), False),
    ],
)  # fmt: skip
def test_what_a_version_promises(other: Plan, same: bool) -> None:
    assert sold().plan_of["pro"].same_promise(sold(other, FREE).plan_of["pro"]) is same


def test_the_price_list_has_an_entry_for_each_currency_and_interval() -> None:
    setup = Price("setup", Model.ONE_OFF, "USD", unit_amount=Decimal(50))
    pro = replace(
        PRO, prices=(BASE, replace(BASE, interval=Interval.YEAR), replace(BASE, currency="EUR"), setup, TIERED),
        features=(),
    )  # fmt: skip
    metered = Plan("metered", prices=(replace(TIERED, interval=Interval.QUARTER), replace(TIERED, name="m")))
    extra = Plan("extra", prices=(BASE,), add_on=True)
    catalog = sold(FREE, extra, pro, metered)
    listed = [
        (one.plan.name, one.currency, one.interval.value, [price.name for price in one.prices])
        for one in price_list(catalog)
    ]
    assert listed == [
        ("metered", "USD", "month", ["calls", "m"]),
        ("pro", "EUR", "month", ["base"]),
        ("pro", "USD", "month", ["base", "setup", "calls"]),
        ("pro", "USD", "year", ["base", "setup", "calls"]),
        ("extra", "USD", "month", ["base"]),
    ]
    assert [one.currency for one in price_list(catalog, "EUR")] == ["EUR"]
    assert [one.plan.name for one in price_list(catalog, interval=Interval.YEAR)] == ["pro"]
    assert [one.plan.name for one in price_list(catalog, plans=["extra", "free"])] == ["extra"]
