"""What plans and catalogs say for billing, as JSON. Decimals are texts; what has its default is left out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeVar

from metergate.domain.offer import (
    BillingDetails,
    Coupon,
    CouponDuration,
    Feature,
    FeatureKind,
    PlanFeature,
    Seller,
    TaxRate,
)
from metergate.domain.price import Interval, Model, Price, Tier, Timing
from metergate.domain.quantity import to_text

T = TypeVar("T")
_Read = Callable[[Any], Any]


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass of `price` or `offer` as a JSON object: of its fields those that have not their default."""
    return {
        field.name: _plain(getattr(value, field.name))
        for field in fields(value)
        if getattr(value, field.name) != field.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return to_text(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return to_json(value) if isinstance(value, Tier) else value


def _from(made: type[T], readers: dict[str, _Read]) -> Callable[[dict[str, Any]], T]:
    def read(plain: dict[str, Any]) -> T:
        return made(**{name: _read(readers.get(name), value) for name, value in plain.items()})

    return read


def _read(reader: _Read | None, value: Any) -> Any:
    return value if reader is None or value is None else reader(value)


def _pairs(plain: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(name, value) for name, value in plain])


def _amounts(plain: list[list[str]]) -> tuple[tuple[str, Decimal], ...]:
    return tuple([(currency, Decimal(amount)) for currency, amount in plain])


_tier = _from(Tier, {"up_to": Decimal, "unit_amount": Decimal, "flat_amount": Decimal})


def _tiers(plain: list[dict[str, Any]]) -> tuple[Tier, ...]:
    return tuple([_tier(one) for one in plain])


price_from_json = _from(
    Price,
    {
        "model": Model, "interval": Interval, "timing": Timing, "unit_amount": Decimal, "tiers": _tiers,
        "included": Decimal, "package_size": Decimal, "percent": Decimal, "minimum": Decimal, "maximum": Decimal,
        "labels": _pairs, "per_labels": tuple,
    },
)  # fmt: skip
feature_from_json = _from(Feature, {"kind": FeatureKind})
plan_feature_from_json = _from(PlanFeature, {"included": Decimal, "overage": _amounts})
coupon_from_json = _from(Coupon, {"percent": Decimal, "amount": Decimal, "duration": CouponDuration})
tax_rate_from_json = _from(TaxRate, {"percent": Decimal})
seller_from_json = _from(Seller, {"address": tuple, "tax_ids": tuple, "logo": b64decode})
details_from_json = _from(BillingDetails, {"address": tuple, "tax_ids": tuple, "tax_rates": tuple})
