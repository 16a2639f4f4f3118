"""What else a plan and a catalog say for billing: features, coupons, taxes, and who sells."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class FeatureKind(StrEnum):
    """What a plan says of a feature."""

    BOOLEAN = "boolean"
    STATIC = "static"
    METERED = "metered"


@dataclass(frozen=True, slots=True)
class Feature:
    """What plans give, by name; `meter` is what a METERED one counts."""

    name: str
    kind: FeatureKind = FeatureKind.BOOLEAN
    meter: str = ""
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class PlanFeature:
    """A feature as a plan gives it.

    Of a STATIC one `value` is what it gives. Of a METERED one `included` units (None = unlimited) per month are free;
    beyond them each costs `overage` (by currency, whole units) and the limit is SOFT, or, where there is no overage
    price, nothing more is admitted: the limit is HARD. Limit and first price tier both derive from this: the limit is
    called `<feature>/month`, the price `<feature>`.
    """

    feature: str
    value: str = ""
    included: Decimal | None = None
    overage: tuple[tuple[str, Decimal], ...] = ()
    # What lines call it: the feature's own, which the catalog fills in.
    display_name: str = field(default="", compare=False)


class CouponDuration(StrEnum):
    """For how many invoices of a subscription's periods a coupon holds."""

    ONCE = "once"
    PERIODS = "periods"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True)
class Coupon:
    """Per cent off (`percent`), or an amount in whole units of `currency` off each invoice that it holds for."""

    name: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    currency: str = ""
    duration: CouponDuration = CouponDuration.ONCE
    periods: int = 0
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax of customers at a place: `country` is ISO 3166-1 alpha-2, `region` a part of it ("" = all of it). A rate
    without a country is only given to customers by name. An `inclusive` one is within the prices, else on top."""

    name: str
    percent: Decimal
    country: str = ""
    region: str = ""
    inclusive: bool = False
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sends the invoices. `logo` is a PNG or SVG file's bytes; `due_days` after it is finalized an invoice is due;
    `draft_hours` it stays a draft before that happens by itself. `series` begins the numbers."""

    name: str = ""
    address: tuple[str, ...] = ()
    tax_ids: tuple[str, ...] = ()
    email: str = ""
    logo: bytes = b""
    notes: str = ""
    payment_instructions: str = ""
    series: str = "INV"
    due_days: int = 14
    draft_hours: int = 1


@dataclass(frozen=True, slots=True)
class BillingDetails:
    """To whom a customer's invoices go. `tax_rates` (names) take the place of those of the customer's place;
    `tax_exempt` of all."""

    name: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    region: str = ""
    email: str = ""
    tax_ids: tuple[str, ...] = ()
    tax_rates: tuple[str, ...] = ()
    tax_exempt: bool = False
    notes: str = ""


NO_SELLER = Seller()
NO_DETAILS = BillingDetails()
