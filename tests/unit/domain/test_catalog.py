"""Catalogs: what makes one valid, what differs between two, and how one follows another."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.catalog_changes import Action, changes
from metergate.domain.catalog_rules import LENGTH_MAX, MAX_LIMITS_PER_PLAN, MAX_METERS
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND, Period, Weekday
from metergate.domain.quota import Kind, Limit, Policy, Scope, WhenViewGone

TOKENS = Meter("tokens", "llm.request", value="tokens", dimensions=("model", "region"))
CALLS = Meter("calls", "calls", "count")
LIMIT = Limit("tokens/month", "tokens", Decimal(100))
RATE = Limit("tokens/rate", "tokens", Decimal(10), kind=Kind.RATE, length=SECOND)
ROLLING = replace(LIMIT, kind=Kind.ROLLING, length=HOUR)
SHRINKS = replace(TOKENS, allow_negative=True)
CATALOG = Catalog((TOKENS, CALLS), (Plan("default", (LIMIT,)), Plan("pro")), version=3, metering_version=2)


def with_meter(meter: Meter) -> Catalog:
    return Catalog((meter,))


def with_limit(limit: Limit, meter: Meter = TOKENS) -> Catalog:
    return Catalog((meter,), (Plan("default", (limit,)),))


def with_limits(*limits: Limit) -> Catalog:
    return Catalog((TOKENS,), (Plan("default", limits),))


@pytest.mark.parametrize(
    "catalog",
    [
        Catalog(),
        CATALOG,
        with_limit(replace(LIMIT, max=None)),
        with_limit(replace(LIMIT, max=Decimal(0))),
        with_limit(replace(LIMIT, labels=(("model", "m"),), per_labels=("region",), scope=Scope.SUBJECT)),
        with_limit(replace(LIMIT, policy=Policy.SOFT), replace(TOKENS, allow_negative=True)),
        with_limit(replace(LIMIT, policy=Policy.SOFT, kind=Kind.ROLLING, length=HOUR), SHRINKS),
        with_limit(replace(LIMIT, policy=Policy.GRACE, grace=Decimal(5), thresholds=(1, 1000), shadow=True)),
        with_limit(replace(LIMIT, kind=Kind.ANCHORED, period=Period.DAY)),
        with_limit(replace(LIMIT, kind=Kind.FIXED, length=SECOND)),
        with_limit(replace(LIMIT, kind=Kind.FIXED, length=LENGTH_MAX)),
        with_limit(replace(LIMIT, kind=Kind.ROLLING, length=2 * SECOND, sub_windows=2)),
        with_limit(replace(LIMIT, kind=Kind.ROLLING, length=MINUTE, sub_windows=60)),
        with_limit(replace(LIMIT, kind=Kind.LIFETIME)),
        with_limit(replace(LIMIT, kind=Kind.CONCURRENCY, thresholds=(80,))),
        with_limit(replace(LIMIT, kind=Kind.RATE, length=SECOND, burst=Decimal("0.5"))),
        with_limit(replace(LIMIT, period=Period.WEEK, week_start=Weekday.SUNDAY)),
        with_limits(RATE, replace(RATE, name="other", length=MINUTE), replace(RATE, name="each", scope=Scope.SUBJECT)),
        with_limits(
            replace(RATE, labels=(("model", "a"),)),
            replace(RATE, name="b", labels=(("model", "b"),)),
            replace(RATE, name="region", per_labels=("region",)),
        ),
        with_meter(replace(TOKENS, name="a" * 64)),
        with_meter(replace(TOKENS, name="llm/tokens.in-1_2")),
        Catalog(tuple(Meter(f"m{number}", "t") for number in range(MAX_METERS))),
    ],
)
def test_a_sound_catalog_passes(catalog: Catalog) -> None:
    catalog.check()


@pytest.mark.parametrize(
    ("catalog", "field"),
    [
        (with_meter(replace(TOKENS, name="")), "meters[0].name"),
        (with_meter(replace(TOKENS, name="a b")), "meters[0].name"),
        (with_meter(replace(TOKENS, name="-a")), "meters[0].name"),
        (with_meter(replace(TOKENS, name="ä")), "meters[0].name"),
        (with_meter(replace(TOKENS, name="a\n")), "meters[0].name"),
        (with_meter(replace(TOKENS, name="a" * 65)), "meters[0].name"),
        (Catalog((CALLS, CALLS)), "meters[0].name"),
        (with_meter(replace(TOKENS, aggregation="median")), "meters[0].aggregation"),
        (with_meter(replace(TOKENS, event_type="x" * 129)), "meters[0].event_type"),
        (with_meter(replace(TOKENS, event_type="x\n")), "meters[0].event_type"),
        (with_meter(replace(TOKENS, dimensions=tuple("abcdef"))), "meters[0].dimensions"),
        (with_meter(replace(TOKENS, dimensions=("a", "a"))), "meters[0].dimensions"),
        (with_meter(replace(TOKENS, dimensions=("subject",))), "meters[0].dimensions"),
        (with_meter(replace(TOKENS, dimensions=("",))), "meters[0].dimensions"),
        (with_meter(replace(TOKENS, value="v" * 65)), "meters[0].value"),
        (Catalog(tuple(Meter(f"m{number}", "t") for number in range(MAX_METERS + 1))), "meters"),
        (with_limit(replace(LIMIT, meter="unknown")), "plans[0].limits[0].meter"),
        (with_limit(replace(LIMIT, max=Decimal(-1))), "plans[0].limits[0].max"),
        (with_limit(replace(LIMIT, labels=(("city", "x"),))), "plans[0].limits[0].labels"),
        (with_limit(replace(LIMIT, per_labels=("city",))), "plans[0].limits[0].labels"),
        (with_limit(replace(LIMIT, per_labels=("model", "model"))), "plans[0].limits[0].per_labels"),
        (with_limit(replace(LIMIT, labels=(("model", "x"),), per_labels=("model",))), "plans[0].limits[0].per_labels"),
        (with_limit(LIMIT, replace(TOKENS, allow_negative=True)), "plans[0].limits[0].policy"),
        (Catalog((TOKENS,), (Plan("default", (LIMIT, LIMIT)),)), "plans[0].limits[0].name"),
        (with_limit(replace(LIMIT, policy=Policy.GRACE, grace=Decimal(1)), SHRINKS), "plans[0].limits[0].policy"),
        (with_limit(replace(RATE, policy=Policy.SOFT), SHRINKS), "plans[0].limits[0].kind"),
        (with_limit(replace(LIMIT, policy=Policy.SOFT, kind=Kind.CONCURRENCY), SHRINKS), "plans[0].limits[0].kind"),
        (with_limit(replace(LIMIT, policy=Policy.GRACE)), "plans[0].limits[0].grace"),
        (with_limit(replace(LIMIT, grace=Decimal(1))), "plans[0].limits[0].grace"),
        (with_limit(replace(LIMIT, policy=Policy.GRACE, grace=Decimal(0))), "plans[0].limits[0].grace"),
        (with_limit(replace(RATE, policy=Policy.GRACE, grace=Decimal(1))), "plans[0].limits[0].policy"),
        (with_limit(replace(LIMIT, burst=Decimal(1))), "plans[0].limits[0].burst"),
        (with_limit(replace(RATE, burst=Decimal(0))), "plans[0].limits[0].burst"),
        (with_limit(replace(RATE, length=0)), "plans[0].limits[0].length"),
        (with_limit(replace(RATE, length=SECOND // 2)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, kind=Kind.FIXED)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, kind=Kind.FIXED, length=LENGTH_MAX + SECOND)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, kind=Kind.FIXED, length=SECOND + 1)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, length=HOUR)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, kind=Kind.LIFETIME, length=HOUR)), "plans[0].limits[0].length"),
        (with_limit(replace(LIMIT, kind=Kind.ROLLING)), "plans[0].limits[0].length"),
        (with_limit(replace(ROLLING, sub_windows=1)), "plans[0].limits[0].sub_windows"),
        (with_limit(replace(ROLLING, sub_windows=61)), "plans[0].limits[0].sub_windows"),
        (with_limit(replace(ROLLING, sub_windows=7)), "plans[0].limits[0].sub_windows"),  # no whole microseconds
        (with_limit(replace(ROLLING, length=9 * SECOND)), "plans[0].limits[0].sub_windows"),
        (with_limit(replace(LIMIT, sub_windows=12)), "plans[0].limits[0].sub_windows"),
        (with_limit(replace(LIMIT, week_start=Weekday.SUNDAY)), "plans[0].limits[0].week_start"),
        (
            with_limit(replace(LIMIT, kind=Kind.ANCHORED, period=Period.WEEK, week_start=Weekday.SUNDAY)),
            "plans[0].limits[0].week_start",
        ),
        (with_limit(replace(LIMIT, kind=Kind.ANCHORED, period=Period.HOUR)), "plans[0].limits[0].period"),
        (with_limit(replace(LIMIT, thresholds=(0,))), "plans[0].limits[0].thresholds"),
        (with_limit(replace(LIMIT, thresholds=(1001,))), "plans[0].limits[0].thresholds"),
        (with_limit(replace(LIMIT, thresholds=(50, 50))), "plans[0].limits[0].thresholds"),
        (with_limit(replace(LIMIT, thresholds=tuple(range(1, 22)))), "plans[0].limits[0].thresholds"),
        (with_limit(replace(LIMIT, max=None, thresholds=(50,))), "plans[0].limits[0].thresholds"),
        (with_limit(replace(RATE, thresholds=(50,))), "plans[0].limits[0].thresholds"),
        (with_limits(RATE, replace(RATE, name="other", shadow=True)), "plans[0].limits[1].length"),
        (
            with_limits(replace(RATE, labels=(("model", "a"),)), replace(RATE, name="each", per_labels=("model",))),
            "plans[0].limits[1].length",
        ),
        (
            Catalog(
                (CALLS,),
                (Plan("default", tuple(Limit(f"l{n}", "calls", None) for n in range(MAX_LIMITS_PER_PLAN + 1))),),
            ),
            "plans[0].limits",
        ),
        (Catalog((), (Plan("pro"),)), "default_plan"),
        (Catalog((), (Plan("default"), Plan("default"))), "plans[0].name"),
    ],
)
def test_p12_a_contradiction_is_named(catalog: Catalog, field: str) -> None:
    with pytest.raises(MetergateError) as refused:
        catalog.check()
    assert refused.value.reason is Reason.CATALOG_INVALID
    assert refused.value.field == field
    assert field in {violation.field for violation in refused.value.violations}


def test_p12_a_thousand_mistakes_make_an_answer_of_bounded_size() -> None:
    with pytest.raises(MetergateError) as refused:
        Catalog(tuple(Meter("", "t") for _ in range(1000))).check()
    assert len(refused.value.violations) == 50


def test_changes_name_what_is_made_changed_and_gone() -> None:
    new = Catalog(
        (replace(TOKENS, dimensions=("model",)), Meter("bytes", "http")),
        (Plan("default", (replace(LIMIT, max=Decimal("1E+3")), Limit("bytes/day", "bytes", None)), "Basic"),),
        default_plan="default",
    )
    lines = [(one.action, one.kind, one.name, one.differences) for one in changes(CATALOG, new)]
    assert lines == [
        (Action.CREATE, "meter", "bytes", ()),
        (Action.DELETE, "meter", "calls", ()),
        (Action.UPDATE, "meter", "tokens", ("dimensions: [model, region] -> [model]",)),
        (Action.UPDATE, "plan", "default", ("display_name: '' -> Basic",)),
        (Action.DELETE, "plan", "pro", ()),
        (Action.CREATE, "limit", "default/bytes/day", ()),
        (Action.UPDATE, "limit", "default/tokens/month", ("max: 100 -> 1000",)),
    ]


def test_changes_of_a_limit_are_written_as_people_give_them() -> None:
    new = replace(
        ROLLING, grace=Decimal("1E+2"), policy=Policy.GRACE, shadow=True, thresholds=(50, 80), sub_windows=12,
        when_view_gone=WhenViewGone.DENY,
    )  # fmt: skip
    [change] = changes(with_limit(LIMIT), with_limit(new))
    assert change.differences == (
        "policy: hard -> grace", "kind: calendar -> rolling", "length: none -> 1h", "sub_windows: 10 -> 12",
        "grace: none -> 100", "shadow: False -> True", "thresholds: [] -> [50, 80]", "when_view_gone: ledger -> deny",
    )  # fmt: skip


def test_changes_of_the_same_catalog_are_none_whatever_versions_say() -> None:
    later = CATALOG.succeed(replace(CATALOG, meters=CATALOG.meters[::-1], plans=CATALOG.plans[::-1]))
    assert changes(CATALOG, later) == []
    assert [one.kind for one in changes(CATALOG, replace(CATALOG, default_plan="pro"))] == ["default_plan"]


GRACED = replace(LIMIT, policy=Policy.GRACE, grace_period=HOUR)


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        (replace(GRACED, policy=Policy.HARD), "grace_period"),
        (replace(GRACED, policy=Policy.SOFT), "grace_period"),
        (replace(GRACED, grace_period=0), "grace_period"),
        (replace(GRACED, grace_period=HOUR + 1), "grace_period"),
        (replace(GRACED, grace_period=4_000 * DAY), "grace_period"),
        (replace(GRACED, max=None), "grace_period"),
        (replace(GRACED, kind=Kind.ROLLING, length=HOUR), "grace_period"),
        (replace(GRACED, kind=Kind.CONCURRENCY), "grace_period"),
        (replace(GRACED, kind=Kind.RATE, length=HOUR), "policy"),
        (replace(GRACED, grace_period=None), "grace"),
        (replace(GRACED, grace=Decimal(0)), "grace"),
    ],
)
def test_p12_a_grace_of_time_that_makes_no_sense(limit: Limit, field: str) -> None:
    with pytest.raises(MetergateError) as refused:
        Catalog((TOKENS,), (Plan("default", (limit,)),)).check()
    assert [one.field for one in refused.value.violations] == [f"plans[0].limits[0].{field}"]


def test_a_grace_of_time_is_known_by_meter_whatever_the_plan() -> None:
    plans = (Plan("default", (LIMIT,)), Plan("a", (GRACED,)), Plan("b", (GRACED, replace(GRACED, name="other"))))
    catalog = Catalog((TOKENS, CALLS), plans)
    catalog.check()
    assert catalog.graced == {"tokens": (GRACED.name, "other")}
    assert (CATALOG.graced, CATALOG.thresholds_look_back, catalog.thresholds_look_back) == ({}, None, 0)
    (change,) = changes(Catalog((TOKENS,), plans[1:2]), Catalog((TOKENS,), (Plan("a", (LIMIT,)),)))
    assert change.differences == ("policy: grace -> hard", "grace_period: 1h -> none")


def test_a_successor_raises_since_only_of_meters_that_count_differently() -> None:
    old = Catalog().succeed(Catalog((TOKENS, CALLS)))
    same = old.succeed(replace(old, meters=(replace(TOKENS, unit="token", description="d"), CALLS)))
    assert [meter.since for meter in old.meters] == [1, 1]
    assert (same.version, same.metering_version) == (2, 1)
    assert [meter.since for meter in same.meters] == [1, 1]
    for changed in (
        replace(TOKENS, event_type="x"), replace(TOKENS, aggregation="count"), replace(TOKENS, value=""),
        replace(TOKENS, dimensions=()), replace(TOKENS, allow_negative=True),
    ):  # fmt: skip
        new = same.succeed(replace(same, meters=(changed, CALLS)))
        assert {meter.name: meter.since for meter in new.meters} == {"tokens": 3, "calls": 1}
        assert (new.version, new.metering_version) == (3, 3)


def test_metering_version_never_falls_when_meters_go_and_a_meter_that_comes_back_counts_anew() -> None:
    both = Catalog().succeed(Catalog((TOKENS, CALLS)))
    none = both.succeed(Catalog())
    back = none.succeed(Catalog((TOKENS,)))
    assert (both.metering_version, none.metering_version, back.metering_version) == (1, 1, 3)
    assert back.meter_of["tokens"].since == 3


def test_limits_of_an_unknown_plan_are_the_default_plans() -> None:
    assert CATALOG.limits("", "tokens") == CATALOG.limits("gone", "tokens") == (LIMIT,)
    assert CATALOG.limits("pro", "tokens") == ()
    assert CATALOG.plan_in_force("gone") == "default"
    assert CATALOG.plan_in_force("pro") == "pro"


def test_meters_are_found_by_event_type() -> None:
    other = Meter("requests", "llm.request", "count")
    catalog = Catalog((TOKENS, other, CALLS))
    assert catalog.meters_of_type == {"llm.request": (TOKENS, other), "calls": (CALLS,)}


def test_with_limit_makes_what_is_missing() -> None:
    made = Catalog().with_limit("default", Limit("x/day", "x", Decimal(5), Period.DAY))
    made.check()
    assert made.meter_of["x"] == Meter("x", "x")
    assert [limit.name for limit in made.plan_of["default"].limits] == ["x/day"]


def test_with_limit_on_a_plan_of_its_own_leaves_a_valid_catalog() -> None:
    made = Catalog().with_limit("pro", Limit("x/day", "x", Decimal(5), Period.DAY))
    made.check()
    assert [limit.name for limit in made.plan_of["pro"].limits] == ["x/day"]
    assert made.limits("", "x") == ()


def test_with_limit_replaces_the_limit_of_that_name_and_keeps_the_others() -> None:
    other = Limit("tokens/day", "tokens", Decimal(9), Period.DAY)
    catalog = CATALOG.with_limit("default", other).with_limit("default", replace(LIMIT, max=None))
    assert catalog.plan_of["default"].limits == (replace(LIMIT, max=None), other)
    assert catalog.plan_of["pro"].limits == ()
