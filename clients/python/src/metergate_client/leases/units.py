"""Quantities as whole numbers of 10^-12, the finest that the contract knows: exact, and quick to add and compare."""

from __future__ import annotations

from decimal import Decimal

from metergate_client.exact import Amount, decimal

PLACES = 12
ONE: int = 10**PLACES
_DIGITS = 18  # before the point


def to_units(amount: Amount) -> int:
    """The amount in units.

    Raises:
        TypeError: It is a float, a bool or no number at all.
        ValueError: It is not above zero, not finite, or has more digits than 18 and 12.
    """
    units = amount * ONE if type(amount) is int else from_decimal(decimal(amount))
    if units <= 0:
        raise ValueError(f"an amount is above zero, not {amount}")
    return units


def from_decimal(number: Decimal) -> int:
    """The number in units.

    Raises:
        ValueError: It is not finite, or has more than 18 digits before the point or 12 after it.
    """
    if not number.is_finite():
        raise ValueError(f"{number} is not finite")
    if number.adjusted() >= _DIGITS:
        raise ValueError(f"{number} has more than {_DIGITS} digits before the point")
    above, below = number.as_integer_ratio()
    units, rest = divmod(above * ONE, below)
    if rest:
        raise ValueError(f"{number} has more than {PLACES} digits after the point")
    return units


def from_text(text: str) -> int:
    """The plain decimal in units; 0 when empty."""
    return from_decimal(Decimal(text or 0))


def to_text(units: int) -> str:
    """The plain decimal of units that are not negative."""
    whole, rest = divmod(units, ONE)
    return f"{whole}.{rest:0{PLACES}d}".rstrip("0") if rest else str(whole)
