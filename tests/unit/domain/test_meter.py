"""Meters: what is read from an event, and which meters read the same."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import LabelFilter, Meter, Op
from metergate.domain.period import HOUR, span
from metergate.domain.quota import Kind, Limit, Policy
from metergate.domain.usage import Event, make_event

SUM = Meter("sum", "llm", dimensions=("model",))


def event(amount: str = "", **labels: str) -> Event:
    return make_event("1", "api", "llm", "acme", None, amount, {"in": "3"}, labels, "")


@pytest.mark.parametrize(
    ("op", "values", "taken"),
    [
        (Op.EQUALS, ("eu",), ["eu"]),
        (Op.EQUALS, ("",), ["", None]),  # an event without the label has the empty value of it
        (Op.IN, ("eu", "us"), ["eu", "us"]),
        (Op.PREFIX, ("eu", "u"), ["eu", "eu-1", "us"]),
        (Op.NOT, ("eu", ""), ["eu-1", "us"]),
        (Op.NOT, ("xx",), ["eu", "eu-1", "us", "", None]),
    ],
)
def test_a_filter_takes_what_its_comparison_says(op: Op, values: tuple[str, ...], taken: list[str | None]) -> None:
    filter_ = LabelFilter("region", op, values)
    regions = ["eu", "eu-1", "us", "", None]
    assert [one for one in regions if filter_.takes({} if one is None else {"region": one})] == taken


def test_all_filters_have_to_pass() -> None:
    filters = (LabelFilter("a", Op.EQUALS, ("1",)), LabelFilter("b", Op.NOT, ("2",)))
    meter = replace(SUM, filters=filters)
    assert [meter.read(event("5", a=a, b=b)) for a, b in ("11", "12", "21")] == [5, None, None]


def test_what_each_meter_reads() -> None:
    assert SUM.read(event()) == 1
    assert replace(SUM, value="in").read(event("9")) == 3
    assert replace(SUM, value="out").read(event("9")) is None
    assert replace(SUM, scale=Decimal("1E-30")).read(event("999999999999999999.999999999999")) == Decimal(
        "999999999999999999.999999999999E-30"
    )
    assert replace(SUM, aggregation="count").contribution(event("7")) == 1
    assert replace(SUM, aggregation="count", value="out").contribution(event("7")) is None
    assert [SUM.contribution(event("-1")), replace(SUM, allow_negative=True).contribution(event("-1"))] == [None, -1]
    users = Meter("users", "llm", "unique", value="user")
    assert [users.contribution(event(user=user)) for user in ("a", "")] == [1, None]
    assert [users.item("acme", {"user": "a"}), Meter("seats", "llm", "unique").item("acme", {})] == ["a", "acme"]


def test_meters_share_a_measure_where_they_read_the_same() -> None:
    alike = [replace(SUM, name=name, aggregation=name, unit=name) for name in ("count", "avg", "max", "latest")]
    assert {meter.measure for meter in alike} == {SUM.measure}
    others = [
        replace(SUM, value="in"), replace(SUM, scale=Decimal(2)), replace(SUM, event_type="x"),
        replace(SUM, dimensions=()), replace(SUM, allow_negative=True), replace(SUM, aggregation="unique"),
        *[replace(SUM, filters=(LabelFilter("a", op, ("b",)),)) for op in Op],
    ]  # fmt: skip
    assert len({SUM.measure, *[meter.measure for meter in others]}) == 1 + len(others)


def test_a_measure_is_read_once_and_led_by_one_that_reads_values() -> None:
    count, peak = replace(SUM, name="count", aggregation="count"), replace(SUM, name="peak", aggregation="max")
    users = Meter("users", "llm", "unique")
    limit = Limit("peak/hour", "peak", Decimal(5), kind=Kind.ROLLING, length=HOUR, policy=Policy.SOFT)
    catalog = Catalog((count, SUM, users, peak), (Plan("default", (limit,)),))
    assert [(meter.name, meter.extremes) for meter in catalog.meters if meter.leads] == [("sum", True)]
    readings = catalog.readings_of_type["llm"]
    assert [[(meter.name, counts) for meter, counts in reading.moving] for reading in readings] == [
        [("sum", False), ("peak", False)],
        [("users", True)],
    ]
    assert [len(reading.all) for reading in readings] == [3, 1]


def test_a_rolling_window_of_what_does_not_add_up_has_one_counter() -> None:
    limit = Limit("hour", "sum", Decimal(5), kind=Kind.ROLLING, length=HOUR, policy=Policy.SOFT)
    peak = replace(SUM, name="peak", aggregation="max")
    catalog = Catalog((SUM, peak), (Plan("default", (limit, replace(limit, name="peak/hour", meter="peak"))),))
    parts, whole = catalog.plans[0].limits
    now = 1_795_000_000_000_000
    windows, (slid,) = parts.windows("UTC", now), whole.windows("UTC", now)
    assert slid == span(windows)
    assert (len(windows), parts.looks_back, whole.looks_back) == (11, HOUR, 0)
    assert parts.slides is False
