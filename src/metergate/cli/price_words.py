"""How prices read: a line of a price list, and their tiers as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metergate.cli import messages
from metergate.cli.screen import grouped
from metergate.v1 import catalog_pb2
from metergate.v1.price_pb2 import Price, PriceTier


def in_short(price: Price) -> str:
    """The price in a few words: "99 base", "0.01 per api_calls beyond 10,000"."""
    model, beyond = messages.enum_name(price, "model"), f" beyond {grouped(price.included)}" if price.included else ""
    if model in ("flat", "one_off"):
        once = " once" if model == "one_off" else ""
        return f"{grouped(price.unit_amount)} {price.display_name or price.name}{once}"
    if model in ("graduated", "volume"):
        tiers = ", ".join(tier.unit_amount for tier in price.tiers)
        return f"{tiers} per {price.meter} ({model})"
    if model == "percent":
        return f"{price.percent} % of {price.meter}{beyond}"
    if model == "package":
        return f"{price.unit_amount} per {grouped(price.package_size)} {price.meter}{beyond}"
    return f"{price.unit_amount} per {price.meter}{beyond}"


def price_rows(prices: Iterable[Price]) -> Iterator[tuple[str, ...]]:
    """A row for each price, or for each of its tiers: name, model, of what, quantity, unit price, and what else."""
    for price in prices:
        name, model = price.display_name or price.name, messages.enum_name(price, "model")
        more = ", ".join(_more(price))
        if not price.tiers:
            yield name, model, price.meter, _quantity(price), _amount(price), more
        for number, tier in enumerate(price.tiers):
            first = (name, model, price.meter) if number == 0 else ("", "", "")
            once = f"{grouped(tier.flat_amount)} once" if tier.flat_amount else ""
            yield *first, _span(tier), tier.unit_amount, ", ".join(filter(None, [once, more if number == 0 else ""]))


def _span(tier: PriceTier) -> str:
    return f"{grouped(tier.above)} to {grouped(tier.up_to)}" if tier.up_to else f"above {grouped(tier.above)}"


def _quantity(price: Price) -> str:
    return f"above {grouped(price.included)}" if price.included else ""


def _amount(price: Price) -> str:
    return f"{price.percent} %" if price.percent else grouped(price.unit_amount)


def _more(price: Price) -> Iterator[str]:
    if price.package_size:
        yield f"per {grouped(price.package_size)}, a begun block counts whole"
    if price.labels:
        yield "where " + ", ".join(f"{name}={value}" for name, value in sorted(price.labels.items()))
    if price.per_labels:
        yield "for each " + ", ".join(price.per_labels)
    if price.minimum:
        yield f"at least {grouped(price.minimum)}"
    if price.maximum:
        yield f"at most {grouped(price.maximum)}"
    if messages.enum_name(price, "timing") == "arrears":
        yield "in arrears"


def feature_rows(features: Iterable[catalog_pb2.ListedFeature], currency: str) -> Iterator[tuple[str, ...]]:
    """A row for each feature: name, kind, what it gives, and what more costs."""
    for feature in features:
        kind = messages.enum_name(feature, "kind")
        gives = f"{grouped(feature.included)} a month" if feature.included else feature.value or "yes"
        beyond = f"{feature.overage} {currency} each" if feature.overage else "refused" if kind == "metered" else ""
        yield feature.display_name or feature.feature, kind, gives, "" if feature.included == "unlimited" else beyond
