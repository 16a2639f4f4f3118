"""Reservations on real Postgres and Redis: each outcome of their life, and that capacity is conserved."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import State
from metergate.domain.meter import Meter
from metergate.domain.period import MINUTE, SECOND, Period
from metergate.domain.quota import Limit
from metergate.domain.usage import Event
from metergate.domain.work import Want
from tests.integration.processes import PRINCIPAL, Process, event

CALLS = Meter("calls", "calls", dimensions=("region",))
TOKENS = Meter("tokens", "llm", value="tokens")
SEATS = Meter("seats", "seats", allow_negative=True)
MONTH = Limit("calls/month", "calls", Decimal(10))
DAY = Limit("tokens/day", "tokens", Decimal(1000), Period.DAY)


def calls(amount: str) -> Want:
    return Want("calls", Decimal(amount), {})


def tokens(amount: str) -> Want:
    return Want("tokens", Decimal(amount), {})


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS, TOKENS, SEATS), (Plan("default", limits or (MONTH, DAY)),)))
    await one.customer("acme")


async def counters(one: Process) -> dict[str, tuple[int, ...]]:
    rows = await one.fetch("SELECT meter, used, reserved, leased, forfeited FROM usage_counter")
    return {meter: tuple(int(figure) for figure in figures) for meter, *figures in rows}


def id_of(answer: Answer) -> str:
    assert answer.hold is not None
    return answer.hold.id


def state_of(answer: Answer) -> State:
    assert answer.hold is not None
    return answer.hold.state


async def commit(one: Process, id: str, *events: Event) -> Answer:
    return (await one.reservations.commit(PRINCIPAL, id, events))[0]


async def release(one: Process, id: str) -> Answer:
    return (await one.reservations.release(PRINCIPAL, id))[0]


async def expire(one: Process, id: str) -> None:
    """Lets its time be over."""
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 second' WHERE id = $1", id)
    await one.expiry.finish()


async def reason(call: object) -> Reason:
    with pytest.raises(MetergateError) as error:
        await call  # type: ignore[misc]
    return error.value.reason


async def test_p2_reserved_capacity_is_nobody_elses(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("7"), tokens("900"))
    assert await counters(one) == {"calls": (0, 7, 0, 0), "tokens": (0, 900, 0, 0)}
    assert not (await one.consume(event("1", amount="4"))).allowed
    assert (await one.consume(event("2", amount="3"))).allowed
    assert not (await one.reserve(tokens("101"))).allowed
    done = await commit(one, id_of(held), event("3", amount="5", settles=id_of(held)))
    assert (state_of(done), done.late) == (State.COMMITTED, False)
    assert await counters(one) == {"calls": (8, 0, 0, 0), "tokens": (0, 0, 0, 0)}
    assert await one.differences() == []


async def test_p3_a_refused_reservation_changes_nothing(one: Process) -> None:
    await begin(one)
    refused = await one.reserve(calls("1"), tokens("1001"))
    assert (refused.allowed, refused.hold) == (False, None)
    assert await one.fetch("SELECT count(*) FROM hold") == [(0,)]
    assert await one.fetch("SELECT count(*) FROM usage_counter") == [(0,)]


async def test_partial_holds_what_is_left_of_each(one: Process) -> None:
    await begin(one)
    await one.add(event("1", amount="6"))
    held = await one.reserve(calls("7"), tokens("900"), partial=True)
    assert held.hold is not None
    assert [part.granted for part in held.hold.parts] == [4, 900]
    refused = await one.reserve(calls("7"), partial=True)
    assert not refused.allowed


async def test_what_exceeds_and_does_not_fit_is_overrun(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("4"))
    await one.consume(event("1", amount="6"))
    done = await commit(one, id_of(held), event("2", amount="9", settles=id_of(held)))
    assert done.decision is not None
    assert [(state.figures.used, state.overrun) for state in done.decision.states] == [(15, 5)]
    assert await counters(one) == {"calls": (15, 0, 0, 0)}
    assert await one.differences() == []


async def test_usage_may_settle_bit_by_bit_before_the_commit(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("6"))
    recorded = await one.add(event("1", amount="2", settles=id_of(held)), event("2", "llm", settles=id_of(held)))
    assert [receipt.unsettled for receipt in recorded.receipts] == ["", "other"]
    assert (await counters(one))["calls"] == (2, 4, 0, 0)
    await commit(one, id_of(held), event("3", amount="1", settles=id_of(held)))
    assert (await counters(one))["calls"] == (3, 0, 0, 0)
    assert await one.differences() == []


async def test_events_of_other_subjects_labels_and_holds_settle_nothing(one: Process) -> None:
    await begin(one)
    await one.customer("beta")
    held = await one.reserve(calls("6"))
    id_ = id_of(held)
    recorded = await one.add(
        event("1", settles=id_, labels={"region": "eu"}), event("2", settles=id_, subject="beta"),
        event("3", settles="r_none"), event("4", amount="9", settles=id_), event("5", settles=id_),
    )  # fmt: skip
    assert [receipt.unsettled for receipt in recorded.receipts] == ["other", "unknown", "unknown", "", "nothing left"]
    assert await one.differences() == []


async def test_double_expiry_gives_back_once(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("7"))
    await asyncio.gather(expire(one, id_of(held)), expire(one, id_of(held)))
    await expire(one, id_of(held))
    assert await counters(one) == {"calls": (0, 0, 0, 0)}
    assert await one.differences() == []


async def test_commit_after_expiry_is_recorded_and_late(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("7"))
    await expire(one, id_of(held))
    assert (await one.consume(event("1", amount="10"))).allowed
    done = await commit(one, id_of(held), event("2", amount="7", settles=id_of(held)))
    assert (state_of(done), done.late) == (State.EXPIRED, True)
    assert await counters(one) == {"calls": (17, 0, 0, 0)}
    assert await one.differences() == []


async def test_commit_before_its_expiry_is_seen_takes_from_what_is_held(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("7"))
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 second'")
    done = await commit(one, id_of(held), event("2", amount="7", settles=id_of(held)))
    assert (state_of(done), done.late) == (State.COMMITTED, True)
    await one.expiry.finish()
    assert await counters(one) == {"calls": (7, 0, 0, 0)}


async def test_p1_commit_twice(one: Process) -> None:
    await begin(one)
    id_ = id_of(await one.reserve(calls("7")))
    await commit(one, id_, event("1", amount="3", settles=id_))
    again = await commit(one, id_, event("1", amount="3", settles=id_))
    assert (again.late, [receipt.outcome.value for receipt in again.receipts]) == (False, ["duplicate"])
    other = await commit(one, id_, event("2", amount="1", settles=id_))
    assert (other.late, other.receipts[0].unsettled) == (True, "nothing left")
    assert await counters(one) == {"calls": (4, 0, 0, 0)}


async def test_release_after_commit_and_the_other_ends(one: Process) -> None:
    await begin(one)
    committed, released = id_of(await one.reserve(calls("2"))), id_of(await one.reserve(calls("2")))
    expired = id_of(await one.reserve(calls("2")))
    await commit(one, committed)
    await release(one, released)
    await expire(one, expired)
    assert await reason(release(one, committed)) is Reason.RESERVATION_CLOSED
    assert state_of(await release(one, released)) is State.RELEASED
    assert state_of(await release(one, expired)) is State.EXPIRED
    for id_ in (committed, released, expired):
        assert await reason(one.reservations.extend(PRINCIPAL, id_, MINUTE)) is Reason.RESERVATION_CLOSED
    assert await reason(release(one, "r_none")) is Reason.RESERVATION_NOT_FOUND
    assert await counters(one) == {"calls": (0, 0, 0, 0)}


async def test_extend_moves_the_end_and_never_back(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("2"), ttl=MINUTE)
    assert held.hold is not None
    later = (await one.reservations.extend(PRINCIPAL, held.hold.id, 10 * MINUTE))[0]
    assert later.hold is not None
    assert later.hold.end_at > held.hold.end_at + 8 * MINUTE
    same = (await one.reservations.extend(PRINCIPAL, held.hold.id, SECOND))[0]
    assert same.hold is not None
    assert same.hold.end_at == later.hold.end_at


async def test_a_plan_change_meanwhile_keeps_what_is_held(one: Process) -> None:
    await begin(one)
    held = await one.reserve(calls("7"))
    await begin(one, Limit("calls/hour", "calls", Decimal(8), Period.HOUR))
    assert not (await one.consume(event("1", amount="2"))).allowed
    assert (await one.consume(event("2", amount="1"))).allowed
    await commit(one, id_of(held), event("3", amount="7", settles=id_of(held)))
    assert await one.differences() == []
    assert sorted(await one.fetch("SELECT used, reserved FROM usage_counter")) == [(8, 0), (8, 0)]


async def test_a_repeated_request_is_the_same_reservation(one: Process) -> None:
    await begin(one)
    first, second = await asyncio.gather(*(one.reserve(calls("3"), request_id="q") for _ in range(2)))
    assert id_of(first) == id_of(second)
    third = await one.reserve(calls("3"), request_id="q")
    assert third.decision is not None
    assert third.decision.states[0].figures.reserved == 3
    assert await counters(one) == {"calls": (0, 3, 0, 0)}
    assert await reason(one.reserve(calls("4"), request_id="q")) is Reason.REQUEST_ID_REUSED


async def test_open_reservations_are_counted_in_a_new_limits_counter(one: Process) -> None:
    await begin(one)
    await one.reserve(calls("7"))
    await begin(one, MONTH, DAY, Limit("calls/day", "calls", Decimal(9), Period.DAY))
    assert not (await one.consume(event("1", amount="3"))).allowed
    limits = await one.limits.list(PRINCIPAL, "acme", ["calls"])
    assert [state.figures.reserved for state in limits.states] == [7, 7]


async def test_what_can_shrink_cannot_be_held(one: Process) -> None:
    await begin(one)
    assert await reason(one.reserve(Want("seats", Decimal(1), {}))) is Reason.METER_CAN_SHRINK
    assert await reason(one.reserve(Want("none", Decimal(1), {}))) is Reason.METER_NOT_FOUND
    assert await reason(one.reserve(calls("1"), subject="nobody")) is Reason.SUBJECT_NOT_FOUND


async def test_p2_one_request_id_for_two_customers_at_once_holds_once(one: Process) -> None:
    await begin(one)
    await one.customer("beta")
    works = [one.reserve(calls("3"), subject=subject, request_id="q") for subject in ("acme", "beta") * 3]
    answers = await asyncio.gather(*works, return_exceptions=True)
    held = {answer.hold.customer for answer in answers if isinstance(answer, Answer) and answer.hold}
    refused = {answer.reason for answer in answers if isinstance(answer, MetergateError)}
    assert (len(held), refused) == (1, {Reason.REQUEST_ID_REUSED})
    assert await one.differences() == []


async def test_p4_a_counter_of_a_limit_that_is_gone_counts_on(one: Process) -> None:
    await begin(one)
    await one.consume(event("1", amount="3"))
    await begin(one, DAY)
    await one.consume(event("2", amount="4"))
    await one.reserve(calls("2"))
    assert await counters(one) == {"calls": (7, 2, 0, 0)}
    assert await one.differences() == []
