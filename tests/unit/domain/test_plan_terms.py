"""Plan terms: texts of what a customer is on, and the limits that they come to."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain import catalog as catalog_module
from metergate.domain import plan_terms
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, SECOND, Period
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.domain.subscription import Item

CALLS = Limit("calls/month", "calls", Decimal(100))
SEATS = Limit("seats", "seats", Decimal(5), kind=Kind.CONCURRENCY)
RATE = Limit("rate", "calls", Decimal(10), kind=Kind.RATE, length=SECOND, burst=Decimal(30))
METERS = (Meter("calls", "calls", dimensions=("region",)), Meter("seats", "seats"))
OLD, NEW = Plan("pro", (CALLS, SEATS)), Plan("pro", (replace(CALLS, max=Decimal(500)),), version=2)
ADD_ON = Plan("extra", (replace(CALLS, max=Decimal(7), policy=Policy.SOFT), SEATS), version=3, add_on=True)
CATALOG = Catalog(METERS, (Plan("default", (CALLS,)), NEW, ADD_ON), kept=(OLD,))


@pytest.mark.parametrize(
    ("items", "text", "shown"),
    [
        ([], "", ""),
        ([Item("pro", 2)], "pro@2", "pro"),
        ([Item("pro", 2, Decimal("1.0"))], "pro@2", "pro"),
        ([Item("pro", 2, Decimal(3))], "pro@2*3", "pro@2*3"),
        ([Item("a/b-c.d_e", 12), Item("extra", 3, Decimal("2.50"))], "a/b-c.d_e@12+extra@3*2.5", None),
        ([Item("pro", 1), Item("pro", 1)], "pro@1+pro@1", None),
    ],
)
def test_terms_are_written_and_read(items: list[Item], text: str, shown: str | None) -> None:
    assert plan_terms.write(items) == text
    assert plan_terms.read(text) == tuple(items)
    assert plan_terms.shown(text) == (text if shown is None else shown)


def test_a_plan_by_hand_is_no_terms() -> None:
    assert plan_terms.read("pro") == () == plan_terms.read("")
    assert plan_terms.shown("pro") == "pro"


def test_each_version_keeps_its_limits() -> None:
    assert CATALOG.limits("pro@1", "calls") == (CALLS,)
    assert CATALOG.limits("pro@1", "seats") == (SEATS,)
    assert CATALOG.limits("pro@2", "calls") == CATALOG.limits("pro", "calls") == NEW.limits
    assert CATALOG.limits("pro@2", "seats") == ()
    assert CATALOG.plan_at("pro", 1) is not None
    assert CATALOG.plan_at("pro", 3) is None


@pytest.mark.parametrize("terms", ["", "gone", "gone@1", "pro@9", "gone@1+pro@9*2"])
def test_unknown_terms_are_the_default_plans(terms: str) -> None:
    assert CATALOG.limits(terms, "calls") == (CALLS,)
    assert CATALOG.plan_in_force(terms) == "default"


def test_terms_are_told_as_they_are_but_for_one_plan() -> None:
    told = {"pro": "pro", "pro@1": "pro", "pro@2+extra@3*2": "pro@2+extra@3*2", "pro@2*2": "pro@2*2"}
    assert {terms: CATALOG.plan_in_force(terms) for terms in told} == told


def test_add_ons_add_up_as_many_times_as_they_are_held() -> None:
    (calls,) = CATALOG.limits("pro@2+extra@3*3", "calls")
    assert calls == replace(NEW.limits[0], max=Decimal(521))  # the policy is the plan's
    (seats,) = CATALOG.limits("pro@1+extra@3*2.5", "seats")
    assert seats.max == Decimal("17.5")
    assert CATALOG.limits("pro@2+gone@1*9", "calls") == NEW.limits


def test_unlimited_stays_unlimited() -> None:
    unlimited = replace(CALLS, max=None)
    for first, second in ((unlimited, CALLS), (CALLS, unlimited)):
        (both,) = plan_terms.united([([first], Decimal(1)), ([second], Decimal(4))])
        assert both.max is None


@pytest.mark.parametrize(
    "other",
    [
        replace(CALLS, period=Period.DAY), replace(CALLS, scope=Scope.SUBJECT), replace(CALLS, name="x"),
        replace(CALLS, labels=(("region", "eu"),)), replace(CALLS, per_labels=("region",)),
        replace(CALLS, kind=Kind.ROLLING, length=HOUR),
    ],
)  # fmt: skip
def test_limits_that_count_otherwise_stand_beside_each_other(other: Limit) -> None:
    assert plan_terms.united([([CALLS], Decimal(1)), ([other], Decimal(1))]) == (CALLS, other)


def test_rates_that_share_their_counter_are_one_whatever_their_names() -> None:
    other = replace(RATE, name="other", max=Decimal(5), burst=None)
    (both,) = plan_terms.united([([RATE], Decimal(1)), ([other], Decimal(2))])
    assert (both.name, both.max, both.burst) == ("rate", Decimal(20), Decimal(40))
    slow = replace(RATE, length=HOUR)
    assert plan_terms.united([([RATE], Decimal(1)), ([slow], Decimal(1))]) == (RATE, slow)


def test_grace_adds_up_and_what_has_no_bound_has_none() -> None:
    graced = replace(CALLS, policy=Policy.GRACE, grace=Decimal(10))
    timed = replace(graced, grace=None, grace_period=HOUR)
    grace = {
        (first.grace, second.grace): plan_terms.united([([first], Decimal(1)), ([second], Decimal(2))])[0].grace
        for first in (graced, timed) for second in (graced, CALLS)
    }  # fmt: skip
    assert grace == {(10, 10): Decimal(30), (10, None): Decimal(10), (None, 10): None, (None, None): None}


def test_what_terms_come_to_is_made_once() -> None:
    """A commit finds the windows of a limit by the object that it is."""
    catalog = replace(CATALOG)
    terms = "pro@2+extra@3*3"
    assert catalog.limits(terms, "calls")[0] is catalog.limits(terms, "calls")[0]


def test_no_more_terms_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_TERMS_MOST", 10)
    catalog = replace(CATALOG)
    for times in range(1, 100):
        assert catalog.limits(f"pro@2+extra@3*{times}", "calls")[0].max == 500 + 7 * times
        assert len(catalog._limits_of) <= 10


def test_meters_tell_apart_what_kept_versions_count() -> None:
    kept = Plan("pro", (replace(CALLS, per_labels=("region",)),))
    assert Catalog(METERS, (Plan("default"),), kept=(kept,)).meter_of["calls"].shapes == (kept.limits[0].shape,)
    assert Catalog(METERS, (Plan("default"),), kept=(Plan("pro", (RATE,)),)).rated_meters == {"calls"}


def test_a_limit_is_found_by_what_its_customer_was_told() -> None:
    assert CATALOG.limit_named("pro", "calls", "calls/month") == NEW.limits[0]
    assert CATALOG.limit_named("pro", "seats", "seats") == SEATS  # of the version before
    (extra,) = CATALOG.limits("extra@3*2", "calls")
    assert CATALOG.limit_named("extra@3*2", "calls", "calls/month") is extra
    assert CATALOG.limit_named("default", "calls", "gone") is None
