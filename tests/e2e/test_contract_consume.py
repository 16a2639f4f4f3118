"""ConsumeQuota and BatchConsumeQuota, as clients meet them: the figures of each answer, and what it is good for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from metergate.v1.decision_pb2 import ANSWERED_BY_LEDGER
from metergate.v1.usage_event_pb2 import OUTCOME_ACCEPTED, OUTCOME_DUPLICATE, OUTCOME_UNSPECIFIED
from tests.e2e.calls import Caller, total, used
from tests.e2e.quota import consume, event, figures, furnish, limit, record, reserve

TEN = {"name": "month", "max": "10"}


@pytest.fixture
async def quota(api: Caller) -> Caller:
    """A tenant whose customers have 10 calls a month."""
    await furnish(api, TEN)
    return api


async def test_p2_an_admission_and_its_figures(quota: Caller) -> None:
    await record(quota, "2")
    await reserve(quota, "3")
    began = time.time()
    response = await quota("ConsumeQuota", events=[event("4.5", id="e", labels={"region": "eu"})])
    decision = response.decision
    assert (decision.allowed, decision.plan, decision.answered_by) == (True, "default", ANSWERED_BY_LEDGER)
    assert (decision.reason, decision.binding_limit, decision.degraded) == ("", "", False)
    assert decision.decision_id
    assert not decision.HasField("retry_after")
    assert abs(decision.as_of.seconds - began) < 3_600
    [state] = decision.limits
    assert (state.name, state.meter, state.max) == ("month", "calls", "10")
    assert (state.used, state.reserved, state.leased, state.forfeited) == ("6.5", "3", "0", "0")
    assert (state.remaining, state.would_fit, state.overrun) == ("0.5", "4.5", "0")
    assert state.window.start_time.seconds <= decision.as_of.seconds < state.window.end_time.seconds
    assert [(one.event_id, one.outcome, one.unmatched) for one in response.receipts] == [("e", OUTCOME_ACCEPTED, "")]


async def test_p3_a_refusal_and_its_figures(quota: Caller) -> None:
    await consume(quota, "7")
    response = await quota("ConsumeQuota", events=[event("2"), event("2")])
    decision = response.decision
    assert (decision.allowed, decision.binding_limit) == (False, "month")
    assert decision.reason == "month allows 10 per month; 3 left"
    [state] = decision.limits
    assert (state.used, state.remaining, state.would_fit) == ("7", "3", "3")
    ends = state.window.end_time.seconds - decision.as_of.seconds
    assert abs(decision.retry_after.seconds - ends) <= 1
    assert (len(response.receipts), response.token) == (0, "")
    assert decision.decision_id
    assert await figures(quota) == {"used": "7"}
    assert len((await quota("ListUsageEvents", customer="acme")).events) == 1


async def test_a_refusal_as_a_status(quota: Caller) -> None:
    answer = await quota.refused("ConsumeQuota", events=[event("11")], refuse_as_status=True)
    assert answer.short == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")
    assert answer.metadata == {"subject": "acme", "limit": "month", "meter": "calls", "plan": "default"}
    [violation] = answer.details["QuotaFailure"].violations
    assert (violation.subject, violation.description) == ("acme", "month allows 10 per month; 10 left")
    amounts = [{"meter": "calls", "amount": "11"}]
    answer = await quota.refused("ReserveQuota", subject="acme", amounts=amounts, refuse_as_status=True)
    assert answer.short == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")
    assert answer.details["QuotaFailure"].violations[0].subject == "acme"
    assert (await quota("ConsumeQuota", events=[event("10")], refuse_as_status=True)).decision.allowed
    assert await figures(quota) == {"used": "10"}


async def test_p5_the_token_of_a_consume_is_honoured(quota: Caller) -> None:
    for number in range(1, 6):
        token = (await quota("ConsumeQuota", events=[event("2")])).token
        assert await used(quota, "calls", token=token) == str(2 * number)
        assert await total(quota, "calls", token=token) == str(2 * number)
    refused = await quota("ConsumeQuota", events=[event()])
    assert not refused.decision.allowed


async def test_p1_a_repeat_is_answered_as_at_first(quota: Caller) -> None:
    unit = [event("1"), event("2")]
    first = await quota("ConsumeQuota", events=unit)
    await consume(quota, "5")
    await limit(quota, {"name": "month", "max": "4"})
    again = await quota("ConsumeQuota", events=unit)
    assert [one.outcome for one in again.receipts] == [OUTCOME_DUPLICATE] * 2
    assert [one.decision for one in again.receipts] == [again.decision] * 2
    assert not any(one.HasField("decision") for one in first.receipts)
    assert again.decision.allowed
    assert again.decision.limits[0].used == first.decision.limits[0].used == "3"
    assert await used(quota, "calls", token=again.token) == "8"
    assert await figures(quota) == {"used": "8", "overrun": "4"}


async def test_p1_what_was_recorded_as_a_fact_is_admitted_when_it_is_consumed(quota: Caller) -> None:
    fact = event("12", id="fact")
    await quota("RecordUsage", event=fact)
    response = await quota("ConsumeQuota", events=[fact])
    assert (response.decision.allowed, response.receipts[0].outcome) == (True, OUTCOME_DUPLICATE)
    assert await figures(quota) == {"used": "12", "overrun": "2"}
    admitted = event(id="admitted", subject="beta")
    assert (await quota("ConsumeQuota", events=[admitted])).decision.allowed
    receipt = (await quota("RecordUsage", event=admitted)).receipt
    assert receipt.outcome == OUTCOME_DUPLICATE


async def test_p1_a_refusal_is_not_remembered(quota: Caller) -> None:
    one = event("11", id="again")
    assert not (await quota("ConsumeQuota", events=[one])).decision.allowed
    await limit(quota, {"name": "month", "max": "11"})
    response = await quota("ConsumeQuota", events=[one])
    assert (response.decision.allowed, response.receipts[0].outcome) == (True, OUTCOME_ACCEPTED)


async def test_p3_several_limits_meters_and_subjects_in_one_unit(quota: Caller) -> None:
    await limit(
        quota, TEN,
        {"name": "eu", "max": "3", "labels": {"region": "eu"}, "period": "PERIOD_YEAR"},
        {"name": "each", "max": "6", "scope": "SCOPE_SUBJECT"},
        {"name": "tokens", "meter": "tokens", "max": "100"},
    )  # fmt: skip
    eu = {"labels": {"region": "eu"}}
    unit = [event("2", **eu), event("4", subject="acme-key"), event(type="llm", values={"tokens": "60"})]
    decision = (await quota("ConsumeQuota", events=unit)).decision
    seen = sorted((state.name, state.used) for state in decision.limits)
    assert seen == [("each", "2"), ("each", "4"), ("eu", "2"), ("month", "6"), ("tokens", "60")]
    for body, binding in (
        ([event("2", **eu)], "eu"), ([event("3", subject="acme-key")], "each"), ([event("5", subject="beta")], ""),
        ([event(), event(type="llm", values={"tokens": "41"})], "tokens"),
        ([event("4"), event("1", subject="acme-key")], "month"),
    ):  # fmt: skip
        assert (await quota("ConsumeQuota", events=body)).decision.binding_limit == binding
    assert await figures(quota) == {"used": "6"}


async def test_p2_many_at_once_never_pass_the_limit(quota: Caller) -> None:
    decisions = await asyncio.gather(*(consume(quota, "0.7") for _ in range(40)))
    assert sum(decision.allowed for decision in decisions) == 14
    assert await figures(quota) == {"used": "9.8"}


# --- batches ------------------------------------------------------------------------------------------------------


def _units(*amounts: str) -> list[dict[str, Any]]:
    return [{"events": [event(amount)]} for amount in amounts]


async def test_p3_a_batch_is_decided_unit_by_unit_in_order(quota: Caller) -> None:
    bad = [{"events": [event("x")]}, {"events": [event(subject="nobody")]}]
    units = [*_units("6", "5"), *bad, *_units("4", "0.1")]
    response = await quota("BatchConsumeQuota", consumes=units)
    assert [(one.allowed, one.outcome, one.binding_limit, one.error_reason) for one in response.results] == [
        (True, OUTCOME_ACCEPTED, "", ""),
        (False, OUTCOME_UNSPECIFIED, "month", ""),
        (False, OUTCOME_UNSPECIFIED, "", "QUANTITY_INVALID"),
        (False, OUTCOME_UNSPECIFIED, "", "SUBJECT_NOT_FOUND"),
        (True, OUTCOME_ACCEPTED, "", ""),
        (False, OUTCOME_UNSPECIFIED, "month", ""),
    ]
    assert [one.HasField("retry_after") for one in response.results] == [False, True, False, False, False, True]
    assert [bool(one.error_message) for one in response.results] == [False, False, True, True, False, False]
    assert not any(one.HasField("decision") for one in response.results)
    assert await used(quota, "calls", token=response.token) == "10"


async def test_p1_a_batch_again_is_known_and_refusals_are_decided_anew(quota: Caller) -> None:
    units = _units("6", "5", "4")
    await quota("BatchConsumeQuota", consumes=units)
    await limit(quota, {"name": "month", "max": "15"})
    again = (await quota("BatchConsumeQuota", consumes=units)).results
    assert [one.outcome for one in again] == [OUTCOME_DUPLICATE, OUTCOME_ACCEPTED, OUTCOME_DUPLICATE]
    assert await figures(quota) == {"used": "15"}


async def test_a_batch_with_details_has_whole_decisions(quota: Caller) -> None:
    units = [*_units("6", "5"), {"events": [event("1", subject="beta")]}, {"events": [event("x")]}]
    results = (await quota("BatchConsumeQuota", consumes=units, details=True)).results
    assert [one.HasField("decision") for one in results] == [True, True, True, False]
    decisions = [one.decision for one in results[:3]]
    assert [(one.allowed, one.limits[0].used) for one in decisions] == [(True, "6"), (False, "6"), (True, "1")]
    assert len({one.decision_id for one in decisions}) == 3
    again = (await quota("BatchConsumeQuota", consumes=units[:1], details=True)).results[0]
    assert (again.outcome, again.decision.limits[0].used) == (OUTCOME_DUPLICATE, "6")
    refused = (await quota("BatchConsumeQuota", consumes=[{"events": [event("9")], "refuse_as_status": True}])).results
    assert (refused[0].allowed, refused[0].binding_limit) == (False, "month")  # in a batch, a refusal is an answer


async def test_an_empty_batch_is_answered_with_nothing(quota: Caller) -> None:
    response = await quota("BatchConsumeQuota")
    assert (len(response.results), response.token) == (0, "")
