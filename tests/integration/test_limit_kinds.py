"""Limits of all kinds in the tables and in the fast view, and checks while that view is gone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from metergate.app.ports.view import Publication, Seen
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.catalog_changes import changes
from metergate.domain.decision import AnsweredBy
from metergate.domain.errors import MetergateError
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND, Period, Weekday
from metergate.domain.quota import Figures, Kind, Limit, Policy, WhenViewGone
from tests.integration.processes import PRINCIPAL, TENANT, Process, Start, event
from tests.integration.views import CALLS, MONTHLY, NOW, View, key

ALLOW = replace(MONTHLY, name="allow", max=Decimal(1), when_view_gone=WhenViewGone.ALLOW)
DENY = replace(MONTHLY, name="deny", when_view_gone=WhenViewGone.DENY)
HARD = Limit("calls", "calls", Decimal(5))
LIMITS = (
    replace(HARD, name="a", period=Period.WEEK, week_start=Weekday.SUNDAY, thresholds=(50, 1000)),
    replace(HARD, name="b", kind=Kind.ANCHORED, period=Period.YEAR, when_view_gone=WhenViewGone.ALLOW),
    replace(HARD, name="c", kind=Kind.FIXED, length=90 * SECOND, max=None),
    replace(HARD, name="d", kind=Kind.ROLLING, length=HOUR, sub_windows=60, shadow=True),
    replace(HARD, name="e", kind=Kind.LIFETIME, policy=Policy.GRACE, grace=Decimal("0.000000000001")),
    replace(HARD, name="f", kind=Kind.RATE, length=DAY, burst=Decimal("2.5")),
    replace(HARD, name="g", kind=Kind.RATE, length=SECOND, when_view_gone=WhenViewGone.DENY),
    replace(HARD, name="h", kind=Kind.CONCURRENCY, policy=Policy.SOFT),
    replace(HARD, name="i", policy=Policy.GRACE, grace_period=90 * SECOND),
    replace(HARD, name="j", policy=Policy.GRACE, grace=Decimal(1), grace_period=30 * DAY),
)


def catalog(*limits: Limit) -> Catalog:
    return Catalog((CALLS,), (Plan("default", limits),))


@pytest.fixture
async def one(start: Start) -> Process:
    return await start()


@pytest.fixture
async def mute(start: Start, tmp_path: Path) -> Process:
    """A process without Redis."""
    return await start(redis=f"unix://{tmp_path}/nobody?db=0")


async def test_what_was_applied_is_what_is_loaded(one: Process) -> None:
    applied = await one.apply(catalog(*LIMITS))
    one.directory.forget_all()
    loaded = await one.directory.catalog(TENANT)
    assert loaded.plans == applied.plans
    assert changes(applied, loaded) == []
    assert not (await one.catalogs.apply(PRINCIPAL, catalog(*LIMITS), dry_run=False)).changes


async def test_the_view_keeps_the_state_of_a_rate_to_its_last_digit_and_when_limits_were_reached(view: View) -> None:
    tat = Decimal(f"{NOW}.{'123456789012' * 3}")
    pace, reached = Decimal("333333.333333333333333333333334"), (("calls/month", NOW), ("a_b.c-d/e", NOW + 1))
    both = {
        key(): Figures(Decimal(5), tat=tat),
        key("b"): Figures(tat=tat, pace=pace),
        key("c"): Figures(Decimal(7), reached=reached),
    }
    await view.view.publish("t", 1, NOW, [Publication("acme", 0, 1, both, ())])
    assert await view.view.read("t", 1, list(both), {}) == [Seen(figures, NOW) for figures in both.values()]


async def test_p4_the_view_and_the_ledger_know_the_same_rate(one: Process, start: Start, tmp_path: Path) -> None:
    await one.apply(catalog(replace(HARD, kind=Kind.RATE, length=7 * DAY, max=Decimal(3))))
    await one.customer("acme")
    mute = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    for number in (1, 2):
        await one.consume(event(f"e{number}"))
        seen, told = await one.check("calls"), await mute.check("calls")
        assert (seen.answered_by, told.answered_by) == (AnsweredBy.VIEW, AnsweredBy.LEDGER)
        assert seen.states[0].figures == told.states[0].figures
        assert (seen.states[0].figures.used, seen.states[0].figures.tat > 0) == (number, True)


async def test_p5_while_the_view_is_gone_a_limit_answers_as_it_says(mute: Process) -> None:
    await mute.apply(catalog(ALLOW))
    await mute.add(event("1", amount=5))
    decision = await mute.check("calls")
    assert (decision.allowed, decision.degraded, decision.answered_by) == (True, True, AnsweredBy.VIEW)
    assert [(state.unknown, state.remaining) for state in decision.states] == [(True, None)]
    await mute.apply(catalog(DENY))
    decision = await mute.check("calls")
    assert (decision.allowed, decision.degraded, decision.retry_after) == (False, True, None)
    assert decision.reason == "deny cannot be looked up and refuses meanwhile"


async def test_p5_beside_a_limit_that_goes_without_looking_others_are_looked_up(mute: Process) -> None:
    await mute.apply(catalog(ALLOW, replace(MONTHLY, max=Decimal(5))))
    await mute.add(event("1", amount=5))
    decision = await mute.check("calls")
    assert (decision.allowed, decision.degraded, decision.answered_by) == (False, True, AnsweredBy.LEDGER)
    assert {state.limit.name: (state.unknown, state.figures.used) for state in decision.states} == {
        "allow": (True, Decimal(0)), "calls/month": (False, Decimal(5)),
    }  # fmt: skip


async def test_p5_while_the_view_is_there_no_limit_goes_without_looking(one: Process) -> None:
    await one.apply(catalog(ALLOW, DENY))
    await one.add(event("1", amount=5))
    for at_least in ({}, {"*": 0}):  # a token that is too wide to name sends every question to the ledger
        decision = await one.check("calls", at_least=at_least)
        assert (decision.allowed, decision.degraded) == (False, False)
        assert decision.binding
        assert decision.binding.limit.name == "allow"
        assert [state.figures.used for state in decision.states] == [5, 5]


async def test_p5_without_view_and_ledger_only_a_limit_that_says_so_answers(one: Process, mute: Process) -> None:
    await one.apply(catalog(ALLOW))
    await one.customer("acme")
    mute.directory.forget_all()
    assert (await mute.check("calls")).allowed
    await mute.pool.close()
    assert (await mute.check("calls")).degraded
    await one.apply(catalog(MONTHLY))
    mute.directory.forget_all()
    with pytest.raises(MetergateError, match="neither the view nor the ledger"):
        await mute.check("calls")


async def test_p4_usage_in_an_older_part_of_a_rolling_window(one: Process, start: Start) -> None:
    """Parts of the window that no usage fell into are in the view too, and learn of late facts."""
    other = await start()
    await one.apply(catalog(replace(HARD, kind=Kind.ROLLING, length=10 * HOUR, max=Decimal(1000))))
    now = await one.now()
    await one.customer("acme")
    assert await one.used("calls") == [0]
    total = Decimal(0)
    for number, back in enumerate((0, 9 * HOUR, 30 * MINUTE, 5 * HOUR, 9 * HOUR, 0)):
        process = (one, other)[number % 2]
        await process.add(event(f"e{number}", amount=10**number, time=now - back))
        total += 10**number
        assert await process.used("calls") == [total]
        assert [state.figures.used for state in (await other.limits.list(PRINCIPAL, "acme", [])).states] == [total]
    assert await one.differences() == []
