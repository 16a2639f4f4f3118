"""What is left of an invoice after what other invoices gave back: of which thing each line is, and how much."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.credit import credit, lines_for
from metergate.domain.draft import Earlier
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, Invoice, InvoiceState, Line, LineKind
from metergate.domain.left import left_of
from metergate.domain.period import DAY, Window
from metergate.domain.settling import voided

D = Decimal


def days(first: int, last: int) -> Window:
    return Window(first * DAY, last * DAY)


def flat(amount: int, start: int, end: int = 31, **more: Any) -> Line:
    """A charge for the time up to the end, or, negative, what is given back of it."""
    given = {"quantity": D(1 if amount > 0 else -1), "unit_amount": D(31), "version": 1, "plan": "pro", **more}
    return Line(0, LineKind.PRORATION, f"base {start}", amount, days(start, end), price="base", **given)


def usage(amount: int, kind: LineKind = LineKind.USAGE, **more: Any) -> Line:
    return Line(0, kind, "calls", amount, days(0, 31), "pro", 1, "calls", "calls", **more)


def invoice(number: int, *lines: Line, state: InvoiceState = InvoiceState.OPEN) -> Invoice:
    """That of the period which ends at the day, without taxes."""
    numbered = tuple([replace(line, number=place) for place, line in enumerate(lines, 1)])
    total = sum(line.amount - line.discount for line in lines)
    off = sum(line.discount for line in lines)
    return Invoice(
        f"in_{number}", "acme", "s", "USD", days(number - 1, number), state, numbered, 1, total + off, off, (), total, 0
    )


def said(one: Invoice, *credited: CreditLine) -> Earlier:
    return Earlier(one.id, one.period, one.state, 1, one.subtotal, one.total, one.lines, credited)


def whole(one: Invoice, *others: Invoice) -> dict[int, int]:
    return left_of(one, [], [said(other) for other in others]).whole()


def test_what_a_later_invoice_gave_back_is_not_left() -> None:
    first = invoice(1, flat(3100, 0), usage(500))
    assert whole(first) == {1: 3100, 2: 500}
    assert whole(first, invoice(10, flat(-2100, 10))) == {1: 1000, 2: 500}
    assert whole(first, invoice(10, flat(-3100, 0))) == {2: 500}
    assert whole(first, invoice(10, flat(-2100, 10), state=InvoiceState.DRAFT)) == {1: 1000, 2: 500}
    assert whole(first, invoice(10, flat(-2100, 10), state=InvoiceState.VOID)) == {1: 3100, 2: 500}


@pytest.mark.parametrize(
    "other",
    [
        flat(-2100, 10, plan="max"), flat(-2100, 10, version=2), flat(-2100, 10, end=30),
        flat(-2100, 10, unit_amount=D(30)), flat(-2100, 10, quantity=D(-2)),
        replace(flat(-2100, 10), price="seats"), replace(usage(-500, LineKind.LATE), window=days(0, 30)),
        replace(usage(-500, LineKind.LATE), version=2), replace(usage(-500, LineKind.LATE), price="jobs"),
    ],
)  # fmt: skip
def test_what_was_given_back_of_another_thing_is_left(other: Line) -> None:
    first = invoice(1, flat(3100, 0), usage(500))
    assert whole(first, invoice(10, other)) == {1: 3100, 2: 500}
    assert voided(first, [said(invoice(10, other))], 5).state is InvoiceState.VOID


def test_what_an_invoice_gave_is_of_the_last_charge_before_it() -> None:
    """Taken away on the 10th, bought again on the 20th, and taken away on the 25th."""
    bought, gone = invoice(1, flat(3100, 0)), invoice(10, flat(-2100, 10))
    again, at_last = invoice(20, flat(1100, 20)), invoice(25, flat(-600, 25))
    assert whole(bought, gone, again, at_last) == {1: 1000}
    assert whole(again, bought, gone, at_last) == {1: 500}
    assert whole(again, gone, at_last) == {1: 500}
    with pytest.raises(MetergateError, match="later invoice"):
        voided(again, [said(one) for one in (bought, gone, at_last)], 5)


def test_what_an_invoice_charges_anew_is_not_what_it_gives_back() -> None:
    bought, paused = invoice(1, flat(3100, 0)), invoice(31, flat(-2100, 10), flat(1100, 20))
    assert whole(bought, paused) == whole(bought, invoice(31, flat(1100, 20), flat(-2100, 10))) == {1: 1000}
    assert whole(paused, bought) == whole(paused) == {1: -2100, 2: 1100}
    assert whole(paused, bought, invoice(32, flat(-1100, 20))) == {1: -2100}


def test_what_is_bought_again_the_moment_it_was_taken_away_is_another_charge() -> None:
    bought, gone = invoice(1, flat(3100, 0)), invoice(10, flat(-2100, 10))
    again, at_last = invoice(11, flat(2100, 10)), invoice(15, flat(-1600, 15))
    assert whole(bought, gone, again, at_last) == {1: 1000}
    assert whole(again, bought, gone, at_last) == whole(again, gone, at_last) == {1: 500}


def test_usage_is_one_thing_with_its_labels_bounds_and_what_came_late() -> None:
    eu, us = (("region", "eu"),), (("region", "us"),)
    first = invoice(1, usage(600, labels=eu), usage(500, labels=us), usage(-100, LineKind.MAXIMUM))
    assert whole(first) == {1: 600, 2: 500, 3: -100}
    late = invoice(10, usage(-300, LineKind.LATE, labels=us, discount=-80), usage(40, LineKind.MINIMUM))
    # 1,000 - 220 + 40 are left; with the maximum that is no more, the two charges are 920, spread over them.
    assert whole(first, late) == {1: 502, 2: 418, 3: -100}
    assert left_of(first, [], [said(late)]).charges() == {1: 447, 2: 373}
    assert lines_for(first, 820, [], [said(late)]) == [CreditLine(1, 447), CreditLine(2, 373)]
    for wanted, fits in (([(1, 600), (2, 320), (3, -100)], True), ([(1, 600), (2, 221)], False)):
        lines = [CreditLine(*one) for one in wanted]
        if fits:
            assert credit(first, lines, [], [said(late)]).total == 820
            continue
        with pytest.raises(MetergateError) as refused:
            credit(first, lines, [], [said(late)])
        assert refused.value.metadata == {
            "field": "lines[1].amount", "invoice": "in_1", "line": "2", "left": "2.20"
        }  # fmt: skip


def test_of_what_was_given_back_twice_before_there_was_this_law_nothing_is_left() -> None:
    first, late = invoice(1, usage(500), flat(100, 0)), invoice(10, usage(-700, LineKind.LATE))
    assert whole(first, late) == left_of(first, [], [said(late)]).charges() == {2: 100}
    with pytest.raises(MetergateError) as refused:
        credit(first, [CreditLine(1, 1)], [], [said(late)])
    assert refused.value.metadata["left"] == "0.00"


def test_a_credit_of_what_gave_back_leaves_the_charge_again() -> None:
    first, second = invoice(1, flat(3100, 0)), invoice(10, flat(-2100, 10), flat(4000, 10, plan="max"))
    taken = credit(second, None, [], [said(first)])
    assert (taken.total, [line.amount for line in taken.lines]) == (1900, [-2100, 4000])
    assert credit(first, None, [], [said(second, *taken.lines)]).total == 3100
    assert credit(first, None, [], [said(second, CreditLine(1, -100))]).total == 1100


def test_the_whole_of_what_gave_more_than_is_left_of_its_charges_is_not_credited() -> None:
    """Credit the last one first; or by lines, so much as is left."""
    first = invoice(10, flat(-2100, 10), flat(4000, 10, plan="max"))
    after = said(invoice(20, flat(-3000, 20, plan="max")))
    with pytest.raises(MetergateError) as refused:
        credit(first, None, [], [after])
    assert refused.value.metadata == {"field": "lines", "invoice": "in_10", "left": "0.00"}
    assert refused.value.message.endswith("another invoice gave the rest back")
    assert credit(first, [CreditLine(2, 1000)], [], [after]).total == 1000


def test_quantities_are_corrected_as_far_as_all_invoices_rated_them() -> None:
    first = invoice(1, usage(1000, quantity=D(100), billed=D(100)))
    late = invoice(10, usage(-600, LineKind.LATE, quantity=D(-60), billed=D(40)), flat(900, 10))
    more = invoice(12, usage(200, LineKind.LATE, quantity=D(20), billed=D(60)))

    def left(one: Invoice, line: CreditLine, *others: Invoice) -> str:
        with pytest.raises(MetergateError) as refused:
            credit(one, [replace(line, quantity=D(1000).copy_sign(line.amount))], [], [said(other) for other in others])
        assert refused.value.reason is Reason.CREDIT_TOO_LARGE
        return refused.value.metadata["left"]

    assert left(first, CreditLine(1, 1)) == "100"
    assert left(first, CreditLine(1, 1), late) == "40"
    assert left(first, CreditLine(1, 1), late, more) == "60"
    assert left(more, CreditLine(1, 1), first, late) == "20"
    gone = [said(first, CreditLine(1, 400, quantity=D(50))), said(late)]
    with pytest.raises(MetergateError, match="which is 10: another"):
        credit(more, [CreditLine(1, 1, quantity=D(11))], [], gone)
    # What was given back is charged again, with its quantity.
    assert credit(late, [CreditLine(1, -600, quantity=D(-60)), CreditLine(2, 900)], [], [said(first)]).total == 300
    with pytest.raises(MetergateError, match="left of line 1, which is -60"):
        credit(late, [CreditLine(1, -600, quantity=D(-61)), CreditLine(2, 900)], [], [said(first)])
