"""What a catalog sells goes over the wire, through a YAML file and through the tables, and comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metergate.adapters.postgres.definition_rows import offer_json, plan_body, to_offer, to_plan
from metergate.cli import messages, yaml_files
from metergate.domain import plan_terms
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.catalog_changes import changes
from metergate.domain.meter import Meter
from metergate.domain.offer import Coupon, CouponDuration, Feature, FeatureKind, PlanFeature, Seller, TaxRate
from metergate.domain.price import METERED, TIERED, Interval, Model, Price, Tier, Timing
from metergate.domain.quota import Kind, Limit
from metergate.domain.subscription import Item
from metergate.rpc.convert_catalog import from_pb_catalog, to_pb_catalog
from metergate.v1 import catalog_pb2

METERS = (Meter("calls", "calls", dimensions=("model", "region")), Meter("bytes", "http"))
FEATURES = (
    Feature("calls", FeatureKind.METERED, "calls"), Feature("sso", display_name="Log in"),
    Feature("support", FeatureKind.STATIC),
)  # fmt: skip
amounts = st.decimals(Decimal("0.000000000001"), Decimal(10**9), places=12) | st.integers(0, 10**6).map(Decimal)
some = st.decimals(Decimal("0.001"), Decimal(10**9), places=3)
percents = st.decimals(Decimal("0.0001"), Decimal(100), places=4)
# YAML folds what separates lines, but for the one that everybody means.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), include_characters="\n"), max_size=12)
lines = st.lists(texts, max_size=3).map(tuple)
currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD"])


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Tiers without gap or overlap."""
    bounds = sorted(draw(st.sets(some, max_size=3)))
    return tuple([Tier(bound, draw(amounts), draw(amounts)) for bound in [*bounds, None]])


@st.composite
def prices(draw: st.DrawFn, name: str) -> Price:
    """A price that no rule forbids."""
    model = draw(st.sampled_from(list(Model)))
    more: dict[str, Any] = {}
    if model in METERED:
        more = {"meter": "calls", "minimum": draw(st.none() | some.filter(lambda least: least < 10**6))}
        more["maximum"] = draw(st.none() | st.just(Decimal(10**6)))
        more["labels"] = draw(st.sampled_from([(), (("model", ""),), (("model", "é"),)]))
        more["per_labels"] = draw(st.sampled_from([(), ("region",)]))
    if model in (Model.UNIT, Model.PACKAGE, Model.PERCENT):
        more["included"] = draw(amounts)
    if model is Model.PACKAGE:
        more["package_size"] = draw(some)
    return Price(
        name, model, draw(currencies), draw(st.sampled_from(list(Interval))),
        draw(st.sampled_from(list(Timing))),
        unit_amount=Decimal(0) if model in TIERED or model is Model.PERCENT else draw(amounts),
        tiers=draw(tiers()) if model in TIERED else (),
        percent=draw(percents) if model is Model.PERCENT else Decimal(0),
        display_name=draw(texts), **more,
    )  # fmt: skip


@st.composite
def plans(draw: st.DrawFn, name: str) -> Plan:
    """A plan that no rule forbids."""
    included = draw(st.none() | amounts)
    overage = draw(st.dictionaries(currencies, amounts, max_size=2)) if included is not None else {}
    given_ = [
        PlanFeature("calls", included=included, overage=tuple(sorted(overage.items()))), PlanFeature("sso"),
        PlanFeature("support", draw(texts.filter(bool))),
    ]  # fmt: skip
    return Plan(
        name, (Limit("bytes", "bytes", draw(st.none() | amounts)),), draw(texts), draw(st.integers(1, 9)),
        tuple([draw(prices(f"p{at}")) for at in range(draw(st.integers(0, 3)))]),
        tuple(draw(st.permutations(given_))[: draw(st.integers(0, 3))]),
        draw(st.booleans()), draw(st.integers(0, 730)),
    )  # fmt: skip


@st.composite
def offers(draw: st.DrawFn) -> Catalog:
    """A catalog that no rule forbids."""
    duration = draw(st.sampled_from(list(CouponDuration)))
    coupons = [
        Coupon("percent", draw(percents), display_name=draw(texts)),
        Coupon(
            "amount", amount=draw(st.integers(1, 10**9).map(Decimal)), currency=draw(currencies), duration=duration,
            periods=3 if duration is CouponDuration.PERIODS else 0,
        ),
    ]  # fmt: skip
    place = draw(st.sampled_from([("", ""), ("DE", ""), ("US", "TX")]))
    return Catalog(
        METERS, (Plan("default"), draw(plans("a")), draw(plans("b"))), features=FEATURES,
        coupons=tuple(coupons[: draw(st.integers(0, 2))]),
        tax_rates=(TaxRate("t", draw(percents), *place, draw(st.booleans()), draw(texts)),),
        seller=Seller(
            draw(texts), draw(lines), draw(lines), draw(texts), b"", draw(texts), draw(texts),
            draw(st.sampled_from(["INV", "2026-A"])), draw(st.integers(0, 365)), draw(st.integers(0, 744)),
        ),
    )  # fmt: skip


@settings(max_examples=40)
@given(offers())
def test_an_offer_that_was_got_is_the_one_that_was_applied(catalog: Catalog) -> None:
    catalog.check()
    message = to_pb_catalog(catalog)
    text = yaml_files.write(messages.to_plain(message))
    read = messages.from_plain(catalog_pb2.Catalog, yaml.load(text, Loader=yaml.BaseLoader))
    for got in (catalog_pb2.Catalog.FromString(message.SerializeToString()), read):
        again = from_pb_catalog(got)
        assert again.seller == catalog.seller
        assert again.plans == catalog.plans
        assert changes(catalog, again) == []


@settings(max_examples=40)
@given(offers())
def test_an_offer_comes_back_from_the_tables(catalog: Catalog) -> None:
    for plan in catalog.plans:
        row = (plan.name, plan.version, plan.display_name, json.dumps(plan_body(plan)))
        again = to_plan(row, plan.all_limits)
        assert (again, again.meters) == (plan, plan.meters)
        assert again.same_promise(plan)
    assert replace(Catalog(METERS), **to_offer(json.dumps(offer_json(catalog)))) == replace(catalog, plans=())


quantities = st.decimals(Decimal("0.5"), Decimal(9), places=1)
limits = st.builds(
    Limit, st.sampled_from(["a", "b"]), st.just("calls"), st.none() | st.integers(0, 99).map(Decimal),
    kind=st.sampled_from([Kind.CALENDAR, Kind.LIFETIME]),
)  # fmt: skip


@given(st.lists(st.tuples(st.lists(limits, max_size=3, unique_by=lambda one: one.name), quantities), max_size=4))
def test_united_limits_allow_what_all_of_them_do(parts: list[tuple[list[Limit], Decimal]]) -> None:
    made = plan_terms.united(parts)
    places = [(limit.name, limit.kind) for limit in made]
    assert len(places) == len(set(places))
    for limit in made:
        mine = [
            (one.max, times)
            for some_, times in parts
            for one in some_
            if (one.name, one.kind) == places[made.index(limit)]
        ]
        whole = None if any(most is None for most, _ in mine) else sum(most * times for most, times in mine if most)
        assert limit.max == whole
    assert {(one.name, one.kind) for some_, _ in parts for one in some_} == set(places)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_./\-]{0,9}", fullmatch=True), st.integers(1, 10**6), quantities
        )
    )
)
def test_terms_say_what_was_subscribed_to(items: list[tuple[str, int, Decimal]]) -> None:
    made = tuple([Item(*item) for item in items])
    assert plan_terms.read(plan_terms.write(made)) == made
