"""What makes the part of a catalog valid that is sold: features, prices, coupons, taxes, and who sells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from metergate.domain import rating
from metergate.domain.errors import MetergateError, Violation
from metergate.domain.logo import check_logo
from metergate.domain.meter import Meter
from metergate.domain.money import check_currency, places
from metergate.domain.names import NAME, WORDS_MAX, check_names, check_words
from metergate.domain.offer import Coupon, CouponDuration, Feature, FeatureKind, PlanFeature, Seller, TaxRate
from metergate.domain.plan import Plan, limit_of, prices_of
from metergate.domain.price import Interval, Price
from metergate.domain.usage import MAX_LABEL_VALUE

MAX_FEATURES = 200
MAX_PRICES_PER_PLAN = 200
MAX_COUPONS = 500
MAX_TAX_RATES = 500
MAX_VERSION = 1_000_000
MAX_TRIAL_DAYS = 730
MAX_COUPON_PERIODS = 1_200
MAX_DUE_DAYS = 365
MAX_DRAFT_HOURS = 24 * 31
MAX_LINES = 10  # of an address, of tax ids
CREDIT_SERIES = "CN"
_NOTES_MAX = 4_096  # bytes
_PERCENT_PLACES = 4
_COUNTRY = re.compile(r"[A-Z]{2}")
_SERIES = re.compile(r"[A-Z0-9][A-Z0-9\-]{0,15}")


def offer_contradictions(
    features: Sequence[Feature],
    coupons: Sequence[Coupon],
    tax_rates: Sequence[TaxRate],
    seller: Seller,
    meter_of: Mapping[str, Meter],
) -> Iterable[Violation]:
    """Each contradiction in what a catalog says for billing beside its plans, in order."""
    yield from check_names("features", [one.name for one in features], MAX_FEATURES)
    for at, feature in enumerate(features):
        yield from _check_feature(f"features[{at}]", feature, meter_of)
    yield from check_names("coupons", [one.name for one in coupons], MAX_COUPONS)
    for at, coupon in enumerate(coupons):
        yield from _check_coupon(f"coupons[{at}]", coupon)
    yield from check_names("tax_rates", [one.name for one in tax_rates], MAX_TAX_RATES)
    for at, rate in enumerate(tax_rates):
        yield from _check_tax_rate(f"tax_rates[{at}]", rate)
    yield from _check_seller("seller", seller)


def plan_offer_contradictions(where: str, plan: Plan, feature_of: Mapping[str, Feature]) -> Iterable[Violation]:
    """Each contradiction in a plan's version, trial and features, but for what these make: see `price_contradictions`
    and the limits' own rules."""
    yield from check_words(f"{where}.display_name", plan.display_name)
    if not 1 <= plan.version <= MAX_VERSION:
        yield Violation(f"{where}.version", f"must be 1 to {MAX_VERSION}")
    if not 0 <= plan.trial_days <= MAX_TRIAL_DAYS:
        yield Violation(f"{where}.trial_days", f"must be 0 to {MAX_TRIAL_DAYS}")
    if len(plan.features) > MAX_FEATURES:
        yield Violation(f"{where}.features", f"at most {MAX_FEATURES} are allowed")
    given: set[str] = set()
    for at, one in enumerate(plan.features):
        place = f"{where}.features[{at}]"
        feature = feature_of.get(one.feature)
        if feature is None:
            yield Violation(f"{place}.feature", f"no feature is called {one.feature[:80]!r}")
        elif one.feature in given:
            yield Violation(f"{place}.feature", f"{one.feature!r} stands here twice")
        else:
            yield from _check_given(place, one, feature)
        given.add(one.feature)


def price_contradictions(where: str, plan: Plan, meter_of: Mapping[str, Meter]) -> Iterable[Violation]:
    """Each contradiction in a plan's prices, those of its metered features included."""
    yield from own_price_contradictions(f"{where}.prices", plan.prices, meter_of)
    there = {key for price in plan.prices for key in _keys(price)}
    meters = dict(plan.meters)
    for at, one in enumerate(plan.features):
        place = f"{where}.features[{at}].overage"
        for price in prices_of(one, meters[one.feature]) if one.feature in meters else ():
            if not there.isdisjoint(_keys(price)):
                yield Violation(place, f"price {price.name!r} stands there already in {price.currency}")
            yield from [Violation(place, wrong.description) for wrong in rating.contradictions(price, place)]


