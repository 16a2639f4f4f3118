"""Rating: what a quantity costs at a price. Pure and exact; the only rounding is one per line, half up.

Each metered model cuts a quantity into parts that each have one unit price, and a part is a line:

- UNIT: (q − included) × unit_amount
- PACKAGE: ⌈(q − included) ÷ package_size⌉ × unit_amount
- PERCENT: (q − included) × percent ÷ 100
- GRADUATED: per tier that q reaches: the units within the tier × its unit_amount + its flat_amount
- VOLUME: q × unit_amount + flat_amount of the one tier that q lies in

where q − included is never less than 0. A negative quantity (corrections that outweigh the usage) costs what its mirror
image costs, with the sign turned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.money import places, rounded, rounded_share
from metergate.domain.price import Model, Price
from metergate.domain.price_rules import contradictions
from metergate.domain.quantity import CONTEXT, ONE, ZERO, add, subtract

__all__ = ["Rated", "contradictions", "exact", "flat", "prorated", "rate"]


class Rated(NamedTuple):
    """A part of a quantity as a line has it: `quantity` × `unit_amount` + `flat_amount`, rounded once, is `amount` in
    minor units. `quantity` is in what is charged for: units beyond the included ones, of a PACKAGE price blocks.
    `tier` counts from 1; 0 = none."""

    tier: int
    quantity: Decimal
    unit_amount: Decimal | None
    flat_amount: Decimal | None
    amount: int


class _Part(NamedTuple):
    """A part of a quantity that has one unit price, not rounded."""

    tier: int
    quantity: Decimal
    unit_amount: Decimal
    flat_amount: Decimal = ZERO

    @property
    def exact(self) -> Decimal:
        return add(CONTEXT.multiply(self.quantity, self.unit_amount), self.flat_amount)


def rate(price: Price, quantity: Decimal) -> list[Rated]:
    """The lines that this quantity makes at a metered price: at least one, even where there is nothing to charge."""
    lines = [
        Rated(part.tier, part.quantity, part.unit_amount, part.flat_amount or None, rounded(part.exact, price.currency))
        for part in _parts(price, quantity)
    ]
    return lines or [Rated(0, ZERO, None, None, 0)]


def exact(price: Price, quantity: Decimal) -> Decimal:
    """What this quantity costs at a metered price in whole units of the currency, before any rounding."""
    total = ZERO
    for part in _parts(price, quantity):
        total = add(total, part.exact)
    return total


def flat(price: Price, quantity: Decimal, part: int = 1, whole: int = 1) -> int:
    """What `quantity` times a FLAT or ONE_OFF price is for `part` of the `whole` interval, in minor units."""
    return prorated(CONTEXT.multiply(price.unit_amount, quantity), price.currency, part, whole)


def prorated(amount: Decimal, currency: str, part: int, whole: int) -> int:
    """`amount × part ÷ whole` of an exact amount in minor units, rounded once. `whole` must be positive."""
    numerator, denominator = CONTEXT.scaleb(amount, places(currency)).as_integer_ratio()
    return rounded_share(numerator, part, denominator * whole)


def _parts(price: Price, quantity: Decimal) -> Iterator[_Part]:
    parts = _MODELS[price.model](price, quantity.copy_abs())
    return parts if quantity >= 0 else map(_mirrored, parts)


def _mirrored(part: _Part) -> _Part:
    return part._replace(quantity=CONTEXT.minus(part.quantity), flat_amount=CONTEXT.minus(part.flat_amount))


def _unit(price: Price, quantity: Decimal) -> Iterator[_Part]:
    yield _Part(0, _beyond(price, quantity), price.unit_amount)


def _package(price: Price, quantity: Decimal) -> Iterator[_Part]:
    blocks, begun = CONTEXT.divmod(_beyond(price, quantity), price.package_size)
    yield _Part(0, add(blocks, ONE) if begun else blocks, price.unit_amount)


def _percent(price: Price, quantity: Decimal) -> Iterator[_Part]:
    yield _Part(0, _beyond(price, quantity), CONTEXT.scaleb(price.percent, -2))


def _beyond(price: Price, quantity: Decimal) -> Decimal:
    return max(subtract(quantity, price.included), ZERO)


def _graduated(price: Price, quantity: Decimal) -> Iterator[_Part]:
    bottom = ZERO
    for number, tier in enumerate(price.tiers, 1):
        if quantity <= bottom:
            return
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        yield _Part(number, subtract(top, bottom), tier.unit_amount, tier.flat_amount)
        bottom = top


def _volume(price: Price, quantity: Decimal) -> Iterator[_Part]:
    for last in list(_graduated(price, quantity))[-1:]:
        yield last._replace(quantity=quantity)


_MODELS: dict[Model, Callable[[Price, Decimal], Iterator[_Part]]] = {
    Model.UNIT: _unit,
    Model.PACKAGE: _package,
    Model.PERCENT: _percent,
    Model.GRADUATED: _graduated,
    Model.VOLUME: _volume,
}
