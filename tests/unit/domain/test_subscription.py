"""Subscriptions: what may become of them, and what they then are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period, subscription
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.price import Interval, Model, Price
from metergate.domain.subscription import Item, Mode, Segment, State, Subscription, state_at

PRO, MAX, SEATS = Item("pro", 1), Item("max", 1), Item("seats", 1, Decimal(3))


def instant(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return period.from_datetime(datetime.fromisoformat(text))


START, TRIAL_END = instant("2026-01-10T12:00:00Z"), instant("2026-01-24T12:00:00Z")
MIDDLE, BOUNDARY, LATER = instant("2026-02-01T00:00:00Z"), instant("2026-02-10T12:00:00Z"), instant("2026-03-01T00:00Z")


def begun(now: int = START, **more: Any) -> Subscription:
    return subscription.begin("sub_1", "acme", "USD", Interval.MONTH, [PRO], now, **{"time_zone": "UTC", **more})


def on_trial(**more: Any) -> Subscription:
    return begun(trial_end=TRIAL_END, **more)


def shown(one: Subscription) -> list[tuple[str, str, str, str]]:
    """Its segments: from, to, mode, items."""
    return [
        (
            period.to_text(segment.start)[:16],
            "" if segment.end is None else period.to_text(segment.end)[:16],
            segment.mode.value,
            "+".join(item.plan for item in segment.items),
        )
        for segment in one.segments
    ]


def refused(step: Callable[[], object], reason: Reason = Reason.SUBSCRIPTION_STATE) -> MetergateError:
    with pytest.raises(MetergateError) as caught:
        step()
    assert caught.value.reason is reason
    return caught.value


# --- the begin --------------------------------------------------------------------------------------------------------


def test_it_begins_now_to_the_second_and_that_is_its_anchor() -> None:
    one = begun(START + 999_999)
    assert shown(one) == [("2026-01-10T12:00", "", "active", "pro")]
    assert (one.anchor, one.segments[0].start, one.created_at) == (START, START, START + 999_999)
    assert (one.interval, one.currency, one.time_zone, one.billed_until) == (Interval.MONTH, "USD", "UTC", None)


def test_one_that_begins_later_is_scheduled_until_then() -> None:
    one = begun(start=MIDDLE)
    assert [state_at(one, at) for at in (START, MIDDLE - 1, MIDDLE)] == [
        State.SCHEDULED,
        State.SCHEDULED,
        State.ACTIVE,
    ]
    assert subscription.segment_at(one, START) is None
    assert subscription.next_turn(one, START) == MIDDLE
    assert subscription.next_turn(one, MIDDLE) is None


def test_a_trial_is_followed_by_what_is_paid_which_is_counted_from_its_end() -> None:
    one = on_trial()
    assert shown(one) == [
        ("2026-01-10T12:00", "2026-01-24T12:00", "trial", "pro"),
        ("2026-01-24T12:00", "", "active", "pro"),
    ]
    assert one.anchor == TRIAL_END
    assert [state_at(one, at) for at in (START, TRIAL_END - 1, TRIAL_END)] == [
        State.TRIALING,
        State.TRIALING,
        State.ACTIVE,
    ]
    assert subscription.next_turn(one, START) == TRIAL_END


def test_a_trial_that_nobody_continues_ends_it() -> None:
    one = on_trial(trial_then_cancel=True)
    assert shown(one) == [("2026-01-10T12:00", "2026-01-24T12:00", "trial", "pro")]
    assert state_at(one, TRIAL_END) is State.CANCELED
    assert subscription.next_turn(one, TRIAL_END) is None


@pytest.mark.parametrize(
    ("zone", "day", "after", "anchor"),
    [
        ("UTC", 1, "2026-01-10T12:00:00Z", "2026-02-01T00:00:00Z"),
        ("UTC", 10, "2026-01-10T00:00:00Z", "2026-01-10T00:00:00Z"),
        ("UTC", 10, "2026-01-10T00:00:01Z", "2026-02-10T00:00:00Z"),
        ("UTC", 31, "2026-02-10T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("UTC", 29, "2026-02-10T00:00:00Z", "2026-03-29T00:00:00Z"),
        ("UTC", 29, "2028-02-10T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("UTC", 15, "2026-12-20T00:00:00Z", "2027-01-15T00:00:00Z"),
        ("Pacific/Kiritimati", 1, "2026-01-31T09:59:59Z", "2026-01-31T10:00:00Z"),  # UTC+14: there it is 1 February
        ("Pacific/Kiritimati", 1, "2026-01-31T10:00:01Z", "2026-02-28T10:00:00Z"),
        ("Pacific/Niue", 1, "2026-01-01T10:59:59Z", "2026-01-01T11:00:00Z"),  # UTC-11
        ("Pacific/Niue", 1, "2026-01-01T11:00:01Z", "2026-02-01T11:00:00Z"),
        ("Asia/Kathmandu", 5, "2026-01-04T18:14:59Z", "2026-01-04T18:15:00Z"),  # UTC+5:45
        ("Europe/Berlin", 29, "2026-03-20T00:00:00Z", "2026-03-28T23:00:00Z"),  # the day with 23 hours
        ("Africa/Cairo", 24, "2026-04-20T00:00:00Z", "2026-04-23T22:00:00Z"),  # its midnight does not exist: 01:00
    ],
)
def test_p8_an_anchor_day_begins_at_midnight_in_the_customers_zone(
    zone: str, day: int, after: str, anchor: str
) -> None:
    one = begun(instant(after), anchor_day=day, time_zone=zone)
    assert period.to_text(one.anchor) == anchor
    assert one.segments[0].start == instant(after)


def test_an_anchor_day_is_looked_for_from_the_end_of_the_trial_on() -> None:
    assert period.to_text(on_trial(anchor_day=15).anchor) == "2026-02-15T00:00:00Z"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"trial_end": START}, "trial_end_time"),
        ({"trial_end": START + 999_999}, "trial_end_time"),
        ({"trial_end": MIDDLE, "start": LATER}, "trial_end_time"),
        ({"trial_then_cancel": True}, "trial_then_cancel"),
        ({"anchor_day": 0}, "anchor_day"),
        ({"anchor_day": 32}, "anchor_day"),
        ({"anchor_day": 1, "time_zone": "Mars/Olympus"}, "time_zone"),
    ],
)
def test_p12_a_begin_that_makes_no_sense_is_refused(more: dict[str, Any], field: str) -> None:
    assert refused(lambda: begun(**more), Reason.FIELD_INVALID).field == field


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "items"),
        ([PRO, Item("seats", 1, Decimal(0))], "items[1].quantity"),
        ([PRO, SEATS, Item("pro", 2)], "items[2].plan"),
    ],
)
def test_p12_items_that_make_no_sense_are_refused(items: list[Item], field: str) -> None:
    error = refused(
        lambda: subscription.begin("s", "c", "USD", Interval.MONTH, items, START, time_zone="UTC"), Reason.FIELD_INVALID
    )
    assert error.field == field
    assert refused(lambda: subscription.change(begun(), MIDDLE, items, ()), Reason.FIELD_INVALID).field == field


def test_p12_a_custom_price_of_another_currency_is_refused() -> None:
    euros = Price("base", Model.FLAT, "EUR", unit_amount=Decimal(10))
    refused(lambda: begun(custom=[euros]), Reason.CURRENCY_MISMATCH)
    refused(lambda: subscription.change(begun(), MIDDLE, [PRO], [euros]), Reason.CURRENCY_MISMATCH)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_holds_from_this_second_on() -> None:
    changed = subscription.change(begun(), MIDDLE + 700_000, [MAX, SEATS], ())
    assert shown(changed) == [
        ("2026-01-10T12:00", "2026-02-01T00:00", "active", "pro"),
        ("2026-02-01T00:00", "", "active", "max+seats"),
    ]
    assert changed.segments[1].start == MIDDLE
    assert state_at(changed, MIDDLE + 700_000) is State.ACTIVE


def test_a_change_at_the_periods_end_waits_for_it_and_can_be_undone() -> None:
    changed = subscription.change(begun(), MIDDLE, [MAX], (), True, BOUNDARY)
    assert shown(changed) == [
        ("2026-01-10T12:00", "2026-02-10T12:00", "active", "pro"),
        ("2026-02-10T12:00", "", "active", "max"),
    ]
    assert subscription.next_turn(changed, MIDDLE) == BOUNDARY
    assert subscription.undo(changed, MIDDLE) == begun()
    assert subscription.change(changed, MIDDLE, [SEATS], (), True, BOUNDARY).segments[1].items == (SEATS,)


def test_a_change_now_takes_the_place_of_one_that_was_scheduled_and_leaves_the_end() -> None:
    ending = subscription.cancel(begun(), MIDDLE, LATER)
    scheduled = subscription.change(ending, MIDDLE, [MAX], (), True, BOUNDARY)
    assert shown(subscription.change(scheduled, MIDDLE, [SEATS], ())) == [
        ("2026-01-10T12:00", "2026-02-01T00:00", "active", "pro"),
        ("2026-02-01T00:00", "2026-03-01T00:00", "active", "seats"),
    ]


def test_a_change_in_a_trial_leaves_the_trials_end() -> None:
    changed = subscription.change(on_trial(), START + period.DAY, [MAX], ())
    assert shown(changed) == [
        ("2026-01-10T12:00", "2026-01-11T12:00", "trial", "pro"),
        ("2026-01-11T12:00", "2026-01-24T12:00", "trial", "max"),
        ("2026-01-24T12:00", "", "active", "max"),
    ]
    assert subscription.undo(subscription.cancel(changed, START + period.DAY, TRIAL_END), START + period.DAY) == changed


def test_one_that_has_not_begun_is_changed_as_a_whole_and_only_now() -> None:
    scheduled = begun(start=MIDDLE)
    assert shown(subscription.change(scheduled, START, [MAX], ())) == [("2026-02-01T00:00", "", "active", "max")]
    refused(lambda: subscription.change(scheduled, START, [MAX], (), True, BOUNDARY))


def test_up_and_down_in_one_second_was_never_there() -> None:
    one = begun()
    up = subscription.change(one, MIDDLE, [MAX], ())
    assert subscription.change(up, MIDDLE + 999_999, [PRO], ()) == one
    assert subscription.resume(subscription.pause(one, MIDDLE), MIDDLE) == one
    assert shown(subscription.change(one, START, [MAX], ())) == [("2026-01-10T12:00", "", "active", "max")]


def test_a_change_to_the_same_is_no_change() -> None:
    assert subscription.change(begun(), MIDDLE, [PRO], ()) == begun()


def test_p6_nothing_is_changed_at_an_instant_that_has_been_invoiced() -> None:
    billed = replace(begun(), billed_until=BOUNDARY)
    for now, at in [(BOUNDARY + 400_000, BOUNDARY + 400_000), (BOUNDARY, BOUNDARY + 1), (MIDDLE, BOUNDARY + 1)]:
        assert subscription.change(billed, now, [MAX], ()).segments[1].start == at
        assert subscription.cancel(billed, now).segments[-1].end == at
        assert subscription.cancel(billed, now, MIDDLE).segments[-1].end == at
    assert subscription.change(billed, BOUNDARY + 1_400_000, [MAX], ()).segments[1].start == BOUNDARY + 1_000_000


# --- trials, pauses, ends ---------------------------------------------------------------------------------------------


def test_activating_ends_the_trial_now_and_keeps_what_was_scheduled() -> None:
    at = START + period.DAY
    assert shown(subscription.activate(on_trial(), at)) == [
        ("2026-01-10T12:00", "2026-01-11T12:00", "trial", "pro"),
        ("2026-01-11T12:00", "", "active", "pro"),
    ]
    scheduled = subscription.change(on_trial(), START, [MAX], (), True, TRIAL_END)
    assert shown(subscription.activate(scheduled, at))[1:] == [
        ("2026-01-11T12:00", "2026-01-24T12:00", "active", "pro"),
        ("2026-01-24T12:00", "", "active", "max"),
    ]
    ending = subscription.cancel(on_trial(), START, LATER)
    assert subscription.activate(ending, at).segments[-1].end == LATER


def test_activating_lifts_the_end_that_the_trial_had() -> None:
    one = subscription.activate(on_trial(trial_then_cancel=True), START + period.DAY)
    assert shown(one)[1] == ("2026-01-11T12:00", "", "active", "pro")
    assert one.anchor == TRIAL_END


def test_a_pause_leaves_what_is_to_come() -> None:
    scheduled = subscription.change(subscription.cancel(begun(), MIDDLE, LATER), MIDDLE, [MAX], (), True, BOUNDARY)
    paused = subscription.pause(scheduled, MIDDLE)
    assert shown(paused)[1:] == [
        ("2026-02-01T00:00", "2026-02-10T12:00", "paused", "pro"),
        ("2026-02-10T12:00", "2026-03-01T00:00", "paused", "max"),
    ]
    assert [state_at(paused, at) for at in (MIDDLE - 1, MIDDLE, LATER)] == [State.ACTIVE, State.PAUSED, State.CANCELED]
    resumed = subscription.resume(paused, MIDDLE + period.DAY)
    assert [segment.mode for segment in resumed.segments] == [Mode.ACTIVE, Mode.PAUSED, Mode.ACTIVE, Mode.ACTIVE]


def test_it_ends_now_or_later_and_a_later_end_can_be_undone() -> None:
    one = begun()
    now = subscription.cancel(one, MIDDLE + 5)
    assert shown(now) == [("2026-01-10T12:00", "2026-02-01T00:00", "active", "pro")]
    assert state_at(now, MIDDLE + 5) is State.CANCELED
    later = subscription.cancel(one, MIDDLE, BOUNDARY + 5)
    assert later.segments[-1].end == BOUNDARY
    assert [state_at(later, at) for at in (MIDDLE, BOUNDARY)] == [State.ACTIVE, State.CANCELED]
    assert subscription.undo(later, MIDDLE) == one
    assert subscription.cancel(later, MIDDLE) == subscription.cancel(one, MIDDLE)
    assert subscription.cancel(later, MIDDLE, BOUNDARY) == later


def test_an_end_takes_later_segments_away() -> None:
    scheduled = subscription.change(begun(), MIDDLE, [MAX], (), True, BOUNDARY)
    assert shown(subscription.cancel(scheduled, MIDDLE, BOUNDARY)) == [
        ("2026-01-10T12:00", "2026-02-10T12:00", "active", "pro")
    ]


def test_one_that_has_not_begun_never_does_once_it_is_canceled() -> None:
    gone = subscription.cancel(begun(start=MIDDLE, trial_end=LATER), START + 1)
    assert gone.segments == (Segment(START, START, (PRO,), Mode.TRIAL),)
    assert [state_at(gone, at) for at in (START, MIDDLE, LATER)] == [State.CANCELED] * 3
    assert state_at(subscription.cancel(begun(), START), START) is State.CANCELED


def test_undoing_the_end_of_a_trial_has_it_followed_by_what_is_paid() -> None:
    assert subscription.undo(on_trial(trial_then_cancel=True), START) == on_trial()
    assert subscription.undo(subscription.cancel(on_trial(), START, TRIAL_END), START) == on_trial()
    scheduled = subscription.change(on_trial(), START, [MAX], (), True, TRIAL_END)
    assert subscription.undo(scheduled, START) == on_trial()
    early = begun(start=MIDDLE, trial_end=LATER, trial_then_cancel=True)
    assert subscription.undo(early, START) == begun(start=MIDDLE, trial_end=LATER)


def test_a_coupon_holds_from_now_on_and_is_given_once() -> None:
    one = begun(coupons=["welcome", "welcome"])
    assert [(applied.coupon, applied.start) for applied in one.coupons] == [("welcome", START)]
    more = subscription.with_coupon(one, "spring", MIDDLE + 3)
    assert [(applied.coupon, applied.start) for applied in more.coupons] == [("welcome", START), ("spring", MIDDLE)]
    refused(lambda: subscription.with_coupon(more, "spring", LATER))


# --- what is refused, from which state --------------------------------------------------------------------------------

STATES = {
    State.SCHEDULED: begun(start=LATER),
    State.TRIALING: begun(trial_end=LATER),
    State.ACTIVE: begun(),
    State.PAUSED: subscription.pause(begun(), START + period.DAY),
    State.CANCELED: subscription.cancel(begun(), START + period.DAY),
}
STEPS: dict[str, tuple[Callable[[Subscription], Subscription], set[State]]] = {
    "change": (lambda one: subscription.change(one, MIDDLE, [MAX], ()), set(State) - {State.CANCELED}),
    "change at the period's end": (
        lambda one: subscription.change(one, MIDDLE, [MAX], (), True, BOUNDARY),
        {State.TRIALING, State.ACTIVE, State.PAUSED},
    ),
    "activate": (lambda one: subscription.activate(one, MIDDLE), {State.TRIALING}),
    "pause": (lambda one: subscription.pause(one, MIDDLE), {State.ACTIVE}),
    "resume": (lambda one: subscription.resume(one, MIDDLE), {State.PAUSED}),
    "cancel": (lambda one: subscription.cancel(one, MIDDLE), set(State) - {State.CANCELED}),
    "undo": (lambda one: subscription.undo(one, MIDDLE), set()),
    "coupon": (lambda one: subscription.with_coupon(one, "x", MIDDLE), set(State) - {State.CANCELED}),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", list(STEPS))
def test_p12_a_step_that_the_state_does_not_allow_is_refused_and_names_it(state: State, name: str) -> None:
    step, allowed = STEPS[name]
    one = STATES[state]
    assert state_at(one, MIDDLE) is state
    if state in allowed:
        assert step(one) != one
        return
    error = refused(lambda: step(one))
    assert error.metadata == {"subscription": "sub_1", "state": state.value}
    assert state.value in error.message


def test_p12_a_later_end_or_a_change_after_the_end_is_refused() -> None:
    ending = subscription.cancel(begun(), MIDDLE, BOUNDARY)
    assert "later than it ends" in refused(lambda: subscription.cancel(ending, MIDDLE, LATER)).message
    assert "undo that first" in refused(lambda: subscription.change(ending, MIDDLE, [MAX], (), True, BOUNDARY)).message
