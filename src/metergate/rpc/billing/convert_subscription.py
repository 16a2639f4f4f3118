"""Subscriptions between the contract's messages and the domain's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from metergate.app import clock
from metergate.app.billing.subscribe import Changed, Wanted
from metergate.domain import billing_period, money, period, quantity, subscription
from metergate.domain.errors import invalid
from metergate.domain.price import Price
from metergate.domain.subscription import Item, Mode, Segment, State, Subscription
from metergate.domain.usage import MAX_NAME, check_text
from metergate.rpc.convert import moment, to_pb_time
from metergate.rpc.convert_price import INTERVALS, from_pb_interval, from_pb_price, to_pb_price
from metergate.v1 import billing_pb2, price_pb2
from metergate.v1 import subscription_pb2 as pb

_PRICES_MOST = 100
_TRIAL_MOST = 730  # days
_PAST_MOST = 366 * period.DAY  # as usage may be at most, by the longest accept window that can be set
_STATES: Mapping[State, pb.Subscription.State] = {
    State.SCHEDULED: pb.Subscription.STATE_SCHEDULED,
    State.TRIALING: pb.Subscription.STATE_TRIALING,
    State.ACTIVE: pb.Subscription.STATE_ACTIVE,
    State.PAUSED: pb.Subscription.STATE_PAUSED,
    State.CANCELED: pb.Subscription.STATE_CANCELED,
}
_MODES: Mapping[Mode, pb.SubscriptionSegment.Mode] = {
    Mode.TRIAL: pb.SubscriptionSegment.MODE_TRIAL,
    Mode.ACTIVE: pb.SubscriptionSegment.MODE_ACTIVE,
    Mode.PAUSED: pb.SubscriptionSegment.MODE_PAUSED,
}


def from_pb_items(items: Sequence[pb.SubscriptionItem]) -> list[tuple[str, int, Decimal]]:
    """Plans, their versions (0 = the one in force) and how many times.

    Raises:
        MetergateError: FIELD_INVALID or QUANTITY_INVALID, naming the item.
    """
    return [_from_pb_item(item, f"items[{at}]") for at, item in enumerate(items)]


def _from_pb_item(item: pb.SubscriptionItem, field: str) -> tuple[str, int, Decimal]:
    check_text(item.plan, f"{field}.plan", MAX_NAME)
    if item.version < 0:
        raise invalid(f"{field}.version", "must not be negative")
    number = quantity.parse(item.quantity, f"{field}.quantity") if item.quantity else quantity.ONE
    return item.plan, item.version, number


def from_pb_custom(prices: Sequence[price_pb2.Price]) -> tuple[Price, ...]:
    """The customer's own prices."""
    if len(prices) > _PRICES_MOST:
        raise invalid("custom_prices", f"must have at most {_PRICES_MOST} entries, and has {len(prices)}")
    return tuple([from_pb_price(price, f"custom_prices[{at}]") for at, price in enumerate(prices)])


def from_pb_wanted(request: billing_pb2.CreateSubscriptionRequest) -> Wanted:
    """The subscription to make; what its fields mean together, the verb checks.

    Raises:
        MetergateError: FIELD_INVALID or QUANTITY_INVALID.
    """
    check_text(request.customer, "customer", MAX_NAME)
    if request.currency:
        money.check_currency(request.currency, "currency")
    for at, coupon in enumerate(request.coupons):
        check_text(coupon, f"coupons[{at}]", MAX_NAME)
    return Wanted(
        customer=request.customer,
        items=from_pb_items(request.items),
        currency=request.currency,
        interval=from_pb_interval(request.interval, "interval"),
        start=_from_pb_start(request),
        trial_end=from_pb_moment(request, "trial_end_time"),
        trial_days=_bounded(request.trial_days, "trial_days", _TRIAL_MOST) if request.HasField("trial_days") else None,
        trial_then_cancel=request.cancel_after_trial,
        anchor_day=_bounded(request.anchor_day, "anchor_day", 31) or None,
        coupons=tuple(request.coupons),
        custom=from_pb_custom(request.custom_prices),
    )


def _from_pb_start(request: billing_pb2.CreateSubscriptionRequest) -> int | None:
    start = from_pb_moment(request, "start_time")
    if start is not None and start < clock.now() - _PAST_MOST:
        raise invalid("start_time", f"must be at most {_PAST_MOST // period.DAY} days ago")
    return start


def from_pb_changed(request: billing_pb2.ChangeSubscriptionRequest) -> Changed:
    """What a subscription shall be.

    Raises:
        MetergateError: FIELD_INVALID or QUANTITY_INVALID.
    """
    return Changed(
        items=from_pb_items(request.items),
        custom=from_pb_custom(request.custom_prices),
        at_period_end=request.at_period_end,
    )


def _bounded(number: int, field: str, most: int) -> int:
    if not 0 <= number <= most:
        raise invalid(field, f"must lie between 0 and {most}")
    return number


def from_pb_moment(request: Any, field: str) -> int | None:
    """The instant of a request's field, None where it has none.

    Raises:
        MetergateError: FIELD_INVALID: it lies outside of 1970 to 2200.
    """
    instant = moment(request, field)
    if instant is not None and not period.EARLIEST <= instant < period.LATEST:
        raise invalid(field, "must lie between 1970 and 2200")
    return instant


def to_pb_subscription(made: Subscription) -> pb.Subscription:
    """The subscription as it stands now."""
    now = clock.now()
    first, last = made.segments[0], made.segments[-1]
    shown = subscription.segment_at(made, max(now, first.start))
    interval = billing_period.interval_at(made, made.interval, max(now, first.start))
    trial = [segment.end for segment in made.segments if segment.mode is Mode.TRIAL]
    message = pb.Subscription(
        id=made.id,
        customer=made.customer,
        currency=made.currency,
        interval=INTERVALS[made.interval],
        state=_STATES[subscription.state_at(made, now)],
        items=[_to_pb_item(item) for item in shown.items] if shown else (),
        segments=[_to_pb_segment(segment) for segment in made.segments],
        coupons=[pb.AppliedCoupon(coupon=one.coupon, start_time=to_pb_time(one.start)) for one in made.coupons],
        anchor_time=to_pb_time(made.anchor),
        time_zone=made.time_zone,
        start_time=to_pb_time(first.start),
        end_time=maybe_time(last.end),
        trial_end_time=maybe_time(trial[-1] if trial else None),
        billed_until_time=maybe_time(made.billed_until),
        create_time=to_pb_time(made.created_at),
    )
    if shown is not None:
        message.period_start_time.CopyFrom(to_pb_time(interval.start))
        message.period_end_time.CopyFrom(to_pb_time(interval.end))
    return message


def maybe_time(instant: int | None) -> Timestamp | None:
    """The Timestamp of an instant; None where there is none."""
    return None if instant is None else to_pb_time(instant)


def _to_pb_item(item: Item) -> pb.SubscriptionItem:
    return pb.SubscriptionItem(plan=item.plan, version=item.version, quantity=quantity.to_text(item.quantity))


def _to_pb_segment(segment: Segment) -> pb.SubscriptionSegment:
    return pb.SubscriptionSegment(
        start_time=to_pb_time(segment.start),
        end_time=maybe_time(segment.end),
        mode=_MODES[segment.mode],
        items=[_to_pb_item(item) for item in segment.items],
        custom_prices=[to_pb_price(price) for price in segment.custom],
    )
