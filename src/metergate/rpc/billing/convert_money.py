"""Money between the contract's messages and minor units."""

from __future__ import annotations

from metergate.domain import money
from metergate.domain.errors import invalid
from metergate.v1 import invoice_pb2 as pb


def to_pb_money(minor: int, currency: str) -> pb.Money:
    """Minor units as a message."""
    return pb.Money(currency=currency, minor_units=minor, text=money.to_text(minor, currency))


def from_pb_money(amount: pb.Money, field: str) -> tuple[int, str]:
    """The minor units and the currency that a request names.

    Raises:
        MetergateError: FIELD_INVALID: no currency, more decimals than it has, too large, or two amounts that differ.
    """
    money.check_currency(amount.currency, f"{field}.currency")
    if not amount.text:
        minor = amount.minor_units
    else:
        minor = money.parse_amount(amount.text, amount.currency, f"{field}.text")
        if amount.minor_units not in (0, minor):
            raise invalid(f"{field}.text", "is another amount than minor_units")
    if abs(minor) > money.MINOR_MOST:
        raise invalid(f"{field}.minor_units", "is too large")
    return minor, amount.currency
