"""What a price says in words, as they stand in the description of a line."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from metergate.domain.price import Model, Price, Tier
from metergate.domain.quantity import to_text


@lru_cache(maxsize=4096)
def terms(price: Price, tier: int) -> tuple[str, ...]:
    """The terms by which a line at this price is reckoned, but for its unit price: "first 10,000 included",
    "blocks of 1,000", "2.9 %", "tier 2: above 10,000, up to 50,000". `tier` counts from 1; 0 = none."""
    return tuple(_terms(price, tier))


def _terms(price: Price, tier: int) -> Iterator[str]:
    if price.model is Model.PACKAGE:
        yield f"blocks of {grouped(price.package_size)}"
    if price.model is Model.PERCENT:
        yield f"{to_text(price.percent)} %"
    if price.included:
        yield f"first {grouped(price.included)} included"
    if tier:
        yield f"tier {tier}"
        yield from _reach(price.tiers[:tier])


def _reach(tiers: tuple[Tier, ...]) -> Iterator[str]:
    """Where the last of them lies."""
    for before in tiers[-2:-1]:
        if before.up_to is not None:
            yield f"above {grouped(before.up_to)}"
    if tiers[-1].up_to is not None:
        yield f"up to {grouped(tiers[-1].up_to)}"


def grouped(number: Decimal) -> str:
    """With a comma between thousands, without trailing zeros: 1,234.5."""
    return format(Decimal(to_text(number)), ",f")
