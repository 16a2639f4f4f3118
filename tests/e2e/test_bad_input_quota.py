"""Consuming, reserving and leasing with bad input: each call gets a clear answer, and nothing is half-written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metergate.v1.quota_pb2 import Lease, Reservation
from tests.e2e.calls import Caller, caller, stamp
from tests.e2e.quota import acquire, consume, event, figures, furnish, let_end, limit, record, reserve, sync
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


# --- amounts ------------------------------------------------------------------------------------------------------


NO_NUMBERS = ("NaN", "1e3", "0x10", "١٢", "1,5", ".5", "1.", " 1", "Infinity", "-", "9" * 19, "0." + "0" * 12 + "1")


async def test_p12_amounts_that_are_no_decimals_or_too_large(quota: Caller) -> None:
    held = await acquire(quota)
    for amount in NO_NUMBERS:
        asked: list[tuple[str, dict[str, Any], str]] = [
            ("ConsumeQuota", {"events": [event(amount)]}, "amount"),
            ("ConsumeQuota", {"events": [event(type="llm", values={"tokens": amount})]}, "values.tokens"),
            ("ReserveQuota", {"subject": "acme", "amounts": [{"meter": "calls"}, {"meter": "tokens", "amount": amount}]},
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


def _want(**fields: Any) -> dict[str, Any]:
    return {"subject": "acme", "amounts": [{"meter": "calls"}], **fields}


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


# --- the ends of reservations -------------------------------------------------------------------------------------


async def test_p12_commit_after_release_is_recorded_and_late(quota: Caller) -> None:
    held = await reserve(quota)
    await quota("ReleaseReservation", reservation_id=held.id)
    done = await quota("CommitReservation", reservation_id=held.id, events=[event("3")])
    assert (done.late, done.reservation.state) == (True, Reservation.STATE_RELEASED)
    assert [one.unsettled for one in done.receipts] == ["nothing left"]
    assert await figures(quota) == {"used": "3"}


async def test_p12_release_after_commit_is_refused(quota: Caller) -> None:
    held = await reserve(quota)
    await quota("CommitReservation", reservation_id=held.id, events=[event("3")])
    answer = await quota.refused("ReleaseReservation", reservation_id=held.id)
    assert answer.short == ("FAILED_PRECONDITION", "RESERVATION_CLOSED")
    assert answer.metadata == {"reservation": held.id, "state": "committed"}
    assert await figures(quota) == {"used": "3"}


async def test_p12_extend_and_commit_and_release_after_expiry(quota: Caller, server: Server) -> None:
    held = await reserve(quota)
    await let_end(server, held.id)
    answer = await quota.refused("ExtendReservation", reservation_id=held.id, ttl={"seconds": 60})
    assert answer.short == ("FAILED_PRECONDITION", "RESERVATION_CLOSED")
    assert answer.metadata == {"reservation": held.id, "state": "expired"}
    released = await quota("ReleaseReservation", reservation_id=held.id)
    assert released.reservation.state == Reservation.STATE_EXPIRED
    done = await quota("CommitReservation", reservation_id=held.id, events=[event("6")])
    assert (done.late, done.reservation.state) == (True, Reservation.STATE_EXPIRED)
    assert await figures(quota) == {"used": "6"}


async def test_p12_extend_after_the_other_ends(quota: Caller) -> None:
    for method, state in (("CommitReservation", "committed"), ("ReleaseReservation", "released")):
        held = await reserve(quota)
        await quota(method, reservation_id=held.id)
        answer = await quota.refused("ExtendReservation", reservation_id=held.id, ttl={"seconds": 60})
        assert (answer.reason, answer.metadata["state"]) == ("RESERVATION_CLOSED", state)


async def test_p12_events_that_cannot_be_committed_leave_the_reservation_as_it_was(quota: Caller) -> None:
    held = await reserve(quota)
    await record(quota, id="known", amount="1")
    bad: list[tuple[dict[str, Any], str, str]] = [
        (event(id="known", amount="2", settles=held.id), "ALREADY_EXISTS", "EVENT_CONFLICT"),
        (event("-1"), "INVALID_ARGUMENT", "QUANTITY_NEGATIVE"),
        (event("x"), "INVALID_ARGUMENT", "QUANTITY_INVALID"),
        (event(subject="beta"), "INVALID_ARGUMENT", "FIELD_INVALID"),
        (event(subject="nobody"), "INVALID_ARGUMENT", "FIELD_INVALID"),
        (event(settles="r_other"), "INVALID_ARGUMENT", "FIELD_INVALID"),
        (event(time=stamp(-40 * DAY)), "INVALID_ARGUMENT", "TIME_TOO_OLD"),
        (event(time=stamp(3_600)), "INVALID_ARGUMENT", "TIME_IN_FUTURE"),
    ]
    for one, code, reason in bad:
        answer = await quota.refused("CommitReservation", reservation_id=held.id, events=[event(), one])
        assert answer.short == (code, reason)
    assert await figures(quota) == {"used": "1", "reserved": "5"}
    done = await quota("CommitReservation", reservation_id=held.id, events=[event("5")])
    assert (done.late, await figures(quota)) == (False, {"used": "6"})


async def test_p12_an_event_that_no_meter_counts_is_committed_and_flagged(quota: Caller) -> None:
    held = await reserve(quota)
    done = await quota("CommitReservation", reservation_id=held.id, events=[event(type="unheard")])
    assert [(one.outcome, one.unmatched, one.unsettled) for one in done.receipts] == [(1, "meter", "other")]
    assert await figures(quota) == {}


# --- leases -------------------------------------------------------------------------------------------------------


async def test_p12_a_mark_lower_than_before_changes_nothing(quota: Caller) -> None:
    held = await acquire(quota, "10")
    await sync(quota, held, "6", returned="2")
    for spent, returned in (("5", "1"), ("0", ""), ("6", "2")):
        lease = (await sync(quota, held, spent, returned=returned)).lease
        assert (lease.granted, lease.spent, lease.returned) == ("10", "6", "2")
    back = (await quota("ReturnLease", lease_id=held.id, spent="3")).lease
    assert (back.spent, back.returned, back.state) == ("6", "4", Lease.STATE_RETURNED)
    assert await figures(quota) == {"leased": "6"}


async def test_p12_marks_over_what_was_handed_out(quota: Caller) -> None:
    held = await acquire(quota, "10")
    for spent, returned in (("11", ""), ("5", "6"), ("0", "11"), ("9" * 18, "9" * 18)):
        assert (await sync(quota, held, spent, returned=returned)).error_reason == "LEASE_MARK_INVALID"
    answer = await quota.refused("ReturnLease", lease_id=held.id, spent="10.000000000001")
    assert answer.short == ("INVALID_ARGUMENT", "LEASE_MARK_INVALID")
    assert (answer.metadata["lease"], answer.metadata["granted"]) == (held.id, "10")
    assert await figures(quota) == {"leased": "10"}


async def test_p2_settling_events_of_another_customer_or_another_thing_take_nothing(quota: Caller) -> None:
    held = await acquire(quota, "10", labels={"region": "eu"})
    assert (await record(quota, subject="beta", settles=held.id)).unsettled == "unknown"
    assert (await record(quota, subject="acme-key", labels={"region": "eu"}, settles=held.id)).unsettled == "other"
    assert (await record(quota, labels={"region": "us"}, settles=held.id)).unsettled == "other"
    assert (await record(quota, type="llm", values={"tokens": "3"}, settles=held.id)).unsettled == "other"
    assert await figures(quota) == {"used": "2", "leased": "10"}
    assert (await record(quota, labels={"region": "eu"}, settles=held.id)).unsettled == ""
    assert await figures(quota) == {"used": "3", "leased": "9"}


async def test_p2_settling_events_of_a_returned_lease(quota: Caller) -> None:
    held = await acquire(quota, "10")
    await quota("ReturnLease", lease_id=held.id, spent="4")
    assert (await record(quota, "4", settles=held.id)).unsettled == ""
    assert (await record(quota, "2", settles=held.id)).unsettled == "nothing left"
    assert await figures(quota) == {"used": "6"}


async def test_p2_settling_events_of_a_forfeited_and_of_a_released_lease(quota: Caller, server: Server) -> None:
    held = await acquire(quota, "10")
    answer = await quota.refused("ReleaseLease", lease_id=held.id)
    assert answer.short == ("FAILED_PRECONDITION", "LEASE_NOT_FORFEITED")
    assert answer.metadata == {"lease": held.id, "state": "open"}
    await let_end(server, held.id)
    assert await figures(quota) == {"forfeited": "10"}
    assert (await record(quota, "4", settles=held.id)).unsettled == ""
    assert await figures(quota) == {"used": "4", "forfeited": "6"}
    released = (await quota("ReleaseLease", lease_id=held.id)).lease
    assert (released.state, released.HasField("ttl")) == (Lease.STATE_RELEASED, False)
    assert (await record(quota, "5", settles=held.id)).unsettled == "nothing left"
    assert await figures(quota) == {"used": "9"}


async def test_p12_nothing_more_of_a_lease_that_is_over(quota: Caller, server: Server) -> None:
    held = await acquire(quota, "10")
    await let_end(server, held.id)
    lease = (await sync(quota, held, "2", wanted="50")).lease
    assert (lease.state, lease.granted, lease.HasField("ttl")) == (Lease.STATE_FORFEITED, "10", False)
    closed = (await sync(quota, held, "2", close=True)).lease
    assert (closed.spent, closed.returned) == ("2", "8")
    assert await figures(quota) == {"forfeited": "2"}


@pytest.mark.parametrize(("meter", "limits", "reason", "metadata"), [
    ("balance", [], "METER_CAN_SHRINK", {"meter": "balance"}),
    ("calls", [NEVER], "LEASE_NOT_POSSIBLE", {"meter": "calls", "limit": "ever"}),
    ("calls", [MINUTE], "LEASE_NOT_POSSIBLE", {"meter": "calls", "limit": "minute"}),
])  # fmt: skip
async def test_p12_where_nothing_can_be_leased(
    quota: Caller, meter: str, limits: list[dict[str, Any]], reason: str, metadata: dict[str, str]
) -> None:
    await limit(quota, {"name": "month", "max": "2000"}, *limits)
    answer = await quota.refused("AcquireLease", subject="acme", meter=meter, holder="h", amount="1")
    assert answer.short == ("FAILED_PRECONDITION", reason)
    assert answer.metadata == metadata
    if meter == "calls":
        assert (await consume(quota)).allowed  # callers fall back to that


async def test_p12_what_can_shrink_cannot_be_reserved(quota: Caller) -> None:
    amounts = [{"meter": "calls"}, {"meter": "balance"}]
    answer = await quota.refused("ReserveQuota", subject="acme", amounts=amounts)
    assert answer.short == ("FAILED_PRECONDITION", "METER_CAN_SHRINK")
    await _untouched(quota)


# --- repeats that are none ----------------------------------------------------------------------------------------


LEASE = {"subject": "acme", "meter": "calls", "holder": "h", "amount": "10"}
OTHERS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "ReserveQuota": ("reservation", _want(), [
        {"subject": "acme-key"}, {"subject": "beta"}, {"partial_ok": True}, {"ttl": {"seconds": 1}},
        {"amounts": [{"meter": "calls", "amount": "2"}]}, {"amounts": [{"meter": "tokens"}]},
        {"amounts": [{"meter": "calls", "labels": {"region": "eu"}}]}, {"amounts": [{"meter": "nope"}]},
    ]),
    "AcquireLease": ("lease", LEASE, [
        {"subject": "beta"}, {"meter": "tokens"}, {"holder": "g"}, {"amount": "11"}, {"labels": {"region": "eu"}},
        {"meter": "nope"},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("method", OTHERS)
async def test_p12_a_request_id_with_another_body(quota: Caller, method: str) -> None:
    field, body, others = OTHERS[method]
    first = getattr(await quota(method, **body, request_id="r-1"), field)
    for other in others:
        answer = await quota.refused(method, **{**body, **other}, request_id="r-1")
        assert answer.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED"), other
        assert answer.metadata == {"request_id": "r-1"}
    assert getattr(await quota(method, **body, request_id="r-1"), field).id == first.id
    assert await figures(quota) == ({"reserved": "1"} if field == "reservation" else {"leased": "10"})


@pytest.mark.parametrize("method", OTHERS)
async def test_p12_a_request_id_with_other_bodies_at_once(quota: Caller, method: str) -> None:
    field, body, others = OTHERS[method]
    bodies = [body, {**body, **others[3]}] * 4
    made = await asyncio.gather(*(quota.answer(method, _request(method, one)) for one in bodies))
    ids = {getattr(one.response, field).id for one in made if one.response is not None}
    refused = [one.reason for one in made if one.response is None]
    assert (len(ids), refused) == (1, ["REQUEST_ID_REUSED"] * 4)


def _request(method: str, body: dict[str, Any]) -> Any:
    from tests.e2e.calls import request_type

    return request_type(method)(**body, request_id="r-1")


async def test_p1_a_unit_of_which_some_ids_are_known(quota: Caller) -> None:
    first = [event(id="a"), event(id="b")]
    await quota("ConsumeQuota", events=first)
    await record(quota, id="fact", amount="1")
    for unit in ([*first, event(id="new")], [event(id="new"), event(id="fact")], [event(id="new"), first[0]]):
        answer = await quota.refused("ConsumeQuota", events=unit)
        assert answer.short == ("ALREADY_EXISTS", "UNIT_PARTLY_KNOWN")
        assert answer.metadata["id"] in ("a", "b", "fact")
    other = [event(id="a"), event(id="b", amount="2")]
    assert (await quota.refused("ConsumeQuota", events=other)).short == ("ALREADY_EXISTS", "EVENT_CONFLICT")
    assert await figures(quota) == {"used": "3"}


async def test_p1_a_batch_in_which_units_share_ids(quota: Caller) -> None:
    units = [[event(id="a"), event(id="b")], [event(id="b"), event(id="c")], [event(id="a", amount="7")]]
    results = (await quota("BatchConsumeQuota", consumes=[{"events": unit} for unit in units])).results
    assert [(one.allowed, one.error_reason) for one in results] == [
        (True, ""), (False, "UNIT_PARTLY_KNOWN"), (False, "EVENT_CONFLICT"),
    ]  # fmt: skip
    assert await figures(quota) == {"used": "2"}


# --- clocks that jump ---------------------------------------------------------------------------------------------


async def test_p12_times_of_clients_far_off(quota: Caller) -> None:
    for seconds, reason in ((-40 * DAY, "TIME_TOO_OLD"), (3_600, "TIME_IN_FUTURE")):
        answer = await quota.refused("ConsumeQuota", events=[event(), event(time=stamp(seconds))])
        assert answer.short == ("INVALID_ARGUMENT", reason)
        assert {"earliest", "latest"} <= answer.metadata.keys()
    await _untouched(quota)


async def test_p2_what_is_consumed_counts_now_whatever_its_time_says(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "3"})
    for seconds in (-34 * DAY, 200, -1):
        assert (await consume(quota, time=stamp(seconds))).allowed
    assert not (await consume(quota, time=stamp(-34 * DAY))).allowed
    assert await figures(quota) == {"used": "3"}


async def test_p2_what_settles_counts_with_its_hold_whatever_its_time_says(quota: Caller) -> None:
    reserved, leased = await reserve(quota, "4"), await acquire(quota, "4")
    for seconds in (-34 * DAY, 200):
        for held in (reserved, leased):
            receipt = await record(quota, "2", settles=held.id, time=stamp(seconds))
            assert (receipt.outcome, receipt.unsettled) == (1, "")
    assert await figures(quota) == {"used": "8"}
    done = await quota("CommitReservation", reservation_id=reserved.id, events=[event(time=stamp(-34 * DAY))])
    assert done.late is False
    assert await figures(quota) == {"used": "9"}


async def test_p1_a_repeat_with_another_time_is_a_conflict(quota: Caller) -> None:
    first = event(time=stamp(-5))
    await quota("ConsumeQuota", events=[first])
    answer = await quota.refused("ConsumeQuota", events=[{**first, "time": stamp(-4)}])
    assert (*answer.short, answer.field) == ("ALREADY_EXISTS", "EVENT_CONFLICT", "time")
    again = await quota("ConsumeQuota", events=[first])
    assert [one.outcome for one in again.receipts] == [2]
