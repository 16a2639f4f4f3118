"""Laws of subscriptions: periods partition time, each second is charged once, and what nets to nothing is nothing.

A life is a subscription to which random things are done at random seconds, and which is invoiced whenever a period is
over, as the service does it: with the lines of its earlier invoices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from dateutil.tz import datetime_exists, resolve_imaginary
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metergate.domain import period, subscription
from metergate.domain.billing_period import current_end, in_force, interval_at, next_period
from metergate.domain.charge import UsageCharge, charges
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Line
from metergate.domain.period import DAY, SECOND, Window
from metergate.domain.price import Interval, Model, Price, Timing
from metergate.domain.subscription import Item, Mode, Segment, State, Subscription
from tests.property.test_period_properties import close_to_changes

BEGIN = 1_761_955_200 * SECOND  # 2025-11-01: leap days and clock changes lie ahead


def flats(amount: str, timing: Timing = Timing.ADVANCE) -> tuple[Price, ...]:
    unit = Decimal(amount)
    return tuple(Price("base", Model.FLAT, "USD", each, timing, unit_amount=unit * each.months) for each in Interval)


CALLS = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.01"))
STORAGE = Price("storage", Model.UNIT, "USD", Interval.QUARTER, meter="storage", unit_amount=Decimal("0.5"))
SETUP = Price("setup", Model.ONE_OFF, "USD", unit_amount=Decimal("19.95"))
PLANS = {
    ("pro", 1): (*flats("99"), CALLS),
    ("pro", 2): (*flats("99"), CALLS),
    ("max", 1): (*flats("299.97"), CALLS, STORAGE, SETUP),
    ("late", 1): (*flats("31.01", Timing.ARREARS), STORAGE),
    ("seats", 1): flats("7.77"),
    ("bare", 1): (CALLS,),
}


def prices(plan: str, version: int) -> tuple[Price, ...]:
    return PLANS[plan, version]


class Step(NamedTuple):
    """What is done at a second."""

    at: int
    name: str
    items: tuple[Item, ...]


plans = st.sampled_from([key for key in PLANS if key[0] != "seats"])
quantities = st.sampled_from([Decimal(1), Decimal(3), Decimal("2.5")])
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "Africa/Cairo"]
)
seconds = st.integers(0, 500 * DAY // SECOND).map(lambda second: BEGIN + second * SECOND) | st.integers(0, 500).map(
    lambda day: BEGIN + day * DAY
)


@st.composite
def item_rows(draw: st.DrawFn) -> tuple[Item, ...]:
    plan, version = draw(plans)
    seats = [Item("seats", 1, draw(quantities))] if draw(st.booleans()) else []
    return Item(plan, version, draw(quantities)), *seats


names = st.sampled_from(
    ["change", "change", "change", "change later", "pause", "resume", "activate", "cancel later", "undo"]
)
steps = st.lists(st.builds(Step, seconds, names, item_rows()), max_size=7).map(
    lambda found: sorted(found, key=lambda step: step.at)
)


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    """One that just begins."""
    start = draw(seconds.filter(lambda at: at < BEGIN + 60 * DAY))
    trial = draw(st.none() | st.integers(1, 100 * DAY // SECOND))
    return subscription.begin(
        "s", "c", "USD", draw(st.sampled_from(Interval)), draw(item_rows()), start,
        trial_end=None if trial is None else start + trial * SECOND,
        trial_then_cancel=trial is not None and draw(st.integers(0, 9)) == 0,
        anchor_day=draw(st.none() | st.integers(1, 31)), time_zone=draw(zones),
    )  # fmt: skip


def done(one: Subscription, step: Step) -> Subscription:
    """After that step, or the same where its state does not allow it."""
    end = current_end(one, step.at)
    verbs: dict[str, Callable[[], Subscription]] = {
        "change": lambda: subscription.change(one, step.at, step.items, ()),
        "change later": lambda: subscription.change(one, step.at, step.items, (), True, end),
        "pause": lambda: subscription.pause(one, step.at),
        "resume": lambda: subscription.resume(one, step.at),
        "activate": lambda: subscription.activate(one, step.at),
        "cancel": lambda: subscription.cancel(one, step.at),
        "cancel later": lambda: subscription.cancel(one, step.at, end),
        "undo": lambda: subscription.undo(one, step.at),
    }
    try:
        return verbs[step.name]()
    except MetergateError as error:
        if error.reason is not Reason.SUBSCRIPTION_STATE:
            raise
        return one


@dataclass
class Life:
    """A subscription with all of its invoices."""

    one: Subscription
    periods: list[Window]
    lines: list[Line]
    usage: list[UsageCharge]


def lived(one: Subscription, what: Iterable[Step]) -> Life:
    """Does all of it, ends the subscription after 600 days, and invoices each period when it is over: before what is
    done at that second."""
    life = Life(one, [], [], [])
    for step in [*what, Step(BEGIN + 600 * DAY, "cancel", ())]:
        while (window := next_period(life.one, prices)) is not None and window.end <= step.at:
            before = [line for line in life.lines if line.window.end > window.start]
            lines, usage = charges(life.one, prices, window, before)
            life.lines += lines
            life.usage += usage
            life.periods.append(window)
            life.one = replace(life.one, billed_until=window.end)
        if step.at >= life.one.segments[0].start:
            life.one = done(life.one, step)
    while (window := next_period(life.one, prices)) is not None:
        before = [line for line in life.lines if line.window.end > window.start]
        lines, usage = charges(life.one, prices, window, before)
        life.lines += lines
        life.usage += usage
        life.periods.append(window)
        life.one = replace(life.one, billed_until=window.end)
    return life


lives = st.builds(lived, subscriptions(), steps)


def flat_worth(one: Subscription) -> Fraction:
    """What its flat prices are for all the time that they held, in minor units, not rounded."""
    worth = Fraction(0)
    for segment in one.segments:
        if segment.mode is not Mode.ACTIVE or segment.end is None:
            continue
        for each in in_force(one, segment, prices):
            if each.price.model is Model.FLAT:
                monthly = Fraction(each.price.unit_amount) * Fraction(each.quantity) * 100
                worth += monthly * intervals_in(one, Window(segment.start, segment.end))
    return worth


def intervals_in(one: Subscription, window: Window) -> Fraction:
    """How many of the subscription's intervals fit into the window, each measured by its own length."""
    total, at = Fraction(0), window.start
    while at < window.end:
        whole = interval_at(one, one.interval, at)
        total += Fraction(min(whole.end, window.end) - at, whole.end - whole.start)
        at = whole.end
    return total


