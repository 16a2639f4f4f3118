"""Plans: what customers are promised for what price, in versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from metergate.domain.offer import Feature, FeatureKind, PlanFeature
from metergate.domain.price import Interval, Model, Price
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Kind, Limit, Policy


@dataclass(frozen=True, slots=True)
class Plan:
    """A named set of limits, prices and features that customers are on or subscribe to.

    Whoever subscribes stays on the `version` that was in force then. An `add_on` stands beside another plan;
    `trial_days` is how long a subscription to it is tried, unless it says otherwise. `meters` are what its metered
    features count; the catalog fills it in.
    """

    name: str
    limits: tuple[Limit, ...] = ()
    display_name: str = ""
    version: int = 1
    prices: tuple[Price, ...] = ()
    features: tuple[PlanFeature, ...] = ()
    add_on: bool = False
    trial_days: int = 0
    meters: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, int]:
        """What names this version."""
        return self.name, self.version

    @property
    def all_limits(self) -> tuple[Limit, ...]:
        """Its limits, with those of its metered features."""
        return (*self.limits, *[limit_of(one, meter) for one, meter in self._metered()]) if self.meters else self.limits

    @property
    def all_prices(self) -> tuple[Price, ...]:
        """Its prices, with those of its metered features."""
        if not self.meters:
            return self.prices
        return (*self.prices, *[price for one, meter in self._metered() for price in prices_of(one, meter)])

    @property
    def charged(self) -> tuple[Price, ...]:
        """All prices; and of metered features that have none what they include, as prices in no currency: of one
        without bound none of it is charged, which a `maximum` of 0 says."""
        if not self.meters:
            return self.prices
        free = [(one, meter) for one, meter in self._metered() if one.included is None or not one.overage]
        return (*self.all_prices, *[_included(one, meter) for one, meter in free])

    def same_promise(self, other: Plan | None) -> bool:
        """Whether the other one says the same of what must not change under a subscription."""
        return other is not None and (self is other or self._promise == other._promise)

    @property
    def _promise(self) -> tuple[object, ...]:
        """What must not change under subscriptions to this version; what people read may."""
        prices = [replace(price, display_name="") for price in self.all_prices]
        given = [(one.feature, one.value) for one in self.features]
        return (
            sorted(self.all_limits, key=lambda limit: limit.name),
            sorted(prices, key=lambda price: (price.name, price.currency, price.interval)),
            sorted(given),
        )

    def feature(self, name: str) -> PlanFeature | None:
        """What it says of the feature."""
        return next((one for one in self.features if one.feature == name), None)

    def kind_of(self, feature: str) -> FeatureKind:
        """What kind a feature is that it gives."""
        if feature in dict(self.meters):
            return FeatureKind.METERED
        given = self.feature(feature)
        return FeatureKind.STATIC if given is not None and given.value else FeatureKind.BOOLEAN

    def resolved(self, features: Mapping[str, Feature]) -> Plan:
        """The same, told what its metered features count, and what they are called."""
        metered = [
            (one.feature, features[one.feature].meter)
            for one in self.features
            if one.feature in features and features[one.feature].kind is FeatureKind.METERED
        ]
        if not metered and not self.meters:
            return self
        named = [
            replace(one, display_name=features[one.feature].display_name) if one.feature in features else one
            for one in self.features
        ]
        return replace(self, meters=tuple(metered), features=tuple(named))

    def _metered(self) -> Iterator[tuple[PlanFeature, str]]:
        meters = dict(self.meters)
        return ((one, meters[one.feature]) for one in self.features if one.feature in meters)


def limit_of(feature: PlanFeature, meter: str) -> Limit:
    """The limit that a metered feature is: per month of the subscription, as its price is counted."""
    policy = Policy.SOFT if feature.overage else Policy.HARD
    return Limit(f"{feature.feature}/month", meter, feature.included, policy=policy, kind=Kind.ANCHORED)


def prices_of(feature: PlanFeature, meter: str) -> list[Price]:
    """What is charged for a metered feature beyond what is included, by currency."""
    if feature.included is None:
        return []
    return [
        Price(
            feature.feature, Model.UNIT, currency, Interval.MONTH,
            meter=meter, unit_amount=amount, included=feature.included, display_name=feature.display_name,
            of_feature=True,
        )
        for currency, amount in feature.overage
    ]  # fmt: skip


def _included(feature: PlanFeature, meter: str) -> Price:
    bound = ZERO if feature.included is None else None
    included = feature.included or ZERO
    return Price(feature.feature, Model.UNIT, "", meter=meter, included=included, maximum=bound, of_feature=True)
