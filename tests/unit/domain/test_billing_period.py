"""Billing periods: calendar tables, with dateutil's arithmetic as the oracle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from dateutil.tz import resolve_imaginary

from metergate.domain import period, subscription
from metergate.domain.billing_period import PricesOf, current_end, in_force, interval_at, next_period
from metergate.domain.period import DAY, Window
from metergate.domain.price import Interval, Model, Price, Timing
from metergate.domain.subscription import Item, Subscription

ZONES = [
    "UTC", "Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "Europe/Berlin", "America/New_York",
    "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns", "Pacific/Chatham",
]  # fmt: skip


def instant(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return period.from_datetime(datetime.fromisoformat(text))


def flat(interval: Interval, name: str = "base", amount: int = 99) -> Price:
    return Price(name, Model.FLAT, "USD", interval, unit_amount=Decimal(amount))


def usage(interval: Interval, name: str = "calls") -> Price:
    return Price(name, Model.UNIT, "USD", interval, Timing.ARREARS, "calls", Decimal("0.01"))


PLANS = {
    "flat": tuple(flat(interval) for interval in Interval),
    "metered": (*[flat(interval) for interval in Interval], usage(Interval.MONTH)),
    "quarterly": (*[flat(interval) for interval in Interval], usage(Interval.QUARTER)),
    "usage": (usage(Interval.QUARTER),),
    "none": (Price("setup", Model.ONE_OFF, "USD", unit_amount=Decimal(10)),),
}


def prices(plan: str, version: int) -> tuple[Price, ...]:
    return PLANS[plan]


def begun(
    at: str, plan: str = "flat", interval: Interval = Interval.MONTH, zone: str = "UTC", **more: int
) -> Subscription:
    items = [Item(plan, 1)]
    return subscription.begin("s", "c", "USD", interval, items, instant(at), time_zone=zone, **more)


def invoiced(one: Subscription, prices: PricesOf, most: int) -> list[tuple[str, str]]:
    """Its first periods."""
    found: list[tuple[str, str]] = []
    while len(found) < most and (window := next_period(one, prices)) is not None:
        found.append((shown(window.start), shown(window.end)))
        one = replace(one, billed_until=window.end)
    return found


def shown(at: int) -> str:
    return period.to_text(at).removesuffix("T00:00:00Z").removesuffix(":00Z")


def oracle(anchor: int, zone: str, months: int) -> int:
    """The anchor's local day and time so many months later, by dateutil; what the clocks skip is moved on."""
    local = period.to_datetime(anchor).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    moved = (local + relativedelta(months=months)).replace(tzinfo=ZoneInfo(zone))
    return period.from_datetime(resolve_imaginary(moved).astimezone(UTC))


# --- the calendar -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", [1, 15, 28, 29, 30, 31])
@pytest.mark.parametrize("interval", list(Interval))
def test_p8_intervals_are_dateutils_through_leap_years_and_clock_changes(
    zone: str, day: int, interval: Interval
) -> None:
    for clock in ("00:00", "02:30", "23:59"):
        local = datetime.fromisoformat(f"2027-01-{day:02}T{clock}").replace(tzinfo=ZoneInfo(zone))
        one = replace(begun("2026-01-01T00:00:00Z"), anchor=period.from_datetime(local), time_zone=zone)
        # 2027-01 ± : the leap days of 2024 and 2028 are in it
        for number in range(-36 // interval.months, 36 // interval.months):
            start, end = (oracle(one.anchor, zone, interval.months * each) for each in (number, number + 1))
            assert interval_at(one, interval, start) == Window(start, end)
            assert interval_at(one, interval, end - 1) == Window(start, end)


@pytest.mark.parametrize(
    ("start", "interval", "boundaries"),
    [
        ("2026-01-31", Interval.MONTH, "2026-02-28 2026-03-31 2026-04-30 2026-05-31 2026-06-30 2026-07-31"),
        ("2026-01-30", Interval.MONTH, "2026-02-28 2026-03-30 2026-04-30 2026-05-30 2026-06-30 2026-07-30"),
        ("2026-01-29", Interval.MONTH, "2026-02-28 2026-03-29 2026-04-29"),
        ("2026-01-28", Interval.MONTH, "2026-02-28 2026-03-28 2026-04-28"),
        ("2028-01-31", Interval.MONTH, "2028-02-29 2028-03-31"),
        ("2026-11-30", Interval.QUARTER, "2027-02-28 2027-05-30 2027-08-30 2027-11-30 2028-02-29"),
        ("2026-08-31", Interval.QUARTER, "2026-11-30 2027-02-28 2027-05-31"),
        ("2028-02-29", Interval.YEAR, "2029-02-28 2030-02-28 2031-02-28 2032-02-29"),
        ("2026-12-31", Interval.YEAR, "2027-12-31 2028-12-31"),
    ],
)
def test_p8_each_boundary_is_counted_from_the_anchor(start: str, interval: Interval, boundaries: str) -> None:
    ends = boundaries.split()
    found = invoiced(begun(f"{start}T00:00:00Z", interval=interval), prices, len(ends) + 1)
    assert found == [(start, start), *zip([start, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("UTC", [31 * 24, 28 * 24, 31 * 24]),
        ("Europe/Berlin", [31 * 24, 28 * 24, 31 * 24 - 1]),
        ("America/New_York", [31 * 24, 28 * 24, 31 * 24 - 1]),
        ("Pacific/Kiritimati", [31 * 24, 28 * 24, 31 * 24]),
        ("Pacific/Niue", [31 * 24, 28 * 24, 31 * 24]),
    ],
)
def test_p8_a_month_with_a_clock_change_is_an_hour_shorter(zone: str, hours: list[int]) -> None:
    local = period.from_datetime(datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)))
    one = subscription.begin("s", "c", "USD", Interval.MONTH, [Item("flat", 1)], local, time_zone=zone)
    found = []
    for _ in range(4):
        window = next_period(one, prices)
        assert window is not None
        found.append((window.end - window.start) / period.HOUR)
        one = replace(one, billed_until=window.end)
    assert found == [0, *hours]


