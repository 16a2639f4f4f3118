"""Leases on real Postgres and Redis: slices are capacity handed out, marks only grow, silence forfeits."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import Hold, State
from metergate.domain.meter import Meter
from metergate.domain.period import Period
from metergate.domain.quota import Kind, Limit
from tests.integration.processes import PRINCIPAL, Process, event

CALLS = Meter("calls", "calls")
MAX = 2000  # so that slices are as large as is asked for here
MONTH = Limit("calls/month", "calls", Decimal(MAX))


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits or (MONTH,)),)))
    await one.customer("acme")


async def counter(one: Process) -> tuple[int, ...]:
    ((used, reserved, leased, forfeited),) = await one.fetch(
        "SELECT used::int, reserved::int, leased::int, forfeited::int FROM usage_counter"
    )
    return used, reserved, leased, forfeited


def hold_of(answer: Answer | MetergateError) -> Hold:
    assert isinstance(answer, Answer), answer
    assert answer.hold is not None
    return answer.hold


async def lease(one: Process, amount: str, holder: str = "h") -> Hold:
    return hold_of(await one.acquire("calls", amount, holder=holder))


async def sync(one: Process, id: str, spent: int, **more: object) -> Hold:
    return hold_of((await one.sync(Report(id, Decimal(spent), **more)))[0])  # type: ignore[arg-type]


async def expire(one: Process, id: str) -> None:
    await one.fetch("UPDATE hold SET end_at = now() - interval '1 minute' WHERE id = $1", id)
    await one.expiry.finish()


async def test_p2_a_slice_is_taken_from_what_others_may_use(one: Process) -> None:
    await begin(one)
    held = await lease(one, "30")
    assert held.parts[0].granted == 30
    assert await counter(one) == (0, 0, 30, 0)
    assert not (await one.consume(event("1", amount=str(MAX - 29)))).allowed
    assert (await one.consume(event("2", amount=str(MAX - 30)))).allowed
    refused = await one.acquire("calls", "1")
    assert (refused.allowed, refused.hold) == (False, None)
    await one.add(event("3", amount="12", settles=held.id), event("4", amount="18", settles=held.id))
    assert await counter(one) == (MAX, 0, 0, 0)
    assert await one.differences() == []


async def test_near_the_end_slices_are_one_by_one_and_every_unit_is_usable(one: Process) -> None:
    await begin(one, Limit("calls/month", "calls", Decimal(100)))
    ids = itertools.count()
    spent = 0
    for turn in range(400):
        answer = await one.acquire("calls", "1000", holder=f"h{turn % 3}")
        if answer.hold is None:
            break
        amount = answer.hold.parts[0].granted
        spent += int(amount)
        await one.add(event(f"e{next(ids)}", amount=str(amount), settles=answer.hold.id))
        await sync(one, answer.hold.id, int(amount), close=True)
    assert spent == 100
    assert await counter(one) == (100, 0, 0, 0)
    assert await one.differences() == []


async def test_marks_are_cumulative_so_that_order_and_repetition_change_nothing(one: Process) -> None:
    await begin(one)
    for order in itertools.permutations([(5, 0), (9, 3), (12, 6)]):
        held = await lease(one, "20")
        for spent, returned in (*order, *order):
            await sync(one, held.id, spent, returned=Decimal(returned))
        part = (await sync(one, held.id, 0)).parts[0]
        assert (part.granted, part.spent, part.returned) == (20, 12, 6)
        await one.add(event(held.id, amount="12", settles=held.id))
        await sync(one, held.id, 12, close=True)
    assert await counter(one) == (72, 0, 0, 0)
    assert await one.differences() == []


async def test_more_and_longer_in_the_same_call(one: Process) -> None:
    await begin(one)
    held = await lease(one, "10")
    more = await sync(one, held.id, 8, wanted=Decimal(30))
    assert more.parts[0].granted == 30
    again = await sync(one, held.id, 8, wanted=Decimal(30))
    assert again.parts[0].granted == 30
    await one.fetch("UPDATE hold SET end_at = now() + interval '1 second' WHERE id = $1", held.id)
    assert (await sync(one, held.id, 9)).end_at > held.end_at
    assert await counter(one) == (0, 0, 30, 0)


async def test_a_return_frees_at_once_and_what_was_spent_waits_for_its_events(one: Process) -> None:
    await begin(one)
    held = await lease(one, "40")
    returned = await sync(one, held.id, 25, close=True)
    assert returned.state is State.RETURNED
    assert await counter(one) == (0, 0, 25, 0)
    assert (await sync(one, held.id, 25, close=True)).parts == returned.parts
    await one.add(event("1", amount="25", settles=held.id))
    assert await counter(one) == (25, 0, 0, 0)
    late = await one.add(event("2", amount="3", settles=held.id))
    assert late.receipts[0].unsettled == "nothing left"
    assert await one.differences() == []


async def test_silence_forfeits_until_events_come_or_the_holder_does(one: Process) -> None:
    await begin(one)
    held = await lease(one, "40")
    await one.add(event("1", amount="5", settles=held.id))
    await expire(one, held.id)
    await one.expiry.finish()
    assert await counter(one) == (5, 0, 0, 35)
    await one.add(event("2", amount="10", settles=held.id))
    assert await counter(one) == (15, 0, 0, 25)
    back = await sync(one, held.id, 18, close=True)
    assert (back.state, back.parts[0].outstanding) == (State.FORFEITED, 3)
    assert await counter(one) == (15, 0, 0, 3)
    await one.leases.release(PRINCIPAL, held.id)
    assert await counter(one) == (15, 0, 0, 0)
    assert await one.differences() == []


async def test_an_operator_releases_only_what_is_forfeited(one: Process) -> None:
    await begin(one)
    held = await lease(one, "40")
    with pytest.raises(MetergateError) as error:
        await one.leases.release(PRINCIPAL, held.id)
    assert error.value.reason is Reason.LEASE_NOT_FORFEITED
    await expire(one, held.id)
    assert hold_of(await one.leases.release(PRINCIPAL, held.id)).state is State.RELEASED
    assert hold_of(await one.leases.release(PRINCIPAL, held.id)).state is State.RELEASED
    assert await counter(one) == (0, 0, 0, 0)


async def test_no_new_lease_while_more_than_a_twentieth_is_forfeited(one: Process) -> None:
    await begin(one)
    for amount, possible in ((str(MAX // 20), True), ("1", False)):
        held = await lease(one, amount)
        await expire(one, held.id)
        if possible:
            continue
        with pytest.raises(MetergateError) as error:
            await one.acquire("calls", "1")
        assert error.value.reason is Reason.LEASE_NOT_POSSIBLE
    assert (await one.consume(event("1", amount=str(MAX - MAX // 20 - 1)))).allowed


async def test_one_that_was_spent_and_settled_ends_without_a_trace(one: Process) -> None:
    await begin(one)
    held = await lease(one, "4")
    await one.add(event("1", amount="4", settles=held.id))
    await expire(one, held.id)
    assert await counter(one) == (4, 0, 0, 0)
    assert await one.fetch("SELECT state FROM hold") == [("returned",)]


@pytest.mark.parametrize(
    "limit",
    [
        Limit("calls/minute", "calls", Decimal(100), Period.MINUTE),
        Limit("calls/ever", "calls", Decimal(100), kind=Kind.LIFETIME),
    ],
)
async def test_p12_where_nothing_can_be_leased(one: Process, limit: Limit) -> None:
    await begin(one, MONTH, limit)
    with pytest.raises(MetergateError) as error:
        await one.acquire("calls", "1")
    assert error.value.reason is Reason.LEASE_NOT_POSSIBLE
    assert error.value.metadata["limit"] == limit.name


async def test_p12_marks_that_cannot_be(one: Process) -> None:
    await begin(one)
    held = await lease(one, "10")
    bad = [
        Report("l_none", Decimal(1)),
        Report(held.id, Decimal(11)),
        Report(held.id, Decimal(5), Decimal(6)),
        Report(held.id, Decimal(0), Decimal(11)),
    ]
    reasons = []
    for report in bad:
        (answer,) = await one.sync(report)
        assert isinstance(answer, MetergateError)
        reasons.append(answer.reason)
    assert reasons == [Reason.LEASE_NOT_FOUND, *[Reason.LEASE_MARK_INVALID] * 3]
    assert await counter(one) == (0, 0, 10, 0)


async def test_an_idle_holder_is_asked_to_give_back_and_others_get_it(one: Process) -> None:
    await begin(one)
    idle = await lease(one, "50", "idle")
    busy = await lease(one, "50", "busy")
    await one.consume(event("1", amount=str(MAX - int(idle.parts[0].granted) - int(busy.parts[0].granted))))
    (answer,) = await one.sync(Report(idle.id, Decimal(0)))
    assert isinstance(answer, Answer)
    assert answer.recall > 0
    await sync(one, idle.id, 0, returned=answer.recall)
    assert (await lease(one, "5", "other")).parts[0].granted >= 1


async def test_a_repeated_request_is_the_same_lease(one: Process) -> None:
    await begin(one)
    first = hold_of(await one.acquire("calls", "10", request_id="q"))
    second = hold_of(await one.acquire("calls", "10", request_id="q"))
    assert first == second
    with pytest.raises(MetergateError) as error:
        await one.acquire("calls", "11", request_id="q")
    assert error.value.reason is Reason.REQUEST_ID_REUSED
    assert await counter(one) == (0, 0, 10, 0)


async def test_a_decision_is_explained_as_it_was(one: Process) -> None:
    await begin(one)
    await one.consume(event("1", amount="40"))
    held = await lease(one, "10")
    refused = await one.consume(event("2", amount=str(MAX - 49)))
    await one.add(event("3", amount="7", settles=held.id), event("4", amount="100"))
    assert refused.decision is not None
    keys = refused.demand.touches[0].keys
    behind = await one.explain._reader.behind("t", refused.seq, refused.at, keys, 10)
    assert [figures[:4] for figures in behind.figures] == [refused.decision.states[0].figures[:4]]
    assert [(found.id, found.value) for found in behind.events] == [("1", 40)]
    assert [(found.id, found.figures.leased) for found in behind.holds] == [(held.id, 10)]
