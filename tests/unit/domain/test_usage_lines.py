"""Lines of usage, and of what came to a window after it was invoiced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.invoice import CreditLine, Line, LineKind
from metergate.domain.meter import LatePolicy
from metergate.domain.period import DAY, Window
from metergate.domain.price import Price
from metergate.domain.usage_lines import Labels, late_lines, usage_lines
from tests.unit.domain.prices import GRADUATED, package, unit

D = Decimal
MARCH = Window(0, 31 * DAY)
CALLS = unit("0.10", "100")
LARGE, SMALL = (("model", "large"),), (("model", "small"),)


def said(price: Price, *counted: tuple[Labels, str], **more: Any) -> list[Line]:
    return usage_lines(price, "pro", 2, MARCH, [(labels, D(quantity)) for labels, quantity in counted], **more)


def later(
    price: Price,
    before: Sequence[Line],
    *counted: tuple[Labels, str],
    credited: Sequence[tuple[Line, CreditLine]] = (),
    policy: LatePolicy = LatePolicy.NEXT_INVOICE,
    **more: Any,
) -> list[Line]:
    quantities = [(labels, D(quantity)) for labels, quantity in counted]
    return late_lines(price, "pro", 2, MARCH, quantities, before, credited, policy, **more)


def shown(lines: Sequence[Line]) -> list[tuple[str, str | None, int]]:
    """Kind, quantity and amount."""
    return [(line.kind.value, None if line.quantity is None else str(line.quantity), line.amount) for line in lines]


def test_a_line_says_where_it_comes_from() -> None:
    price = replace(CALLS, display_name="API calls", per_labels=("model",))
    assert said(price, (LARGE, "150")) == [
        Line(
            0, LineKind.USAGE, "API calls (model large): first 100 included", 500, MARCH, "pro", 2, "calls", "calls",
            LARGE, quantity=D(50), unit_amount=D("0.10"), billed=D(150),
        )
    ]  # fmt: skip


def test_each_tier_has_a_line_and_the_first_one_carries_the_whole() -> None:
    first, second = said(GRADUATED, ((), "20000"))
    assert (first.tier, first.quantity, first.amount, first.billed) == (1, D(10000), 100_000, D(20000))
    assert (second.tier, second.quantity, second.amount, second.billed) == (2, D(10000), 50_000, None)
    assert first.description == "calls: tier 1, up to 10,000"


def test_label_values_are_rated_each_by_itself() -> None:
    assert shown(said(CALLS, (LARGE, "150"), (SMALL, "110"))) == [("usage", "50", 500), ("usage", "10", 100)]


def test_usage_of_nothing_is_a_line_and_no_label_values_are_none() -> None:
    assert shown(said(CALLS, ((), "0"))) == [("usage", "0", 0)]
    assert said(CALLS) == []


@pytest.mark.parametrize(
    ("quantity", "held", "bound"),
    [
        ("150", (1, 1), ("minimum", None, 500)),
        ("0", (1, 1), ("minimum", None, 1000)),
        ("200", (1, 1), None),
        ("300", (1, 1), None),
        ("301", (1, 1), ("maximum", None, -10)),
        ("150", (15, 31), None),
        ("148", (15, 31), ("minimum", None, 4)),
        ("200", (15, 31), ("maximum", None, -32)),
    ],
)
def test_minimum_and_maximum_are_prorated_by_the_time_held(
    quantity: str, held: tuple[int, int], bound: tuple[str, None, int] | None
) -> None:
    price = replace(CALLS, minimum=D(10), maximum=D(20))
    assert shown(said(price, ((), quantity), held=held))[1:] == ([bound] if bound else [])


def test_minimum_and_maximum_are_of_all_label_values_together() -> None:
    price = replace(CALLS, minimum=D(10), maximum=D(20))
    *_, missing = said(price, (LARGE, "130"), (SMALL, "140"))
    assert (missing.kind, missing.amount, missing.labels) == (LineKind.MINIMUM, 300, ())
    assert missing.description == "calls: minimum of 10.00 USD"
    *_, over = said(price, (LARGE, "300"), (SMALL, "300"))
    assert (over.kind, over.amount, over.description) == (LineKind.MAXIMUM, -2000, "calls: maximum of 20.00 USD")
    assert shown(said(price)) == [("minimum", None, 1000)]


def test_p6_usage_of_a_trial_is_declared_and_not_charged() -> None:
    (line,) = said(replace(CALLS, minimum=D(10)), (LARGE, "150"), (SMALL, "0"), why="trial")
    assert (line.kind, line.quantity, line.amount, line.why) == (LineKind.UNBILLED, D(150), 0, "trial")
    assert line.billed is None
    assert line.description == "calls (model large): not billed, trial"


def test_p6_where_nothing_came_nothing_is_said() -> None:
    price = replace(CALLS, minimum=D(10))
    before = said(price, (LARGE, "150"), (SMALL, "0"))
    for policy in LatePolicy:
        assert later(price, before, (SMALL, "0"), (LARGE, "150"), policy=policy) == []
    assert later(price, said(price, ((), "5"), why="trial"), ((), "5"), why="trial") == []


def test_p6_a_late_line_is_what_all_costs_less_what_was_billed_and_not_what_the_rest_costs() -> None:
    (line,) = later(CALLS, said(CALLS, ((), "90")), ((), "120"))
    assert (line.kind, line.quantity, line.amount, line.billed) == (LineKind.LATE, D(30), 200, D(120))
    assert (line.window, line.price, line.description) == (MARCH, "calls", "calls: late usage")
    assert shown(later(package("7", "1000"), said(package("7", "1000"), ((), "1")), ((), "1000"))) == [
        ("late", "999", 0)
    ]
    assert shown(later(GRADUATED, said(GRADUATED, ((), "9999")), ((), "10001"))) == [("late", "2", 15)]


def test_p6_late_lines_add_up_over_invoices() -> None:
    before = said(GRADUATED, ((), "9999"))
    for quantity in ("10001", "3", "3.5", "50000"):
        before += later(GRADUATED, before, ((), quantity))
        assert sum(line.amount for line in before) == sum(line.amount for line in said(GRADUATED, ((), quantity)))
        assert later(GRADUATED, before, ((), quantity)) == []


def test_p6_usage_that_moved_to_other_label_values_leaves_the_ones_it_had() -> None:
    before = said(CALLS, (LARGE, "150"))
    lines = later(CALLS, before, (SMALL, "150"))
    assert [(line.labels, line.quantity, line.amount) for line in lines] == [
        (LARGE, D(-150), -500),
        (SMALL, D(150), 500),
    ]


def test_p6_late_usage_fills_the_minimum_first_and_the_maximum_stays() -> None:
    price = replace(CALLS, minimum=D(10), maximum=D(20))
    before = said(price, ((), "150"))
    assert sum(line.amount for line in before) == 1000
    before += later(price, before, ((), "170"))
    assert shown(before[2:]) == [("late", "20", 200), ("minimum", None, -200)]
    before += later(price, before, ((), "350"))
    assert shown(before[4:]) == [("late", "180", 1800), ("minimum", None, -300), ("maximum", None, -500)]
    assert sum(line.amount for line in before) == 2000


def test_p6_late_usage_that_is_not_billed_is_declared() -> None:
    before, policy = said(CALLS, ((), "150")), LatePolicy.DO_NOT_BILL
    before += later(CALLS, before, ((), "170"), policy=policy)
    assert shown(before[1:]) == [("unbilled", "20", 0)]
    assert before[1].why == "late"
    before += later(CALLS, before, ((), "160"), policy=policy)
    assert shown(before[2:]) == [("unbilled", "-10", 0)]
    before += later(CALLS, before, ((), "140"), policy=policy)
    assert shown(before[3:]) == [("late", "-10", -100), ("unbilled", "-10", 0)]
    before += later(CALLS, before, ((), "141"), policy=policy)
    assert shown(before[5:]) == [("unbilled", "1", 0)]


def test_p6_what_was_declared_unbilled_stays_so_when_the_policy_changes() -> None:
    before = said(CALLS, ((), "150"))
    before += later(CALLS, before, ((), "170"), policy=LatePolicy.DO_NOT_BILL)
    assert shown(later(CALLS, before, ((), "175"))) == [("late", "5", 50)]


def test_p6_late_usage_of_a_trial_is_declared_too() -> None:
    price = replace(CALLS, minimum=D(10))
    before = said(price, ((), "150"), why="trial")
    (line,) = later(price, before, ((), "500"), why="trial")
    assert (line.kind, line.quantity, line.why) == (LineKind.UNBILLED, D(350), "trial")


def test_p6_a_correction_by_credit_note_is_not_given_back_again() -> None:
    (line,) = before = said(CALLS, ((), "150"))
    credits = [(line, CreditLine(1, 200, quantity=D(20)))]
    assert later(CALLS, before, ((), "130"), credited=credits) == []
    assert shown(later(CALLS, before, ((), "120"), credited=credits)) == [("late", "-10", -100)]
    assert shown(later(CALLS, before, ((), "150"), credited=credits)) == [("late", "20", 200)]


def test_p6_money_given_by_credit_note_is_not_asked_for_again() -> None:
    (line,) = before = said(CALLS, ((), "150"))
    goodwill = [(line, CreditLine(1, 300))]
    assert later(CALLS, before, ((), "150"), credited=goodwill) == []
    assert shown(later(CALLS, before, ((), "151"), credited=goodwill)) == [("late", "1", 10)]


def test_p6_money_given_by_credit_note_is_not_given_back_again() -> None:
    (line,) = before = said(CALLS, ((), "150"))
    (half,) = later(CALLS, before, ((), "125"), credited=[(line, CreditLine(1, 300))])
    assert (half.quantity, half.amount, half.discount) == (-25, -250, -150)
    (back,) = later(CALLS, before, ((), "0"), credited=[(line, CreditLine(1, 300))])
    assert (back.amount, back.discount) == (-500, -300)
    (none,) = later(CALLS, before, ((), "0"), credited=[(line, CreditLine(1, 500))])
    assert none.amount - none.discount == 0


def test_p6_what_is_given_back_is_given_at_what_it_cost_after_its_discount() -> None:
    (line,) = said(CALLS, ((), "200"))
    paid = replace(line, discount=250)  # a quarter off
    (back,) = later(CALLS, [paid], ((), "160"))
    assert (back.amount, back.discount) == (-400, -100)
    (rest,) = later(CALLS, [paid, back], ((), "0"))
    assert (rest.amount, rest.discount) == (-600, -150)
    (beyond,) = later(CALLS, [paid], ((), "-200"))
    assert (beyond.amount, beyond.discount) == (-2000, -250)
    (more,) = later(CALLS, [paid], ((), "210"))
    assert (more.amount, more.discount) == (100, 0)
    corrected = [(paid, CreditLine(1, 300, quantity=D(40)))]
    (rest,) = later(CALLS, [paid], ((), "0"), credited=corrected)
    assert (rest.amount, rest.discount) == (-600, -150)


def test_p6_with_a_maximum_what_is_given_back_is_reckoned_on_all_lines_together() -> None:
    price = replace(CALLS, maximum=D(80))
    usage, over = said(price, ((), "1100"))
    assert (usage.amount, over.amount) == (10_000, -2_000)
    before = [replace(usage, discount=4_000), over]
    lines = later(price, before, ((), "800"))
    assert [(line.kind, line.amount, line.discount) for line in lines] == [
        (LineKind.LATE, -3_000, -500),
        (LineKind.MAXIMUM, 2_000, 0),
    ]
