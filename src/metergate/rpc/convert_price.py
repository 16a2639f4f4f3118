"""Between the contract's prices and the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from metergate.domain import quantity
from metergate.domain.errors import invalid
from metergate.domain.price import TIERED, Interval, Model, Price, Tier, Timing
from metergate.domain.quantity import ONE, ZERO
from metergate.rpc.convert import named, one_of
from metergate.v1 import price_pb2 as pb

_MODELS: Mapping[Model, pb.PriceModel] = {
    Model.FLAT: pb.PRICE_MODEL_FLAT,
    Model.ONE_OFF: pb.PRICE_MODEL_ONE_OFF,
    Model.UNIT: pb.PRICE_MODEL_UNIT,
    Model.GRADUATED: pb.PRICE_MODEL_GRADUATED,
    Model.VOLUME: pb.PRICE_MODEL_VOLUME,
    Model.PACKAGE: pb.PRICE_MODEL_PACKAGE,
    Model.PERCENT: pb.PRICE_MODEL_PERCENT,
}
INTERVALS: Mapping[Interval, pb.PriceInterval] = {
    Interval.MONTH: pb.PRICE_INTERVAL_MONTH,
    Interval.QUARTER: pb.PRICE_INTERVAL_QUARTER,
    Interval.YEAR: pb.PRICE_INTERVAL_YEAR,
}
_TIMINGS: Mapping[Timing, pb.PriceTiming] = {
    Timing.ADVANCE: pb.PRICE_TIMING_ADVANCE,
    Timing.ARREARS: pb.PRICE_TIMING_ARREARS,
}
_MODEL_OF = named(_MODELS, Model.FLAT)
_INTERVAL_OF = named(INTERVALS, Interval.MONTH)
_TIMING_OF = named(_TIMINGS, Timing.ADVANCE)


def from_pb_interval(number: int, field: str) -> Interval:
    """The interval, MONTH where none is given.

    Raises:
        MetergateError: FIELD_INVALID, naming `field`.
    """
    return one_of(_INTERVAL_OF, number, field)


def from_pb_price(price: pb.Price, field: str) -> Price:
    """The price, with its defaults filled in; whether it makes sense is the catalog's rules to say.

    Raises:
        MetergateError: FIELD_INVALID, QUANTITY_INVALID, naming the place below `field`.
    """

    def number(name: str, default: Decimal = ZERO) -> Decimal:
        text = getattr(price, name)
        return quantity.parse(text, f"{field}.{name}") if text else default

    return Price(
        price.name,
        one_of(_MODEL_OF, price.model, f"{field}.model"),
        price.currency,
        from_pb_interval(price.interval, f"{field}.interval"),
        one_of(_TIMING_OF, price.timing, f"{field}.timing"),
        price.meter,
        number("unit_amount"),
        _from_pb_tiers(price, f"{field}.tiers"),
        number("included"),
        number("package_size", ONE),
        number("percent"),
        number("minimum") if price.minimum else None,
        number("maximum") if price.maximum else None,
        tuple(sorted(price.labels.items())),
        tuple(price.per_labels),
        price.display_name,
    )


def _from_pb_tiers(price: pb.Price, field: str) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    for at, tier in enumerate(price.tiers):
        place, bottom = f"{field}[{at}]", (tiers[-1].up_to or ZERO) if tiers else ZERO
        if tier.above and (above := quantity.parse(tier.above, f"{place}.above")) != bottom:
            what = "leaves a gap" if above > bottom else "overlaps the tier before"
            raise invalid(f"{place}.above", f"{what}: it must be {quantity.to_text(bottom)}")
        tiers.append(
            Tier(
                quantity.parse(tier.up_to, f"{place}.up_to") if tier.up_to else None,
                quantity.parse(tier.unit_amount, f"{place}.unit_amount") if tier.unit_amount else ZERO,
                quantity.parse(tier.flat_amount, f"{place}.flat_amount") if tier.flat_amount else ZERO,
            )
        )
    return tuple(tiers)


def to_pb_price(price: Price, above: bool = False) -> pb.Price:
    """The price as a message; with `above`, its tiers say where they begin."""
    bottoms = [ZERO, *[tier.up_to or ZERO for tier in price.tiers]]
    return pb.Price(
        name=price.name,
        model=_MODELS[price.model],
        currency=price.currency,
        interval=INTERVALS[price.interval],
        timing=None if price.timing is Timing.ADVANCE else _TIMINGS[price.timing],
        meter=price.meter,
        unit_amount=None if price.model in TIERED or price.model is Model.PERCENT else _text(price.unit_amount),
        tiers=[
            pb.PriceTier(
                up_to=None if tier.up_to is None else _text(tier.up_to),
                unit_amount=_text(tier.unit_amount),
                flat_amount=_text(tier.flat_amount) if tier.flat_amount else None,
                above=_text(bottom) if above else None,
            )
            for tier, bottom in zip(price.tiers, bottoms, strict=False)
        ],
        included=_text(price.included) if price.included else None,
        package_size=_text(price.package_size) if price.model is Model.PACKAGE else None,
        percent=_text(price.percent) if price.model is Model.PERCENT else None,
        minimum=None if price.minimum is None else _text(price.minimum),
        maximum=None if price.maximum is None else _text(price.maximum),
        labels=dict(price.labels),
        per_labels=price.per_labels,
        display_name=price.display_name,
    )


_text = quantity.to_text
