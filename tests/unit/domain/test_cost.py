"""Costs beside quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.cost import cost
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
