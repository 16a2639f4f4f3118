"""Subscriptions: a customer's time line of what it has subscribed to.

A subscription is a row of segments that follow each other without a gap, each with the items that hold in it. What is
to come (the end of a trial, a change or a cancellation at the period's end) is a segment, or the end of the last one,
in the future: time passes, and nothing else has to happen. Undoing what is to come takes those segments away.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

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
    plans, or is one more.
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
