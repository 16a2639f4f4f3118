"""Quantities: which texts are one, and the one way to write each."""

from __future__ import annotations

from decimal import Decimal, Inexact

import pytest

from metergate.domain import quantity
from metergate.domain.errors import MetergateError, Reason


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("7", "7"),
        ("-7", "-7"),
        ("007", "7"),
        ("0.000000000001", "0.000000000001"),
        ("999999999999999999.999999999999", "999999999999999999.999999999999"),
        ("-999999999999999999.999999999999", "-999999999999999999.999999999999"),
        ("1.50", "1.5"),
        ("-0", "0"),
    ],
)
def test_p7_a_plain_decimal_is_read_exactly(text: str, number: str) -> None:
    assert quantity.parse(text, "amount") == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "abc", "1,5", "1_000", "1 000", " 1", "1 ", "1\n", "+1", "--1", "1.", ".5", "-", "-.5", "0x10",
        "NaN", "nan", "sNaN", "Infinity", "-inf", "1e3", "1E3", "1e400", "1e-400",
        "1234567890123456789", "1.1234567890123", "0000000000000000001", "١٢", "１２", "²", "½", "1\x00",
    ],
)  # fmt: skip
def test_p12_what_is_no_plain_decimal_is_refused_and_the_field_named(text: str) -> None:
    with pytest.raises(MetergateError) as refused:
        quantity.parse(text, "values.input_tokens")
    assert refused.value.reason is Reason.QUANTITY_INVALID
    assert refused.value.field == "values.input_tokens"
    assert refused.value.metadata["value"] == text
    assert [violation.field for violation in refused.value.violations] == ["values.input_tokens"]


def test_p12_a_refused_text_is_not_echoed_at_length() -> None:
    with pytest.raises(MetergateError) as refused:
        quantity.parse("9" * 100_000, "amount")
    assert len(refused.value.metadata["value"]) <= 41


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"), ("-0", "0"), ("-0.000", "0"), ("0E-12", "0"), ("0E+5", "0"), ("1.500", "1.5"), ("1E+3", "1000"),
        ("1E-12", "0.000000000001"), ("-12.30", "-12.3"), ("100", "100"), ("100.00", "100"), ("0012", "12"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
    ],
)  # fmt: skip
def test_p7_each_quantity_is_written_in_one_way(number: str, text: str) -> None:
    assert quantity.to_text(Decimal(number)) == text


def test_p7_sums_are_exact_far_beyond_what_floats_hold() -> None:
    least, most = Decimal("0.000000000001"), Decimal("999999999999999999.999999999999")
    total = quantity.ZERO
    for _ in range(1000):
        total = quantity.add(quantity.add(total, most), least)
    assert quantity.to_text(total) == "1" + "0" * 21
    assert quantity.subtract(total, least) == Decimal("999999999999999999999.999999999999")


def test_p7_what_would_be_rounded_is_an_error() -> None:
    with pytest.raises(Inexact):
        quantity.CONTEXT.divide(Decimal(1), Decimal(3))
