"""Which stretches of a subscription's time are invoiced together.

Intervals are counted from the subscription's anchor, in months on the clock of its zone, each from the anchor and never
from the one before. An invoice covers a period: the shortest interval among the prices in force, cut where the
subscription begins, where what is paid begins, and where it ends. So periods follow each other without a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from metergate.domain.period import Window, anchored_months
from metergate.domain.price import Interval, Model, Price, free_units, one_feature
from metergate.domain.quantity import ZERO
from metergate.domain.subscription import Item, Mode, Segment, Subscription, segment_at

PricesOf = Callable[[str, int], tuple[Price, ...]]
"""The prices of a plan's version, in all currencies and intervals."""


class InForce(NamedTuple):
    """A price in force, of which plan's version, and how many times; `same` = how many equal prices of other plans are
    in force before it, `included` = how many units are free, in all."""

    price: Price
    plan: str
    version: int
    quantity: Decimal
    same: int = 0
    included: Decimal = ZERO


def in_force(subscription: Subscription, segment: Segment, prices: PricesOf) -> list[InForce]:
    """What a segment's items are charged: metered prices of any interval, others of the subscription's own; custom
    prices in the place of those that they stand for, and further ones beside those of the base."""
    one = subscription
    offered = tuple([prices(item.plan, item.version) for item in segment.items])
    return list(_in_force(one.currency, one.interval, segment.items, segment.custom, offered))


@lru_cache(maxsize=4096)
def _in_force(
    currency: str,
    interval: Interval,
    items: tuple[Item, ...],
    custom: tuple[Price, ...],
    offered: tuple[tuple[Price, ...], ...],
) -> tuple[InForce, ...]:
    """The same for all who have subscribed to the same."""
    own = {_identity(price): price for price in custom}
    found = [
        InForce(_chosen(price, own), item.plan, item.version, item.quantity)
        for item, prices in zip(items, offered, strict=True)
        for price in prices
    ]
    replaced, base = {_identity(each.price) for each in found}, items[0]
    found += [
        InForce(price, base.plan, base.version, base.quantity)
        for identity, price in own.items()
        if identity not in replaced
    ]
    beside, charged = [(each.price, each.quantity) for each in found], list[InForce]()
    for each in found:
        included = free_units(each.price, each.quantity, beside)
        said = any(one_feature(each.price, other.price) for other in charged)
        if _applies(currency, interval, each.price) and included is not None and not said:
            same = sum(other.price == each.price for other in charged)
            charged.append(each._replace(included=included, same=same))
    return tuple(charged)


def _chosen(price: Price, own: Mapping[tuple[str, str, Interval | None], Price]) -> Price:
    """The customer's own price where there is one that stands for this."""
    mine = own.get(_identity(price))
    return price if mine is None else replace(mine, of_feature=price.of_feature)


def _identity(price: Price) -> tuple[str, str, Interval | None]:
    """Of one metered price and another of its name one is charged, whatever their intervals."""
    return price.name, price.currency, None if price.metered else price.interval


def _applies(currency: str, interval: Interval, price: Price) -> bool:
    if price.currency != currency:
        return False
    return price.model is not Model.FLAT or price.interval is interval


def interval_at(subscription: Subscription, interval: Interval, at: int) -> Window:
    """The whole interval that holds the instant, whatever of it the subscription holds for."""
    return anchored_months(interval.months, subscription.time_zone, subscription.anchor, at)


def current_end(subscription: Subscription, at: int) -> int:
    """When what runs at that instant (of one that has not begun: what it begins with) ends if it is not renewed: the
    trial, else the subscription's interval."""
    at = max(at, subscription.segments[0].start)
    segment = segment_at(subscription, at)
    if segment is not None and segment.mode is Mode.TRIAL:
        return max(each.end or at for each in subscription.segments if each.mode is Mode.TRIAL)
    return interval_at(subscription, subscription.interval, at).end


def next_period(subscription: Subscription, prices: PricesOf) -> Window | None:
    """The period to invoice next; None = all is invoiced. It may be closed once its end has come.

    The first one is the trial, or empty at the begin where there is none: its invoice charges in advance.
    """
    begin, end = subscription.segments[0].start, subscription.segments[-1].end
    billed = subscription.billed_until
    if end is not None and (begin == end or (billed is not None and billed >= end)):
        return None
    if billed is None:
        paid = next((segment.start for segment in subscription.segments if segment.mode is not Mode.TRIAL), end)
        assert paid is not None  # a trial has an end
        return Window(begin, paid)
    return Window(billed, _boundary(subscription, prices, billed))


def _boundary(subscription: Subscription, prices: PricesOf, after: int) -> int:
    """The first boundary after the instant: of the interval in force where it lies, or the subscription's end."""
    for segment in subscription.segments:
        if segment.end is None or segment.end > after:
            cycle = _cycle(subscription, segment, prices)
            boundary = interval_at(subscription, cycle, max(after, segment.start)).end
            if segment.end is None or boundary <= segment.end:
                return boundary
    end = subscription.segments[-1].end
    assert end is not None  # else its last segment has a boundary
    return end


def _cycle(subscription: Subscription, segment: Segment, prices: PricesOf) -> Interval:
    """The shortest interval among its recurring prices in force."""
    recurring = [
        each.price.interval for each in in_force(subscription, segment, prices) if each.price.model is not Model.ONE_OFF
    ]
    return min(recurring, key=lambda interval: interval.months, default=subscription.interval)
