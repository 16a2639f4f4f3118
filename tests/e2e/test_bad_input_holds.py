"""The ends of reservations and leases, in every order that makes no sense: each has one outcome."""

from __future__ import annotations

from typing import Any

import pytest

from metergate.v1.quota_pb2 import Lease, Reservation
from tests.e2e.calls import Caller, stamp
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
    assert await figures(quota) == {}
