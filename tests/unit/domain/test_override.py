"""Overrides: which limits are in force at an instant, as pure functions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.admission import Asked, demand
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError
from metergate.domain.meter import Meter
from metergate.domain.override import (
    MAX_OVERRIDES,
    Override,
    changes_at,
    overridden,
    with_override,
    without_override,
)
from metergate.domain.period import LATEST
from metergate.domain.posting import Head
from metergate.domain.quota import Kind, Limit
from metergate.domain.work import Want

CALLS = Limit("calls", "calls", Decimal(10), thresholds=(50,))
OTHER = Limit("other", "calls", Decimal(5))
CATALOG = Catalog((Meter("calls", "calls"),), (Plan("default", (CALLS, OTHER)),))
TERMS = (
    Override("calls", Decimal(20), 100, 200),
    Override("calls", None, 120, 180),
    Override("calls", Decimal(0), 150),
    Override("gone", Decimal(1), 0),
)


@pytest.mark.parametrize(
    ("at", "most"), [(0, 10), (99, 10), (100, 20), (119, 20), (120, None), (149, None), (150, 0), (180, 0), (200, 0)]
)
def test_the_one_that_began_last_is_in_force(at: int, most: int | None) -> None:
    for order in (TERMS, TERMS[::-1]):
        calls, other = overridden((CALLS, OTHER), order, at)
        assert (calls.max, calls.overridden) == (most, at >= 100)
        assert replace(calls, max=CALLS.max, overridden=False) == CALLS
        assert other is OTHER


def test_when_the_last_ends_an_earlier_one_goes_on() -> None:
    terms = (Override("calls", Decimal(20), 100, 300), Override("calls", Decimal(30), 150, 200))
    assert [overridden((CALLS,), terms, at)[0].max for at in (100, 150, 199, 200, 300)] == [20, 30, 30, 20, 10]


def test_the_same_limit_is_the_same_object() -> None:
    assert overridden((CALLS,), TERMS, 100) == overridden((CALLS,), TERMS, 110)
    assert overridden((CALLS,), TERMS, 100)[0] is overridden((CALLS,), TERMS, 110)[0]


def test_other_limits_are_in_force_from_the_next_border_on() -> None:
    borders = [changes_at(TERMS, at) for at in (0, 99, 100, 120, 150, 180, 199, 200)]
    assert borders == [100, 100, 120, 150, 180, 200, 200, LATEST]
    assert changes_at((), 0) == LATEST


def test_a_catalog_gives_the_limits_of_a_head() -> None:
    head = Head("acme", 1, "", "UTC", 0)
    assert CATALOG.limits_for(head, "calls", 100) is CATALOG.limits("", "calls")
    head = replace(head, overrides=TERMS, plan="gone")
    assert [limit.max for limit in CATALOG.limits_for(head, "calls", 100)] == [20, 5]
    assert CATALOG.limits_for(head, "nothing", 100) == ()


def test_a_demand_knows_when_it_has_to_be_made_anew() -> None:
    asked = [Asked("acme", Want("calls", Decimal(1), {}))]
    head = Head("acme", 1, "", "UTC", 0, 50, TERMS)
    made = demand([head], CATALOG, 110, asked)
    assert ([touch.limit.max for touch in made.touches], made.changes_at) == ([20, 5], 120)
    later = demand([head], CATALOG, 110, asked, now=160)
    assert ([touch.limit.max for touch in later.touches], later.changes_at) == ([0, 5], 180)
    assert [touch.windows for touch in later.touches] == [touch.windows for touch in made.touches]
    anchored = Catalog(CATALOG.meters, (Plan("default", (replace(CALLS, kind=Kind.FIXED, length=1000),)),))
    [touch] = demand([head], anchored, 110, asked).touches
    assert (touch.keys[0].start, touch.keys[0].end) == (50, 1050)


def test_setting_replaces_what_has_the_same_start_and_leaves_out_what_ended() -> None:
    kept = with_override(TERMS, Override("calls", Decimal(7), 150), 190)
    assert kept == (TERMS[0], Override("calls", Decimal(7), 150), TERMS[3])
    kept = with_override(TERMS, Override("calls", Decimal(7), 150, 201), 200)
    assert kept == (Override("calls", Decimal(7), 150, 201), TERMS[3])
    with pytest.raises(MetergateError, match="end_time"):
        with_override((), Override("calls", Decimal(7), 150, 200), 200)
    many = tuple(Override("calls", Decimal(1), start) for start in range(MAX_OVERRIDES))
    assert len(with_override(many, Override("calls", Decimal(2), 7), 0)) == MAX_OVERRIDES
    with pytest.raises(MetergateError, match="at most 100"):
        with_override(many, Override("other", Decimal(2), 7), 0)


def test_taking_away() -> None:
    assert without_override(TERMS, "calls", 120) == (TERMS[0], TERMS[2], TERMS[3])
    assert without_override(TERMS, "calls", None) == (TERMS[3],)
    assert without_override(TERMS, "calls", 1) == without_override(TERMS, "nothing", None) == TERMS
