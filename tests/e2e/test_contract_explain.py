"""ExplainDecision: what was answered is worked out again from the ledger, whatever has happened since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.calls import Caller, stamp
from tests.e2e.quota import acquire, consume, event, furnish, let_end, limit, record, reserve, sync
from tests.server import Server

HOUR = 3_600
LIMITS: dict[str, list[dict[str, Any]]] = {
    "one limit": [{"name": "month", "max": "50"}],
    "no limit": [],
    "unlimited": [{"name": "month", "max": "unlimited"}],
    "several limits": [
        {"name": "month", "max": "50"},
        {"name": "year", "max": "100", "period": "PERIOD_YEAR"},
        {"name": "each", "max": "50", "scope": "SCOPE_SUBJECT"},
        {"name": "eu", "max": "40", "labels": {"region": "eu"}},
        {"name": "regions", "max": "45", "per_labels": ["region"]},
        {"name": "soft", "max": "1", "policy": "POLICY_SOFT"},
        {"name": "grace", "max": "20", "policy": "POLICY_GRACE", "grace": "30"},
        {"name": "timed", "max": "20", "policy": "POLICY_GRACE", "grace_period": {"seconds": HOUR}},
        {"name": "shadow", "max": "2", "shadow": True},
    ],
    "a rolling window": [
        {"name": "rolling", "max": "50", "kind": "LIMIT_KIND_ROLLING", "length": {"seconds": 10 * HOUR}},
    ],
    "all time": [
        {"name": "ever", "max": "50", "kind": "LIMIT_KIND_LIFETIME"},
        {"name": "at-once", "max": "50", "kind": "LIMIT_KIND_CONCURRENCY"},
    ],
    "a rate": [{"name": "rate", "max": "50", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 86_400}}],
}  # fmt: skip


async def _explain(api: Caller, decision: Any, events: int = 0) -> Any:
    return await api("ExplainDecision", decision_id=decision.decision_id, events=events)


async def _confirmed(api: Caller, decision: Any) -> Any:
    """Explains a decision, which has to be just as it was answered."""
    explained = await _explain(api, decision)
    assert explained.confirmed
    assert explained.decision == decision
    assert [one.state for one in explained.limits] == list(decision.limits)
    assert explained.customer == "acme"
    return explained


@pytest.mark.parametrize("what", LIMITS)
async def test_p4_decisions_are_explained_as_they_were_answered(api: Caller, what: str) -> None:
    await furnish(api, *LIMITS[what]) if LIMITS[what] else await furnish(api, {"meter": "tokens", "max": "1"})
    eu = {"labels": {"region": "eu"}}
    await record(api, "2", time=stamp(-4 * HOUR))
    first = event("10", **eu)
    decisions = [(await api("ConsumeQuota", events=[first])).decision]
    held = await api("ReserveQuota", subject="acme", amounts=[{"meter": "calls", "amount": "5", **eu}])
    decisions += [held.decision, await consume(api, "60", **eu), await consume(api, "3", subject="acme-key")]
    decisions.append((await api("ConsumeQuota", events=[event("1", **eu), event("2"), event("3")])).decision)
    for decision in decisions:
        await _confirmed(api, decision)
    # Then things happen: facts of now and of earlier, the end of the reservation, another limit.
    await record(api, "7", time=stamp(-2 * HOUR))
    await api("CommitReservation", reservation_id=held.reservation.id, events=[event("4", **eu)])
    await consume(api, "1")
    for decision in decisions:
        await _confirmed(api, decision)
    again = (await api("ConsumeQuota", events=[first])).decision
    if what != "a rate":  # whose state of then is in the first decision's id and nowhere else
        assert [one.used for one in again.limits] == [one.used for one in decisions[0].limits]
    await _confirmed(api, again)


async def test_what_stood_behind_a_decision(api: Caller, server: Server) -> None:
    await furnish(api)
    await record(api, "3", id="fact", source="import")
    await consume(api, "40", id="first")
    reserved, leased, silent = await reserve(api, "7"), await acquire(api, "10"), await acquire(api, "20")
    await let_end(server, silent.id)
    await record(api, "6", id="settles", settles=leased.id)
    await record(api, "9", id="other", type="balance")
    refused = await consume(api, "1921")
    assert not refused.allowed
    await record(api, "5", settles=leased.id)
    await sync(api, leased, "10", close=True)
    await api("ReleaseReservation", reservation_id=reserved.id)
    explained = await _confirmed(api, refused)
    [behind] = explained.limits
    assert [(one.id, one.value) for one in behind.events] == [("settles", "6"), ("first", "40"), ("fact", "3")]
    assert [one.source for one in behind.events] == ["test", "test", "import"]
    assert behind.event_count == 3
    assert behind.events[0].seq <= explained.seq
    holds = {one.id: (one.reserved, one.leased, one.forfeited) for one in behind.holds}
    assert holds == {reserved.id: ("7", "0", "0"), leased.id: ("0", "4", "0"), silent.id: ("0", "0", "20")}
    fewer = await _explain(api, refused, events=2)
    assert [one.id for one in fewer.limits[0].events] == ["settles", "first"]
    assert (fewer.limits[0].event_count, fewer.confirmed) == (3, True)
    assert (await _explain(api, refused, events=2**31 - 1)).confirmed


async def test_p2_leases_are_explained(api: Caller) -> None:
    await furnish(api)
    body = {"subject": "acme", "meter": "calls", "holder": "h", "amount": "40", "request_id": "l-1"}
    first = await api("AcquireLease", **body)
    await record(api, "11", settles=first.lease.id)
    await sync(api, first.lease, "20", wanted="60")
    await _confirmed(api, first.decision)
    repeated = await api("AcquireLease", **body)
    assert repeated.lease.id == first.lease.id
    explained = await _confirmed(api, repeated.decision)
    assert [(one.id, one.leased) for one in explained.limits[0].holds] == [(first.lease.id, "40")]
    await consume(api, "2000")
    await record(api, "2000")
    refused = (await api("AcquireLease", subject="acme", meter="calls", holder="h", amount="1")).decision
    assert not refused.allowed
    await _confirmed(api, refused)


async def test_p4_repeated_reservations_are_explained(api: Caller) -> None:
    await furnish(api)
    body = {"subject": "acme", "amounts": [{"meter": "calls", "amount": "4"}], "request_id": "r-1"}
    first = await api("ReserveQuota", **body)
    await consume(api, "9")
    repeated = await api("ReserveQuota", **body)
    assert repeated.decision.limits[0].reserved == "4"
    assert repeated.decision.limits[0].used == "0"
    await _confirmed(api, first.decision)
    await _confirmed(api, repeated.decision)


async def test_decisions_of_a_batch_and_of_a_busy_moment_are_explained(api: Caller) -> None:
    await furnish(api, {"name": "month", "max": "20"})
    units = [{"events": [event(str(number))]} for number in range(1, 9)]
    results = (await api("BatchConsumeQuota", consumes=units, details=True)).results
    assert {one.allowed for one in results} == {True, False}
    for one in results:
        await _confirmed(api, one.decision)


async def test_a_decision_outlives_its_limit_its_plan_and_a_raise(api: Caller) -> None:
    await furnish(api, {"name": "month", "max": "20"}, {"name": "year", "max": "30", "period": "PERIOD_YEAR"})
    admitted, refused = await consume(api, "15"), await consume(api, "6")
    await limit(api, {"name": "month", "max": "1000"})
    await consume(api, "500")
    for decision in (admitted, refused):
        explained = await _explain(api, decision)
        assert explained.confirmed
        assert explained.decision.allowed is decision.allowed
        assert explained.decision.binding_limit == decision.binding_limit
        seen = [(one.name, one.max, one.used, one.remaining, one.would_fit) for one in explained.decision.limits]
        assert seen == [(one.name, one.max, one.used, one.remaining, one.would_fit) for one in decision.limits]
    await api("ApplyCatalog", catalog={"meters": [{"name": "calls"}], "plans": [{"name": "default"}]})
    assert (await _explain(api, refused)).confirmed
