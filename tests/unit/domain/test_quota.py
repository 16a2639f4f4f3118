"""Decisions: hard and soft limits, several of them, and what an answer says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.decision import AnsweredBy, Ask, Decision, LimitState, decide, look_at
from metergate.domain.period import DAY, HOUR, Window
from metergate.domain.quota import Figures, Limit, Policy, Scope, read_filter, write_filter

NOW = 1000 * DAY
TODAY = Window(NOW - 6 * HOUR, NOW + 18 * HOUR)
HARD = Limit("calls/day", "calls", Decimal(100))
SOFT = replace(HARD, policy=Policy.SOFT)


def ask(amount: str, used: str = "0", limit: Limit = HARD, window: Window = TODAY, **more: Any) -> Ask:
    figures = Figures(Decimal(used), **{name: Decimal(value) for name, value in more.items()})
    return Ask(limit, window, "", Decimal(amount), figures)


def state(amount: str, used: str = "0", limit: Limit = HARD, **more: Any) -> LimitState:
    return look_at(ask(amount, used, limit, **more), NOW)


def judge(*asks: Ask) -> Decision:
    return decide(asks, "default", NOW, NOW - 5, AnsweredBy.VIEW)


@pytest.mark.parametrize(
    ("amount", "used", "fits", "remaining", "would_fit", "overrun"),
    [
        ("1", "0", True, "100", "1", "0"),
        ("100", "0", True, "100", "100", "0"),
        ("100.000000000001", "0", False, "100", "100", "0"),
        ("1", "99", True, "1", "1", "0"),
        ("2", "99", False, "1", "1", "0"),
        ("1", "100", False, "0", "0", "0"),
        ("0", "100", True, "0", "0", "0"),
        ("1", "130.5", False, "0", "0", "30.5"),
    ],
)
def test_p2_a_hard_limit_admits_up_to_its_maximum(
    amount: str, used: str, fits: bool, remaining: str, would_fit: str, overrun: str
) -> None:
    found = state(amount, used)
    expected = (fits, Decimal(remaining), Decimal(would_fit), Decimal(overrun))
    assert (found.fits, found.remaining, found.would_fit, found.overrun) == expected


def test_p2_reserved_leased_and_forfeited_are_taken_too() -> None:
    held: dict[str, Any] = {"reserved": "20", "leased": "30", "forfeited": "9"}
    assert state("1", "40", **held).fits
    assert not state("2", "40", **held).fits
    assert state("1", "40", **held).remaining == 1


def test_a_soft_limit_allows_and_shows_the_overrun() -> None:
    found: Any = state("50", "130", SOFT)
    assert (found.fits, found.remaining, found.would_fit, found.overrun) == (True, 0, 50, 30)
    assert judge(ask("50", "130", SOFT)).allowed


def test_an_unlimited_limit_fits_anything() -> None:
    found: Any = state("999999999999999999", "5", replace(HARD, max=None))
    assert (found.fits, found.remaining, found.would_fit, found.overrun) == (True, None, None, 0)
    assert found.exhausted_in is None


def test_a_maximum_of_nothing_admits_nothing() -> None:
    found: Any = state("0.000000000001", "0", replace(HARD, max=Decimal(0)))
    assert (found.fits, found.remaining, found.would_fit, found.overrun) == (False, 0, 0, 0)
    assert state("0", "0", replace(HARD, max=Decimal(0))).fits


def test_without_limits_all_is_allowed() -> None:
    decision = judge()
    assert (decision.allowed, decision.binding, decision.retry_after, decision.reason) == (True, None, None, "")


def test_p3_several_limits_are_decided_together() -> None:
    decision = judge(ask("5", "0"), ask("5", "98", replace(HARD, name="calls/subject")), ask("5", "0", SOFT))
    assert not decision.allowed
    assert [one.fits for one in decision.states] == [True, False, True]
    assert decision.binding is decision.states[1]
    assert decision.binding.would_fit == 2


def test_p3_of_those_that_refuse_the_one_binds_whose_window_ends_last() -> None:
    month = Window(NOW - 10 * DAY, NOW + 20 * DAY)
    by_month = replace(HARD, name="calls/month")
    for asks in (
        (ask("5", "98"), ask("5", "99", by_month, month)),
        (ask("5", "99", by_month, month), ask("5", "98")),
    ):
        decision = judge(*asks)
        assert decision.binding
        assert decision.binding.limit is by_month
        assert decision.retry_after == 20 * DAY
    only_day = judge(ask("5", "98"), ask("5", "0", by_month, month))
    assert only_day.binding
    assert (only_day.binding.limit, only_day.retry_after) == (HARD, 18 * HOUR)


def test_p3_a_refusal_says_why_in_words() -> None:
    decision = judge(ask("5", "98.5"))
    assert decision.reason == "calls/day allows 100 per month; 1.5 left"


def test_a_window_that_is_over_is_whole_again_at_once() -> None:
    over = Window(NOW - 2 * DAY, NOW - DAY)
    assert judge(ask("5", "98", window=over)).retry_after == 0


def test_p5_an_answer_says_how_good_it_is() -> None:
    decision = judge(ask("1"))
    assert (decision.as_of, decision.answered_by, decision.degraded, decision.plan) == (
        NOW - 5, AnsweredBy.VIEW, False, "default",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ("0", None),  # nothing is used, so nothing runs out
        ("50", 6 * HOUR),  # 50 in six hours: the other 50 in six more
        ("20", None),  # 80 more would take a day: the window ends before
        ("100", 0),
        ("150", 0),
    ],
)
def test_exhausted_in_goes_on_as_use_went_so_far(used: str, expected: int | None) -> None:
    assert state("0", used).exhausted_in == expected


def test_exhausted_in_is_silent_before_the_window_and_exact_for_awkward_numbers() -> None:
    later = Window(NOW, NOW + DAY)
    assert look_at(ask("0", "50", window=later), NOW).exhausted_in is None
    assert look_at(ask("0", "99.999999999999"), NOW).exhausted_in == 0
    assert look_at(ask("0", "30"), NOW).exhausted_in == 14 * HOUR


def test_label_filters_have_one_spelling() -> None:
    limit = replace(HARD, labels=(("model", "m"),), per_labels=("region", "city"))
    assert limit.filter_of({"model": "x"}) is None
    assert limit.filter_of({}) is None
    here = limit.filter_of({"city": "b", "region": "a", "model": "m", "other": "o"})
    assert here == '{"city":"b","model":"m","region":"a"}'
    assert here is not None
    assert read_filter(here) == {"model": "m", "region": "a", "city": "b"}
    assert limit.filter_of({"model": "m"}) == '{"city":"","model":"m","region":""}'
    assert HARD.filter_of({"model": "m"}) == ""
    assert write_filter([]) == ""
    assert read_filter("") == {}


def test_an_empty_label_is_that_of_an_event_without_it() -> None:
    limit = replace(HARD, labels=(("model", ""),))
    assert limit.filter_of({}) == limit.filter_of({"model": ""}) is not None
    assert limit.filter_of({"model": "m"}) is None


def test_a_limit_per_subject_counts_each_subject_alone() -> None:
    assert replace(HARD, scope=Scope.SUBJECT).subject_of("alice") == "alice"
    assert HARD.subject_of("alice") == ""
