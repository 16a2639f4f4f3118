"""Between the contract's features, coupons, taxes and sellers and the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from metergate.domain import quantity
from metergate.domain.errors import invalid
from metergate.domain.offer import Coupon, CouponDuration, Feature, FeatureKind, PlanFeature, Seller, TaxRate
from metergate.domain.quota import text_of_max
from metergate.rpc.convert import from_pb_max, named, one_of
from metergate.v1 import offer_pb2 as pb

FEATURE_KINDS: Mapping[FeatureKind, pb.FeatureKind] = {
    FeatureKind.BOOLEAN: pb.FEATURE_KIND_BOOLEAN,
    FeatureKind.STATIC: pb.FEATURE_KIND_STATIC,
    FeatureKind.METERED: pb.FEATURE_KIND_METERED,
}
_DURATIONS: Mapping[CouponDuration, pb.CouponDuration] = {
    CouponDuration.ONCE: pb.COUPON_DURATION_ONCE,
    CouponDuration.PERIODS: pb.COUPON_DURATION_PERIODS,
    CouponDuration.FOREVER: pb.COUPON_DURATION_FOREVER,
}
_KIND_OF = named(FEATURE_KINDS, FeatureKind.BOOLEAN)
_DURATION_OF = named(_DURATIONS, CouponDuration.ONCE)
_NONE = Seller()


def from_pb_feature(feature: pb.Feature, field: str) -> Feature:
    """The feature."""
    return Feature(feature.name, one_of(_KIND_OF, feature.kind, f"{field}.kind"), feature.meter, feature.display_name)


def to_pb_feature(feature: Feature) -> pb.Feature:
    """The feature as a message."""
    return pb.Feature(
        name=feature.name,
        kind=FEATURE_KINDS[feature.kind],
        meter=feature.meter,
        display_name=feature.display_name,
    )


def from_pb_plan_feature(given: pb.PlanFeature, feature_of: Mapping[str, Feature], field: str) -> PlanFeature:
    """The feature as a plan gives it.

    Raises:
        MetergateError: FIELD_INVALID, QUANTITY_INVALID, naming the place below `field`.
    """
    feature = feature_of.get(given.feature)
    included = from_pb_max(given.included, f"{field}.included") if given.included else None
    if feature is not None and feature.kind is FeatureKind.METERED and not given.included:
        raise invalid(f"{field}.included", 'is required where the feature is METERED: a decimal, or "unlimited"')
    overage = [
        (currency, quantity.parse(given.overage[currency], f"{field}.overage")) for currency in sorted(given.overage)
    ]
    return PlanFeature(given.feature, given.value, included, tuple(overage))


def to_pb_plan_feature(given: PlanFeature, feature: Feature | None) -> pb.PlanFeature:
    """The same as a message."""
    metered = feature is not None and feature.kind is FeatureKind.METERED
    return pb.PlanFeature(
        feature=given.feature,
        value=given.value,
        included=text_of_max(given.included) if metered else None,
        overage={currency: quantity.to_text(amount) for currency, amount in given.overage},
    )


def from_pb_coupon(coupon: pb.Coupon, field: str) -> Coupon:
    """The coupon."""
    return Coupon(
        coupon.name,
        _number(coupon.percent, f"{field}.percent"),
        _number(coupon.amount, f"{field}.amount"),
        coupon.currency,
        one_of(_DURATION_OF, coupon.duration, f"{field}.duration"),
        coupon.periods,
        coupon.display_name,
    )


def to_pb_coupon(coupon: Coupon) -> pb.Coupon:
    """The coupon as a message."""
    return pb.Coupon(
        name=coupon.name,
        percent=None if coupon.percent is None else quantity.to_text(coupon.percent),
        amount=None if coupon.amount is None else quantity.to_text(coupon.amount),
        currency=coupon.currency,
        duration=_DURATIONS[coupon.duration],
        periods=coupon.periods,
        display_name=coupon.display_name,
    )


def from_pb_tax_rate(rate: pb.TaxRate, field: str) -> TaxRate:
    """The tax rate."""
    percent = quantity.parse(rate.percent, f"{field}.percent")
    return TaxRate(rate.name, percent, rate.country, rate.region, rate.inclusive, rate.display_name)


def to_pb_tax_rate(rate: TaxRate) -> pb.TaxRate:
    """The tax rate as a message."""
    return pb.TaxRate(
        name=rate.name,
        percent=quantity.to_text(rate.percent),
        country=rate.country,
        region=rate.region,
        inclusive=rate.inclusive,
        display_name=rate.display_name,
    )


def from_pb_seller(seller: pb.Seller) -> Seller:
    """The seller, with its defaults filled in."""
    return Seller(
        seller.name,
        tuple(seller.address),
        tuple(seller.tax_ids),
        seller.email,
        seller.logo,
        seller.notes,
        seller.payment_instructions,
        seller.series or _NONE.series,
        seller.due_days if seller.HasField("due_days") else _NONE.due_days,
        seller.draft_hours if seller.HasField("draft_hours") else _NONE.draft_hours,
    )


def to_pb_seller(seller: Seller) -> pb.Seller | None:
    """The seller as a message; none where nothing is said of one."""
    if seller == _NONE:
        return None
    return pb.Seller(
        name=seller.name,
        address=seller.address,
        tax_ids=seller.tax_ids,
        email=seller.email,
        logo=seller.logo,
        notes=seller.notes,
        payment_instructions=seller.payment_instructions,
        series=seller.series,
        due_days=seller.due_days,
        draft_hours=seller.draft_hours,
    )


def _number(text: str, field: str) -> Decimal | None:
    return quantity.parse(text, field) if text else None
