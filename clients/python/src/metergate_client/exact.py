"""Exact numbers and moments: what goes in, what comes out, and how they read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Amount: TypeAlias = int | Decimal | str
"""A quantity. Floats are refused, since 0.1 is not exactly a tenth; write Decimal("0.1") or "0.1"."""

Span: TypeAlias = timedelta | float
"""How long: a timedelta, or seconds."""

_PLAIN_DIGITS = 64  # past this an exponent stays as written: the server refuses it anyway, with its reason


def amount_text(amount: Amount) -> str:
    """The plain decimal that goes on the wire. Its limits (18 digits before the point, 12 after) are the server's.

    Raises:
        TypeError: It is a float, a bool or no number at all.
    """
    if isinstance(amount, float):
        raise TypeError(f"{amount!r} is a float, and quantities are exact: write Decimal('{amount}') or '{amount}'.")
    if isinstance(amount, str):
        return amount
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise TypeError(f"a quantity is an int, a Decimal or a str, not {type(amount).__name__}.")
    if isinstance(amount, Decimal) and amount.is_finite() and abs(amount.adjusted()) <= _PLAIN_DIGITS:
        return format(amount, "f")
    return str(amount)


def decimal(amount: Amount) -> Decimal:
    """The amount as a Decimal.

    Raises:
        TypeError: It is a float, a bool or no number at all.
        ValueError: It is a text that is no number.
    """
    text = amount_text(amount)
    try:
        return Decimal(text)  # built from text, a Decimal is exact whatever the context
    except InvalidOperation:
        raise ValueError(f"{text!r} is no decimal number") from None


def span(length: Span) -> timedelta:
    """The length as a timedelta."""
    return length if isinstance(length, timedelta) else timedelta(seconds=length)


def utc_now() -> datetime:
    """Now, with its zone."""
    return datetime.now(UTC)


def aware(moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: It has no zone, so that nobody knows which moment it is.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{moment!r} has no time zone: write datetime(…, tzinfo=UTC), or .astimezone().")
    return moment.astimezone(UTC)


def quantity_text(quantity: Decimal) -> str:
    """A quantity for people: plain, without an exponent."""
    return format(quantity, "f")


def moment_text(moment: datetime) -> str:
    """A moment for people: to the minute, and finer only where it is finer."""
    fine = "microseconds" if moment.microsecond else "seconds" if moment.second else "minutes"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=fine) + "Z"


def labels_text(labels: Mapping[str, str]) -> str:
    """Label values for people: ``{region=eu}``; empty where there are none."""
    return "{" + ", ".join(f"{key}={value}" for key, value in labels.items()) + "}" if labels else ""
