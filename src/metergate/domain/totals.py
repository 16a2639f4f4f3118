"""An invoice's sums: the lines, less the coupons, plus the taxes. Each sum is of numbers that stand on the invoice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from operator import attrgetter
from typing import NamedTuple

from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import Invoice, Line, LineKind, Tax
from metergate.domain.money import MINOR_MOST, rounded, rounded_share, spread
from metergate.domain.offer import BillingDetails, Coupon, TaxRate
from metergate.domain.quantity import ZERO

_BUT_NUMBER = attrgetter(*[one.name for one in fields(Line)][1:])
_NEVER_DISCOUNTED = frozenset({LineKind.CARRIED, LineKind.UNBILLED})


class Totals(NamedTuple):
    """`lines` as the invoice has them: numbered from 1, each with its share of the discount. Sums in minor units."""

    lines: tuple[Line, ...]
    subtotal: int
    discount: int
    taxes: tuple[Tax, ...]
    total: int


def totals(lines: Sequence[Line], coupons: Sequence[Coupon], rates: Sequence[TaxRate], currency: str) -> Totals:
    """subtotal = Σ amount; total = subtotal − discount + the taxes that are not inclusive.

    Raises:
        MetergateError: CURRENCY_MISMATCH, when a coupon's amount is of another currency; AMOUNT_TOO_LARGE.
    """
    _check_fits(lines)
    discounted = _discounted(lines, coupons, currency)
    numbered = tuple([Line(number, *_BUT_NUMBER(line)) for number, line in enumerate(discounted, 1)])
    subtotal = sum(line.amount for line in numbered)
    discount = sum(line.discount for line in numbered)
    taxes = _taxes(numbered, rates)
    return Totals(numbered, subtotal, discount, taxes, _total(subtotal - discount, taxes))


def taxed(invoice: Invoice, rates: Sequence[TaxRate]) -> Invoice:
    """The draft with these taxes in the place of its own.

    Raises:
        MetergateError: AMOUNT_TOO_LARGE.
    """
    taxes = _taxes(invoice.lines, rates)
    return replace(invoice, taxes=taxes, total=_total(invoice.subtotal - invoice.discount, taxes))


def tax_rates_for(details: BillingDetails, rates: Sequence[TaxRate]) -> tuple[TaxRate, ...]:
    """The customer's taxes: none where it is exempt, else those it has by name, else those of its place: of its country
    as a whole, and of its region.

    Raises:
        MetergateError: FIELD_INVALID on `tax_rates`, when no rate is called as one of its names says.
    """
    if details.tax_exempt:
        return ()
    if details.tax_rates:
        named = {rate.name: rate for rate in rates}
        for name in details.tax_rates:
            if name not in named:
                raise invalid("tax_rates", f"no tax rate is called {name!r}")
        return tuple(named[name] for name in dict.fromkeys(details.tax_rates))
    return tuple(
        rate
        for rate in rates
        if rate.country and rate.country == details.country and rate.region in ("", details.region)
    )


def _total(net: int, taxes: Iterable[Tax]) -> int:
    total = net + sum(tax.amount for tax in taxes if not tax.inclusive)
    if max(abs(net), abs(total)) > MINOR_MOST:
        raise _too_large("the invoice", {})
    return total


def _check_fits(lines: Iterable[Line]) -> None:
    for line in lines:
        if abs(line.amount) > MINOR_MOST:
            raise _too_large(f"{line.description!r}", {"price": line.price, "plan": line.plan})


def _too_large(what: str, metadata: dict[str, str]) -> MetergateError:
    message = f"{what} comes to more than {MINOR_MOST:,} minor units, the largest amount"
    return MetergateError(Reason.AMOUNT_TOO_LARGE, message, metadata)


def _discounted(lines: Sequence[Line], coupons: Sequence[Coupon], currency: str) -> list[Line]:
    """The lines with their shares of the coupons, which take off one after the other, down to 0 and no further.

    Each charge has its share, and its lines have theirs of that: so no charge has more taken off than it comes to.
    """
    found = list(lines)
    if not coupons:
        return found
    charges = _charges(lines)
    amounts = [max(sum(lines[place].amount for place in places), 0) for places in charges]
    base = rest = sum(amounts)
    for coupon in coupons:
        rest -= min(_off(coupon, rest, currency), rest)
    for places, off in zip(charges, spread(base - rest, amounts), strict=True):
        shares = spread(off, [max(lines[place].amount, 0) for place in places]) if off else ()
        for place, share in zip(places, shares, strict=bool(off)):
            found[place] = replace(lines[place], discount=lines[place].discount + share)
    return found


def _charges(lines: Sequence[Line]) -> list[list[int]]:
    """The places of the lines that coupons take off from, those of one charge together.

    What is given back (a negative proration; an earlier window for which the lines together are negative) was charged
    with its own invoice's coupons off and is given back so: the coupons of this invoice have no part in it.
    """
    places: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, line in enumerate(lines):
        if line.kind not in _NEVER_DISCOUNTED:
            places[_charge(line)].append(place)
    return list(places.values())


def _charge(line: Line) -> tuple[object, ...]:
    """What lines of one price and window share; what a proration gives back stands apart from what it charges."""
    back = line.kind is LineKind.PRORATION and line.amount < 0
    return line.plan, line.version, line.price, line.window, back


def _off(coupon: Coupon, rest: int, currency: str) -> int:
    """What the coupon would take off from so much."""
    if coupon.percent is not None:
        share = Fraction(coupon.percent) / 100
        return rounded_share(rest, share.numerator, share.denominator)
    if coupon.currency != currency:
        message = f"the coupon {coupon.name!r} is an amount of {coupon.currency}, and the invoice is in {currency}"
        raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"coupon": coupon.name, "currency": currency})
    return rounded(coupon.amount or ZERO, currency)


def _taxes(lines: Iterable[Line], rates: Sequence[TaxRate]) -> tuple[Tax, ...]:
    """Each rate of all lines after discount; what an earlier invoice carries over was taxed there. Taxes within the
    prices are not taxed themselves, neither by each other nor by those on top."""
    taxable = sum(line.amount - line.discount for line in lines if line.kind is not LineKind.CARRIED)
    within = sum((Fraction(rate.percent) for rate in rates if rate.inclusive), Fraction(0))
    taxes = []
    for rate in rates:
        share = Fraction(rate.percent) / (100 + within)
        amount = rounded_share(taxable, share.numerator, share.denominator)
        taxes.append(Tax(rate.name, rate.percent, rate.inclusive, taxable, amount, rate.display_name))
    return tuple(taxes)
