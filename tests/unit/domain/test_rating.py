"""Rating against amounts that were reckoned by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest

from metergate.domain.money import to_text
from metergate.domain.price import Model, Price, Tier
from metergate.domain.price_text import terms
from metergate.domain.rating import Rated, contradictions, exact, flat, rate
from tests.unit.domain import prices
from tests.unit.domain.prices import FIVE_METERS, GRADUATED, PROFESSIONAL, VOLUME, package, percent, tiered, unit

D = Decimal
BASE = prices.flat("99")
HYBRID = unit("0.02", "10000")
STORAGE = tiered(Model.GRADUATED, ("10", "1", "5"), ("20", "0.5", "3"), (None, "0.1", "2"))


def charged(price: Price, quantity: str) -> int:
    """What all lines of the quantity come to."""
    return sum(line.amount for line in rate(price, D(quantity)))


def money(price: Price, quantity: str) -> str:
    return to_text(charged(price, quantity), price.currency)


def test_known_answer_pure_metered_1234_units_are_12_34() -> None:
    assert rate(unit("0.01"), D(1234)) == [Rated(0, D(1234), D("0.01"), None, 1234)]


@pytest.mark.parametrize(
    ("quantity", "total"),
    [("12500", "149.00"), ("10000", "99.00"), ("0", "99.00"), ("10001", "99.02"), ("10000.24", "99.00")],
)
def test_known_answer_hybrid_12500_units_are_149_and_10000_are_99(quantity: str, total: str) -> None:
    assert to_text(flat(BASE, D(1)) + charged(HYBRID, quantity), "USD") == total


def test_known_answer_20000_tiered_are_1500_graduated_and_1000_volume() -> None:
    assert money(GRADUATED, "20000") == "1500.00"
    assert money(VOLUME, "20000") == "1000.00"
    assert rate(GRADUATED, D(20000)) == [
        Rated(1, D(10000), D("0.10"), None, 100_000),
        Rated(2, D(10000), D("0.05"), None, 50_000),
    ]
    assert rate(VOLUME, D(20000)) == [Rated(2, D(20000), D("0.05"), None, 100_000)]


def test_known_answer_professional_with_overage_is_219_and_119_when_only_queries_were_recorded() -> None:
    parts = {price.meter: charged(price, quantity) for price, quantity in PROFESSIONAL.items()}
    assert parts == {"api_calls": 5_000, "ai_queries": 2_000, "exports": 5_000}
    assert to_text(flat(BASE, D(1)) + sum(parts.values()), "USD") == "219.00"
    assert to_text(flat(BASE, D(1)) + parts["ai_queries"], "USD") == "119.00"


def test_known_answer_base_and_five_meters_are_478_50() -> None:
    parts = {price.meter: charged(price, quantity) for price, quantity in FIVE_METERS.items()}
    expected = {"orders": 12_500, "invoices": 4_900, "storage_gb_months": 4_500, "api_calls": 50, "ai_jobs": 6_000}
    assert parts == expected
    base = flat(prices.flat("199"), D(1))
    assert to_text(base + sum(parts.values()), "USD") == "478.50"
    assert to_text(base + parts["orders"] + parts["invoices"] + parts["storage_gb_months"], "USD") == "418.00"
    assert money(unit("0.10"), "5") == "0.50"


def test_known_answer_50001_calls_are_0_50_linear_and_0_51_in_blocks() -> None:
    assert money(unit("0.00001"), "50001") == "0.50"
    assert money(package("0.01", "1000"), "50001") == "0.51"


@pytest.mark.parametrize(
    ("quantity", "blocks"), [("0", 0), ("1", 1), ("999", 1), ("1000", 1), ("1001", 2), ("2000", 2)]
)
def test_known_answer_a_begun_block_of_1000_counts_whole(quantity: str, blocks: int) -> None:
    assert rate(package("7", "1000"), D(quantity)) == [Rated(0, D(blocks), D(7), None, blocks * 700)]


@pytest.mark.parametrize(("monthly", "yearly"), [("29", "295.80"), ("99", "1009.80"), ("299", "3049.80")])
def test_known_answer_a_year_at_15_percent_off_is_a_plain_price(monthly: str, yearly: str) -> None:
    price = prices.flat(yearly)
    assert to_text(flat(price, D(1)), "USD") == yearly
    assert D(yearly) == D(monthly) * 12 * D("0.85")


@pytest.mark.parametrize(
    ("quantity", "minor"), [("0", 0), ("1", 0), ("1999", 0), ("2000", 1), ("4000000", 1000), ("5999", 1), ("6000", 2)]
)
def test_known_answer_tokens_of_0_0000025_are_rounded_once_and_not_each(quantity: str, minor: int) -> None:
    assert charged(unit("0.0000025"), quantity) == minor


def test_known_answer_yen_have_no_minor_units() -> None:
    assert charged(unit("0.3", currency="JPY"), "5") == 2
    assert charged(unit("0.3", currency="JPY"), "4") == 1
    assert flat(prices.flat("1200", "JPY"), D(3)) == 3600
    assert flat(prices.flat("1200", "JPY"), D(1), 1, 7) == 171


def test_three_decimals_where_the_currency_has_them() -> None:
    assert charged(unit("0.0015", currency="KWD"), "3") == 5


@pytest.mark.parametrize(
    ("price", "quantity", "minor"),
    [
        (percent("2.9"), "1234.56", 3580),
        (percent("2.9", "1000"), "1234.56", 680),
        (percent("0.0000000001"), "999999999999", 100),
        (package("5", "100", "250"), "250", 0),
        (package("5", "100", "250"), "251", 500),
        (package("5", "100", "250"), "350.5", 1000),
        (package("5", "0.5"), "0.6", 1000),
        (unit("0.02", "10.5"), "11", 1),
    ],
)
def test_included_units_come_off_before_blocks_and_percents(price: Price, quantity: str, minor: int) -> None:
    assert charged(price, quantity) == minor


@pytest.mark.parametrize(
    ("quantity", "minor"),
    [("0", 0), ("0.5", 550), ("10", 1500), ("10.1", 1805), ("20", 2300), ("20.5", 2505), ("30", 2600)],
)
def test_a_tier_costs_its_flat_amount_once_it_is_reached(quantity: str, minor: int) -> None:
    assert charged(STORAGE, quantity) == minor


@pytest.mark.parametrize(("quantity", "minor"), [("0", 0), ("10", 1500), ("10.1", 805), ("20", 1300), ("20.5", 405)])
def test_volume_is_all_units_and_the_flat_amount_of_one_tier(quantity: str, minor: int) -> None:
    assert charged(replace(STORAGE, model=Model.VOLUME), quantity) == minor


@pytest.mark.parametrize("price", [GRADUATED, VOLUME, STORAGE])
def test_where_nothing_was_used_no_tier_is_reached_and_a_line_says_so(price: Price) -> None:
    assert rate(price, D(0)) == [Rated(0, D(0), None, None, 0)]


def test_included_usage_is_a_line_of_nothing() -> None:
    assert rate(HYBRID, D(10000)) == [Rated(0, D(0), D("0.02"), None, 0)]


def test_corrections_that_outweigh_the_usage_are_charged_as_the_mirror_image() -> None:
    assert rate(STORAGE, D("-10.1")) == [
        Rated(1, D(-10), D(1), D(-5), -1500),
        Rated(2, D("-0.1"), D("0.5"), D(-3), -305),
    ]
    assert rate(package("5", "100"), D(-101)) == [Rated(0, D(-2), D(5), None, -1000)]
    assert charged(HYBRID, "-10000") == 0


def test_p7_the_decimal_context_of_the_caller_changes_nothing() -> None:
    price, quantity = unit("0.000000000001"), D("123456789012345678.123456789012")
    with localcontext(prec=3):
        assert exact(price, quantity) == D("123456.789012345678123456789012")
        assert rate(price, quantity.copy_negate()) == [
            Rated(0, D("-123456789012345678.123456789012"), D("0.000000000001"), None, -12_345_679)
        ]


@pytest.mark.parametrize(
    ("times", "part", "whole", "minor"),
    [
        ("1", 1, 1, 9900),
        ("3", 1, 1, 29700),
        ("1", 15, 30, 4950),
        ("1", 1, 3, 3300),
        ("2.5", 1, 31, 798),
        ("1", 0, 31, 0),
    ],
)
def test_p7_a_flat_price_is_rounded_once_after_quantity_and_proration(
    times: str, part: int, whole: int, minor: int
) -> None:
    assert flat(BASE, D(times), part, whole) == minor


@pytest.mark.parametrize(
    ("price", "tier", "words"),
    [
        (unit("1"), 0, []),
        (HYBRID, 0, ["first 10,000 included"]),
        (package("1", "1000", "2.50"), 0, ["blocks of 1,000", "first 2.5 included"]),
        (percent("2.90"), 0, ["2.9 %"]),
        (STORAGE, 0, []),
        (STORAGE, 1, ["tier 1", "up to 10"]),
        (STORAGE, 2, ["tier 2", "above 10", "up to 20"]),
        (STORAGE, 3, ["tier 3", "above 20"]),
    ],
)
def test_a_price_says_its_terms(price: Price, tier: int, words: list[str]) -> None:
    assert terms(price, tier) == tuple(words)


VALID = [BASE, HYBRID, GRADUATED, VOLUME, STORAGE, package("1", "1000"), percent("2.9"), *PROFESSIONAL, *FIVE_METERS]


@pytest.mark.parametrize("price", VALID)
def test_the_prices_of_the_mission_are_valid(price: Price) -> None:
    assert list(contradictions(price, "p")) == []


def test_a_minimum_may_equal_the_maximum() -> None:
    assert list(contradictions(replace(HYBRID, minimum=D(5), maximum=D(5)), "p")) == []
    longest = replace(HYBRID, unit_amount=D("999999999999999999.999999999999"))
    assert list(contradictions(longest, "p")) == []


@pytest.mark.parametrize(
    ("price", "changed", "field"),
    [
        (HYBRID, {"currency": "usd"}, "currency"),
        (HYBRID, {"currency": ""}, "currency"),
        (HYBRID, {"unit_amount": D("-0.01")}, "unit_amount"),
        (HYBRID, {"unit_amount": D("0.0000000000001")}, "unit_amount"),
        (HYBRID, {"unit_amount": D(10) ** 18}, "unit_amount"),
        (HYBRID, {"included": D(-1)}, "included"),
        (HYBRID, {"percent": D(1)}, "percent"),
        (HYBRID, {"package_size": D(10)}, "package_size"),
        (HYBRID, {"tiers": GRADUATED.tiers}, "tiers"),
        (HYBRID, {"minimum": D(6), "maximum": D(5)}, "maximum"),
        (BASE, {"included": D(1)}, "included"),
        (BASE, {"minimum": D(1)}, "minimum"),
        (BASE, {"maximum": D(1)}, "maximum"),
        (percent("1"), {"percent": D("100.1")}, "percent"),
        (percent("1"), {"percent": D("0.00000000001")}, "percent"),
        (package("1", "1"), {"package_size": D(0)}, "package_size"),
        (package("1", "1"), {"package_size": D(-1)}, "package_size"),
        (GRADUATED, {"unit_amount": D(1)}, "unit_amount"),
        (GRADUATED, {"included": D(1)}, "included"),
        (GRADUATED, {"tiers": ()}, "tiers"),
        (GRADUATED, {"tiers": (Tier(None, D(1)),) * 101}, "tiers"),
    ],
)
def test_p12_a_price_with_what_its_model_cannot_mean_is_refused(
    price: Price, changed: dict[str, Any], field: str
) -> None:
    assert [violation.field for violation in contradictions(replace(price, **changed), "p")] == [f"p.{field}"]


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME])
@pytest.mark.parametrize(
    ("bounds", "field", "words"),
    [
        (["10", "20"], "tiers[1].up_to", "beyond it nothing has a price"),
        (["10"], "tiers[0].up_to", "beyond it nothing has a price"),
        ([None, "20", None], "tiers[0].up_to", "overlap"),
        (["20", "10", None], "tiers[1].up_to", "more than 20: the tiers overlap"),
        (["10", "10", None], "tiers[1].up_to", "more than 10: the tiers overlap"),
        (["0", None], "tiers[0].up_to", "more than 0"),
    ],
)
def test_p12_tiers_that_overlap_or_leave_a_gap_and_a_closed_last_one_are_refused(
    model: Model, bounds: list[str | None], field: str, words: str
) -> None:
    price = tiered(model, *[(up_to, "1") for up_to in bounds])
    (violation,) = contradictions(price, "plans[0].prices[2]")
    assert violation.field == f"plans[0].prices[2].{field}"
    assert words in violation.description


def test_p12_numbers_of_tiers_are_held_to_the_same_places() -> None:
    price = tiered(Model.GRADUATED, ("10.0000000000001", "-1", "0"), (None, "0", "1e20"))
    fields = [violation.field for violation in contradictions(price, "p")]
    assert fields == ["p.tiers[0].up_to", "p.tiers[0].unit_amount", "p.tiers[1].flat_amount"]