def own_price_contradictions(field: str, prices: Sequence[Price], meter_of: Mapping[str, Meter]) -> Iterable[Violation]:
    """Each contradiction in a list of prices that stands in `field`: a plan's own, or those of a customer."""
    if len(prices) > MAX_PRICES_PER_PLAN:
        yield Violation(field, f"at most {MAX_PRICES_PER_PLAN} are allowed")
    there: set[tuple[str, str, Interval | None]] = set()
    for at, price in enumerate(prices[:MAX_PRICES_PER_PLAN]):
        place = f"{field}[{at}]"
        if not NAME.fullmatch(price.name):
            yield Violation(f"{place}.name", f"{price.name[:80]!r} is not a name: letters, digits, _ . / -, at most 64")
        elif not there.isdisjoint(_keys(price)):
            per = "" if price.metered else f" per {price.interval}"
            yield Violation(f"{place}.name", f"{price.name!r} stands here twice in {price.currency}{per}")
        there |= _keys(price)
        yield from check_words(f"{place}.display_name", price.display_name)
        yield from rating.contradictions(price, place)
        yield from _check_metered(place, price, meter_of)


def _keys(price: Price) -> set[tuple[str, str, Interval | None]]:
    """What it shares with no other price of its plan. Usage is charged at all metered prices, whatever their intervals:
    so these have a name for themselves."""
    intervals = (price.interval, None) if price.metered else (price.interval,)
    return {(price.name, price.currency, interval) for interval in intervals}


def _check_metered(where: str, price: Price, meter_of: Mapping[str, Meter]) -> Iterable[Violation]:
    if not price.metered:
        if price.meter:
            yield Violation(f"{where}.meter", f"has no meaning where the model is {price.model}")
        if price.labels or price.per_labels:
            yield Violation(f"{where}.labels", f"has no meaning where the model is {price.model}")
        return
    meter = meter_of.get(price.meter)
    if meter is None:
        yield Violation(f"{where}.meter", f"no meter is called {price.meter[:80]!r}")
        return
    fixed = dict(price.labels)
    for name in [*fixed, *price.per_labels]:
        if name not in meter.dimensions:
            yield Violation(f"{where}.labels", f"{name[:80]!r} is not a dimension of meter {meter.name!r}")
    for value in fixed.values():
        if len(value.encode()) > MAX_LABEL_VALUE or any(character < " " or character == "\x7f" for character in value):
            yield Violation(f"{where}.labels", f"{value[:80]!r} is not a label's value")
    if set(fixed) & set(price.per_labels) or len(set(price.per_labels)) < len(price.per_labels):
        yield Violation(f"{where}.per_labels", "must name each label once, and none that labels fixes")


def _check_feature(where: str, feature: Feature, meter_of: Mapping[str, Meter]) -> Iterable[Violation]:
    yield from check_words(f"{where}.display_name", feature.display_name)
    if feature.kind is not FeatureKind.METERED:
        if feature.meter:
            yield Violation(f"{where}.meter", f"has no meaning where the kind is {feature.kind}")
    elif feature.meter not in meter_of:
        yield Violation(f"{where}.meter", f"no meter is called {feature.meter[:80]!r}")


def _check_given(where: str, one: PlanFeature, feature: Feature) -> Iterable[Violation]:
    """What a plan says of a feature of this kind."""
    if (feature.kind is FeatureKind.STATIC) != bool(one.value):
        yield Violation(f"{where}.value", "must be given for STATIC features, and only for them")
    yield from check_words(f"{where}.value", one.value)
    if feature.kind is not FeatureKind.METERED:
        if one.included is not None or one.overage:
            yield Violation(f"{where}.included", f"has no meaning where the kind is {feature.kind}")
        return
    if not NAME.fullmatch(limit_of(one, feature.meter).name):
        yield Violation(f"{where}.feature", "the name of a metered feature has at most 58 letters")
    if one.included is None and one.overage:
        yield Violation(f"{where}.overage", "has no meaning where all is included")
    if one.included is not None and one.included < 0:
        yield Violation(f"{where}.included", "must not be negative")


