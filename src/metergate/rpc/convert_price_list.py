"""The price list as messages."""

from __future__ import annotations

from collections.abc import Mapping

from metergate.domain.offer import Feature, FeatureKind, PlanFeature
from metergate.domain.plan import Plan
from metergate.domain.price_list import Entry
from metergate.domain.quantity import to_text
from metergate.domain.quota import text_of_max
from metergate.rpc.convert_offer import FEATURE_KINDS
from metergate.rpc.convert_price import INTERVALS, to_pb_price
from metergate.v1 import catalog_pb2


def to_pb_entry(entry: Entry, feature_of: Mapping[str, Feature]) -> catalog_pb2.PriceListEntry:
    """The entry as a message, with the tiers of its prices written out."""
    plan = entry.plan
    return catalog_pb2.PriceListEntry(
        plan=plan.name,
        display_name=plan.display_name,
        version=plan.version,
        currency=entry.currency,
        interval=INTERVALS[entry.interval],
        add_on=plan.add_on,
        trial_days=plan.trial_days,
        prices=[to_pb_price(price, above=True) for price in entry.prices],
        features=[_to_pb_listed(plan, one, feature_of, entry.currency) for one in plan.features],
    )


def _to_pb_listed(
    plan: Plan, one: PlanFeature, feature_of: Mapping[str, Feature], currency: str
) -> catalog_pb2.ListedFeature:
    kind, overage = plan.kind_of(one.feature), dict(one.overage).get(currency)
    return catalog_pb2.ListedFeature(
        feature=one.feature,
        display_name=feature_of[one.feature].display_name,
        kind=FEATURE_KINDS[kind],
        value=one.value,
        included=text_of_max(one.included) if kind is FeatureKind.METERED else None,
        overage=None if overage is None else to_text(overage),
    )
