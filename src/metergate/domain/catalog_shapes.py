"""What a catalog's meters and plans tell each other: which meter leads its measure, what counters tell apart, and which
limits slide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from metergate.domain.aggregation import Rolls
from metergate.domain.meter import Meter, Shape
from metergate.domain.plan import Plan
from metergate.domain.quota import Kind, Limit


def led(meters: Sequence[Meter]) -> tuple[Meter, ...]:
    """The meters with one of each measure leading. It is one that reads values, where there is one: the sum is kept
    for it, and the number of events for all."""
    leaders: dict[str, Meter] = {}
    extremes: set[str] = set()
    for meter in meters:
        if meter.how.rolls is Rolls.NOTHING:
            continue
        if meter.how.rolls is Rolls.EXTREMES:
            extremes.add(meter.measure)
        leader = leaders.get(meter.measure)
        if leader is None or (leader.how.counts and not meter.how.counts):
            leaders[meter.measure] = meter
    return tuple([_led_by(meter, leaders.get(meter.measure) is meter, meter.measure in extremes) for meter in meters])


def _led_by(meter: Meter, leads: bool, extremes: bool) -> Meter:
    extremes = leads and extremes
    return (
        meter if (leads, extremes) == (meter.leads, meter.extremes) else replace(meter, leads=leads, extremes=extremes)
    )


def shaped(meters: Sequence[Meter], plans: Sequence[Plan]) -> tuple[Meter, ...]:
    """The meters with the shapes of the counters that their limits have."""
    shapes: dict[str, set[Shape]] = {}
    for plan in plans:
        for limit in plan.all_limits:
            shapes.setdefault(limit.meter, set()).add(limit.shape)
    return tuple(
        [
            replace(meter, shapes=tuple(sorted(shapes[meter.name].union(meter.shapes))))
            if not shapes.get(meter.name, set()).issubset(meter.shapes)
            else meter
            for meter in meters
        ]
    )


def told_apart_by(meter: Meter, shapes: Iterable[Shape]) -> set[Shape]:
    """Those that the meter's dimensions can tell apart."""
    return {shape for shape in shapes if set(shape.labels) <= set(meter.dimensions)}


def sliding(plans: Sequence[Plan], meters: Sequence[Meter]) -> tuple[Plan, ...]:
    """The plans with their limits told which of them slide."""
    whole = {meter.name for meter in meters if not meter.how.additive}
    return tuple(
        [
            replace(plan, limits=tuple([_slid(limit, limit.meter in whole) for limit in plan.limits]))
            if any(limit.slides is not _slides(limit, limit.meter in whole) for limit in plan.limits)
            else plan
            for plan in plans
        ]
    )


def _slides(limit: Limit, whole: bool) -> bool:
    return whole and limit.kind is Kind.ROLLING


def _slid(limit: Limit, whole: bool) -> Limit:
    slides = _slides(limit, whole)
    return limit if limit.slides is slides else replace(limit, slides=slides)
