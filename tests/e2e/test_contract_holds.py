"""Reservations and leases, as clients meet them: their lives, and what others see of them meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metergate.v1.decision_pb2 import ANSWERED_BY_LEDGER
from metergate.v1.quota_pb2 import Lease, Reservation
from tests.e2e.calls import Caller, used
from tests.e2e.quota import acquire, consume, event, figures, furnish, let_end, limit, record, reserve, sync
from tests.server import Server


@pytest.fixture
async def quota(api: Caller) -> Caller:
    """A tenant whose customers have 2,000 calls a month."""
    await furnish(api)
    return api


def _length(held: Any) -> int:
    return int(held.expire_time.seconds - held.create_time.seconds)


# --- reservations -------------------------------------------------------------------------------------------------


async def test_p2_a_reservation_from_beginning_to_end(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "10"}, {"name": "tokens", "meter": "tokens", "max": "100"})
    amounts = [{"meter": "calls", "amount": "4", "labels": {"region": "eu"}}, {"meter": "tokens", "amount": "60"}]
    response = await quota("ReserveQuota", subject="acme-key", amounts=amounts)
    held, decision = response.reservation, response.decision
    assert (held.customer, held.subject, held.state) == ("acme", "acme-key", Reservation.STATE_OPEN)
    assert [(one.meter, dict(one.labels), one.amount, one.used) for one in held.amounts] == [
        ("calls", {"region": "eu"}, "4", "0"), ("tokens", {}, "60", "0"),
    ]  # fmt: skip
    assert _length(held) == 300
    assert (decision.allowed, decision.answered_by, bool(decision.decision_id)) == (True, ANSWERED_BY_LEDGER, True)
    assert [(one.name, one.used, one.reserved, one.remaining) for one in decision.limits] == [
        ("month", "0", "4", "6"), ("tokens", "0", "60", "40"),
    ]  # fmt: skip
    assert not (await consume(quota, "7")).allowed
    later = (await quota("ExtendReservation", reservation_id=held.id, ttl={"seconds": 86_400})).reservation
    assert _length(later) >= 86_400
    events = [
        {"id": "c1", "type": "calls", "amount": "3", "labels": {"region": "eu"}},
        {"id": "c2", "type": "llm", "values": {"tokens": "50"}},
    ]
    done = await quota("CommitReservation", reservation_id=held.id, events=events)
    assert (done.late, done.reservation.state) == (False, Reservation.STATE_COMMITTED)
    assert [one.used for one in done.reservation.amounts] == ["3", "50"]
    assert [(one.event_id, one.outcome, one.unsettled) for one in done.receipts] == [("c1", 1, ""), ("c2", 1, "")]
    assert [(one.name, one.used, one.reserved, one.overrun) for one in done.limits] == [
        ("month", "3", "0", "0"), ("tokens", "50", "0", "0"),
    ]  # fmt: skip
    assert await used(quota, "calls", token=done.token) == "3"
    found = (await quota("ListUsageEvents", customer="acme")).events
    assert {(one.event.subject, one.event.settles) for one in found} == {("acme-key", held.id)}


async def test_p1_a_commit_that_is_repeated_is_answered_as_at_first(quota: Caller) -> None:
    held = await reserve(quota, "4")
    body = {"reservation_id": held.id, "events": [event("3")]}
    first = await quota("CommitReservation", **body)
    again = await quota("CommitReservation", **body)
    assert (again.late, again.reservation) == (False, first.reservation)
    assert [one.outcome for one in again.receipts] == [2]
    other = await quota("CommitReservation", reservation_id=held.id, events=[event("1")])
    assert (other.late, other.receipts[0].unsettled) == (True, "nothing left")
    assert await figures(quota) == {"used": "4"}


async def test_p2_a_commit_is_never_refused_and_shows_its_overrun(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "10"})
    held = await reserve(quota, "4")
    await consume(quota, "6")
    done = await quota("CommitReservation", reservation_id=held.id, events=[event("9")])
    assert [(one.used, one.overrun, one.remaining) for one in done.limits] == [("15", "5", "0")]
    assert not (await consume(quota, "1")).allowed


async def test_p2_a_release_frees_at_once_and_may_be_repeated(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "10"})
    held = await reserve(quota, "10")
    assert not (await consume(quota, "1")).allowed
    for _ in range(2):
        released = (await quota("ReleaseReservation", reservation_id=held.id)).reservation
        assert (released.id, released.state) == (held.id, Reservation.STATE_RELEASED)
    assert (await consume(quota, "10")).allowed


async def test_p2_what_is_left_is_reserved_where_that_is_enough(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "10"}, {"name": "tokens", "meter": "tokens", "max": "100"})
    await consume(quota, "7.5")
    amounts = [{"meter": "calls", "amount": "5"}, {"meter": "tokens", "amount": "40"}]
    assert not (await quota("ReserveQuota", subject="acme", amounts=amounts)).decision.allowed
    held = (await quota("ReserveQuota", subject="acme", amounts=amounts, partial_ok=True)).reservation
    assert [one.amount for one in held.amounts] == ["2.5", "40"]
    refused = await quota("ReserveQuota", subject="acme", amounts=amounts[:1], partial_ok=True)
    assert (refused.decision.allowed, refused.decision.binding_limit) == (False, "month")
    assert not refused.HasField("reservation")


async def test_an_extension_never_brings_the_end_nearer(quota: Caller) -> None:
    held = await reserve(quota, ttl={"seconds": 600})
    same = (await quota("ExtendReservation", reservation_id=held.id, ttl={"seconds": 1})).reservation
    assert same == held


async def test_a_repeated_reservation_is_the_same_one(quota: Caller) -> None:
    made = await asyncio.gather(*(reserve(quota, request_id="r-1") for _ in range(6)))
    assert len({one.SerializeToString(deterministic=True) for one in made}) == 1
    await quota("ReleaseReservation", reservation_id=made[0].id)
    again = await reserve(quota, request_id="r-1")
    assert (again.id, again.state) == (made[0].id, Reservation.STATE_RELEASED)
    assert await figures(quota) == {}


async def test_p3_a_refused_reservation_leaves_its_request_id_free(quota: Caller) -> None:
    amounts = [{"meter": "calls", "amount": "2001"}]
    assert not (await quota("ReserveQuota", subject="acme", amounts=amounts, request_id="r-1")).decision.allowed
    assert (await reserve(quota, "2000", request_id="r-1")).amounts[0].amount == "2000"


async def test_p2_an_expired_reservation_gives_back_by_itself(quota: Caller, server: Server) -> None:
    held = await reserve(quota, "2000")
    await let_end(server, held.id)
    assert await figures(quota) == {}
    assert (await consume(quota, "2000")).allowed


# --- leases -------------------------------------------------------------------------------------------------------


async def test_p2_a_lease_from_beginning_to_end(quota: Caller) -> None:
    body = {"subject": "acme-key", "meter": "calls", "labels": {"region": "eu"}, "holder": "web-1", "amount": "40"}
    response = await quota("AcquireLease", **body)
    lease, decision = response.lease, response.decision
    assert (lease.customer, lease.subject, lease.meter, lease.holder) == ("acme", "acme-key", "calls", "web-1")
    assert (dict(lease.labels), lease.state) == ({"region": "eu"}, Lease.STATE_OPEN)
    assert (lease.granted, lease.returned, lease.spent, lease.settled) == ("40", "0", "0", "0")
    assert 0 < lease.ttl.seconds + lease.ttl.nanos / 1e9 <= 30
    assert lease.recall == "0"
    assert (decision.allowed, decision.limits[0].leased, decision.limits[0].remaining) == (True, "40", "1960")
    assert not (await consume(quota, "1961")).allowed

    more = (await sync(quota, lease, "30", wanted="60")).lease
    assert (more.granted, more.spent) == ("60", "30")
    same = (await sync(quota, lease, "30", wanted="60")).lease
    assert same.granted == "60"
    for amount in ("20", "10"):
        spent = event(amount, subject="acme-key", labels={"region": "eu"}, settles=lease.id)
        await quota("RecordUsage", event=spent)
    less = (await sync(quota, lease, "35", returned="15")).lease
    assert (less.returned, less.settled) == ("15", "30")
    assert await figures(quota) == {"used": "30", "leased": "15"}

    for _ in range(2):
        back = (await quota("ReturnLease", lease_id=lease.id, spent="35")).lease
        assert (back.state, back.returned, back.HasField("ttl")) == (Lease.STATE_RETURNED, "25", False)
    assert await figures(quota) == {"used": "30", "leased": "5"}
    assert (await record(quota, "5", subject="acme-key", labels={"region": "eu"}, settles=lease.id)).unsettled == ""
    assert await figures(quota) == {"used": "35"}


async def test_marks_of_many_leases_in_one_call_are_answered_in_order(quota: Caller) -> None:
    leases = [await acquire(quota, "10", holder=f"h{number}") for number in range(4)]
    other = await acquire(quota, "10", subject="beta")
    marks = [
        {"lease_id": leases[0].id, "spent": "1"},
        {"lease_id": leases[1].id, "spent": "2", "close": True},
        {"lease_id": leases[2].id, "spent": "11"},
        {"lease_id": other.id, "spent": "3", "wanted": "20"},
        {"lease_id": leases[3].id, "spent": "4", "returned": "5"},
    ]
    results = (await quota("SyncLeases", marks=marks)).results
    assert [one.error_reason for one in results] == ["", "", "LEASE_MARK_INVALID", "", ""]
    seen = [(one.lease.granted, one.lease.spent, one.lease.returned) for one in results]
    assert seen == [("10", "1", "0"), ("10", "2", "8"), ("", "", ""), ("20", "3", "0"), ("10", "4", "5")]
    assert await figures(quota) == {"leased": "27"}
    assert await figures(quota, subject="beta") == {"leased": "20"}


async def test_a_repeated_request_is_the_same_lease(quota: Caller) -> None:
    made = await asyncio.gather(*(acquire(quota, request_id="l-1") for _ in range(6)))
    assert len({one.id for one in made}) == 1
    assert await figures(quota) == {"leased": "10"}


async def test_p2_nothing_left_to_lease_is_a_refusal(quota: Caller) -> None:
    await consume(quota, "2000")
    response = await quota("AcquireLease", subject="acme", meter="calls", holder="h", amount="10")
    assert (response.decision.allowed, response.decision.binding_limit) == (False, "month")
    assert not response.HasField("lease")


async def test_p2_near_the_end_slices_are_small_and_every_unit_can_be_used(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "30"})
    spent = 0
    while True:
        body = {"subject": "acme", "meter": "calls", "holder": f"h{spent % 3}", "amount": "30"}
        lease = (await quota("AcquireLease", **body)).lease
        if not lease.id:
            break
        assert (await record(quota, lease.granted, settles=lease.id)).unsettled == ""
        await quota("ReturnLease", lease_id=lease.id, spent=lease.granted)
        spent += int(lease.granted)
    assert spent == 30
    assert await figures(quota) == {"used": "30"}


async def test_a_holder_with_too_much_is_asked_to_give_back(quota: Caller) -> None:
    idle = await acquire(quota, "100", holder="idle")
    await consume(quota, "1900")
    asked = (await sync(quota, idle, "1")).lease
    assert 0 < float(asked.recall) <= 99
    obeyed = (await sync(quota, idle, "1", returned=asked.recall)).lease
    assert obeyed.recall == "0"
    assert (await consume(quota, asked.recall)).allowed


async def test_p2_a_silent_holders_lease_is_forfeited_until_it_speaks_or_is_released(
    quota: Caller, server: Server
) -> None:
    lease = await acquire(quota, "40")
    await record(quota, "5", settles=lease.id)
    await let_end(server, lease.id)
    assert await figures(quota) == {"used": "5", "forfeited": "35"}
    assert not (await consume(quota, "1961")).allowed
    back = (await quota("ReturnLease", lease_id=lease.id, spent="25")).lease
    assert (back.state, back.returned) == (Lease.STATE_FORFEITED, "15")
    assert await figures(quota) == {"used": "5", "forfeited": "20"}
    for _ in range(2):
        released = (await quota("ReleaseLease", lease_id=lease.id)).lease
        assert released.state == Lease.STATE_RELEASED
    assert await figures(quota) == {"used": "5"}


async def test_no_new_lease_while_much_is_forfeited_and_consuming_goes_on(quota: Caller, server: Server) -> None:
    first, second = await acquire(quota, "60"), await acquire(quota, "60")
    for lease in (first, second):
        await let_end(server, lease.id)
    answer = await quota.refused("AcquireLease", subject="acme", meter="calls", holder="h", amount="1")
    assert answer.short == ("FAILED_PRECONDITION", "LEASE_NOT_POSSIBLE")
    assert (await consume(quota, "1880")).allowed
    await quota("ReturnLease", lease_id=first.id, spent="0")
    assert (await acquire(quota, "1")).granted == "1"


# --- what others see ----------------------------------------------------------------------------------------------


async def test_p4_limits_show_what_is_held_and_forfeited(quota: Caller, server: Server) -> None:
    await limit(quota, {"name": "month", "max": "2000"}, {"name": "day", "max": "3000", "period": "PERIOD_YEAR"})
    await reserve(quota, "7")
    silent = await acquire(quota, "20", holder="silent")
    await acquire(quota, "30")
    await let_end(server, silent.id)
    await record(quota, "100")
    expected = {"used": "100", "reserved": "7", "leased": "30", "forfeited": "20"}
    for name in ("month", "day"):
        assert await figures(quota, name) == expected
    decision = (await quota("CheckQuota", subject="acme", amounts=[{"meter": "calls", "amount": "1844"}])).decision
    assert (decision.allowed, decision.binding_limit) == (False, "month")
    assert [(one.name, one.remaining) for one in decision.limits] == [("day", "2843"), ("month", "1843")]
    assert (decision.limits[1].reserved, decision.limits[1].leased, decision.limits[1].forfeited) == ("7", "30", "20")
    assert await figures(quota, subject="beta") == {}
