"""Prices: what a plan charges, for what, how often, in which currency.

A price is a value; `rating.rate` turns it and a quantity into lines. Amounts of prices are exact decimals in whole
units of the currency (0.0000025 USD), of up to 12 places: money is rounded only where a line of an invoice is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import reduce

from metergate.domain.aggregation import rounded
from metergate.domain.quantity import CONTEXT, ONE, add

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


class Interval(StrEnum):
    """How often a price is charged: by how many months the subscription's anchor goes on."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @property
    def months(self) -> int:
        """Its length in months."""
        return _MONTHS[self._value_]


class Model(StrEnum):
    """How a quantity becomes an amount."""

    FLAT = "flat"  # `unit_amount` per interval, times the quantity of the subscription's item
    ONE_OFF = "one_off"  # `unit_amount` once, with the first invoice, times the item's quantity
    UNIT = "unit"  # `unit_amount` for each unit beyond `included`
    GRADUATED = "graduated"  # each unit at the price of the tier that it lies in
    VOLUME = "volume"  # all units at the price of the tier that the last one lies in
    PACKAGE = "package"  # `unit_amount` for each block of `package_size` beyond `included`; a begun block counts whole
    PERCENT = "percent"  # `percent` of the quantity, which is an amount of money in whole units of the currency


METERED = frozenset({Model.UNIT, Model.GRADUATED, Model.VOLUME, Model.PACKAGE, Model.PERCENT})
TIERED = frozenset({Model.GRADUATED, Model.VOLUME})


class Timing(StrEnum):
    """When a flat price is charged: with the invoice that begins its interval, or the one that ends it."""

    ADVANCE = "advance"
    ARREARS = "arrears"


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and with `up_to` (None = all further ones), each for `unit_amount`, and `flat_amount` once when the
    tier is reached."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a plan. `name` is unique among the plan's prices of one currency and interval, that of a metered
    one whatever its interval.

    One `of_feature` is made of what a plan says of a metered feature. Where several plans of a subscription give that,
    it is one price, the first's, which includes what all of them do.

    `labels` narrow the usage to events with these values, as those of a limit do; `per_labels` rate each value of these
    labels by itself. `minimum` and `maximum` bound what is charged for its usage in one interval, all label values
    together. Metered prices are charged in arrears.
    """

    name: str
    model: Model
    currency: str
    interval: Interval = Interval.MONTH
    timing: Timing = Timing.ADVANCE
    meter: str = ""
    unit_amount: Decimal = Decimal(0)
    tiers: tuple[Tier, ...] = ()
    included: Decimal = Decimal(0)
    package_size: Decimal = Decimal(1)
    percent: Decimal = Decimal(0)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    labels: tuple[tuple[str, str], ...] = ()
    per_labels: tuple[str, ...] = ()
    display_name: str = ""
    of_feature: bool = False

    def __hash__(self) -> int:
        # Prices are looked up by value for each line that is made; all fields would take ten times as long.
        return hash((self.name, self.currency))

    @property
    def metered(self) -> bool:
        """Whether it is charged for usage."""
        return self.model in METERED


Parts = Sequence[tuple[Price, Decimal]]
"""Prices, and how many times the plan of each is subscribed to."""


def one_feature(price: Price, other: Price) -> bool:
    """Whether they are of one metered feature, in one currency; what is in none counts in all."""
    both = price.of_feature and other.of_feature and price.name == other.name
    return both and (price.currency == other.currency or not other.currency)


def free_units(price: Price, times: Decimal, beside: Parts) -> Decimal | None:
    """How many units are free at a price; at one of a feature all that the plans beside each other include of it.
    None = all, so that there is nothing to charge."""
    parts = [part for part in beside if one_feature(price, part[0])] or [(price, times)]
    if any(part.of_feature and part.maximum == 0 for part, _ in parts):
        return None
    return reduce(add, [rounded(CONTEXT.multiply(part.included, many), ONE) for part, many in parts])


def united(parts: Parts) -> list[Price]:
    """The prices of plans beside each other, with what they include. Those of one feature are one, the first."""
    found: list[Price] = []
    for price, times in parts:
        free = free_units(price, times, parts)
        if price.currency and free is not None and not any(one_feature(price, other) for other in found):
            found.append(price if price.included == free else replace(price, included=free))
    return found
