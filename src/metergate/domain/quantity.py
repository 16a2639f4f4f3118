"""Exact quantities: decimals of at most 18 digits before and 12 after the point, never a float.

All arithmetic runs in `CONTEXT`, which has room for any sum a ledger can hold and traps what would
round, so that an inexact result is an error and never a wrong figure.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded

from metergate.domain.errors import MetergateError, Reason, invalid

CONTEXT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
# Forecasts are the one place where a quotient may be cut; they are shown and never counted.
_FORECAST = Context(prec=30, traps=[InvalidOperation, DivisionByZero, Overflow])
_FORECAST.traps[Rounded] = False
_FORECAST_PLACES = Decimal("1e-12")
_CUT = Context(prec=60, traps=[InvalidOperation])

ZERO = Decimal(0)
ONE = Decimal(1)

add = CONTEXT.add
subtract = CONTEXT.subtract

_PLAIN = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,12})?")
_SCALE = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,30})?")


def parse(text: str, field: str) -> Decimal:
    """The quantity that `text` writes in plain notation (no exponent, no NaN, no separators).

    Raises:
        MetergateError: QUANTITY_INVALID, naming `field`.
    """
    if _PLAIN.fullmatch(text) is None:
        raise _not_plain(text, field)
    return Decimal(text)


def parse_scale(text: str, field: str) -> Decimal:
    """A factor: as `parse`, with up to 30 places, so that 2 to the -30 is exact.

    Raises:
        MetergateError: QUANTITY_INVALID, naming `field`.
    """
    if _SCALE.fullmatch(text) is None:
        description = "must be a plain decimal of at most 18 digits before and 30 after the point"
        raise invalid(field, description, Reason.QUANTITY_INVALID, value=text[:60])
    return Decimal(text)


def _not_plain(text: str, field: str) -> MetergateError:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return invalid(
        field,
        "must be a plain decimal of at most 18 digits before and 12 after the point",
        Reason.QUANTITY_INVALID,
        value=shown,
    )


def to_text(quantity: Decimal) -> str:
    """The one way to write a quantity: plain, without trailing zeros, without a negative zero."""
    text = str(quantity)
    if text.isdigit() and (text[0] != "0" or text == "0"):
        return text
    text = format(quantity, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def proportion(part: Decimal, whole: Decimal, of: int) -> int:
    """`of × part ÷ whole`, cut to a whole number; for forecasts only."""
    return int(_FORECAST.divide(_FORECAST.multiply(part, Decimal(of)), whole))


def estimate(part: Decimal, of: int, whole: int) -> Decimal:
    """`of × part ÷ whole`, cut to 12 places; for forecasts only."""
    scaled = _FORECAST.divide(_FORECAST.multiply(part, Decimal(of)), Decimal(whole))
    return scaled.quantize(_FORECAST_PLACES, rounding=ROUND_DOWN, context=_CUT)
