"""Subscriptions: a customer's time line of what it has subscribed to.

A subscription is a row of segments that follow each other without a gap, each with the items that hold in it. What is
to come (the end of a trial, a change or a cancellation at the period's end) is a segment, or the end of the last one,
in the future: time passes, and nothing else has to happen. Undoing what is to come takes those segments away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.period import SECOND, from_datetime, to_datetime, zone
from metergate.domain.price import Interval, Price


class Mode(StrEnum):
    """What a segment is: in a trial and in a pause nothing is charged, and usage is shown as not billed. A paused
    customer has the limits of the tenant's default plan."""

    TRIAL = "trial"
    ACTIVE = "active"
    PAUSED = "paused"


class State(StrEnum):
    """What a subscription is at an instant."""

    SCHEDULED = "scheduled"  # it has not begun
    TRIALING = "trialing"
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Item:
    """A version of a plan, so many times; the first item of a segment is its base, further ones are add-ons."""

    plan: str
    version: int
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Segment:
    """What holds from `start` up to `end` (None = until something changes), instants.

    `custom` are the customer's own prices: each stands for the price of that name, currency and interval of its items'
    plans (a metered one for that of any interval), or is one more.
    """

    start: int
    end: int | None
    items: tuple[Item, ...]
    mode: Mode = Mode.ACTIVE
    custom: tuple[Price, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedCoupon:
    """A coupon, and from which instant on it holds."""

    coupon: str
    start: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of a customer, in one currency.

    `interval` chooses among the flat prices of its plans; metered prices keep their own. Periods are counted from
    `anchor` on the clock of `time_zone`, both fixed when it is made. `billed_until` is the end of the last period that
    was invoiced (None = no invoice yet).
    """

    id: str
    customer: str
    currency: str
    interval: Interval
    anchor: int
    time_zone: str
    segments: tuple[Segment, ...]
    coupons: tuple[AppliedCoupon, ...] = ()
    created_at: int = 0
    billed_until: int | None = None


def state_at(subscription: Subscription, at: int) -> State:
    """What it is at that instant, as far as is known now."""
    if at < subscription.segments[0].start:
        return State.SCHEDULED
    segment = segment_at(subscription, at)
    return State.CANCELED if segment is None else _STATE_OF[segment.mode]


def segment_at(subscription: Subscription, at: int) -> Segment | None:
    """The segment that holds at that instant; None before the begin and after the end."""
    for segment in subscription.segments:
        if segment.start <= at and (segment.end is None or at < segment.end):
            return segment
    return None


def next_turn(subscription: Subscription, after: int) -> int | None:
    """The first instant after `after` at which another segment begins or the last one ends; None = none is known."""
    turns = [turn for segment in subscription.segments for turn in (segment.start, segment.end) if turn is not None]
    return min((turn for turn in turns if turn > after), default=None)


def begin(
    id: str,
    customer: str,
    currency: str,
    interval: Interval,
    items: Sequence[Item],
    now: int,
    *,
    start: int | None = None,
    trial_end: int | None = None,
    trial_then_cancel: bool = False,
    anchor_day: int | None = None,
    time_zone: str,
    custom: Sequence[Price] = (),
    coupons: Sequence[str] = (),
) -> Subscription:
    """A subscription that begins at `start`, else now, on a trial until `trial_end` where there is one.

    Its periods are counted from the end of the trial, else from its begin; or, with an `anchor_day`, from the first
    such day of a month at or after that, at midnight in `time_zone`, so that the first period is a stub. All instants
    are cut to whole seconds. `coupons` are names.

    Raises:
        MetergateError: FIELD_INVALID naming the field; CURRENCY_MISMATCH where a custom price is in another currency.
    """
    first = _second(now if start is None else start)
    if trial_end is not None and _second(trial_end) <= first:
        raise invalid("trial_end_time", "must be later than the begin")
    if trial_then_cancel and trial_end is None:
        raise invalid("trial_then_cancel", "needs a trial")
    paid = first if trial_end is None else _second(trial_end)
    items, custom = _checked_items(items), _checked_custom(custom, currency)
    segments = [Segment(first, paid, items, Mode.TRIAL, custom)] if paid > first else []
    if not trial_then_cancel:
        segments.append(Segment(paid, None, items, Mode.ACTIVE, custom))
    return Subscription(
        id,
        customer,
        currency,
        interval,
        paid if anchor_day is None else _anchor(paid, anchor_day, time_zone),
        time_zone,
        tuple(segments),
        tuple(AppliedCoupon(coupon, first) for coupon in dict.fromkeys(coupons)),
        created_at=now,
    )


def change(
    subscription: Subscription,
    now: int,
    items: Sequence[Item],
    custom: Sequence[Price],
    at_period_end: bool = False,
    period_end: int | None = None,
) -> Subscription:
    """These items and custom prices hold from now on, or from `period_end` on; of what was to come only the end and
    the begin of what is paid stay.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it is canceled, or ends before the change; FIELD_INVALID;
            CURRENCY_MISMATCH.
    """
    at = _instant(subscription, now)
    if at_period_end:
        _require(subscription, at, "be changed at its period's end", State.TRIALING, State.ACTIVE, State.PAUSED)
        assert period_end is not None
        at = max(at, period_end)
    else:
        _require(subscription, at, "be changed", *_LIVE)
    end = subscription.segments[-1].end
    if end is not None and end <= at:
        raise _refused(subscription, state_at(subscription, now), "be changed when it has ended; undo that first")
    items, custom = _checked_items(items), _checked_custom(custom, subscription.currency)
    return _from(subscription, at, lambda segment: replace(segment, items=items, custom=custom))


def activate(subscription: Subscription, now: int) -> Subscription:
    """The trial ends now and what is paid begins; where it would have ended with the trial, it goes on.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it is not in a trial.
    """
    at = _instant(subscription, now)
    _require(subscription, at, "be activated", State.TRIALING)
    last = subscription.segments[-1]
    if last.mode is Mode.TRIAL:
        subscription = replace(subscription, segments=(*subscription.segments[:-1], replace(last, end=None)))
    return _from(subscription, at, lambda segment: replace(segment, mode=Mode.ACTIVE))


def pause(subscription: Subscription, now: int) -> Subscription:
    """From now on nothing is charged, until it is resumed; what is to come stays.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it is not active.
    """
    at = _instant(subscription, now)
    _require(subscription, at, "be paused", State.ACTIVE)
    return _from(subscription, at, lambda segment: replace(segment, mode=Mode.PAUSED))


def resume(subscription: Subscription, now: int) -> Subscription:
    """The pause ends now.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it is not paused.
    """
    at = _instant(subscription, now)
    _require(subscription, at, "be resumed", State.PAUSED)
    return _from(subscription, at, lambda segment: replace(segment, mode=Mode.ACTIVE))


def cancel(subscription: Subscription, now: int, at: int | None = None) -> Subscription:
    """It ends at `at`, which is not past, else now. One that has not begun never does.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it has ended, or ends before `at`.
    """
    earliest = _instant(subscription, now)
    _require(subscription, earliest, "be canceled", *_LIVE)
    end = earliest if at is None else max(_second(at), earliest)
    known = subscription.segments[-1].end
    if known is not None and known < end:
        raise _refused(subscription, state_at(subscription, earliest), "be canceled later than it ends")
    first = subscription.segments[0]
    if end <= first.start:
        return replace(subscription, segments=(replace(first, start=end, end=end),))
    kept = [segment for segment in subscription.segments if segment.start < end]
    return replace(subscription, segments=(*kept[:-1], replace(kept[-1], end=end)))


def undo(subscription: Subscription, now: int) -> Subscription:
    """Takes back what is to come: changes and the end that were scheduled. A trial is followed by what is paid.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it has ended, or nothing is scheduled.
    """
    at = _instant(subscription, now)
    _require(subscription, at, "be undone", *_LIVE)
    current = segment_at(subscription, at) or subscription.segments[0]
    before = [segment for segment in subscription.segments if segment.start < current.start]
    to_come = [replace(current, end=None)]
    if current.mode is Mode.TRIAL:
        trial_end = max(segment.end or 0 for segment in subscription.segments if segment.mode is Mode.TRIAL)
        to_come = [replace(current, end=trial_end), replace(current, start=trial_end, end=None, mode=Mode.ACTIVE)]
    undone = replace(subscription, segments=(*before, *to_come))
    if undone == subscription:
        raise _refused(subscription, state_at(subscription, at), "be undone: nothing is scheduled")
    return undone


def with_coupon(subscription: Subscription, coupon: str, now: int) -> Subscription:
    """The coupon of that name holds from now on.

    Raises:
        MetergateError: SUBSCRIPTION_STATE: it has ended, or has that coupon.
    """
    at = _instant(subscription, now)
    _require(subscription, at, "be given a coupon", *_LIVE)
    if any(applied.coupon == coupon for applied in subscription.coupons):
        raise _refused(subscription, state_at(subscription, at), f"be given coupon {coupon!r} twice")
    return replace(subscription, coupons=(*subscription.coupons, AppliedCoupon(coupon, at)))


_STATE_OF = {Mode.TRIAL: State.TRIALING, Mode.ACTIVE: State.ACTIVE, Mode.PAUSED: State.PAUSED}
_LIVE = (State.SCHEDULED, State.TRIALING, State.ACTIVE, State.PAUSED)


def _second(instant: int) -> int:
    return instant - instant % SECOND


def _instant(subscription: Subscription, now: int) -> int:
    """When what is done now takes effect: at the begin of this second, but after all that has been invoiced."""
    at, billed = _second(now), subscription.billed_until
    return at if billed is None or at > billed else max(now, billed + 1)


def _from(subscription: Subscription, at: int, changed: Callable[[Segment], Segment]) -> Subscription:
    """What holds from `at` on is changed; a segment that holds then is cut there."""
    segments: list[Segment] = []
    for segment in subscription.segments:
        if segment.start < at:
            segments.append(replace(segment, end=at if segment.end is None else min(segment.end, at)))
        if segment.end is None or segment.end > at:
            segments.append(changed(replace(segment, start=max(segment.start, at))))
    return replace(subscription, segments=_joined(segments))


def _joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Neighbours that say the same are one segment: so what is done and undone in one instant was never there."""
    joined = [segments[0]]
    for segment in segments[1:]:
        if replace(segment, start=joined[-1].start, end=joined[-1].end) == joined[-1]:
            joined[-1] = replace(joined[-1], end=segment.end)
        else:
            joined.append(segment)
    return tuple(joined)


def _anchor(after: int, day: int, time_zone: str) -> int:
    """The first midnight of that day of a month at or after the instant."""
    if not 1 <= day <= 31:
        raise invalid("anchor_day", "must be from 1 to 31")
    where = zone(time_zone)
    date = to_datetime(after).astimezone(where).date()
    while date.day != day or (midnight := from_datetime(datetime.combine(date, time(), where))) < after:
        date += timedelta(days=1)
    return midnight


def _checked_items(items: Sequence[Item]) -> tuple[Item, ...]:
    if not items:
        raise invalid("items", "must name a plan")
    for number, item in enumerate(items):
        if item.quantity <= 0:
            raise invalid(f"items[{number}].quantity", "must be more than 0")
        if any(item.plan == other.plan for other in items[:number]):
            raise invalid(f"items[{number}].plan", f"plan {item.plan!r} is there twice")
    return tuple(items)


def _checked_custom(custom: Sequence[Price], currency: str) -> tuple[Price, ...]:
    for price in custom:
        if price.currency != currency:
            message = f"custom price {price.name!r} is in {price.currency} and the subscription in {currency}"
            raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"price": price.name, "currency": currency})
    return tuple(custom)


def _require(subscription: Subscription, at: int, what: str, *states: State) -> None:
    state = state_at(subscription, at)
    if state not in states:
        raise _refused(subscription, state, what)


def _refused(subscription: Subscription, state: State, what: str) -> MetergateError:
    message = f"subscription {subscription.id!r} is {state} and cannot {what}"
    metadata = {"subscription": subscription.id, "state": state.value}
    return MetergateError(Reason.SUBSCRIPTION_STATE, message, metadata)