@settings(max_examples=100)
@given(lives)
def test_p8_periods_partition_the_time_of_a_subscription(life: Life) -> None:
    segments = life.one.segments
    if segments[0].start == segments[-1].end:
        assert life.periods == []
        return
    assert life.periods[0].start == segments[0].start
    assert life.periods[-1].end == segments[-1].end
    for before, after in itertools.pairwise(life.periods):
        assert before.end == after.start < after.end
    assert all(a.end == b.start and a.start < b.start for a, b in itertools.pairwise(segments))


@settings(max_examples=120)
@given(lives)
def test_p7_flat_prices_are_charged_for_each_second_that_they_held_and_for_no_other(life: Life) -> None:
    lines = [line for line in life.lines if line.price == "base"]
    assert abs(sum(line.amount for line in lines) - flat_worth(life.one)) <= Fraction(len(lines), 2)


@settings(max_examples=120)
@given(lives)
def test_p6_usage_is_billed_or_declared_once_for_each_instant_that_its_price_held(life: Life) -> None:
    for price in (CALLS, STORAGE):
        asked = sorted((window.start, window.end) for one in life.usage if one.price == price for window in one.windows)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(asked))
        holding = [segment for segment in life.one.segments if holds(life.one, segment, price)]
        assert sum(end - start for start, end in asked) == sum((each.end or 0) - each.start for each in holding)
        for one in life.usage:
            assert bool(one.why) == (state_of(life.one, one.windows[0].start) is not State.ACTIVE)
            assert 0 < one.held[0] <= one.held[1]