def test_p8_one_instant_is_another_day_at_each_end_of_the_world() -> None:
    """2026-01-31T10:30Z is 1 February in Kiritimati and still 30 January in Niue."""
    for zone, second in [("Pacific/Kiritimati", "2026-02-28T10:30"), ("Pacific/Niue", "2026-03-01T10:30")]:
        assert invoiced(begun("2026-01-31T10:30:00Z", zone=zone), prices, 2)[1] == ("2026-01-31T10:30", second)
    by_day = {
        zone: invoiced(begun("2026-01-31T10:30:00Z", zone=zone, anchor_day=1), prices, 2)[1]
        for zone in ("Pacific/Kiritimati", "Pacific/Niue")
    }
    assert by_day == {
        "Pacific/Kiritimati": ("2026-01-31T10:30", "2026-02-28T10:00"),
        "Pacific/Niue": ("2026-01-31T10:30", "2026-02-01T11:00"),
    }


# --- the first and the last period ------------------------------------------------------------------------------------


def test_an_anchor_day_makes_the_first_period_a_stub() -> None:
    assert invoiced(begun("2026-01-10T00:00:00Z", anchor_day=1), prices, 3) == [
        ("2026-01-10", "2026-01-10"),
        ("2026-01-10", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
    ]
    # The grid goes on before the anchor: what begins in February does not wait for 31 March.
    assert invoiced(begun("2026-02-10T00:00:00Z", anchor_day=31), prices, 3)[1:] == [
        ("2026-02-10", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
    ]


@pytest.mark.parametrize("days", [1, 14, 31, 60, 400])
def test_a_trial_is_one_period_however_long_and_periods_are_counted_from_its_end(days: int) -> None:
    start = instant("2026-01-10T12:00:00Z")
    one = begun("2026-01-10T12:00:00Z", "metered", trial_end=start + days * DAY)
    windows = []
    for _ in range(3):
        window = next_period(one, prices)
        assert window is not None
        windows.append(window)
        one = replace(one, billed_until=window.end)
    end = start + days * DAY
    assert windows[0] == Window(start, end)
    assert [window.end for window in windows[1:]] == [oracle(end, "UTC", 1), oracle(end, "UTC", 2)]
    assert current_end(one, start) == current_end(one, end - 1) == end
    assert current_end(one, end) == oracle(end, "UTC", 1)


def test_a_trial_that_ends_early_is_followed_by_a_stub() -> None:
    one = begun("2026-01-10T00:00:00Z", trial_end=instant("2026-01-24T00:00:00Z"))
    one = subscription.activate(one, instant("2026-01-15T00:00:00Z"))
    assert invoiced(one, prices, 3) == [
        ("2026-01-10", "2026-01-15"),
        ("2026-01-15", "2026-01-24"),
        ("2026-01-24", "2026-02-24"),
    ]


def test_what_ends_is_invoiced_up_to_its_end_and_no_further() -> None:
    one = begun("2026-01-01T00:00:00Z")
    assert invoiced(subscription.cancel(one, instant("2026-02-10T06:00:00Z")), prices, 9) == [
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-02-10T06:00"),
    ]
    on_boundary = subscription.cancel(one, instant("2026-01-10T00:00:00Z"), instant("2026-02-01T00:00:00Z"))
    assert invoiced(on_boundary, prices, 9) == [("2026-01-01", "2026-01-01"), ("2026-01-01", "2026-02-01")]


def test_a_trial_that_nobody_continues_is_invoiced_once() -> None:
    trial = begun("2026-01-01T00:00:00Z", trial_end=instant("2026-01-15T00:00:00Z"), trial_then_cancel=True)
    assert invoiced(trial, prices, 9) == [("2026-01-01", "2026-01-15")]


def test_what_never_was_is_never_invoiced() -> None:
    one = begun("2026-01-01T00:00:00Z", start=instant("2026-03-01T00:00:00Z"))
    assert next_period(one, prices) == Window(one.segments[0].start, one.segments[0].start)
    assert next_period(subscription.cancel(one, instant("2026-01-02T00:00:00Z")), prices) is None


# --- the cycle --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "interval", "first"),
    [
        ("flat", Interval.MONTH, "2026-02-01"),
        ("flat", Interval.QUARTER, "2026-04-01"),
        ("flat", Interval.YEAR, "2027-01-01"),
        ("metered", Interval.YEAR, "2026-02-01"),
        ("quarterly", Interval.YEAR, "2026-04-01"),
        ("quarterly", Interval.MONTH, "2026-02-01"),
        ("usage", Interval.MONTH, "2026-04-01"),
        ("none", Interval.QUARTER, "2026-04-01"),
    ],
)
def test_the_shortest_interval_in_force_is_invoiced(plan: str, interval: Interval, first: str) -> None:
    assert invoiced(begun("2026-01-01T00:00:00Z", plan, interval), prices, 2)[1] == ("2026-01-01", first)


def test_a_change_of_the_cycle_holds_from_the_change_on() -> None:
    one = begun("2026-01-01T00:00:00Z", "flat", Interval.YEAR)
    shorter = subscription.change(one, instant("2026-06-15T00:00:00Z"), [Item("metered", 1)], ())
    assert invoiced(shorter, prices, 3)[1:] == [("2026-01-01", "2026-07-01"), ("2026-07-01", "2026-08-01")]
    longer = subscription.change(shorter, instant("2026-08-20T00:00:00Z"), [Item("flat", 1)], ())
    assert invoiced(longer, prices, 5)[3:] == [("2026-08-01", "2027-01-01"), ("2027-01-01", "2028-01-01")]


def test_current_end_is_of_the_interval_that_is_paid_and_not_of_the_invoice() -> None:
    one = begun("2026-01-01T00:00:00Z", "metered", Interval.YEAR)
    assert shown(current_end(one, instant("2026-03-05T00:00:00Z"))) == "2027-01-01"
    later = begun("2026-01-01T00:00:00Z", start=instant("2026-02-01T00:00:00Z"))
    assert shown(current_end(later, instant("2026-01-02T00:00:00Z"))) == "2026-03-01"


# --- prices in force --------------------------------------------------------------------------------------------------


def test_prices_of_other_intervals_and_currencies_are_not_in_force() -> None:
    euros = Price("base", Model.FLAT, "EUR", unit_amount=Decimal(90))
    one = begun("2026-01-01T00:00:00Z", "metered", Interval.YEAR)
    found = in_force(one, one.segments[0], lambda plan, version: (*prices(plan, version), euros))
    assert [(each.price.name, each.price.interval) for each in found] == [
        ("base", Interval.YEAR),
        ("calls", Interval.MONTH),
    ]


def test_custom_prices_stand_for_those_of_their_name_or_are_one_more() -> None:
    own, further = flat(Interval.MONTH, amount=80), flat(Interval.MONTH, "support", 20)
    items = [Item("metered", 1, Decimal(2)), Item("usage", 1)]
    start = instant("2026-01-01T00:00:00Z")
    one = subscription.begin(
        "s", "c", "USD", Interval.MONTH, items, start, time_zone="UTC",
        custom=[own, further, flat(Interval.YEAR, amount=800)],
    )  # fmt: skip
    found = in_force(one, one.segments[0], prices)
    assert [(each.price, each.plan, each.quantity) for each in found] == [
        (own, "metered", 2),
        (usage(Interval.MONTH), "metered", 2),
        (usage(Interval.QUARTER), "usage", 1),
        (further, "metered", 2),
    ]


def test_a_metered_price_of_the_customers_own_stands_for_that_of_its_name_whatever_its_interval() -> None:
    own, start = replace(usage(Interval.MONTH), unit_amount=Decimal(7)), instant("2026-01-01T00:00:00Z")
    one = subscription.begin("s", "c", "USD", Interval.MONTH, [Item("usage", 1)], start, time_zone="UTC", custom=[own])
    assert [each.price for each in in_force(one, one.segments[0], prices)] == [own]


def test_p8_the_oracle_itself_skips_what_the_clocks_skip() -> None:
    """02:30 on 29 March 2026 does not exist in Berlin: it is 03:30 there."""
    anchor = instant("2026-01-29T01:30:00Z")
    assert period.to_datetime(oracle(anchor, "Europe/Berlin", 2)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
