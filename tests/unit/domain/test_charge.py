"""What a period is charged: flat prices in advance and in arrears, proration to the second, and usage to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period, subscription
from metergate.domain.billing_period import next_period
from metergate.domain.charge import UsageCharge, charges
from metergate.domain.invoice import Line, LineKind
from metergate.domain.offer import PlanFeature
from metergate.domain.period import DAY, Window
from metergate.domain.plan import Plan
from metergate.domain.price import Interval, Model, Price, Timing
from metergate.domain.subscription import Item, Subscription


def instant(text: str) -> int:
    """The instant of an RFC 3339 text; days are in UTC."""
    return period.from_datetime(datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z"))


def flats(month: str, year: str, **more: Any) -> tuple[Price, ...]:
    return (
        Price("base", Model.FLAT, "USD", Interval.MONTH, unit_amount=Decimal(month), **more),
        Price("base", Model.FLAT, "USD", Interval.YEAR, unit_amount=Decimal(year), **more),
    )


CALLS = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.01"))
QUARTERLY = replace(CALLS, name="storage", meter="storage", interval=Interval.QUARTER)
SETUP = Price("setup", Model.ONE_OFF, "USD", unit_amount=Decimal(500))
PLANS = {
    "pro": (*flats("99", "1009.80", display_name="Professional"), CALLS),
    "max": (*flats("299", "3049.80"), CALLS),
    "own": (*flats("99", "1009.80"), replace(CALLS, unit_amount=Decimal("0.02"))),
    "late": flats("31", "365", timing=Timing.ARREARS),
    "seats": flats("10", "100"),
    "large": (*flats("499", "5000"), SETUP),
    "free": (*flats("0", "0"), CALLS),
    "some": (*flats("9", "99"), replace(CALLS, included=Decimal(1000))),
    "quarterly": (*flats("99", "999"), QUARTERLY),
}


def prices(plan: str, version: int) -> tuple[Price, ...]:
    return PLANS[plan]


def begun(at: str, *items: str | Item, interval: Interval = Interval.MONTH, **more: Any) -> Subscription:
    return subscription.begin("s", "c", "USD", interval, made(*items), instant(at), **{"time_zone": "UTC", **more})


def made(*items: str | Item) -> list[Item]:
    return [Item(item, 1) if isinstance(item, str) else item for item in items]


def changed(one: Subscription, at: str, *items: str | Item) -> Subscription:
    return subscription.change(one, instant(at), made(*items), ())


class Books:
    """A subscription with its invoices so far: each closed in turn with the lines of those before."""

    def __init__(self, one: Subscription) -> None:
        self.one = one
        self.lines: list[Line] = []

    def close(self, discount: int = 0) -> tuple[list[Line], list[UsageCharge]]:
        """The next invoice; `discount` per cent are off its lines above zero."""
        window = next_period(self.one, prices)
        assert window is not None
        before = [line for line in self.lines if line.window.end > window.start]
        lines, usage = charges(self.one, prices, window, before)
        self.lines += [replace(line, discount=max(line.amount, 0) * discount // 100) for line in lines]
        self.one = replace(self.one, billed_until=window.end)
        return lines, usage

    def closed(self, number: int) -> Books:
        for _ in range(number):
            self.close()
        return self


def shown(lines: Sequence[Line]) -> list[tuple[str, str, str, int]]:
    return [(line.kind.value, line.plan, covered(line.window), line.amount) for line in lines]


def covered(window: Window) -> str:
    return "/".join(period.to_text(at).removesuffix("T00:00:00Z") for at in (window.start, window.end))


# --- flat prices in advance and in arrears ---------------------------------------------------------------------------


def test_the_first_invoice_charges_in_advance_and_later_ones_renew() -> None:
    books = Books(begun("2026-01-01", "pro", Item("seats", 1, Decimal(3))))
    lines, usage = books.close()
    assert shown(lines) == [
        ("flat", "pro", "2026-01-01/2026-02-01", 9900),
        ("flat", "seats", "2026-01-01/2026-02-01", 3000),
    ]
    assert usage == []
    first = lines[0]
    assert (first.description, first.quantity, first.unit_amount, first.price) == ("Professional", 1, 99, "base")
    lines, usage = books.close()
    assert shown(lines)[0] == ("flat", "pro", "2026-02-01/2026-03-01", 9900)
    january = Window(instant("2026-01-01"), instant("2026-02-01"))
    assert usage == [UsageCharge(CALLS, "pro", 1, january, (31 * DAY, 31 * DAY), "", (january,))]


def test_arrears_are_charged_when_their_interval_is_over() -> None:
    books = Books(begun("2026-01-01", "late"))
    assert books.close() == ([], [])
    assert shown(books.close()[0]) == [("flat", "late", "2026-01-01/2026-02-01", 3100)]
    books.one = subscription.cancel(books.one, instant("2026-02-15"))
    assert shown(books.close()[0]) == [("flat", "late", "2026-02-01/2026-02-15", 1550)]
    assert next_period(books.one, prices) is None


def test_yearly_arrears_wait_for_the_year_though_usage_is_invoiced_monthly() -> None:
    books = Books(begun("2026-01-01", "late", "free", interval=Interval.YEAR))
    books.closed(1)
    assert [shown(books.close()[0]) for _ in range(12)] == [
        *[[]] * 11,
        [("flat", "late", "2026-01-01/2027-01-01", 36500)],
    ]
    books.one = subscription.cancel(books.one, instant("2027-01-11"))
    assert shown(books.close()[0]) == [("flat", "late", "2027-01-01/2027-01-11", 1000)]


def test_a_year_in_advance_is_charged_once_a_year_though_usage_is_invoiced_monthly() -> None:
    books = Books(begun("2026-01-01", "pro", interval=Interval.YEAR))
    found = [shown(books.close()[0]) for _ in range(14)]
    assert found == [
        [("flat", "pro", "2026-01-01/2027-01-01", 100980)],
        *[[]] * 11,
        [("flat", "pro", "2027-01-01/2028-01-01", 100980)],
        [],
    ]


def test_what_is_free_has_no_line() -> None:
    books = Books(begun("2026-01-01", "free"))
    assert books.close()[0] == []
    books.one = changed(books.one, "2026-01-11", "free", "seats")
    assert [line.plan for line in books.close()[0]] == ["seats", "seats"]


def test_a_stub_is_charged_for_its_part_of_a_whole_interval() -> None:
    books = Books(begun("2026-01-10", "pro", anchor_day=1))
    lines, _ = books.close()
    assert shown(lines) == [("flat", "pro", "2026-01-10/2026-02-01", 7026)]  # 22 of 31 days: 70.258…
    assert lines[0].description == "Professional (1,900,800 of 2,678,400 seconds)"
    assert shown(books.close()[0]) == [("flat", "pro", "2026-02-01/2026-03-01", 9900)]


def test_p7_yen_are_prorated_to_whole_yen() -> None:
    yen = (Price("base", Model.FLAT, "JPY", unit_amount=Decimal(1000)),)
    one = subscription.begin(
        "s", "c", "JPY", Interval.MONTH, made("x"), instant("2026-01-02"), time_zone="UTC", anchor_day=1
    )
    lines, _ = charges(one, lambda plan, version: yen, Window(instant("2026-01-02"), instant("2026-01-02")), [])
    assert [line.amount for line in lines] == [968]  # 30 of 31 days: 967.74…


# --- one-offs --------------------------------------------------------------------------------------------------------


def test_a_one_off_is_charged_once_when_its_plan_first_becomes_active() -> None:
    books = Books(begun("2026-01-01", "pro"))
    books.closed(1)
    books.one = changed(books.one, "2026-01-11", Item("large", 1, Decimal(2)))
    once = [line for line in books.close()[0] if line.kind is LineKind.ONE_OFF]
    assert shown(once) == [("one_off", "large", "2026-01-11/2026-01-11", 100000)]
    books.one = changed(books.one, "2026-02-11", "pro")
    books.one = changed(books.one, "2026-02-21", Item("large", 2))
    books.closed(3)
    assert [line.kind for line in books.lines].count(LineKind.ONE_OFF) == 1


@pytest.mark.parametrize("trial", [None, "2026-01-15", "2026-04-01"])
def test_a_one_off_comes_with_the_first_invoice_after_the_trial_if_there_is_one(trial: str | None) -> None:
    books = Books(begun("2026-01-01", "large", trial_end=None if trial is None else instant(trial)))
    assert [line.kind for line in books.close()[0]] == [LineKind.ONE_OFF, LineKind.FLAT]
    books.closed(3)
    assert [line.kind for line in books.lines].count(LineKind.ONE_OFF) == 1


def test_a_one_off_of_a_plan_that_begins_at_a_boundary_is_charged_once() -> None:
    books = Books(begun("2026-01-01", "pro"))
    books.closed(1)
    boundary = instant("2026-02-01")
    books.one = subscription.change(books.one, instant("2026-01-05"), made("large"), (), True, boundary)
    found = [[line.kind for line in books.close()[0]].count(LineKind.ONE_OFF) for _ in range(3)]
    assert found == [1, 0, 0]


def test_of_one_offs_of_one_name_that_of_the_own_interval_is_charged() -> None:
    both = (SETUP, replace(SETUP, interval=Interval.YEAR, unit_amount=Decimal(100)))
    for interval, amount in [(Interval.MONTH, 50000), (Interval.YEAR, 10000), (Interval.QUARTER, 50000)]:
        one = begun("2026-01-01", "x", interval=interval)
        start = one.segments[0].start
        lines, _ = charges(one, lambda plan, version: both, Window(start, start), [])
        assert [line.amount for line in lines] == [amount]


# --- proration -------------------------------------------------------------------------------------------------------


def test_known_answer_an_upgrade_is_prorated_to_the_second() -> None:
    """99 → 299 after 10 days and 1 second of 31 days: 21 days less one second of each, 66.999… back, 202.548… more."""
    books = Books(begun("2026-01-01", "pro"))
    books.closed(1)
    books.one = changed(books.one, "2026-01-11T00:00:01Z", "max")
    lines, usage = books.close()
    assert shown(lines) == [
        ("proration", "pro", "2026-01-11T00:00:01Z/2026-02-01", -6706),
        ("proration", "max", "2026-01-11T00:00:01Z/2026-02-01", 20255),
        ("flat", "max", "2026-02-01/2026-03-01", 29900),
    ]
    assert [line.description for line in lines] == [
        "Unused time of Professional (1,814,399 of 2,678,400 seconds)",
        "Remaining time of base (1,814,399 of 2,678,400 seconds)",
        "base",
    ]
    assert [line.quantity for line in lines] == [-1, 1, 1]
    # The same price of calls held all along: one ladder, one window.
    assert [(one.plan, covered(one.window), len(one.windows)) for one in usage] == [("max", "2026-01-01/2026-02-01", 1)]


def test_what_was_really_charged_is_credited() -> None:
    books = Books(begun("2026-01-01", "pro"))
    books.close(discount=50)
    books.one = changed(books.one, "2026-01-01T12:00:00Z", "max")
    books.one = subscription.cancel(books.one, instant("2026-01-11T12:00:00Z"))
    lines, _ = books.close()
    assert shown(lines) == [
        ("proration", "pro", "2026-01-01T12:00:00Z/2026-02-01", -4870),  # 4950 × 30.5 ÷ 31
        ("proration", "max", "2026-01-01T12:00:00Z/2026-01-11T12:00:00Z", 9645),
    ]
    assert all(line.discount == 0 for line in lines)


def test_a_change_of_quantity_credits_the_old_and_charges_the_new_one() -> None:
    books = Books(begun("2026-04-01", "pro", Item("seats", 1, Decimal(3))))
    books.closed(1)
    books.one = changed(books.one, "2026-04-16", "pro", Item("seats", 1, Decimal(5)))
    assert [(line.kind, line.quantity, line.amount) for line in books.close()[0]] == [
        (LineKind.PRORATION, -3, -1500),
        (LineKind.PRORATION, 5, 2500),
        (LineKind.FLAT, 1, 9900),
        (LineKind.FLAT, 5, 5000),
    ]


def test_an_end_credits_the_rest_and_a_pause_credits_and_charges_again() -> None:
    books = Books(begun("2026-04-01", "pro"))
    books.closed(1)
    books.one = subscription.pause(books.one, instant("2026-04-11"))
    books.one = subscription.resume(books.one, instant("2026-04-21"))
    assert shown(books.close()[0]) == [
        ("proration", "pro", "2026-04-11/2026-05-01", -6600),
        ("proration", "pro", "2026-04-21/2026-05-01", 3300),
        ("flat", "pro", "2026-05-01/2026-06-01", 9900),
    ]
    books.one = subscription.cancel(books.one, instant("2026-05-01T00:00:01Z"))
    assert shown(books.close()[0]) == [("proration", "pro", "2026-05-01T00:00:01Z/2026-06-01", -9900)]


def test_a_year_in_advance_is_prorated_again_and_again() -> None:
    books = Books(begun("2026-01-01", "pro", interval=Interval.YEAR))
    books.closed(1)
    books.one = changed(books.one, "2026-03-15", "max")
    books.closed(2)
    assert shown(books.close()[0]) == [
        ("proration", "pro", "2026-03-15/2027-01-01", -80784),  # 1009.80 × 292 ÷ 365
        ("proration", "max", "2026-03-15/2027-01-01", 243984),
    ]
    books.one = changed(books.one, "2026-04-10", "pro")
    assert shown(books.close()[0]) == [
        ("proration", "max", "2026-04-10/2027-01-01", -222259),
        ("proration", "pro", "2026-04-10/2027-01-01", 73591),
    ]
    books.one = subscription.pause(books.one, instant("2026-05-03"))
    assert shown(books.close()[0]) == [("proration", "pro", "2026-05-03/2027-01-01", -67228)]
    assert books.close()[0] == []
    books.one = subscription.resume(books.one, instant("2026-07-11"))
    assert shown(books.close()[0]) == [("proration", "pro", "2026-07-11/2027-01-01", 48138)]
    assert books.close()[0] == []


def test_of_charges_of_one_price_it_is_the_last_that_is_credited() -> None:
    """The year was sold at half its price; the rest of it, bought again after a pause, at the whole."""
    books = Books(begun("2026-01-01", "pro", interval=Interval.YEAR))
    books.close(discount=50)
    books.one = subscription.pause(books.one, instant("2026-01-11"))
    assert [line.amount for line in books.close()[0]] == [-49107]  # 504.90 × 355 ÷ 365
    books.one = subscription.resume(books.one, instant("2026-02-11"))
    assert [line.amount for line in books.close()[0]] == [89637]  # 1009.80 × 324 ÷ 365
    books.one = subscription.cancel(books.one, instant("2026-03-11"))
    assert [line.amount for line in books.close()[0]] == [-81891]  # 896.37 × 296 ÷ 324


def test_a_change_back_after_the_invoice_of_the_change() -> None:
    """At a boundary within a year the old plan is credited and the new one charged with the same invoice."""
    books = Books(begun("2026-01-01", "pro", interval=Interval.YEAR))
    books.closed(1)
    books.one = subscription.change(books.one, instant("2026-01-05"), made("max"), (), True, instant("2026-02-01"))
    assert shown(books.close()[0]) == [
        ("proration", "pro", "2026-02-01/2027-01-01", -92404),
        ("flat", "max", "2026-02-01/2027-01-01", 279078),
    ]
    assert books.close()[0] == []


def test_what_an_invoice_takes_back_after_a_credit_note_is_what_was_left() -> None:
    one = begun("2026-04-01", "pro")
    books = Books(one)
    first, _ = books.close()
    ended = subscription.cancel(books.one, instant("2026-04-16"))
    window = next_period(ended, prices)
    assert window is not None
    lines, _ = charges(ended, prices, window, [replace(first[0], amount=9900 - 1900)])
    assert [line.amount for line in lines] == [-4000]


def test_a_custom_price_is_charged_and_its_change_prorated() -> None:
    own = Price("base", Model.FLAT, "USD", unit_amount=Decimal(60), display_name="Ours")
    books = Books(begun("2026-04-01", "pro", custom=[own]))
    assert [(line.amount, line.description) for line in books.close()[0]] == [(6000, "Ours")]
    cheaper = replace(own, unit_amount=Decimal(30))
    books.one = subscription.change(books.one, instant("2026-04-16"), made("pro"), [cheaper])
    assert [line.amount for line in books.close()[0]] == [-3000, 1500, 3000]


# --- usage -----------------------------------------------------------------------------------------------------------


def usage_of(found: Sequence[UsageCharge]) -> list[tuple[str, str, list[str], str]]:
    return [(one.price.name, one.plan, [covered(window) for window in one.windows], one.why) for one in found]


def test_usage_of_different_prices_is_read_apart_and_of_one_price_together() -> None:
    books = Books(begun("2026-01-01", "pro"))
    books.closed(1)
    books.one = changed(books.one, "2026-01-11", "own")
    books.one = changed(books.one, "2026-01-21", "max")
    _, usage = books.close()
    assert usage_of(usage) == [
        ("calls", "max", ["2026-01-01/2026-01-11", "2026-01-21/2026-02-01"], ""),
        ("calls", "own", ["2026-01-11/2026-01-21"], ""),
    ]
    assert [covered(one.window) for one in usage] == ["2026-01-01/2026-02-01", "2026-01-11/2026-01-21"]
    assert [one.held for one in usage] == [(21 * DAY, 31 * DAY), (10 * DAY, 31 * DAY)]


def test_usage_in_a_trial_and_in_a_pause_is_declared() -> None:
    books = Books(begun("2026-01-01", "pro", trial_end=instant("2026-03-01")))
    lines, usage = books.close()
    assert usage_of(usage) == [("calls", "pro", ["2026-01-01/2026-03-01"], "trial")]
    assert shown(lines) == [("flat", "pro", "2026-03-01/2026-04-01", 9900)]
    books.one = subscription.pause(books.one, instant("2026-03-11"))
    assert usage_of(books.close()[1]) == [
        ("calls", "pro", ["2026-03-01/2026-03-11"], ""),
        ("calls", "pro", ["2026-03-11/2026-04-01"], "paused"),
    ]
    assert usage_of(books.close()[1]) == [("calls", "pro", ["2026-04-01/2026-05-01"], "paused")]


def test_a_trial_that_is_ended_early_is_declared_with_its_own_invoice() -> None:
    books = Books(begun("2026-01-01", "pro", trial_end=instant("2026-01-15")))
    books.one = subscription.activate(books.one, instant("2026-01-05"))
    lines, usage = books.close()
    assert shown(lines) == [("flat", "pro", "2026-01-05/2026-01-15", 3194)]  # 10 of 31 days
    assert usage_of(usage) == [("calls", "pro", ["2026-01-01/2026-01-05"], "trial")]
    lines, usage = books.close()
    assert shown(lines) == [("flat", "pro", "2026-01-15/2026-02-15", 9900)]
    assert usage_of(usage) == [("calls", "pro", ["2026-01-05/2026-01-15"], "")]


def test_a_canceled_trial_charges_nothing() -> None:
    books = Books(begun("2026-01-01", "large", "pro", trial_end=instant("2026-01-15"), trial_then_cancel=True))
    lines, usage = books.close()
    assert lines == []
    assert usage_of(usage) == [("calls", "pro", ["2026-01-01/2026-01-15"], "trial")]


def test_quarterly_usage_is_rated_when_the_quarter_is_over_or_the_subscription_ends() -> None:
    books = Books(begun("2026-01-01", "quarterly"))
    found = [usage_of(books.close()[1]) for _ in range(4)]
    assert found == [[], [], [], [("storage", "quarterly", ["2026-01-01/2026-04-01"], "")]]
    books.one = subscription.cancel(books.one, instant("2026-05-11"))
    assert usage_of(books.close()[1]) == []
    _, usage = books.close()
    assert usage_of(usage) == [("storage", "quarterly", ["2026-04-01/2026-05-11"], "")]
    assert usage[0].held == (40 * DAY, 91 * DAY)


def test_usage_before_a_scheduled_change_keeps_the_plan_that_it_was_counted_on() -> None:
    books = Books(begun("2026-01-01", "pro"))
    books.closed(1)
    books.one = subscription.change(books.one, instant("2026-01-05"), made("max"), (), True, instant("2026-02-01"))
    lines, usage = books.close()
    assert shown(lines) == [("flat", "max", "2026-02-01/2026-03-01", 29900)]
    assert [one.plan for one in usage] == ["pro"]


def test_usage_is_charged_by_each_of_the_equal_prices_that_hold_at_a_time() -> None:
    one = begun("2026-01-01", "free", "max")
    january = Window(instant("2026-01-01"), instant("2026-02-01"))
    _, usage = charges(one, prices, january, [])
    assert [(each.price, each.plan, each.window) for each in usage] == [
        (CALLS, "free", january),
        (CALLS, "max", january),
    ]
    # One that goes on with another plan is one, while the other plan's stays by itself.
    changed = subscription.change(one, instant("2026-01-11"), made("pro", "max"), ())
    _, usage = charges(changed, prices, january, [])
    assert [(each.plan, each.window) for each in usage] == [("pro", january), ("max", january)]


def test_a_plan_so_many_times_includes_so_many_times_the_usage() -> None:
    """As its limits allow so many times as much; what is changed within an interval is the mean by time."""
    one = begun("2026-04-01", Item("some", 1, Decimal(3)))
    april = Window(instant("2026-04-01"), instant("2026-05-01"))
    _, (usage,) = charges(one, prices, april, [])
    assert usage.price == replace(CALLS, included=Decimal(3000))
    changed = subscription.change(one, instant("2026-04-21"), made(Item("some", 1, Decimal(6))), ())
    _, (usage,) = charges(changed, prices, april, [])
    assert (usage.price.included, usage.windows) == (Decimal(4000), (april,))
    may = Window(april.end, instant("2026-06-01"))
    _, (usage,) = charges(replace(changed, billed_until=april.end), prices, may, [])
    assert usage.price.included == 6000
    # A price of the customer's own stands for the plan's.
    own = replace(one, segments=(replace(one.segments[0], custom=(replace(CALLS, included=Decimal(7)),)),))
    assert charges(own, prices, april, [])[1][0].price.included == 21


def _feature(included: int | None, *overage: str) -> tuple[Price, ...]:
    """What a plan charges that gives the feature `calls`."""
    given = PlanFeature("calls", included=None if included is None else Decimal(included))
    priced = replace(given, overage=tuple(("USD", Decimal(amount)) for amount in overage))
    return Plan("p", features=(priced,), meters=(("calls", "calls"),)).charged


def test_a_metered_feature_that_several_plans_give_is_one_price_that_includes_what_all_do() -> None:
    """As its limits allow what all do together: who buys more units with an add-on is not charged for them."""
    given = {
        "base": _feature(1000, "0.02"), "more": _feature(500), "dearer": _feature(100, "0.05"), "hard": _feature(10),
        "all": _feature(None),
    }  # fmt: skip
    january = Window(instant("2026-01-01"), instant("2026-02-01"))

    def usage(*items: str | Item) -> list[tuple[str, Decimal, Decimal]]:
        found = charges(begun("2026-01-01", *items), lambda plan, _: given[plan], january, [])[1]
        return [(each.plan, each.price.unit_amount, each.price.included) for each in found]

    assert usage("base") == [("base", Decimal("0.02"), 1000)]
    assert usage("base", "more") == [("base", Decimal("0.02"), 1500)]
    assert usage(Item("base", 1, Decimal(2)), Item("more", 1, Decimal(3)), "dearer") == [
        ("base", Decimal("0.02"), 3600)
    ]
    assert usage("hard", "dearer") == [("dearer", Decimal("0.05"), 110)]
    assert usage("hard") == usage("base", "all") == usage("all", "dearer") == []
    bought = subscription.change(
        begun("2026-01-01", "base"), instant("2026-01-01") + 15 * DAY, made("base", "more"), ()
    )
    (one,) = charges(bought, lambda plan, _: given[plan], january, [])[1]
    assert (one.windows, one.price.included) == ((january,), Decimal("1258.064516129032"))
