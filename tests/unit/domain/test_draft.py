"""Drafts: what an invoice takes from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain import subscription
from metergate.domain.draft import Draft, Earlier, Offer, anew, ask, ask_late
from metergate.domain.invoice import CreditLine, InvoiceState, Line, LineKind
from metergate.domain.meter import LatePolicy, Meter
from metergate.domain.offer import NO_DETAILS, Coupon
from metergate.domain.period import DAY, Window
from metergate.domain.price import Interval, Model, Price
from metergate.domain.subscription import Item, Subscription

BASE = Price("base", Model.FLAT, "USD", unit_amount=Decimal(20))
CALLS = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.10"))
OFFER = Offer(
    lambda _, __: (BASE, CALLS), {"calls": Meter("calls", "calls")}, {"half": Coupon("half", percent=Decimal(50))}
)
JANUARY, FEBRUARY = Window(0, 31 * DAY), Window(31 * DAY, 59 * DAY)
USAGE = Line(
    1, LineKind.USAGE, "", 1000, JANUARY, "pro", 1, "calls", "calls", quantity=Decimal(100), billed=Decimal(100)
)  # fmt: skip


def begun(*coupons: str) -> Subscription:
    return subscription.begin(
        "s", "c", "USD", Interval.MONTH, [Item("pro", 1)], 0, time_zone="UTC", coupons=coupons
    )  # fmt: skip


def earlier(*lines: Line, state: InvoiceState = InvoiceState.OPEN, credited: Sequence[CreditLine] = ()) -> Earlier:
    total = sum(line.amount - line.discount for line in lines)
    return Earlier("in", JANUARY, state, 1, sum(line.amount for line in lines), total, lines, tuple(credited))


def drafted(one: Subscription, before: Earlier, late_from: int | None = None) -> Draft:
    return ask(one, FEBRUARY, OFFER, [before], NO_DETAILS, late_from)


@pytest.mark.parametrize(
    ("before", "back"),
    [
        (earlier(USAGE), 600),
        (earlier(USAGE, state=InvoiceState.VOID), 0),
        (earlier(USAGE, credited=[CreditLine(1, 500)]), 300),
        (earlier(replace(USAGE, discount=500)), 300),
    ],
)
def test_p6_usage_that_was_not_so_much_is_given_back_as_far_as_it_was_charged(before: Earlier, back: int) -> None:
    draft = drafted(begun(), before, late_from=0)
    invoice = draft.make([[((), Decimal(40 if question.late else 0))] for question in draft.questions], 2)
    (late,) = [line for line in invoice.lines if line.kind is LineKind.LATE]
    assert (late.quantity, late.amount, late.discount - late.amount) == (Decimal(-60), -600, back)


def test_what_was_carried_over_to_an_invoice_that_is_credited_is_carried_over_again() -> None:
    below = Earlier("in", Window(0, 0), InvoiceState.PAID, 1, -500, -500)
    flat, carried = Line(1, LineKind.FLAT, "", 2000, FEBRUARY), Line(2, LineKind.CARRIED, "", -500, JANUARY)
    taken_back = (CreditLine(1, 2000), CreditLine(2, -500))
    for credited, again in ((), []), (taken_back, [-500]), (taken_back[:1], []):
        draft = ask(
            begun(), FEBRUARY, OFFER, [below, earlier(flat, carried, credited=credited)], NO_DETAILS
        )  # fmt: skip
        invoice = draft.make([[] for _ in draft.questions], 2)
        assert [line.amount for line in invoice.lines if line.kind is LineKind.CARRIED] == again


def test_a_coupon_is_used_by_an_invoice_that_gives_back_more_than_it_charges() -> None:
    once = Line(1, LineKind.ONE_OFF, "", 2000, JANUARY, discount=1000)
    back = Line(2, LineKind.PRORATION, "", -3000, JANUARY)
    used = replace(earlier(once, back), discounted=True)
    for before, discount in (earlier(back), 2000), (used, 0):
        draft = drafted(begun("half"), before)
        assert draft.make([[] for _ in draft.questions], 2).discount == discount


def test_p6_a_draft_of_late_usage_after_the_end_is_not_made_anew_since_its_windows_were_billed() -> None:
    offer = replace(OFFER, meters={"calls": Meter("calls", "calls", late=LatePolicy.REOPEN_DRAFT)})
    one = replace(subscription.cancel(begun(), 0, 10 * DAY), billed_until=10 * DAY)
    cut, after = Window(0, 10 * DAY), Window(10 * DAY, 40 * DAY)
    before = replace(earlier(replace(USAGE, window=cut)), period=cut)
    late = ask_late(one, after, offer, [before], NO_DETAILS, 0)
    draft = late.make([[((), Decimal(130))] for _ in late.questions], 2)
    assert [(line.kind, line.quantity) for line in draft.lines] == [(LineKind.LATE, Decimal(30))]
    assert anew(draft, one, offer, [before], NO_DETAILS, 0) is None


def test_p6_a_draft_that_is_made_anew_tells_again_what_came_late_before_or_keeps_it() -> None:
    """What it says of earlier windows is as of its `seq`; what cannot be counted any more stands as it was said."""
    offer = replace(OFFER, meters={"calls": Meter("calls", "calls", late=LatePolicy.REOPEN_DRAFT)})
    late = replace(
        USAGE, kind=LineKind.LATE, amount=300, quantity=Decimal(30), billed=Decimal(130), number=2, discount=30
    )  # fmt: skip
    mine = replace(USAGE, window=FEBRUARY, discount=100)
    one = replace(begun(), billed_until=FEBRUARY.end)
    made = Draft(one, FEBRUARY, offer, (earlier(USAGE),), (mine, late), ()).make([], 2)
    draft = anew(replace(made, id="in2"), one, offer, [earlier(USAGE)], NO_DETAILS, 0)
    assert draft is not None
    assert draft.lines == ()
    own, before = draft.questions
    counted = {FEBRUARY: Decimal(100), JANUARY: Decimal(135)}
    invoice = draft.make([[((), counted[each.charge.window])] for each in (own, before)], 3)
    assert [(line.kind, line.amount, line.discount) for line in invoice.lines] == [
        (LineKind.USAGE, 1000, 0), (LineKind.LATE, 350, 0),
    ]  # fmt: skip
    invoice = draft.without([before]).make([[((), Decimal(101))]], 3)
    assert [(line.kind, line.amount, line.discount) for line in invoice.lines] == [
        (LineKind.LATE, 300, 0), (LineKind.USAGE, 1010, 0),
    ]  # fmt: skip