def _check_coupon(where: str, coupon: Coupon) -> Iterable[Violation]:
    yield from check_words(f"{where}.display_name", coupon.display_name)
    if (coupon.percent is None) == (coupon.amount is None):
        yield Violation(f"{where}.percent", "either percent or amount must be given")
    if coupon.percent is not None:
        yield from _check_percent(f"{where}.percent", coupon.percent, "more than 0")
    if coupon.amount is not None:
        yield from _check_amount(f"{where}.amount", coupon.amount, coupon.currency)
        yield from _check_currency(f"{where}.currency", coupon.currency)
    elif coupon.currency:
        yield Violation(f"{where}.currency", "has a meaning for amounts only")
    if coupon.duration is CouponDuration.PERIODS:
        if not 1 <= coupon.periods <= MAX_COUPON_PERIODS:
            yield Violation(f"{where}.periods", f"must be 1 to {MAX_COUPON_PERIODS}")
    elif coupon.periods:
        yield Violation(f"{where}.periods", f"has no meaning where the duration is {coupon.duration}")


def _check_percent(where: str, percent: Decimal, least: str = "") -> Iterable[Violation]:
    if not 0 <= percent <= 100 or (least and not percent):
        yield Violation(where, f"must be {least or '0'} and at most 100")
    if _decimals(percent) > _PERCENT_PLACES:
        yield Violation(where, f"must have at most {_PERCENT_PLACES} decimals")


def _check_amount(where: str, amount: Decimal, currency: str) -> Iterable[Violation]:
    if amount <= 0:
        yield Violation(where, "must be more than 0")
    if _decimals(amount) > places(currency):
        yield Violation(where, f"has more decimals than {currency[:8]} has, which is {places(currency)}")


def _check_currency(where: str, currency: str) -> Iterable[Violation]:
    try:
        check_currency(currency, where)
    except MetergateError as error:
        yield from error.violations


def _decimals(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _check_tax_rate(where: str, rate: TaxRate) -> Iterable[Violation]:
    yield from check_words(f"{where}.display_name", rate.display_name)
    yield from _check_percent(f"{where}.percent", rate.percent)
    if rate.country and not _COUNTRY.fullmatch(rate.country):
        yield Violation(f"{where}.country", "must be two capital letters (ISO 3166-1)")
    if rate.region and not rate.country:
        yield Violation(f"{where}.region", "needs a country")
    yield from check_words(f"{where}.region", rate.region)


def _check_seller(where: str, seller: Seller) -> Iterable[Violation]:
    for name in ("name", "email"):
        yield from check_words(f"{where}.{name}", getattr(seller, name))
    for name in ("address", "tax_ids"):
        lines = getattr(seller, name)
        if len(lines) > MAX_LINES:
            yield Violation(f"{where}.{name}", f"at most {MAX_LINES} lines are allowed")
        for line in lines:
            yield from check_words(f"{where}.{name}", line, WORDS_MAX)
    for name in ("notes", "payment_instructions"):
        yield from check_words(f"{where}.{name}", getattr(seller, name), _NOTES_MAX)
    if not _SERIES.fullmatch(seller.series) or seller.series == CREDIT_SERIES:
        yield Violation(f"{where}.series", f"must be 1 to 16 capitals, digits or -, and not {CREDIT_SERIES}")
    if not 0 <= seller.due_days <= MAX_DUE_DAYS:
        yield Violation(f"{where}.due_days", f"must be 0 to {MAX_DUE_DAYS}")
    if not 0 <= seller.draft_hours <= MAX_DRAFT_HOURS:
        yield Violation(f"{where}.draft_hours", f"must be 0 to {MAX_DRAFT_HOURS}")
    if seller.logo:
        yield from _check_logo(f"{where}.logo", seller.logo)


def _check_logo(where: str, logo: bytes) -> Iterable[Violation]:
    try:
        check_logo(logo, where)
    except MetergateError as error:
        yield from error.violations
