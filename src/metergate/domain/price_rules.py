"""What makes a price valid: amounts that can be exact, tiers without gap or overlap, and only what its model uses."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from metergate.domain.errors import MetergateError, Violation
from metergate.domain.money import check_currency
from metergate.domain.price import TIERED, Model, Price, Tier
from metergate.domain.quantity import CONTEXT, ONE, ZERO

MAX_TIERS = 100
AMOUNT_PLACES = 12
PERCENT_PLACES = 10  # as a share they have two more
_AMOUNT_MOST = Decimal(10) ** 18
_PERCENT_MOST = Decimal(100)

# Which models use a field, beyond its default.
_USED_BY = {
    "unit_amount": frozenset({Model.FLAT, Model.ONE_OFF, Model.UNIT, Model.PACKAGE}),
    "tiers": TIERED,
    "included": frozenset({Model.UNIT, Model.PACKAGE, Model.PERCENT}),
    "package_size": frozenset({Model.PACKAGE}),
    "percent": frozenset({Model.PERCENT}),
    "minimum": frozenset(set(Model) - {Model.FLAT, Model.ONE_OFF}),
    "maximum": frozenset(set(Model) - {Model.FLAT, Model.ONE_OFF}),
}
_DEFAULT = Price("", Model.FLAT, "")


def contradictions(price: Price, field: str) -> Iterator[Violation]:
    """Each rule that the price breaks, in order; `field` is where it stands in what was sent. Whether its meter and
    labels exist is the catalog's to say."""
    try:
        check_currency(price.currency, f"{field}.currency")
    except MetergateError as error:
        yield from error.violations
    for name, models in _USED_BY.items():
        if price.model not in models and getattr(price, name) != getattr(_DEFAULT, name):
            yield Violation(f"{field}.{name}", f"has no meaning where the model is {price.model}")
    yield from _check_numbers(price, field)
    if price.model in TIERED:
        yield from _check_tiers(price.tiers, f"{field}.tiers")
    if price.minimum is not None and price.maximum is not None and price.minimum > price.maximum:
        yield Violation(f"{field}.maximum", "must not be less than minimum")


def _check_numbers(price: Price, field: str) -> Iterator[Violation]:
    for name in ("unit_amount", "included", "package_size", "minimum", "maximum"):
        yield from _check_number(getattr(price, name), f"{field}.{name}")
    yield from _check_number(price.percent, f"{field}.percent", PERCENT_PLACES)
    if price.percent > _PERCENT_MOST:
        yield Violation(f"{field}.percent", f"must be at most {_PERCENT_MOST}")
    if not price.package_size:
        yield Violation(f"{field}.package_size", "must be more than 0")
    for index, tier in enumerate(price.tiers):
        for name in ("up_to", "unit_amount", "flat_amount"):
            yield from _check_number(getattr(tier, name), f"{field}.tiers[{index}].{name}")


def _check_number(number: Decimal | None, field: str, places: int = AMOUNT_PLACES) -> Iterator[Violation]:
    if number is None:
        return
    if not ZERO <= number < _AMOUNT_MOST:
        yield Violation(field, "must be 0 or more, of at most 18 digits before the point")
    elif CONTEXT.remainder(CONTEXT.scaleb(number, places), ONE):
        yield Violation(field, f"must have at most {places} decimals")


def _check_tiers(tiers: tuple[Tier, ...], field: str) -> Iterator[Violation]:
    """Each tier begins where the one before it ends; the last one has no end, so that every quantity has a price."""
    if not 1 <= len(tiers) <= MAX_TIERS:
        yield Violation(field, f"must be 1 to {MAX_TIERS} tiers")
        return
    bottom = ZERO
    for index, tier in enumerate(tiers[:-1]):
        if tier.up_to is None:
            yield Violation(f"{field}[{index}].up_to", "is without end, and further tiers follow: they overlap")
        elif tier.up_to <= bottom:
            yield Violation(f"{field}[{index}].up_to", f"must be more than {bottom}: the tiers overlap")
        bottom = tier.up_to or bottom
    if tiers[-1].up_to is not None:
        yield Violation(f"{field}[{len(tiers) - 1}].up_to", "must be without end: beyond it nothing has a price")
