"""Whose a work is, where subjects came and went."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.posting import NOBODY, Head, Known
from metergate.domain.routing import Route, RouteQuestion, questions, routed
from metergate.domain.usage import Event, make_event
from metergate.domain.work import Consume, CreateGrant, Fact, Mark, Release, Reserve, Work

HEADS = {"a": Head("a", 1, "", "UTC", 0, moved=True), "b": Head("b", 1, "", "UTC", 0)}


def event(id: str = "1", settles: str = "") -> Event:
    return make_event(id, "api", "calls", "x", None, "", {}, {}, settles)


def known(customer: str) -> dict[tuple[str, str], Known]:
    return {("api", "1"): Known(customer, 1, b"", None)}


def reserve(customer: str = "a") -> Reserve:
    return Reserve("r_1", customer, "x", (), 1, False, b"")


def grant(customer: str) -> CreateGrant:
    return CreateGrant("g", customer, "calls", Decimal(1), 0, None, None, None, Decimal(0), Decimal(0), b"")


def test_only_where_subjects_came_or_went_is_anything_asked() -> None:
    assert questions(Fact(event(), "b", False), HEADS, {}) == ()
    assert questions(Fact(event(), "a", False), HEADS, {}) == (RouteQuestion("x", ""),)
    assert questions(Fact(event(), "a", False), HEADS, known("a")) == ()
    assert questions(Release("r_1", "a"), HEADS, {}) == ()
    assert questions(reserve(), HEADS, {}) == (RouteQuestion("x", "r_1"),)
    assert questions(Mark("l_1", "a", Decimal(1), None, None, False), HEADS, {}) == (RouteQuestion("", "l_1"),)


@pytest.mark.parametrize(
    ("route", "customer"),
    [
        (Route("b"), "b"),
        (Route("a"), "a"),
        (Route(None), NOBODY),
        (Route("b", "a", "x", True), "a"),  # what settles a hold counts where the hold does
        (Route("b", "c", "y", False), "b"),  # but not a stranger's
    ],
)
def test_facts(route: Route, customer: str) -> None:
    work = routed(Fact(event(settles="l_1"), "a", False), [route], {})
    assert isinstance(work, Fact)
    assert work.customer == customer


def test_a_unit_is_of_one_customer_and_a_repeat_is_of_the_first() -> None:
    unit = Consume((event("1"), event("2")), "a")
    assert routed(unit, [Route("b"), Route("b")], {}) == unit._replace(customer="b")
    assert routed(unit, [Route("b"), Route("b")], known("a")) == unit
    assert reason(routed(unit, [Route("b"), Route("c")], {})) is Reason.FIELD_INVALID
    assert reason(routed(unit, [Route("b"), Route(None)], {})) is Reason.SUBJECT_NOT_FOUND


def test_reservations_and_their_repeats() -> None:
    assert routed(reserve(), [Route("b")], {}) == reserve("b")
    assert routed(reserve("b"), [Route("b", "a", "x")], {}) == reserve("a")
    assert routed(reserve("b"), [Route("b", "a", "other")], {}) == reserve("b")
    assert reason(routed(reserve(), [Route(None)], {})) is Reason.SUBJECT_NOT_FOUND


def test_leases_of_a_subject_that_left_run_out() -> None:
    mark = Mark("l_1", "a", Decimal(1), None, None, False)
    assert routed(mark, [Route("a", "a", "x")], {}) == mark
    assert routed(mark, [Route("b", "a", "x")], {}) == mark._replace(runs_out=True)


def test_a_closed_customer_is_given_nothing() -> None:
    assert routed(grant("a"), [Route("a")], {}) == grant("a")
    assert reason(routed(grant("a"), [Route("b")], {})) is Reason.CUSTOMER_MERGED


def reason(result: Work | MetergateError | Any) -> Reason:
    assert isinstance(result, MetergateError)
    return result.reason
