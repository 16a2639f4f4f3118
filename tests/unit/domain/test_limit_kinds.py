"""Decisions by kind and policy: grace, shadow, rates, concurrency, lifetime, rolling; thresholds; the view gone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.decision import (
    AnsweredBy,
    Ask,
    Decision,
    LimitState,
    ask_of,
    blind,
    counted,
    decide,
    decision_of,
    look_at,
)
from metergate.domain.period import DAY, HOUR, LATEST, MINUTE, SECOND, Period, Window
from metergate.domain.quota import Figures, Kind, Limit, Policy, WhenViewGone, advance, crossed, fits, taken

NOW = 1000 * DAY + 30 * MINUTE
TODAY = Window(1000 * DAY, 1001 * DAY)
HARD = Limit("calls/day", "calls", Decimal(100), Period.DAY)
GRACE = replace(HARD, policy=Policy.GRACE, grace=Decimal(20))
SHADOW = replace(HARD, shadow=True)
RATE = replace(HARD, kind=Kind.RATE, length=SECOND, max=Decimal(10), burst=Decimal(5))
AT_ONCE = replace(HARD, kind=Kind.CONCURRENCY, max=Decimal(5))
ROLLING = replace(HARD, kind=Kind.ROLLING, length=HOUR, sub_windows=4)


def figures(used: str = "0", **more: Any) -> Figures:
    return Figures(Decimal(used), **{name: Decimal(value) for name, value in more.items()})


def ask(limit: Limit, amount: str, used: str = "0", **more: Any) -> Ask:
    return Ask(limit, limit.windows("UTC", NOW)[-1], "", Decimal(amount), figures(used, **more))


def state(limit: Limit, amount: str, used: str = "0", **more: Any) -> LimitState:
    found = look_at(ask(limit, amount, used, **more), NOW)
    assert found.fits is fits(limit, figures(used, **more), Decimal(amount), NOW)
    return found


def judge(*asks: Ask) -> Decision:
    return decide(asks, "default", NOW, NOW, AnsweredBy.LEDGER)


# --- policies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "used", "fits_", "remaining", "would_fit", "overrun"),
    [
        ("100", "0", True, "100", "100", "0"),
        ("120", "0", True, "100", "120", "0"),
        ("120.000000000001", "0", False, "100", "120", "0"),
        ("10", "105", True, "0", "10", "5"),
        ("16", "105", False, "0", "15", "5"),
        ("1", "120", False, "0", "0", "20"),
        ("1", "500", False, "0", "0", "400"),
        ("0", "500", True, "0", "0", "400"),
    ],
)
def test_p2_grace_admits_up_to_its_overrun(
    amount: str, used: str, fits_: bool, remaining: str, would_fit: str, overrun: str
) -> None:
    found = state(GRACE, amount, used)
    expected = (fits_, Decimal(remaining), Decimal(would_fit), Decimal(overrun))
    assert (found.fits, found.remaining, found.would_fit, found.overrun) == expected


@pytest.mark.parametrize(("used", "would_refuse"), [("0", False), ("99", False), ("100", True), ("500", True)])
def test_a_shadow_limit_says_what_it_would_have_refused(used: str, would_refuse: bool) -> None:
    found = state(SHADOW, "1", used)
    assert (found.fits, found.would_refuse, found.would_fit) == (True, would_refuse, 1)
    decision = judge(ask(SHADOW, "1", used))
    assert (decision.allowed, decision.binding, decision.retry_after) == (True, None, None)
    assert state(replace(SHADOW, max=Decimal(0)), "1").would_refuse
    assert not state(replace(SHADOW, max=None), "1").would_refuse
    assert not state(HARD, "1", used).would_refuse


TIMED = replace(HARD, policy=Policy.GRACE, grace_period=MINUTE)


@pytest.mark.parametrize(
    ("grace", "amount", "used", "began", "fits_", "would_fit"),
    [
        (None, "1", "100", None, True, "1"),  # not told yet: this very request begins it
        (None, "9999", "0", None, True, "9999"),
        (None, "9999", "100", MINUTE - 1, True, "9999"),
        (None, "1", "100", MINUTE, False, "0"),
        (None, "11", "90", MINUTE, False, "10"),
        (None, "10", "90", MINUTE, True, "10"),  # below the maximum again, since that was raised
        ("20", "20", "100", MINUTE - 1, True, "20"),
        ("20", "21", "100", MINUTE - 1, False, "20"),
        ("20", "1", "100", MINUTE, False, "0"),
    ],
)
def test_p2_grace_admits_for_its_time(
    grace: str | None, amount: str, used: str, began: int | None, fits_: bool, would_fit: str
) -> None:
    limit = replace(TIMED, grace=Decimal(grace) if grace else None)
    found = ask(limit, amount, used)
    reached = () if began is None else (("calls/day", NOW - began),)
    state_ = look_at(found._replace(figures=found.figures._replace(reached=reached)), NOW)
    assert (state_.fits, state_.would_fit) == (fits_, Decimal(would_fit))
    assert state_.grace_ends_at == (None if began is None else NOW - began + MINUTE)
    assert state_.resets_at == TODAY.end


def test_a_limit_of_nothing_has_no_grace_of_time() -> None:
    assert not state(replace(TIMED, max=Decimal(0)), "1").fits
    assert state(replace(TIMED, max=None), "1").fits  # of an override


def test_a_shadow_limit_would_refuse_when_its_grace_is_over() -> None:
    shadow = replace(TIMED, shadow=True)
    for began, would_refuse in ((MINUTE - 1, False), (MINUTE, True)):
        found = ask(shadow, "0", "120")
        found = found._replace(figures=found.figures._replace(reached=(("calls/day", NOW - began),)))
        assert look_at(found, NOW).would_refuse is would_refuse


def test_a_grace_of_time_is_told_by_the_threshold_of_a_hundred() -> None:
    assert TIMED.fires == (100,)
    assert replace(TIMED, thresholds=(50, 100)).fires == (50, 100)
    assert replace(TIMED, thresholds=(50,)).fires == (50, 100)
    assert HARD.fires == ()
    assert crossed(TIMED, Figures(), figures("100")) == (100,)


def test_a_shadow_limit_does_not_hide_one_that_refuses() -> None:
    decision = judge(ask(SHADOW, "1", "500"), ask(HARD, "1", "100"))
    assert decision.binding is decision.states[1]


def test_a_shadow_rate_goes_on_as_if_it_refused() -> None:
    shadow = replace(RATE, shadow=True)
    full = advance(shadow, Figures(), Decimal(5), NOW)
    assert state(shadow, "1", tat=str(full.tat)).would_refuse
    assert advance(shadow, full, Decimal(1), NOW) == full
    assert not look_at(ask(shadow, "1", tat=str(full.tat)), NOW + SECOND).would_refuse


def test_nothing_and_unlimited_in_each_kind() -> None:
    for kind in set(Kind) - {Kind.GRANTS}:
        none = replace(HARD, kind=kind, length=HOUR, max=Decimal(0))
        found = state(none, "0.000000000001")
        assert (found.fits, found.remaining, found.would_fit, found.overrun) == (False, 0, 0, 0)
        assert state(none, "0").fits
        free = state(replace(none, max=None), "999999999999999999", "5")
        assert (free.fits, free.remaining, free.would_fit, free.overrun) == (True, None, None, 0)


# --- kinds --------------------------------------------------------------------------------------------------------


def test_p2_a_rate_lives_by_its_tat_alone() -> None:
    assert state(RATE, "5", "999999", reserved="7", leased="8").remaining == 5
    found = state(RATE, "6")
    assert (found.fits, found.would_fit, found.remaining) == (False, 5, 5)
    after = advance(RATE, figures("3"), Decimal(5), NOW)
    assert after == figures("3", tat=str(NOW + SECOND // 2), pace="100000")
    found = state(RATE, "2", tat=str(after.tat))
    assert (found.fits, found.remaining, found.frees_at, found.resets_at) == (
        False, 0, NOW + 200_000, NOW + 200_000,
    )  # fmt: skip
    decision = judge(ask(RATE, "2", tat=str(after.tat)))
    assert (decision.retry_after, decision.reason) == (200_000, "calls/day allows 10 per 1s with bursts of 5; 0 left")
    assert state(RATE, "0", tat=str(after.tat)).resets_at == NOW + 500_000
    assert state(RATE, "0").resets_at == NOW


def test_a_rate_without_a_burst_admits_its_maximum_at_once() -> None:
    plain = replace(RATE, burst=None)
    assert state(plain, "10").fits
    assert not state(plain, "10.000000000001").fits
    assert plain.rule == "10 per 1s"


def test_a_soft_rate_shows_the_overrun() -> None:
    soft = replace(RATE, policy=Policy.SOFT)
    after = advance(soft, Figures(), Decimal(8), NOW)
    found = state(soft, "1", tat=str(after.tat))
    assert (found.fits, found.remaining, found.overrun) == (True, 0, 3)
    assert counted(found) == figures("8")


def test_only_rates_advance() -> None:
    for kind in Kind:
        before = figures("3", reserved="4")
        limit = replace(HARD, kind=kind, length=HOUR)
        after = advance(limit, before, Decimal(2), NOW)
        assert (after is before) == (kind is not Kind.RATE)
        assert advance(limit, before, Decimal(0), NOW) is before


def test_p2_concurrency_looks_only_at_what_is_reserved() -> None:
    held: dict[str, Any] = {"reserved": "3", "leased": "100", "forfeited": "100"}
    assert taken(AT_ONCE, figures("1000", **held)) == 3
    found = state(AT_ONCE, "2", "1000", **held)
    assert (found.fits, found.remaining, found.resets_at) == (True, 2, None)
    found = state(AT_ONCE, "3", "1000", **held)
    assert (found.fits, found.would_fit, found.frees_at) == (False, 2, None)
    assert counted(found) == figures(reserved="3")
    decision = judge(ask(AT_ONCE, "3", "1000", **held))
    assert (decision.retry_after, decision.reason) == (None, "calls/day allows 5 at once; 2 left")


def test_p3_a_lifetime_limit_that_refuses_binds_before_all_others() -> None:
    ever = replace(HARD, name="calls/lifetime", kind=Kind.LIFETIME)
    for asks in ([ask(HARD, "1", "100"), ask(ever, "1", "100")], [ask(ever, "1", "100"), ask(HARD, "1", "100")]):
        decision = judge(*asks)
        assert decision.binding
        assert (decision.binding.limit, decision.retry_after) == (ever, None)
    assert decision.reason == "calls/lifetime allows 100 in all; 0 left"


def test_p3_what_is_held_at_once_binds_only_where_nothing_else_does() -> None:
    decision = judge(ask(AT_ONCE, "1", reserved="5"), ask(HARD, "1", "100"))
    assert decision.binding
    assert (decision.binding.limit, decision.retry_after) == (HARD, TODAY.end - NOW)


def rolling(amount: str, *used: str) -> LimitState:
    """Sub-windows of a quarter hour; the newest began this half hour."""
    windows = ROLLING.windows("UTC", NOW)
    parts = [figures(one) for one in used]
    return look_at(ask_of(ROLLING, windows, "", Decimal(amount), parts), NOW)


def test_p2_a_rolling_window_adds_up_its_sub_windows() -> None:
    found = rolling("1", "10", "20", "0", "30", "39")
    assert (found.fits, found.remaining, found.figures.used) == (True, 1, 99)
    assert found.window == Window(NOW - HOUR, NOW + HOUR // 4)
    assert not rolling("2", "10", "20", "0", "30", "39").fits


@pytest.mark.parametrize(
    ("amount", "used", "resets", "frees"),
    [
        ("1", ("0", "0", "0", "0", "100"), 75, 75),
        ("1", ("0", "0", "60", "0", "40"), 45, 45),
        ("61", ("0", "0", "60", "0", "40"), 45, 75),
        ("30", ("10", "20", "0", "30", "40"), 15, 30),
        ("1", ("10", "20", "0", "30", "40"), 15, 15),
        ("31", ("10", "20", "0", "30", "40"), 15, 60),
        ("101", ("10", "20", "0", "30", "40"), 15, 75),  # never fits; by then all is free
        ("101", ("0", "0", "0", "0", "0"), 75, 75),
    ],
)
def test_p3_a_rolling_window_frees_what_leaves_it(amount: str, used: tuple[str, ...], resets: int, frees: int) -> None:
    """Minutes from now: a sub-window leaves an hour after its end."""
    found = rolling(amount, *used)
    assert not found.fits
    assert (found.resets_at, found.frees_at) == (NOW + resets * MINUTE, NOW + frees * MINUTE)


def test_what_a_rolling_window_holds_counts_in_all_columns() -> None:
    windows = ROLLING.windows("UTC", NOW)
    parts = [figures("1", reserved="2", leased="3", forfeited="4")] * len(windows)
    found = look_at(ask_of(ROLLING, windows, "f", Decimal(50), parts), NOW)
    assert (found.filter, found.figures) == ("f", figures("5", reserved="10", leased="15", forfeited="20"))
    assert (found.fits, found.remaining) == (True, 50)


@pytest.mark.parametrize(
    ("limit", "rule", "name"),
    [
        (HARD, "100 per day", "day"),
        (replace(HARD, kind=Kind.ANCHORED, period=Period.MONTH), "100 per month", "anchored-month"),
        (replace(HARD, kind=Kind.FIXED, length=90 * SECOND), "100 per 90s", "90s"),
        (ROLLING, "100 in any 1h", "rolling-1h"),
        (replace(HARD, kind=Kind.LIFETIME, max=None), "unlimited in all", "lifetime"),
        (RATE, "10 per 1s with bursts of 5", "rate-1s"),
        (AT_ONCE, "5 at once", "concurrency"),
    ],
)
def test_limits_in_words(limit: Limit, rule: str, name: str) -> None:
    assert (limit.rule, limit.window_name) == (rule, name)


# --- thresholds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("0", "49.999999999999", ()),
        ("0", "50", (50,)),
        ("50", "80", (80,)),
        ("0", "100", (50, 80, 100)),
        ("50", "50", ()),
        ("80", "20", ()),  # what was given back crosses nothing
        ("100", "150", (120,)),
        ("120", "1000000", ()),
    ],
)
def test_a_threshold_is_crossed_when_it_is_reached(before: str, after: str, expected: tuple[int, ...]) -> None:
    limit = replace(HARD, thresholds=(120, 50, 100, 80))
    assert crossed(limit, figures(before), figures(after)) == expected


def test_thresholds_look_at_what_counts_against_the_limit() -> None:
    limit = replace(HARD, max=Decimal("0.3"), thresholds=(50,))
    assert crossed(limit, Figures(), figures("0.05", reserved="0.05", leased="0.03", forfeited="0.02")) == (50,)
    at_once = replace(AT_ONCE, thresholds=(80,))
    assert crossed(at_once, figures("900", reserved="3"), figures("900", reserved="4")) == (80,)
    assert crossed(at_once, figures("0", reserved="3"), figures("900", reserved="3")) == ()
    assert crossed(replace(limit, max=Decimal(0)), Figures(), figures("1")) == ()
    assert crossed(replace(limit, max=None), Figures(), figures("1")) == ()
    assert crossed(HARD, Figures(), figures("100")) == ()


# --- the view is gone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "amount", "allows"),
    [
        (replace(HARD, when_view_gone=WhenViewGone.ALLOW), "1000", True),
        (replace(HARD, when_view_gone=WhenViewGone.DENY), "1", False),
        (replace(HARD, when_view_gone=WhenViewGone.DENY), "0", True),
        (replace(HARD, when_view_gone=WhenViewGone.DENY, shadow=True), "1", True),
        (replace(HARD, when_view_gone=WhenViewGone.DENY, policy=Policy.SOFT), "1", True),
        (replace(HARD, when_view_gone=WhenViewGone.DENY, max=None), "1", True),
        (replace(RATE, when_view_gone=WhenViewGone.DENY), "1", False),
    ],
)
def test_p5_a_limit_that_cannot_be_looked_up_goes_by_its_setting(limit: Limit, amount: str, allows: bool) -> None:
    found = blind(ask(limit, amount))
    assert (found.fits, found.unknown, found.remaining, found.would_fit) == (
        allows, True, None, Decimal(amount) if allows else 0,
    )  # fmt: skip
    decision = decision_of([found], "default", NOW, NOW, AnsweredBy.VIEW, degraded=True)
    assert (decision.allowed, decision.degraded, decision.retry_after) == (allows, True, None)
    assert decision.reason == ("" if allows else "calls/day cannot be looked up and refuses meanwhile")


def test_windows_of_rates_reach_to_the_end_of_time() -> None:
    assert ask(RATE, "1").window == Window(-SECOND, LATEST)


def test_a_rate_that_owes_millennia_foresees_nothing() -> None:
    slow = Limit("r", "calls", Decimal(1), kind=Kind.RATE, length=3660 * DAY, burst=Decimal(1_000_000))
    figures = advance(slow, Figures(), Decimal(1_000_000), NOW)
    state = look_at(Ask(slow, slow.windows("UTC", NOW)[-1], "", Decimal(1_000_000), figures), NOW)
    assert (state.fits, state.frees_at, state.resets_at) == (False, None, None)
