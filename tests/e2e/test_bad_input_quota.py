"""Consuming, reserving and leasing with bad input: each call gets a clear answer, and nothing is half-written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.calls import Caller, caller
from tests.e2e.quota import acquire, consume, event, figures, furnish, limit, record, reserve, sync
from tests.server import Server

DAY = 86_400
NEVER = {"name": "ever", "max": "2000", "kind": "LIMIT_KIND_LIFETIME"}
MINUTE = {"name": "minute", "max": "2000", "period": "PERIOD_MINUTE"}


@pytest.fixture
async def quota(api: Caller) -> Caller:
    """A tenant with a limit of 2,000 calls a month, the customers acme and beta, and a subject of acme."""
    await furnish(api)
    return api


@pytest.fixture
async def foreign(server: Server) -> AsyncIterator[Caller]:
    """Another tenant with the same names."""
    async with caller(server.grpc_url, await server.new_key(f"other-{server.tenant}")) as calling:
        await furnish(calling)
        yield calling


async def _untouched(api: Caller) -> None:
    assert await figures(api) == {}
    assert not (await api("ListUsageEvents", customer="acme")).events


# --- ids that are unknown, foreign or of another kind -------------------------------------------------------------


HOLDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ExtendReservation": ("reservation_id", {"ttl": {"seconds": 60}}, "RESERVATION_NOT_FOUND"),
    "CommitReservation": ("reservation_id", {"events": [{"id": "c", "type": "calls"}]}, "RESERVATION_NOT_FOUND"),
    "ReleaseReservation": ("reservation_id", {}, "RESERVATION_NOT_FOUND"),
    "ReturnLease": ("lease_id", {"spent": "1"}, "LEASE_NOT_FOUND"),
    "ReleaseLease": ("lease_id", {}, "LEASE_NOT_FOUND"),
}


@pytest.mark.parametrize("method", HOLDS)
async def test_p9_p12_a_hold_that_is_not_there(quota: Caller, foreign: Caller, method: str) -> None:
    field, body, reason = HOLDS[method]
    theirs = {"reservation_id": (await reserve(foreign)).id, "lease_id": (await acquire(foreign)).id}
    ours = {"reservation_id": (await reserve(quota)).id, "lease_id": (await acquire(quota)).id}
    [other] = [id_ for kind, id_ in ours.items() if kind != field]
    for id_ in ("x_unknown", theirs[field], other):
        answer = await quota.refused(method, **{field: id_}, **body)
        assert answer.short == ("NOT_FOUND", reason)
        assert answer.metadata == {field.removesuffix("_id"): id_}
    for id_ in ("", "a\x00", "x" * 257):
        answer = await quota.refused(method, **{field: id_}, **body)
        assert (answer.reason, answer.field) == ("FIELD_INVALID", field)
    assert await figures(foreign) == {"reserved": "5", "leased": "10"}
    assert await figures(quota) == {"reserved": "5", "leased": "10"}


async def test_p9_p12_marks_of_leases_that_are_not_there(quota: Caller, foreign: Caller) -> None:
    theirs, mine = await acquire(foreign), await acquire(quota)
    reserved = await reserve(quota)
    marks = [{"lease_id": id_, "spent": "1"} for id_ in ("l_none", theirs.id, mine.id, reserved.id)]
    results = (await quota("SyncLeases", marks=marks)).results
    assert [one.error_reason for one in results] == ["LEASE_NOT_FOUND", "LEASE_NOT_FOUND", "", "LEASE_NOT_FOUND"]
    assert [one.HasField("lease") for one in results] == [False, False, True, False]
    assert (await sync(foreign, theirs, "0")).lease.spent == "0"


async def test_p9_a_decision_of_another_tenant_or_of_nobody(quota: Caller, foreign: Caller) -> None:
    theirs = (await consume(foreign)).decision_id
    token = (await quota("ConsumeQuota", events=[event()])).token
    for id_ in (theirs, token, "nonsense", theirs[:-2] + "AA"):
        answer = await quota.refused("ExplainDecision", decision_id=id_)
        assert answer.short == ("INVALID_ARGUMENT", "TOKEN_INVALID")
        assert answer.field == "decision_id"
    answer = await quota.refused("ExplainDecision")
    assert (answer.reason, answer.field) == ("FIELD_INVALID", "decision_id")


async def test_p9_what_is_held_elsewhere_cannot_be_settled_here(quota: Caller, foreign: Caller) -> None:
    reserved, leased = await reserve(foreign), await acquire(foreign)
    for id_ in (reserved.id, leased.id):
        assert (await record(quota, settles=id_)).unsettled == "unknown"
    assert await figures(quota) == {"used": "2"}
    assert await figures(foreign) == {"reserved": "5", "leased": "10"}


@pytest.mark.parametrize(("subject", "meter", "reason"), [
    ("nobody", "calls", "SUBJECT_NOT_FOUND"),
    ("acme", "nope", "METER_NOT_FOUND"),
])  # fmt: skip
async def test_p12_unknown_subjects_and_meters(quota: Caller, subject: str, meter: str, reason: str) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("ConsumeQuota", {"events": [event(subject=subject, type=meter)]}),
        ("ReserveQuota", {"subject": subject, "amounts": [{"meter": meter}]}),
        ("AcquireLease", {"subject": subject, "meter": meter, "holder": "h", "amount": "1"}),
    ]
    for method, body in asked:
        answer = await quota.refused(method, **body)
        assert answer.short == ("NOT_FOUND", reason), method
    await _untouched(quota)


def _want(**fields: Any) -> dict[str, Any]:
    return {"subject": "acme", "amounts": [{"meter": "calls"}], **fields}


# --- amounts ------------------------------------------------------------------------------------------------------


NO_NUMBERS = ("NaN", "1e3", "0x10", "١٢", "1,5", ".5", "1.", " 1", "Infinity", "-", "9" * 19, "0." + "0" * 12 + "1")


async def test_p12_amounts_that_are_no_decimals_or_too_large(quota: Caller) -> None:
    held = await acquire(quota)
    for amount in NO_NUMBERS:
        asked: list[tuple[str, dict[str, Any], str]] = [
            ("ConsumeQuota", {"events": [event(amount)]}, "amount"),
            ("ConsumeQuota", {"events": [event(type="llm", values={"tokens": amount})]}, "values.tokens"),
            ("ReserveQuota", _want(amounts=[{"meter": "calls"}, {"meter": "tokens", "amount": amount}]),
             "amounts[1].amount"),
            ("AcquireLease", {"subject": "acme", "meter": "calls", "holder": "h", "amount": amount}, "amount"),
            ("ReturnLease", {"lease_id": held.id, "spent": amount}, "spent"),
        ]  # fmt: skip
        for method, body, field in asked:
            answer = await quota.refused(method, **body)
            assert answer.short == ("INVALID_ARGUMENT", "QUANTITY_INVALID"), (method, amount)
            assert answer.field == field
        for name in ("spent", "returned", "wanted"):
            assert (await sync(quota, held, **{"spent": "0", name: amount})).error_reason == "QUANTITY_INVALID"
    assert await figures(quota) == {"leased": "10"}


async def test_p12_negative_amounts(quota: Caller) -> None:
    held = await acquire(quota)
    answer = await quota.refused("ConsumeQuota", events=[event(), event("-1")])
    assert answer.short == ("INVALID_ARGUMENT", "QUANTITY_NEGATIVE")
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("ReserveQuota", {"subject": "acme", "amounts": [{"meter": "calls", "amount": "-1"}]}, "amounts[0].amount"),
        ("AcquireLease", {"subject": "acme", "meter": "calls", "holder": "h", "amount": "-0.5"}, "amount"),
        ("ReturnLease", {"lease_id": held.id, "spent": "-1"}, "spent"),
    ]
    for method, body, field in asked:
        answer = await quota.refused(method, **body)
        assert (*answer.short, answer.field) == ("INVALID_ARGUMENT", "FIELD_INVALID", field), method
    for name in ("spent", "returned", "wanted"):
        assert (await sync(quota, held, **{"spent": "0", name: "-1"})).error_reason == "FIELD_INVALID"
    assert await figures(quota) == {"leased": "10"}


async def test_p12_nothing_can_be_consumed_and_reserved_and_not_leased(quota: Caller) -> None:
    assert (await consume(quota, "0")).allowed
    assert (await reserve(quota, "0")).amounts[0].amount == "0"
    body = {"subject": "acme", "meter": "calls", "holder": "h"}
    for amount in ("0", "0.000", "-0"):
        answer = await quota.refused("AcquireLease", **body, amount=amount)
        assert (*answer.short, answer.field) == ("INVALID_ARGUMENT", "FIELD_INVALID", "amount")
    answer = await quota.refused("AcquireLease", **body)
    assert (answer.reason, answer.field) == ("FIELD_INVALID", "amount")
    assert await figures(quota) == {}


async def test_p3_the_largest_amount_is_refused_and_not_an_error(quota: Caller) -> None:
    most = "9" * 18 + "." + "9" * 12
    decision = await consume(quota, most)
    assert (decision.allowed, decision.limits[0].would_fit) == (False, "2000")
    amounts = [{"meter": "calls", "amount": most}]
    refused = await quota("ReserveQuota", subject="acme", amounts=amounts)
    assert (refused.decision.allowed, refused.HasField("reservation")) == (False, False)
    await _untouched(quota)
    lease = await acquire(quota, most)
    assert 1 <= float(lease.granted) <= 2000
    assert (await sync(quota, lease, "1", wanted=most)).error_reason == ""


async def test_p2_the_largest_amounts_add_up_where_nothing_limits_them(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "unlimited"})
    most = "9" * 18 + "." + "9" * 12
    for _ in range(2):
        assert (await consume(quota, most)).allowed
        await reserve(quota, most)
    twice = "1999999999999999999.999999999998"
    assert await figures(quota) == {"used": twice, "reserved": twice}


# --- shapes -------------------------------------------------------------------------------------------------------


SHAPES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a unit of nothing": ("ConsumeQuota", {}, "events"),
    "a unit of 101 events": ("ConsumeQuota", {"events": [event() for _ in range(101)]}, "events"),
    "a unit of two customers": ("ConsumeQuota", {"events": [event(), event(subject="beta")]}, "events"),
    "a unit that names an id twice": ("ConsumeQuota", {"events": [event(id="e"), event(id="e")]}, "events"),
    "a unit that settles": ("ConsumeQuota", {"events": [event(settles="r_x")]}, "settles"),
    "an event without an id": ("ConsumeQuota", {"events": [event(id="")]}, "id"),
    "a batch with an empty unit": ("BatchConsumeQuota", {"consumes": [{}]}, "consumes[0].events"),
    "a batch with a unit of 101": (
        "BatchConsumeQuota", {"consumes": [{"events": [event() for _ in range(101)]}]}, "consumes[0].events",
    ),
    "nothing to reserve": ("ReserveQuota", _want(amounts=[]), "amounts"),
    "17 amounts to reserve": ("ReserveQuota", _want(amounts=[{"meter": "calls"}] * 17), "amounts"),
    "the same twice to reserve": ("ReserveQuota", _want(amounts=[{"meter": "calls"}] * 2), "amounts"),
    "nobody to reserve for": ("ReserveQuota", _want(subject=""), "subject"),
    "a label without a name": ("ReserveQuota", _want(amounts=[{"meter": "calls", "labels": {"": "x"}}]), "labels"),
    "no time to hold": ("ReserveQuota", _want(ttl={}), "ttl"),
    "a time before now": ("ReserveQuota", _want(ttl={"seconds": -1}), "ttl"),
    "more than a day": ("ReserveQuota", _want(ttl={"seconds": DAY, "nanos": 1_000}), "ttl"),
    "the longest of times": ("ReserveQuota", _want(ttl={"seconds": 2**63 - 1, "nanos": 2**31 - 1}), "ttl"),
    "a long request id": ("ReserveQuota", _want(request_id="x" * 65), "request_id"),
    "an extension without a time": ("ExtendReservation", {"reservation_id": "r_x"}, "ttl"),
    "an extension by more than a day": ("ExtendReservation", {"reservation_id": "r_x", "ttl": {"seconds": DAY + 1}},
                                        "ttl"),
    "101 events to commit": (
        "CommitReservation", {"reservation_id": "r_x", "events": [event() for _ in range(101)]}, "events",
    ),
    "a lease of nobody": ("AcquireLease", {"meter": "calls", "holder": "h", "amount": "1"}, "subject"),
    "a lease of no meter": ("AcquireLease", {"subject": "acme", "holder": "h", "amount": "1"}, "meter"),
    "a lease without a holder": ("AcquireLease", {"subject": "acme", "meter": "calls", "amount": "1"}, "holder"),
    "a holder of 129 bytes": (
        "AcquireLease", {"subject": "acme", "meter": "calls", "amount": "1", "holder": "h" * 129}, "holder",
    ),
    "no marks": ("SyncLeases", {}, "marks"),
    "1001 marks": ("SyncLeases", {"marks": [{"lease_id": f"l_{n}"} for n in range(1_001)]}, "marks"),
    "a lease marked twice": ("SyncLeases", {"marks": [{"lease_id": "l_1"}, {"lease_id": "l_1"}]}, "marks"),
    "a mark of no lease": ("SyncLeases", {"marks": [{"spent": "1"}]}, "marks[0].lease_id"),
    "a mark of a control character": ("SyncLeases", {"marks": [{"lease_id": "a\x00"}]}, "marks[0].lease_id"),
    "fewer than no events": ("ExplainDecision", {"decision_id": "x", "events": -1}, "events"),
}  # fmt: skip


@pytest.mark.parametrize("what", SHAPES)
async def test_p12_a_request_of_the_wrong_shape(quota: Caller, what: str) -> None:
    method, body, field = SHAPES[what]
    answer = await quota.refused(method, **body)
    assert answer.short == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert answer.field == field
    assert field in answer.violations
    await _untouched(quota)


async def test_p12_batches_over_their_size(quota: Caller) -> None:
    answer = await quota.refused("BatchConsumeQuota", consumes=[{"events": [event()]}] * 5_001)
    assert answer.short == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")
    units = [{"events": [event() for _ in range(100)]} for _ in range(51)]
    answer = await quota.refused("BatchConsumeQuota", consumes=units)
    assert (answer.reason, answer.field) == ("FIELD_INVALID", "consumes")
    await _untouched(quota)
