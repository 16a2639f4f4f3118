"""What plans cost and give, in the tables: versions that are kept, and limits wherever they are looked for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import asyncpg
import pytest

from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.subscribe import Subscriptions, Wanted
from metergate.domain.aggregation import LevelUnit
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import LatePolicy, Meter
from metergate.domain.offer import BillingDetails, Coupon, Feature, FeatureKind, PlanFeature, Seller, TaxRate
from metergate.domain.price import Interval, Model, Price, Tier
from metergate.domain.quota import Kind, Limit, Policy, Scope
from tests.integration.processes import PRINCIPAL, TENANT, Process

CALLS = Meter("calls", "calls", dimensions=("region",))
USERS = Meter("users", "calls", "unique")
BASE = Price("base", Model.FLAT, "USD", Interval.YEAR, unit_amount=Decimal("1009.80"))
TIERED = Price(
    "tiered", Model.VOLUME, "JPY", meter="calls",
    tiers=(Tier(Decimal(10), Decimal("0.0000025")), Tier(None, Decimal(0))),
    minimum=Decimal(0), labels=(("region", "eu"),), display_name="Übertragung",
)  # fmt: skip
GIVEN = PlanFeature("users", included=Decimal(5), overage=(("USD", Decimal("0.10")),))
FREE = Plan("default", features=(PlanFeature("users", included=Decimal(1)), PlanFeature("sso")))
PRO = Plan(
    "pro", (Limit("calls/each", "calls", Decimal(3), scope=Scope.SUBJECT, per_labels=("region",)),), "Pro",
    prices=(BASE, TIERED), features=(GIVEN, PlanFeature("sso")), trial_days=14,
)  # fmt: skip
CATALOG = Catalog(
    (CALLS, USERS), (FREE, PRO), features=(Feature("sso"), Feature("users", FeatureKind.METERED, "users")),
    coupons=(Coupon("ten", Decimal(10)),), tax_rates=(TaxRate("de", Decimal(19), "DE", inclusive=True),),
    seller=Seller("Us", ("Street", "Town"), logo=b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
)  # fmt: skip
_LIMITS = "SELECT plan, name, meter, max::text, policy, kind FROM plan_limit WHERE tenant = $1 ORDER BY plan, name"


async def limits(postgres_url: str) -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(postgres_url)
    try:
        return [tuple(row) for row in await connection.fetch(_LIMITS, TENANT)]
    finally:
        await connection.close()


async def test_an_offer_is_read_as_it_was_written(one: Process) -> None:
    applied = await one.apply(CATALOG)
    loaded = await PostgresCatalogs(one.engine).load(TENANT)
    assert loaded == applied
    assert [plan.meters for plan in loaded.plans] == [(("users", "users"),)] * 2
    assert loaded.plan_of["pro"].same_promise(CATALOG.plan_of["pro"])


async def test_kept_versions_are_read_with_their_limits(one: Process, postgres_url: str) -> None:
    await one.apply(CATALOG)
    applied = await one.apply(replace(CATALOG, plans=(FREE, replace(PRO, version=2, limits=(), features=()))))
    loaded = await PostgresCatalogs(one.engine).load(TENANT)
    assert (loaded.kept, loaded.kept[0].meters) == (applied.kept, (("users", "users"),))
    old = loaded.plan_at("pro", 1)
    assert old is not None
    assert old.same_promise(CATALOG.plan_of["pro"])
    assert old.limits == PRO.limits
    assert loaded.meter_of["calls"].shapes == CATALOG.meter_of["calls"].shapes
    # Whoever asks the tables for limits (retention, the reconciler) finds those of features, and those that are kept.
    assert await limits(postgres_url) == [
        ("default", "users/month", "users", "1", Policy.HARD, Kind.ANCHORED),
        ("pro@1", "calls/each", "calls", "3", Policy.HARD, Kind.CALENDAR),
        ("pro@1", "users/month", "users", "5", Policy.SOFT, Kind.ANCHORED),
    ]
    await one.apply(CATALOG)
    assert [plan.key for plan in (await PostgresCatalogs(one.engine).load(TENANT)).kept] == [("pro", 2)]


async def test_a_coupon_that_a_subscription_has_is_not_changed_nor_taken_away(one: Process) -> None:
    await one.apply(CATALOG)
    await one.customer("acme")
    verbs = Subscriptions(PostgresSubscriptions(one.engine), one.directory, one.catch_up)
    pro = [("pro", 0, Decimal(1))]
    await verbs.create(PRINCIPAL, Wanted("acme", pro, "USD", Interval.YEAR, coupons=("ten",)))
    for coupons in (), (Coupon("ten", Decimal(50)),):
        with pytest.raises(MetergateError) as refused:
            await one.apply(replace(CATALOG, coupons=coupons))
        assert (refused.value.reason, refused.value.field) == (Reason.CATALOG_INVALID, "coupons")
    await one.apply(
        replace(CATALOG, coupons=(Coupon("ten", Decimal(10), display_name="Ten"), Coupon("new", Decimal(50))))
    )
    await one.apply(replace(CATALOG, coupons=(Coupon("ten", Decimal(10)),)))


async def test_a_tax_rate_that_customers_have_by_name_does_not_go(one: Process) -> None:
    """Else their invoices could not be finalized."""
    await one.apply(CATALOG)
    await one.customer("acme")
    verbs = Subscriptions(PostgresSubscriptions(one.engine), one.directory, one.catch_up)
    await verbs.set_details(PRINCIPAL, "acme", BillingDetails("Ann", tax_rates=("de",)))
    with pytest.raises(MetergateError) as refused:
        await one.apply(replace(CATALOG, tax_rates=()))
    assert (refused.value.reason, refused.value.field) == (Reason.CATALOG_INVALID, "tax_rates")
    await one.apply(replace(CATALOG, tax_rates=(TaxRate("de", Decimal(16), "DE", inclusive=True),)))
    await verbs.set_details(PRINCIPAL, "acme", BillingDetails("Ann", country="DE"))
    await one.apply(replace(CATALOG, tax_rates=()))


async def test_what_a_meter_counts_that_subscriptions_are_charged_for_stays(one: Process) -> None:
    """Usage that comes late has windows that were invoiced counted anew: by the same meter."""
    jobs = Meter("jobs", "jobs", dimensions=("kind",))
    space = Meter("space", "space", "level", level_unit=LevelUnit.DAY)
    before = replace(CATALOG, meters=(CALLS, USERS, jobs, space, Meter("free", "free")))
    await one.apply(before)
    await one.customer("acme")
    verbs = Subscriptions(PostgresSubscriptions(one.engine), one.directory, one.catch_up)
    own = (
        Price("jobs", Model.UNIT, "USD", meter="jobs", unit_amount=Decimal(1), per_labels=("kind",)),
        Price("space", Model.UNIT, "USD", meter="space", unit_amount=Decimal(1)),
    )
    await verbs.create(PRINCIPAL, Wanted("acme", [("pro", 0, Decimal(1))], "USD", Interval.YEAR, custom=own))

    async def applied(*meters: Meter) -> None:
        others = [each for each in before.meters if each.name not in {meter.name for meter in meters}]
        await one.apply(replace(before, meters=(*others, *meters)))

    for other in (
        replace(USERS, value="user"), replace(CALLS, scale=Decimal(2)), replace(jobs, scale=Decimal(2)),
        replace(jobs, dimensions=()), replace(space, dimensions=("disk",)),
    ):  # fmt: skip
        with pytest.raises(MetergateError) as refused:
            await applied(other)
        assert (refused.value.reason, refused.value.metadata["meter"]) == (Reason.CATALOG_INVALID, other.name)
    with pytest.raises(MetergateError):
        await one.apply(replace(before, meters=(CALLS, USERS, space)))
    await applied(replace(CALLS, unit="call", dimensions=("region", "zone")), Meter("free", "other", "count"))
    await applied(replace(jobs, dimensions=("kind", "size"), late=LatePolicy.DO_NOT_BILL))
