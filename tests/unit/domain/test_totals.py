"""Sums of invoices: lines, coupons, taxes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Line, LineKind
from metergate.domain.offer import BillingDetails, Coupon, TaxRate
from metergate.domain.period import DAY, Window
from metergate.domain.totals import Totals, tax_rates_for, totals

D = Decimal
MARCH, APRIL = Window(0, 31 * DAY), Window(31 * DAY, 61 * DAY)
VAT = TaxRate("vat", D(19), "DE")
WITHIN = TaxRate("gst", D(10), "AU", inclusive=True)


def line(amount: int, kind: LineKind = LineKind.FLAT, price: str = "", **more: Any) -> Line:
    return Line(0, kind, "", amount, more.pop("window", MARCH), price=price or str(amount), **more)


def off(percent: str) -> Coupon:
    return Coupon(f"p{percent}", percent=D(percent))


def fixed(amount: str, currency: str = "USD") -> Coupon:
    return Coupon(f"a{amount}", amount=D(amount), currency=currency)


def discounts(sums: Totals) -> list[int]:
    return [line.discount for line in sums.lines]


def test_known_answer_professional_comes_to_219() -> None:
    sums = totals([line(9900), line(5000), line(2000), line(5000, price="exports")], [], [], "USD")
    assert (sums.subtotal, sums.discount, sums.taxes, sums.total) == (21900, 0, (), 21900)
    assert [line.number for line in sums.lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("lines", [[line(10**18 + 1)], [line(-(10**18) - 1)], [line(10**18), line(1)]])
def test_no_amount_is_more_than_the_largest(lines: list[Line]) -> None:
    assert totals([line(10**18)], [], [], "USD").total == 10**18
    with pytest.raises(MetergateError) as refused:
        totals(lines, [], [], "USD")
    assert refused.value.reason is Reason.AMOUNT_TOO_LARGE


def test_an_invoice_without_lines_is_nothing() -> None:
    assert totals([], [fixed("5"), off("10")], [], "USD") == Totals((), 0, 0, (), 0)
    assert totals([], [], [VAT], "USD").total == 0


@pytest.mark.parametrize(
    ("coupons", "discount"),
    [
        ([off("10")], 1000),
        ([off("100")], 10000),
        ([off("33.333")], 3333),
        ([off("33.335")], 3334),
        ([fixed("25")], 2500),
        ([fixed("100.01")], 10000),
        ([off("10"), fixed("5")], 1500),
        ([fixed("5"), off("10")], 1450),
        ([off("50"), off("50")], 7500),
        ([fixed("99"), fixed("99"), off("50")], 10000),
    ],
)
def test_p7_coupons_take_off_one_after_the_other_and_never_more_than_there_is(
    coupons: list[Coupon], discount: int
) -> None:
    sums = totals([line(9000), line(1000)], coupons, [], "USD")
    assert sums.discount == discount
    assert sums.total == 10000 - discount


def test_p7_a_discount_is_spread_over_the_lines_by_largest_remainder() -> None:
    assert discounts(totals([line(100), line(100, price="b"), line(100, price="c")], [fixed("1")], [], "USD")) == [
        34,
        33,
        33,
    ]
    assert discounts(totals([line(1), line(999), line(0)], [off("50")], [], "USD")) == [1, 499, 0]


def test_what_passes_a_maximum_is_not_discounted_and_bears_none() -> None:
    lines = [line(10000, LineKind.USAGE, "calls"), line(-2000, LineKind.MAXIMUM, "calls")]
    sums = totals(lines, [off("50")], [], "USD")
    assert (sums.discount, sums.total, discounts(sums)) == (4000, 4000, [4000, 0])


def test_a_charge_with_a_maximum_has_its_share_of_what_it_comes_to() -> None:
    lines = [line(10000, LineKind.USAGE, "calls"), line(-8000, LineKind.MAXIMUM, "calls"), line(2000)]
    assert discounts(totals(lines, [off("50")], [], "USD")) == [1000, 0, 1000]
    assert discounts(totals(lines, [fixed("39.99")], [], "USD")) == [2000, 0, 1999]


def test_what_is_given_back_was_discounted_by_its_own_invoice() -> None:
    """Half off for ever, and from 100 to 200 at half of the month: 50 paid, 25 of it back, 50 for the rest."""
    lines = [line(-2500, LineKind.PRORATION, "base"), line(10000, LineKind.PRORATION, "base")]
    sums = totals(lines, [off("50")], [], "USD")
    assert (sums.discount, sums.total, discounts(sums)) == (5000, 2500, [0, 5000])


def test_late_usage_that_is_given_back_keeps_the_discount_that_it_had() -> None:
    back = line(-4000, LineKind.LATE, "calls", discount=-1000)
    sums = totals([line(10000), back], [off("50")], [], "USD")
    assert (sums.subtotal, sums.discount, sums.total, discounts(sums)) == (6000, 4000, 2000, [5000, -1000])


def test_late_usage_that_is_charged_is_discounted() -> None:
    lines = [line(500, LineKind.LATE, "calls"), line(-200, LineKind.MINIMUM, "calls")]
    assert discounts(totals(lines, [off("50")], [], "USD")) == [150, 0]


def test_lines_of_another_window_are_another_charge() -> None:
    lines = [line(500, LineKind.USAGE, "calls", window=APRIL), line(-200, LineKind.LATE, "calls")]
    assert discounts(totals(lines, [off("50")], [], "USD")) == [250, 0]


def test_what_is_carried_over_is_neither_discounted_nor_taxed_again() -> None:
    sums = totals([line(10000), line(-1190, LineKind.CARRIED)], [off("10")], [VAT], "USD")
    assert (sums.subtotal, sums.discount, sums.total) == (8810, 1000, 8810 - 1000 + 1710)
    assert (sums.taxes[0].taxable, sums.taxes[0].amount) == (9000, 1710)


def test_unbilled_usage_changes_no_sum() -> None:
    unbilled = line(0, LineKind.UNBILLED, quantity=D(5))
    assert totals([line(100), unbilled], [off("10")], [VAT], "USD").total == 107


def test_p12_a_coupon_of_another_currency_is_refused() -> None:
    with pytest.raises(MetergateError) as refused:
        totals([line(100)], [fixed("5", "EUR")], [], "USD")
    assert refused.value.reason is Reason.CURRENCY_MISMATCH
    assert refused.value.metadata == {"coupon": "a5", "currency": "USD"}


@pytest.mark.parametrize(
    ("taxable", "tax"), [(10000, 1900), (50, 10), (-50, -10), (3, 1), (2, 0), (0, 0), (-10000, -1900)]
)
def test_p7_a_tax_is_rounded_once_on_all_lines_and_mirrored(taxable: int, tax: int) -> None:
    sums = totals([line(taxable)], [], [VAT], "USD")
    assert (sums.taxes[0].amount, sums.total) == (tax, taxable + tax)


def test_p7_taxes_of_many_lines_are_not_rounded_each() -> None:
    assert totals([line(2, price=str(number)) for number in range(50)], [], [VAT], "USD").taxes[0].amount == 19


def test_p7_an_inclusive_tax_is_within_the_total() -> None:
    sums = totals([line(11000)], [], [WITHIN], "USD")
    assert (sums.taxes[0].taxable, sums.taxes[0].amount, sums.total) == (11000, 1000, 11000)
    two = [WITHIN, TaxRate("local", D(15), inclusive=True)]
    assert [tax.amount for tax in totals([line(12500)], [], two, "USD").taxes] == [1000, 1500]


def test_p7_a_tax_on_top_is_of_the_prices_without_the_taxes_within() -> None:
    sums = totals([line(11000)], [], [WITHIN, TaxRate("city", D(5), "AU")], "USD")
    assert ([tax.amount for tax in sums.taxes], sums.total) == ([1000, 500], 11500)


def test_several_taxes_are_each_of_the_same_lines() -> None:
    rates = [TaxRate("gst", D(5), "CA"), TaxRate("qst", D("9.975"), "CA", "QC")]
    sums = totals([line(10000)], [], rates, "USD")
    assert ([tax.amount for tax in sums.taxes], sums.total) == ([500, 998], 11498)


RATES = (VAT, WITHIN, TaxRate("gst5", D(5), "CA"), TaxRate("qst", D("9.975"), "CA", "QC"), TaxRate("special", D(7)))


@pytest.mark.parametrize(
    ("details", "names"),
    [
        (BillingDetails(), []),
        (BillingDetails(country="DE"), ["vat"]),
        (BillingDetails(country="DE", region="BY"), ["vat"]),
        (BillingDetails(country="CA"), ["gst5"]),
        (BillingDetails(country="CA", region="ON"), ["gst5"]),
        (BillingDetails(country="CA", region="QC"), ["gst5", "qst"]),
        (BillingDetails(country="US", region="QC"), []),
        (BillingDetails(country="DE", tax_rates=("special", "gst5", "special")), ["special", "gst5"]),
        (BillingDetails(country="DE", tax_rates=("vat",), tax_exempt=True), []),
    ],
)
def test_a_customer_has_the_taxes_of_its_place_or_its_own_or_none(details: BillingDetails, names: list[str]) -> None:
    assert [rate.name for rate in tax_rates_for(details, RATES)] == names


def test_p12_a_tax_that_there_is_no_more_is_an_error_and_not_no_tax() -> None:
    with pytest.raises(MetergateError) as refused:
        tax_rates_for(BillingDetails(tax_rates=("gone",)), RATES)
    assert refused.value.field == "tax_rates"
