"""What is rated as one: usage that a pause parts, and what several plans give of one feature."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.ports import Standing
from metergate.app.billing.subscribe import Wanted
from metergate.domain import billing_period, subscription
from metergate.domain.catalog import Catalog
from metergate.domain.invoice import Invoice, LineKind
from metergate.domain.meter import PERCENTILE, UNIQUE, Meter
from metergate.domain.offer import Feature, FeatureKind, PlanFeature
from metergate.domain.period import DAY
from metergate.domain.plan import Plan
from metergate.domain.price import Model, Price
from metergate.domain.subscription import Subscription
from tests.integration.biller import Biller
from tests.integration.processes import PRINCIPAL, TENANT, Process


def _price(name: str, **fields: object) -> Price:
    return Price(name, Model.UNIT, "USD", meter=name, unit_amount=Decimal(1), **fields)  # type: ignore[arg-type]


CATALOG = Catalog(
    (
        Meter("users", "login", aggregation=UNIQUE, value="user", dimensions=("region",)),
        Meter("speed", "speed", aggregation=PERCENTILE, percentile=Decimal(50)),
        Meter("mean", "speed", aggregation="avg"),
        Meter("least", "speed", aggregation="min"),
        Meter("most", "speed", aggregation="max"),
        Meter("last", "speed", aggregation="latest"),
    ),
    (
        Plan("default"),
        Plan("pro", prices=(
            _price("users"), _price("speed"), _price("mean"), _price("least"), _price("most"), _price("last"),
        )),
        Plan("places", prices=(_price("users", per_labels=("region",)),)),
    ),
)  # fmt: skip


async def _paused(biller: Biller, one: Subscription) -> None:
    """Paused from 30 until 20 days ago, as if that had been done then."""
    for step, day in ((subscription.pause, 30), (subscription.resume, 20)):
        one = step(one, biller.now - day * DAY)
    prices = {plan.key: plan.all_prices for plan in CATALOG.plans}
    first = billing_period.next_period(one, lambda plan, version: prices[plan, version])
    assert first is not None
    async with PostgresSubscriptions(biller.one.engine).change(TENANT, one.customer) as change:
        await change.save(Standing(one, None, first.end))


def _charged(invoice: Invoice) -> dict[tuple[str, str], Decimal | None]:
    kinds = (LineKind.USAGE, LineKind.LATE)
    return {
        (line.price, "".join(value for _, value in line.labels)): line.billed
        for line in invoice.lines
        if line.kind in kinds
    }


@pytest.mark.parametrize("plan", ["pro", "places"])
async def test_p6_what_a_pause_parts_is_one_quantity(one: Process, plan: str) -> None:
    """Who uses it before and after a pause is one user."""
    biller = await Biller.of(one, CATALOG)
    await _paused(biller, await biller.subscribed(days=40, plan=plan))
    for day, user, region in (
        (39, "ann", "eu"),
        (38, "bob", "eu"),
        (25, "eve", "eu"),
        (12, "ann", "eu"),
        (11, "dan", "us"),
    ):
        await biller.use("login", 1, day, labels={"user": user, "region": region})
    for day, value in ((39, 1), (38, 2), (37, 9), (25, 1000), (12, 4), (11, 8)):
        await biller.use("speed", value, day)
    await biller.closer.close()
    *_, invoice = await biller.invoices()
    expected = {
        "pro": {("users", ""): 3, ("speed", ""): 4, ("mean", ""): Decimal("4.8"), ("least", ""): 1, ("most", ""): 9,
                ("last", ""): 8},
        "places": {("users", "eu"): 2, ("users", "us"): 1},
    }  # fmt: skip
    assert _charged(invoice) == expected[plan]
    for line in invoice.lines:
        explained = await biller.explained(invoice, line.number)
        assert (explained.quantity, explained.amount) == (line.billed or line.quantity, line.amount)
    await biller.finalize()
    await biller.use("login", 1, 10.5, labels={"user": "ann", "region": "eu"})  # late, and known
    await biller.use("login", 1, 10.5, labels={"user": "kim", "region": "eu"})
    preview = await biller.preview()
    late = {line.labels: (line.quantity, line.amount) for line in preview.lines if line.kind is LineKind.LATE}
    assert list(late.values()) == [(1, 100)]


async def test_units_that_an_add_on_includes_are_not_charged(one: Process) -> None:
    """A plan and its add-ons give one feature: what is used of it is charged beyond what all of them include, once."""
    base = PlanFeature("calls", included=Decimal(10), overage=(("USD", Decimal("0.50")),))
    catalog = Catalog(
        (Meter("calls", "calls"),),
        (
            Plan("default"),
            Plan("pro", features=(base,), prices=(Price("base", Model.FLAT, "USD", unit_amount=Decimal(1)),)),
            Plan(
                "more", features=(replace(base, included=Decimal(5)),), add_on=True,
                prices=(Price("more", Model.FLAT, "USD", unit_amount=Decimal(2)),),
            ),
        ),
        features=(Feature("calls", FeatureKind.METERED, "calls"),),
    )  # fmt: skip
    biller = await Biller.of(one, catalog)
    await one.customer("acme")
    items = [("pro", 0, Decimal(1)), ("more", 0, Decimal(2))]
    wanted = Wanted("acme", items, start=biller.now - 40 * DAY)
    await biller.subscriptions.create(PRINCIPAL, wanted)
    await biller.use("calls", 23, 30)
    await biller.closer.close()
    *_, invoice = await biller.invoices()
    (usage,) = [line for line in invoice.lines if line.kind is LineKind.USAGE]
    assert (usage.billed, usage.quantity, usage.amount, usage.description) == (23, 3, 150, "calls: first 20 included")
    assert (await biller.explained(invoice, usage.number)).amount == 150
