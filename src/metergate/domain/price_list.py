"""The public price list: what each plan costs, by currency and interval."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from metergate.domain.catalog import Catalog
from metergate.domain.plan import Plan
from metergate.domain.price import Interval, Model, Price


class Entry(NamedTuple):
    """A plan as it is subscribed to in one currency and interval, with all that such a subscription is charged."""

    plan: Plan
    currency: str
    interval: Interval
    prices: tuple[Price, ...]


def price_list(
    catalog: Catalog, currency: str = "", interval: Interval | None = None, plans: Collection[str] = ()
) -> list[Entry]:
    """The entries of these plans (none = all), plans before add-ons, in this currency ("" = any) and interval (None =
    any). What has no prices is not on it."""
    found = [entry for plan in catalog.plans if not plans or plan.name in plans for entry in _entries(plan)]
    wanted = [
        entry for entry in found if currency in ("", entry.currency) and interval in (None, entry.interval)
    ]  # fmt: skip
    return sorted(wanted, key=lambda one: (one.plan.add_on, one.plan.name, one.currency, one.interval.months))


def _entries(plan: Plan) -> Iterator[Entry]:
    prices = plan.all_prices
    for currency in {price.currency for price in prices}:
        mine = [price for price in prices if price.currency == currency]
        flat = {price.interval for price in mine if price.model is Model.FLAT}
        others = {price.interval for price in mine if price.metered} or {Interval.MONTH}
        for interval in flat or {min(others, key=lambda one: one.months)}:
            charged = [price for price in mine if price.model is not Model.FLAT or price.interval is interval]
            yield Entry(plan, currency, interval, tuple(charged))
