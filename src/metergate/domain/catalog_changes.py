"""What differs between two catalogs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from metergate.domain.meter import LabelFilter
from metergate.domain.period import length_to_text
from metergate.domain.plan import Plan
from metergate.domain.price import Tier
from metergate.domain.quantity import to_text
from metergate.domain.quota import text_of_max

if TYPE_CHECKING:
    from metergate.domain.catalog import Catalog


class Action(StrEnum):
    """What is done to a thing of the catalog."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two catalogs; `differences` are written "field: old -> new"."""

    action: Action
    kind: str
    name: str
    differences: tuple[str, ...] = ()


def changes(old: Catalog, new: Catalog) -> list[Change]:
    """What applying `new` over `old` does: meters, plans with their limits, prices and features, the default plan, then
    what is sold beside them, and who sells."""
    ignored = ("since", "shapes", "leads", "extremes", "measure", "how")
    found = list(_compare("meter", old.meter_of, new.meter_of, ignore=ignored))
    found += _compare("plan", old.plan_of, new.plan_of, ignore=("limits", "prices", "features", "meters"))
    for name in sorted({**old.plan_of, **new.plan_of}):
        before, after = (catalog.plan_of.get(name, Plan(name)) for catalog in (old, new))
        found += _compare("limit", _limits(before), _limits(after), ignore=("slides",))
        found += _compare("price", _prices(before), _prices(after))
        found += _compare("plan_feature", _features(before), _features(after))
    if old.default_plan != new.default_plan:
        difference = f"default_plan: {old.default_plan} -> {new.default_plan}"
        found.append(Change(Action.UPDATE, "default_plan", new.default_plan, (difference,)))
    found += _compare("feature", old.feature_of, new.feature_of)
    found += _compare("coupon", old.coupon_of, new.coupon_of)
    found += _compare("tax_rate", old.tax_rate_of, new.tax_rate_of)
    found += _compare("seller", {"seller": old.seller}, {"seller": new.seller})
    return found


def _limits(plan: Plan) -> dict[str, Any]:
    return {f"{plan.name}/{limit.name}": limit for limit in plan.limits}


def _prices(plan: Plan) -> dict[str, Any]:
    return {f"{plan.name}/{price.name}/{price.currency}/{price.interval}": price for price in plan.prices}


def _features(plan: Plan) -> dict[str, Any]:
    return {f"{plan.name}/{one.feature}": one for one in plan.features}


def _compare(kind: str, old: dict[str, Any], new: dict[str, Any], ignore: tuple[str, ...] = ()) -> Iterable[Change]:
    for name in sorted({**old, **new}):
        if name not in new:
            yield Change(Action.DELETE, kind, name)
        elif name not in old:
            yield Change(Action.CREATE, kind, name)
        else:
            differences = tuple(_differences(old[name], new[name], ignore))
            if differences:
                yield Change(Action.UPDATE, kind, name, differences)


def _differences(old: Any, new: Any, ignore: tuple[str, ...]) -> Iterable[str]:
    for place in fields(old):
        before, after = getattr(old, place.name), getattr(new, place.name)
        if place.name not in ignore and before != after:
            yield f"{_CALLED.get(place.name, place.name)}: {_shown(place.name, before)} -> {_shown(place.name, after)}"


_CALLED = {"late": "late_policy"}
_LENGTHS = ("length", "accept_window", "grace_period")


def _shown(name: str, value: Any) -> str:
    if name in ("max", "included"):
        return text_of_max(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown_part(one) for one in value) + "]"
    if name in _LENGTHS:
        return length_to_text(value) if value else "none"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Decimal):
        return to_text(value)
    return "none" if value is None else str(value) or "''"


def _shown_part(part: Any) -> str:
    if isinstance(part, LabelFilter):
        values = "|".join([value or "''" for value in part.values])
        return f"{part.label} {part.op} {values}"
    if isinstance(part, Tier):
        once = f" and {to_text(part.flat_amount)} once" if part.flat_amount else ""
        return f"up to {text_of_max(part.up_to)}: {to_text(part.unit_amount)}{once}"
    return "=".join([_shown("", one) for one in part]) if isinstance(part, tuple) else str(part)
