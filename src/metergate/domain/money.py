"""Money: whole minor units of an ISO 4217 currency, and the one place where an exact amount is rounded to them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from metergate.domain.errors import invalid
from metergate.domain.quantity import CONTEXT

# ISO 4217, List One: the currencies in use, and those whose minor unit is not a hundredth.
_CODES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU
    UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - one line of the standard is read more easily than a list of quoted names
)
_PLACES = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),  # noqa: SIM905
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905
}
MINOR_MOST = 10**18
"""The largest amount, in minor units: a 64-bit integer holds several of them."""
# Half up, and mirrored for negatives: decimal's ROUND_HALF_UP rounds away from zero.
_ROUND = Context(prec=CONTEXT.prec, rounding=ROUND_HALF_UP, traps=[InvalidOperation])


def check_currency(code: str, field: str) -> None:
    """Raises FIELD_INVALID unless `code` is a currency of ISO 4217, in capitals."""
    if code not in _CODES:
        raise invalid(field, f"no currency of ISO 4217 is called {code[:8]!r}")


def places(currency: str) -> int:
    """How many decimals the currency has: 2 of USD, 0 of JPY, 3 of KWD."""
    return _PLACES.get(currency, 2)


def rounded(amount: Decimal, currency: str) -> int:
    """An exact amount in whole units (dollars) as minor units (cents), half up, mirrored for negatives."""
    return int(_ROUND.to_integral_value(CONTEXT.scaleb(amount, places(currency))))


def rounded_share(amount: int, part: int, whole: int) -> int:
    """`amount × part ÷ whole` in minor units, half up, mirrored for negatives. `whole` must be positive."""
    doubled = 2 * abs(amount * part) + whole
    share = doubled // (2 * whole)
    return share if amount * part >= 0 else -share


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` cut into whole minor units in proportion to `weights`, which sums to it exactly: each share is cut down,
    and what is then missing goes to those that lost most, the first of equals first (the largest remainder method).

    `weights` are 0 or more; where they are all 0 there is nobody to give to, and `amount` must be 0 too.
    """
    whole = sum(weights) or 1
    shares = [amount * weight // whole for weight in weights]
    lost = sorted(range(len(weights)), key=lambda index: -(amount * weights[index] % whole))
    for index in lost[: amount - sum(shares)]:
        shares[index] += 1
    return shares


def exact(minor: int, currency: str) -> Decimal:
    """Minor units as an exact amount in whole units."""
    return CONTEXT.scaleb(Decimal(minor), -places(currency))


def to_text(minor: int, currency: str) -> str:
    """With all its decimals, without the currency: "219.00", "-0.05", of JPY "1200"."""
    return format(exact(minor, currency), "f")


def parse_amount(text: str, currency: str, field: str) -> int:
    """The minor units that a decimal text of whole units writes.

    Raises:
        MetergateError: FIELD_INVALID, naming `field`: no plain decimal, too large, or more decimals than the currency
            has.
    """
    digits, point, fraction = text.removeprefix("-").partition(".")
    plain = digits.isascii() and digits.isdigit() and (not point or (fraction.isascii() and fraction.isdigit()))
    if not plain or len(text) > 40:
        raise invalid(field, "must be a plain decimal amount")
    if len(fraction.rstrip("0")) > places(currency):
        raise invalid(field, f"has more decimals than {currency} has, which is {places(currency)}")
    minor = int(CONTEXT.scaleb(Decimal(text), places(currency)))
    if abs(minor) > MINOR_MOST:
        raise invalid(field, "is too large")
    return minor
