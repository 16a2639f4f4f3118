"""Money: minor units, one rounding, and shares that lose nothing."""

from __future__ import annotations

from decimal import Decimal, Inexact, localcontext

import pytest

from metergate.domain import money
from metergate.domain.errors import MetergateError, Reason


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0", "USD", 0), ("12.34", "USD", 1234), ("0.005", "USD", 1), ("0.0049999999999999999999", "USD", 0),
        ("0.015", "USD", 2), ("0.025", "USD", 3), ("1.005", "USD", 101), ("-0.005", "USD", -1), ("-0.015", "USD", -2),
        ("-0.0049", "USD", 0), ("1200", "JPY", 1200), ("0.5", "JPY", 1), ("-0.5", "JPY", -1), ("1.0005", "KWD", 1001),
        ("999999999999999999.994999999999", "USD", 99999999999999999999), ("1E+3", "USD", 100_000),
    ],
)  # fmt: skip
def test_p7_an_exact_amount_is_rounded_half_up_and_mirrored(amount: str, currency: str, minor: int) -> None:
    assert money.rounded(Decimal(amount), currency) == minor


def test_p7_nothing_is_rounded_by_the_context_of_the_caller() -> None:
    with localcontext(prec=3):
        assert money.rounded(Decimal("123456789.125"), "USD") == 12345678913
        assert money.to_text(12345678913, "USD") == "123456789.13"


@pytest.mark.parametrize(
    ("amount", "part", "whole", "share"),
    [(100, 1, 3, 33), (200, 1, 3, 67), (1, 1, 2, 1), (-1, 1, 2, -1), (3, -1, 2, -2), (5, 0, 7, 0), (7, 7, 7, 7)],
)
def test_p7_a_share_is_rounded_half_up_and_mirrored(amount: int, part: int, whole: int, share: int) -> None:
    assert money.rounded_share(amount, part, whole) == share


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (10, [0, 1, 0], [0, 10, 0]),
        (5, [1, 2, 3], [1, 2, 2]),
        (0, [3, 4], [0, 0]),
        (0, [], []),
        (0, [0, 0], [0, 0]),
        (1, [999, 1000], [0, 1]),
    ],
)
def test_p7_what_is_spread_goes_to_those_that_lost_most_and_first(
    amount: int, weights: list[int], shares: list[int]
) -> None:
    assert money.spread(amount, weights) == shares


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (21900, "USD", "219.00"), (-5, "USD", "-0.05"), (0, "USD", "0.00"), (1200, "JPY", "1200"), (1, "KWD", "0.001"),
        (10**18, "USD", "10000000000000000.00"),
    ],
)  # fmt: skip
def test_an_amount_is_written_with_all_the_decimals_of_its_currency_and_read_again(
    minor: int, currency: str, text: str
) -> None:
    assert money.to_text(minor, currency) == text
    assert money.parse_amount(text, currency, "amount") == minor


@pytest.mark.parametrize(("text", "minor"), [("5", 500), ("5.1", 510), ("5.100000", 510), ("-0.01", -1), ("007", 700)])
def test_fewer_decimals_and_further_zeros_are_the_same_amount(text: str, minor: int) -> None:
    assert money.parse_amount(text, "USD", "amount") == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.001", "USD"), ("1.5", "JPY"), ("1.0001", "KWD"), ("", "USD"), ("-", "USD"), (".5", "USD"), ("5.", "USD"),
        ("1e3", "USD"), ("NaN", "USD"), ("1,000", "USD"), ("+1", "USD"), ("--1", "USD"), ("١", "USD"), ("²", "USD"),
        ("1" * 41, "USD"), ("10000000000000000.01", "USD"), ("1000000000000000001", "JPY"),
    ],
)  # fmt: skip
def test_p12_what_is_no_amount_of_the_currency_is_refused_and_the_field_named(text: str, currency: str) -> None:
    with pytest.raises(MetergateError) as refused:
        money.parse_amount(text, currency, "payment.amount")
    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.field == "payment.amount"


def test_p12_more_decimals_than_the_currency_has_says_how_many_it_has() -> None:
    with pytest.raises(MetergateError, match="more decimals than JPY has, which is 0"):
        money.parse_amount("1.5", "JPY", "amount")


@pytest.mark.parametrize("code", ["USD", "EUR", "JPY", "KWD", "CHF", "ZWG"])
def test_currencies_of_iso_4217_are_known(code: str) -> None:
    money.check_currency(code, "currency")


@pytest.mark.parametrize("code", ["", "usd", "US", "USDT", "XXX", "BTC", "DEM", "UЅD"])
def test_p12_other_currencies_are_refused(code: str) -> None:
    with pytest.raises(MetergateError) as refused:
        money.check_currency(code, "prices[0].currency")
    assert refused.value.field == "prices[0].currency"


def test_an_amount_that_no_ledger_can_hold_is_an_error_and_never_a_wrong_figure() -> None:
    with pytest.raises(Inexact):
        money.exact(10**120 + 1, "USD")
