"""Rows of the catalog's tables as values, and values as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metergate.adapters.postgres.offers import (
    coupon_from_json,
    feature_from_json,
    plan_feature_from_json,
    price_from_json,
    seller_from_json,
    tax_rate_from_json,
    to_json,
)
from metergate.domain.aggregation import LevelUnit
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import LabelFilter, LatePolicy, Meter, Op, Shape
from metergate.domain.period import Period, Weekday
from metergate.domain.quota import Kind, Limit, Policy, Scope, WhenViewGone


def to_meter(row: Any) -> Meter:
    """The meter of a row of `meter`."""
    shapes = tuple([Shape(per_subject, tuple(labels)) for per_subject, labels in json.loads(row["shapes"])])
    filters = tuple(
        [LabelFilter(one["label"], Op(one["op"]), tuple(one["values"])) for one in json.loads(row["filters"])]
    )
    unit = row["level_unit"]
    return Meter(
        **{
            **dict(row), "dimensions": tuple(row["dimensions"]), "shapes": shapes, "filters": filters,
            "level_unit": LevelUnit(unit) if unit else None, "late": LatePolicy(row["late"]),
        }
    )  # fmt: skip


def to_limit(row: Any) -> Limit:
    """The limit of a row of `plan_limit`."""
    return Limit(
        row["name"],
        row["meter"],
        row["max"],
        Period(row["period"]),
        Policy(row["policy"]),
        Scope(row["scope"]),
        tuple(sorted(json.loads(row["labels"]).items())),
        tuple(row["per_labels"]),
        Kind(row["kind"]),
        row["length"],
        row["sub_windows"],
        Weekday(row["week_start"]),
        row["burst"],
        row["grace"],
        row["shadow"],
        tuple(row["thresholds"]),
        WhenViewGone(row["when_view_gone"]),
        grace_period=row["grace_period"],
    )


def meter_row(meter: Meter) -> dict[str, Any]:
    """The row of a meter."""
    return {
        "name": meter.name,
        "event_type": meter.event_type,
        "aggregation": meter.aggregation,
        "value": meter.value,
        "dimensions": list(meter.dimensions),
        "allow_negative": meter.allow_negative,
        "unit": meter.unit,
        "description": meter.description,
        "since": meter.since,
        "shapes": [[shape.per_subject, list(shape.labels)] for shape in meter.shapes],
        "filters": [{"label": label, "op": op.value, "values": list(values)} for label, op, values in meter.filters],
        "scale": meter.scale,
        "percentile": meter.percentile,
        "level_unit": meter.level_unit.value if meter.level_unit else None,
        "accept_window": meter.accept_window,
        "late": meter.late.value,
        "measure": meter.measure,
        "leads": meter.leads,
        "extremes": meter.extremes,
    }


def limit_row(plan: str, limit: Limit) -> dict[str, Any]:
    """The row of a limit; see `limits_key` for `plan`."""
    return {
        "plan": plan,
        "name": limit.name,
        "meter": limit.meter,
        "max": limit.max,
        "period": limit.period.value,
        "policy": limit.policy.value,
        "scope": limit.scope.value,
        "labels": dict(limit.labels),
        "per_labels": list(limit.per_labels),
        "kind": limit.kind.value,
        "length": limit.length,
        "sub_windows": limit.sub_windows,
        "week_start": limit.week_start.value,
        "burst": limit.burst,
        "grace": limit.grace,
        "shadow": limit.shadow,
        "thresholds": list(limit.thresholds),
        "when_view_gone": limit.when_view_gone.value,
        "grace_period": limit.grace_period,
    }


def limits_key(plan: Plan, in_force: bool) -> str:
    """What the rows of a plan's limits name as their plan."""
    return plan.name if in_force else f"{plan.name}@{plan.version}"


def to_plan(row: Any, limits: Sequence[Limit]) -> Plan:
    """The plan of a row of `plan` or `plan_version` (name, version, display name, body), with the rows of its limits.
    Those of its metered features stand among them, so that whatever asks the tables for limits finds all; their names
    are nobody else's."""
    name, version, display_name, body = row
    plain = json.loads(body)
    bare = Plan(
        name,
        (),
        display_name,
        version,
        tuple([price_from_json(one) for one in plain.get("prices", ())]),
        tuple([plan_feature_from_json(one) for one in plain.get("features", ())]),
        plain.get("add_on", False),
        plain.get("trial_days", 0),
        tuple([(feature, meter) for feature, meter in plain.get("meters", ())]),
    )
    derived = {limit.name for limit in bare.all_limits}
    return replace(bare, limits=tuple([limit for limit in limits if limit.name not in derived]))


def plan_body(plan: Plan) -> dict[str, Any]:
    """What of a plan has no column or row of its own."""
    return {
        "prices": [to_json(price) for price in plan.prices],
        "features": [to_json(feature) for feature in plan.features],
        "add_on": plan.add_on,
        "trial_days": plan.trial_days,
        "meters": plan.meters,
    }


def to_offer(offer: str) -> dict[str, Any]:
    """The fields of a catalog that `tenant.offer` holds."""
    plain = json.loads(offer)
    return {
        "features": tuple([feature_from_json(one) for one in plain.get("features", ())]),
        "coupons": tuple([coupon_from_json(one) for one in plain.get("coupons", ())]),
        "tax_rates": tuple([tax_rate_from_json(one) for one in plain.get("tax_rates", ())]),
        "seller": seller_from_json(plain.get("seller", {})),
    }


def offer_json(catalog: Catalog) -> dict[str, Any]:
    """What `to_offer` reads."""
    return {
        "features": [to_json(one) for one in catalog.features],
        "coupons": [to_json(one) for one in catalog.coupons],
        "tax_rates": [to_json(one) for one in catalog.tax_rates],
        "seller": to_json(catalog.seller),
    }
