"""What may be subscribed to: items, prices and coupons as a request names them, held against the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.offer_rules import own_price_contradictions
from metergate.domain.plan import Plan
from metergate.domain.price import Interval, Model, Price
from metergate.domain.subscription import Item

# A plan, its version (0 = the one in force) and how many times.
Asked = tuple[str, int, Decimal]

ITEMS_MOST = 20
_TIMES_MOST = Decimal(1_000_000_000)


def items_of(catalog: Catalog, asked: Sequence[Asked], kept: Sequence[Item] = ()) -> tuple[Item, ...]:
    """The items: a plan of version 0 keeps the version that it has in `kept`, else it is the one in force.

    Raises:
        MetergateError: PLAN_NOT_FOUND, FIELD_INVALID on `items`.
    """
    if not 1 <= len(asked) <= ITEMS_MOST:
        raise invalid("items", f"must have 1 to {ITEMS_MOST} entries, and has {len(asked)}")
    versions = {item.plan: item.version for item in kept}
    found = [_found(catalog, name, version or versions.get(name, 0)) for name, version, _ in asked]
    for at, (plan, (name, _, times)) in enumerate(zip(found, asked, strict=True)):
        field = f"items[{at}]"
        if not 0 < times <= _TIMES_MOST:
            raise invalid(f"{field}.quantity", f"must be more than 0 and at most {_TIMES_MOST:,}")
        if name in {one.name for one in found[:at]}:
            raise invalid(f"{field}.plan", f"{name!r} is there twice")
        if plan.add_on is (at == 0):
            what = "is an add-on, which stands beside a plan" if plan.add_on else "is not an add-on"
            raise invalid(f"{field}.plan", f"{name!r} {what}: the first item is the plan, the others are its add-ons")
    return tuple([Item(plan.name, plan.version, times) for plan, (_, _, times) in zip(found, asked, strict=True)])


def _found(catalog: Catalog, name: str, version: int) -> Plan:
    plan = catalog.plan_at(name, version) if version else catalog.plan_of.get(name)
    if plan is None:
        which = f"version {version} of plan {name!r}" if version else f"plan {name!r}"
        metadata = {"plan": name} | ({"version": str(version)} if version else {})
        raise MetergateError(Reason.PLAN_NOT_FOUND, f"there is no {which}", metadata)
    return plan


def prices_in(catalog: Catalog, item: Item) -> tuple[Price, ...]:
    """What the item's version of its plan charges, in all currencies and intervals."""
    plan = catalog.plan_at(item.plan, item.version)
    return plan.all_prices if plan is not None else ()


def only_currency(catalog: Catalog, items: Sequence[Item], custom: Sequence[Price]) -> str:
    """The currency of a subscription that names none: the only one in which its plan is sold.

    Raises:
        MetergateError: FIELD_INVALID on `currency`; PLAN_HAS_NO_PRICES.
    """
    base = items[0]
    sold = sorted({price.currency for price in (*prices_in(catalog, base), *custom)})
    if not sold:
        raise _no_prices(base, "", None)
    if len(sold) > 1:
        raise invalid("currency", f"is required: plan {base.plan!r} is sold in {', '.join(sold)}")
    return sold[0]


def check_sold(
    catalog: Catalog, items: Sequence[Item], custom: Sequence[Price], currency: str, interval: Interval
) -> None:
    """Whether every item is sold in this currency and interval.

    A metered price is charged in its own interval, whatever the subscription's is; a plan with recurring prices has to
    have one of the subscription's interval, or it would be given away.

    Raises:
        MetergateError: PLAN_HAS_NO_PRICES, CURRENCY_MISMATCH.
    """
    for at, item in enumerate(items):
        prices = prices_in(catalog, item)
        # What is the customer's own is sold with the plan; an add-on has to have prices of itself.
        mine = [price for price in (*prices, *(custom if at == 0 else ())) if price.currency == currency]
        recurring = [price.interval for price in mine if price.model is Model.FLAT]
        if prices and not mine:
            message = f"version {item.version} of plan {item.plan!r} is not sold in {currency}"
            raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"plan": item.plan, "currency": currency})
        if not mine or (recurring and interval not in recurring):
            raise _no_prices(item, currency, interval)


def check_custom(catalog: Catalog, custom: Sequence[Price], currency: str) -> None:
    """Whether a customer's own prices make sense in a subscription of this currency.

    Raises:
        MetergateError: CURRENCY_MISMATCH, FIELD_INVALID on `custom_prices`.
    """
    for violation in own_price_contradictions("custom_prices", custom, catalog.meter_of):
        raise invalid(violation.field, violation.description)
    for at, price in enumerate(custom):
        if price.currency != currency:
            field = f"custom_prices[{at}]"
            message = f"{field} is in {price.currency}, and the subscription in {currency}"
            raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"field": field, "currency": currency})


def check_coupons(catalog: Catalog, coupons: Sequence[str], currency: str) -> None:
    """Whether the coupons can be taken off invoices in this currency.

    Raises:
        MetergateError: COUPON_NOT_FOUND, CURRENCY_MISMATCH.
    """
    known = {coupon.name: coupon for coupon in catalog.coupons}
    for name in coupons:
        coupon = known.get(name)
        if coupon is None:
            raise MetergateError(Reason.COUPON_NOT_FOUND, f"no coupon is called {name!r}", {"coupon": name})
        if coupon.amount is not None and coupon.currency != currency:
            message = f"coupon {name!r} takes off {coupon.currency}, and the subscription is in {currency}"
            raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"coupon": name, "currency": currency})


def _no_prices(item: Item, currency: str, interval: Interval | None) -> MetergateError:
    where = f" for {currency} a {interval.value}" if interval is not None else ""
    metadata = {"plan": item.plan, "version": str(item.version), "currency": currency}
    if interval is not None:
        metadata["interval"] = interval.name
    message = f"version {item.version} of plan {item.plan!r} has no prices{where}: nobody can subscribe to it"
    return MetergateError(Reason.PLAN_HAS_NO_PRICES, message, metadata)