def holds(one: Subscription, segment: Segment, price: Price) -> bool:
    return any(each.price == price for each in in_force(one, segment, prices))


def state_of(one: Subscription, at: int) -> State:
    return subscription.state_at(one, at)


@settings(max_examples=100)
@given(lives)
def test_one_offs_are_charged_once(life: Life) -> None:
    once = [line for line in life.lines if line.price == "setup"]
    active = any(
        item.plan == "max"
        for segment in life.one.segments
        if segment.mode is Mode.ACTIVE and segment.end != segment.start
        for item in segment.items
    )
    assert len(once) == int(active)


@settings(max_examples=100)
@given(subscriptions(), seconds, item_rows())
def test_up_and_down_in_one_instant_nets_zero(one: Subscription, at: int, items: tuple[Item, ...]) -> None:
    held = subscription.segment_at(one, at)
    assume(held is not None and subscription.next_turn(one, at) is None)
    assert held is not None
    changed = subscription.change(one, at, items, ())
    assert subscription.change(changed, at, held.items, ()) == one
    assert subscription.resume(subscription.pause(one, at), at) == one
    plain, twice = Step(at, "change", items), Step(at, "change", held.items)
    assert lived(one, [plain, twice]).lines == lived(one, []).lines


@settings(max_examples=100)
@given(subscriptions(), st.lists(seconds, max_size=6))
def test_p7_splitting_a_period_with_an_unchanged_plan_changes_nothing_but_rounding(
    one: Subscription, cuts: list[int]
) -> None:
    """Versions 1 and 2 of `pro` have equal prices: a move from one to the other is a cut and no change."""
    one = replace(one, segments=tuple(replace(each, items=(Item("pro", 1),)) for each in one.segments))
    whole = lived(one, [])
    moves = [Step(at, "change", (Item("pro", 1 + (n + 1) % 2),)) for n, at in enumerate(sorted(cuts))]
    split = lived(one, moves)
    lines = len(whole.lines) + len(split.lines)
    assert abs(sum(line.amount for line in split.lines) - sum(line.amount for line in whole.lines)) <= lines
    # The price of usage is the same value all along: not even its windows are cut.
    assert [(one.windows, one.held, one.why) for one in split.usage] == [
        (one.windows, one.held, one.why) for one in whole.usage
    ]


@settings(max_examples=60)
@given(subscriptions(), steps)
def test_a_segment_that_says_the_same_changes_nothing(one: Subscription, what: list[Step]) -> None:
    """Cutting segments in two, as no transition does, leaves each line as it was."""
    life = lived(one, what)
    halves = []
    for segment in life.one.segments:
        middle = (segment.start + (segment.end or 0)) // 2 // SECOND * SECOND
        halves += [replace(segment, end=middle), replace(segment, start=middle)]
    cut = replace(life.one, segments=tuple(halves))
    before: list[Line] = []
    for window in life.periods:
        known = [line for line in before if line.window.end > window.start]
        lines, usage = charges(life.one, prices, window, known)
        assert charges(cut, prices, window, known) == (lines, usage)
        before += lines


@settings(max_examples=100)
@given(close_to_changes(), st.sampled_from(Interval), st.integers(-40, 40))
def test_p8_each_boundary_is_dateutils_count_from_the_anchor(
    near: tuple[str, int], interval: Interval, number: int
) -> None:
    zone, anchor = near[0], near[1] // SECOND * SECOND
    local = period.to_datetime(anchor).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    moved = (local + relativedelta(months=number * interval.months)).replace(tzinfo=ZoneInfo(zone), fold=local.fold)
    assume(datetime_exists(moved) or not moved.fold)  # a second time that a clock shows has no meaning in a gap
    boundary = period.from_datetime(resolve_imaginary(moved).astimezone(UTC))
    assume(0 < boundary < period.LATEST - 400 * DAY)
    whole = period.anchored_months(interval.months, zone, anchor, boundary)
    assert whole.start == boundary
    assert period.anchored_months(interval.months, zone, anchor, boundary - 1).end == boundary
    assert period.anchored_months(interval.months, zone, anchor, whole.end - 1) == whole
