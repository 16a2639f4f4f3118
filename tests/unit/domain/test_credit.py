"""Credit notes: what is taken back of an invoice, and never more than is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.credit import Credited, credit, lines_for
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind
from metergate.domain.offer import Coupon, TaxRate
from metergate.domain.period import DAY, Window
from metergate.domain.totals import totals

D = Decimal
MARCH = Window(0, 31 * DAY)
VAT = TaxRate("vat", D(19))
WITHIN = TaxRate("gst", D(10), inclusive=True)
HALF = Coupon("half", percent=D(50))


def line(amount: int, kind: LineKind = LineKind.FLAT, price: str = "") -> Line:
    return Line(0, kind, f"for {amount}", amount, MARCH, price=price or str(amount))


def invoice(*lines: Line, coupons: Sequence[Coupon] = (), rates: Sequence[TaxRate] = (VAT,)) -> Invoice:
    sums = totals(lines, coupons, rates, "USD")
    return Invoice(
        "in_1", "acme", "sub_1", "USD", MARCH, InvoiceState.OPEN, sums.lines, 7,
        sums.subtotal, sums.discount, sums.taxes, sums.total, 0,
    )  # fmt: skip


def note(credited: Credited) -> CreditNote:
    return CreditNote("cn_1", "CN-000001", "in_1", "acme", "USD", *credited, "", 0)


def parts(*amounts: tuple[int, int]) -> list[CreditLine]:
    return [CreditLine(number, amount) for number, amount in amounts]


def test_the_whole_is_exactly_the_invoice() -> None:
    one = invoice(line(9999), line(333), line(-100, LineKind.PRORATION), coupons=[HALF])
    whole = credit(one, None, [])
    assert whole.total == one.total
    assert whole.taxes == one.taxes
    assert [(each.line, each.amount, each.description) for each in whole.lines] == [
        (1, 4999, "for 9999"), (2, 167, "for 333"), (3, -100, "for -100")
    ]  # fmt: skip


def test_a_line_is_given_back_as_it_was_charged_after_its_discount_with_its_tax() -> None:
    one = invoice(line(10000), line(2000), coupons=[HALF])
    back = credit(one, parts((1, 5000)), [])
    assert (back.total, back.taxes[0].taxable, back.taxes[0].amount) == (5950, 5000, 950)
    with pytest.raises(MetergateError) as refused:
        credit(one, parts((1, 5001)), [])
    assert refused.value.reason is Reason.CREDIT_TOO_LARGE
    assert refused.value.field == "lines[0].amount"
    assert refused.value.metadata["left"] == "50.00"


def test_an_inclusive_tax_is_within_what_is_given_back() -> None:
    back = credit(invoice(line(11000), rates=[WITHIN]), parts((1, 5500)), [])
    assert (back.total, back.taxes[0].amount) == (5500, 500)


def test_p7_many_small_credit_notes_come_to_the_invoice_as_one_would() -> None:
    one, notes = invoice(line(7)), list[CreditNote]()  # a tax of 1.33
    for _ in range(7):
        notes.append(note(credit(one, parts((1, 1)), notes)))
    assert sum(each.total for each in notes) == one.total == 8
    assert sum(each.taxes[0].amount for each in notes) == 1


def test_the_rest_is_what_credit_notes_left() -> None:
    one = invoice(line(10000), line(2000))
    first = note(credit(one, parts((2, 2000), (1, 1)), []))
    rest = credit(one, None, [first])
    assert [(each.line, each.amount) for each in rest.lines] == [(1, 9999)]
    assert first.total + rest.total == one.total
    with pytest.raises(MetergateError) as refused:
        credit(one, None, [first, note(rest)])
    assert refused.value.reason is Reason.CREDIT_TOO_LARGE


def test_p12_a_credit_over_the_total_is_refused_though_the_lines_would_have_it() -> None:
    one = invoice(line(10000, LineKind.USAGE), line(-8000, LineKind.PRORATION))
    with pytest.raises(MetergateError) as refused:
        credit(one, parts((1, 2001)), [])
    assert refused.value.reason is Reason.CREDIT_TOO_LARGE
    assert refused.value.metadata["left"] == "23.80"
    assert credit(one, parts((1, 2000)), []).total == one.total


def test_what_a_line_gave_is_taken_back_with_a_negative_amount() -> None:
    one = invoice(line(10000, LineKind.USAGE, "calls"), line(-2000, LineKind.MAXIMUM, "calls"))
    assert credit(one, parts((1, 10000), (2, -2000)), []).total == one.total
    with pytest.raises(MetergateError) as refused:
        credit(one, parts((1, 10000), (2, -2001)), [])
    assert refused.value.reason is Reason.CREDIT_TOO_LARGE
    assert refused.value.metadata["left"] == "-20.00"


@pytest.mark.parametrize(
    ("wanted", "reason", "field"),
    [
        ([(3, 1)], Reason.FIELD_INVALID, "lines[0].line"),
        ([(1, 1), (0, 1)], Reason.FIELD_INVALID, "lines[1].line"),
        ([(1, 0)], Reason.FIELD_INVALID, "lines[0].amount"),
        ([(1, -1)], Reason.FIELD_INVALID, "lines[0].amount"),
        ([(1, 101)], Reason.CREDIT_TOO_LARGE, "lines[0].amount"),
        ([(1, 60), (1, 41)], Reason.CREDIT_TOO_LARGE, "lines[1].amount"),
        ([(1, 100), (1, 1)], Reason.CREDIT_TOO_LARGE, "lines[1].amount"),
        ([(2, 1)], Reason.CREDIT_TOO_LARGE, "lines[0].amount"),
        ([], Reason.FIELD_INVALID, "lines"),
    ],
)
def test_p12_what_cannot_be_taken_back_is_refused(wanted: Any, reason: Reason, field: str) -> None:
    one = invoice(line(100), line(0, LineKind.UNBILLED))
    with pytest.raises(MetergateError) as refused:
        credit(one, parts(*wanted), [])
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_p12_an_invoice_that_asked_for_nothing_has_nothing_to_take_back() -> None:
    for one in (invoice(line(-100, LineKind.PRORATION)), invoice()):
        with pytest.raises(MetergateError) as refused:
            credit(one, None, [])
        assert refused.value.reason is Reason.CREDIT_TOO_LARGE
        assert refused.value.metadata["left"] == "0.00"


def test_what_was_carried_over_is_not_taxed_again_when_it_is_taken_back() -> None:
    one = invoice(line(10000), line(-1190, LineKind.CARRIED))
    whole = credit(one, None, [])
    assert (whole.total, whole.taxes[0].taxable, whole.taxes[0].amount) == (one.total, 10000, 1900)


def test_an_amount_is_spread_over_what_is_left_of_the_lines() -> None:
    one = invoice(line(300), line(100), line(-50, LineKind.PRORATION))
    assert lines_for(one, 200, []) == parts((1, 150), (2, 50))
    before = note(credit(one, parts((2, 100)), []))
    assert lines_for(one, 200, [before]) == parts((1, 200))
    for amount, reason in ((301, Reason.CREDIT_TOO_LARGE), (0, Reason.FIELD_INVALID), (-1, Reason.FIELD_INVALID)):
        with pytest.raises(MetergateError) as refused:
            lines_for(one, amount, [before])
        assert (refused.value.reason, refused.value.field) == (reason, "amount")


@pytest.mark.parametrize(
    ("number", "quantity", "reason"),
    [
        (2, "-1", Reason.FIELD_INVALID),
        (2, "0", Reason.FIELD_INVALID),
        (3, "101", Reason.CREDIT_TOO_LARGE),
    ],
)
def test_p12_a_quantity_corrects_usage_and_no_more_than_was_rated(number: int, quantity: str, reason: Reason) -> None:
    usage = replace(line(400, LineKind.USAGE, "calls"), quantity=D(40), billed=D(150))
    more = replace(line(300, LineKind.USAGE, "calls"), quantity=D(110))
    one = invoice(line(1000), usage, more, line(50, LineKind.MINIMUM, "calls"), rates=[])
    notes = [note(credit(one, [CreditLine(2, 50, quantity=D(50))], []))]
    credit(one, [CreditLine(2, 1, quantity=D(60)), CreditLine(3, 1, quantity=D(40)), CreditLine(1, 1, "", D(2))], notes)
    with pytest.raises(MetergateError) as refused:
        credit(one, [CreditLine(number, 1, quantity=D(quantity))], notes)
    assert (refused.value.field, refused.value.reason) == ("lines[0].quantity", reason)
