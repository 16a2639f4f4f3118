"""Costs beside quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog
from metergate.domain.cost import cost
from metergate.domain.meter import Meter
from metergate.domain.offer import Feature, FeatureKind, PlanFeature
from metergate.domain.plan import Plan
from metergate.domain.price import Model, Price, Tier

TEN = Decimal("0.10")
CALLS = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, included=Decimal(1000))


@pytest.mark.parametrize(
    ("prices", "quantity", "group_by", "expected"),
    [
        ([CALLS], "1200", (), 2000),
        ([CALLS], "1000", (), 0),
        ([CALLS, Price("more", Model.UNIT, "USD", meter="calls", unit_amount=TEN)], "1200", (), 14000),
        ([CALLS], None, (), None),
        ([], "5", (), None),
        ([Price("calls", Model.UNIT, "EUR", meter="calls", unit_amount=TEN)], "5", (), None),
        ([Price("base", Model.FLAT, "USD", unit_amount=TEN)], "5", (), None),
        ([CALLS], "1200", ("region",), None),
        ([Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, per_labels=("region",))], "7", (), None),
        (
            [Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, per_labels=("region",))],
            "7",
            ("region",),
            70,
        ),
        (
            [Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, labels=(("region", "eu"),))],
            "7",
            (),
            None,
        ),
        ([Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, minimum=Decimal(5))], "7", (), 500),
        ([Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=TEN, maximum=Decimal("0.5"))], "7", (), 50),
        (
            [
                Price(
                    "calls",
                    Model.VOLUME,
                    "USD",
                    meter="calls",
                    tiers=(Tier(Decimal(10_000), TEN), Tier(None, Decimal("0.05"))),
                )
            ],
            "20000",
            (),
            100_000,
        ),
    ],
)
def test_cost(prices: list[Price], quantity: str | None, group_by: tuple[str, ...], expected: int | None) -> None:
    assert cost(prices, "calls", "USD", None if quantity is None else Decimal(quantity), group_by) == expected


def test_what_a_plan_and_its_add_ons_include_of_a_feature_costs_nothing() -> None:
    def given(name: str, included: int | None, *overage: str) -> Plan:
        feature = PlanFeature(
            "calls", included=None if included is None else Decimal(included),
            overage=tuple(("USD", Decimal(one)) for one in overage),
        )  # fmt: skip
        return Plan(name, features=(feature,), add_on=name != "base")

    plans = (Plan("default"), given("base", 10, "1"), given("more", 5), given("all", None))
    catalog = Catalog((Meter("calls", "calls"),), plans, features=(Feature("calls", FeatureKind.METERED, "calls"),))

    def costs(terms: str) -> int | None:
        return cost(catalog.prices_under(terms), "calls", "USD", Decimal(40))

    assert [costs(terms) for terms in ("base@1", "base@1*2", "base@1+more@1*3")] == [3000, 2000, 1500]
    assert costs("base@1+all@1") is None
