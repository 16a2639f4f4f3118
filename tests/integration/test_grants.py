"""Grants: units that a customer was given, burned by what the ledger holds, whoever records it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from metergate.app.customer.grants import Asked, GrantQuery, MoveQuery
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.grant import Grant, State
from metergate.domain.granting import counter_of
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, Period
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Figures, Kind, Limit, Policy, Scope
from metergate.domain.work import Want
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, TENANT, Process, event, heard, settle
from tests.integration.quota_clock import StepClock

CALLS, BALANCE = Meter("calls", "calls"), Meter("balance", "balance", allow_negative=True)
GRANTED = Limit("calls/grants", "calls", None, kind=Kind.GRANTS)
KEY = counter_of(("acme", "calls"))


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS, BALANCE), (Plan("default", limits or (GRANTED,)),)))
    await one.customer("acme")


async def grant(one: Process, amount: str, meter: str = "calls", request_id: str = "", **fields: Any) -> Grant:
    """Gives acme a grant, without priority and end unless told otherwise."""
    asked = Asked(
        "acme", meter, Decimal(amount), fields.get("priority", 0), fields.get("start"), fields.get("end"),
        fields.get("recurs"), Decimal(fields.get("rollover_min", 0)), Decimal(fields.get("rollover_max", 0)),
    )  # fmt: skip
    return (await one.grants.create(PRINCIPAL, asked, request_id))[0].grant


async def listed(one: Process, ended_too: bool = True) -> dict[str, Grant]:
    """Acme's grants by id, oldest first."""
    found = await one.grants.list(PRINCIPAL, GrantQuery("acme", "", ended_too, None, 100))
    return {one.id: one for one in reversed(found)}


async def left(one: Process) -> list[Decimal]:
    """What is left of each of acme's grants, in order of creation."""
    return [one.left for one in (await listed(one)).values()]


async def history(one: Process) -> list[tuple[str, Decimal]]:
    """What became of acme's grants, in order."""
    found = await one.grants.history(PRINCIPAL, MoveQuery("acme", "", "", None, 1000))
    return [(str(moved.move.kind), moved.move.amount) for moved in reversed(found)]


async def over(one: Process, *ids: str) -> None:
    """Lets a second pass by for grants: they end, and what follows is counted from then."""
    await one.fetch(
        "UPDATE usage_grant SET end_at = now() - interval '1 second', due_at = now() - interval '1 second' "
        "WHERE id = ANY($1::text[])",
        list(ids),
    )


def state(answer: Answer) -> Any:
    assert answer.decision is not None
    return answer.decision.states[0]


@pytest.fixture
async def clocked(start: Start, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Process, StepClock]:
    """A process, and the clock by which it lives."""
    clock = StepClock(postgres_url, monkeypatch)
    await clock.install()
    return await start(), clock


@pytest.fixture
async def two(start: Start, one: Process) -> Process:
    return await start()


async def test_p2_without_a_grant_nothing_is_allowed(one: Process) -> None:
    await begin(one)
    refused = await one.consume(event("1"))
    assert (refused.allowed, state(refused).would_fit, state(refused).figures) == (False, 0, Figures())
    assert refused.decision is not None
    assert refused.decision.reason == "calls/grants allows what its grants hold; 0 left"
    assert refused.decision.retry_after is None


async def test_p2_two_processes_use_the_last_unit_and_never_one_more(one: Process, two: Process) -> None:
    await begin(one)
    await settle([one, two])
    await grant(one, "30")
    await grant(two, "27.5", priority=1)
    works = [[one, two][number % 2].consume(event(str(number), amount=str(number % 4 + 1))) for number in range(60)]
    answers = await asyncio.gather(*works)
    admitted = sum(number % 4 + 1 for number, answer in enumerate(answers) if answer.allowed)
    rest = await asyncio.gather(*(one.consume(event(f"rest{number}")) for number in range(5)))
    assert admitted + sum(answer.allowed for answer in rest) == 57
    assert (await two.consume(event("half", amount="0.5"))).allowed
    assert not (await one.consume(event("more", amount="0.000000000001"))).allowed
    assert await left(one) == [0, 0]
    await heard()
    for process in (one, two):
        assert (await process.check("calls", "1")).states[0].remaining == 0
    assert await one.differences() == []


async def test_grants_burn_by_priority_then_the_earliest_end_then_creation(one: Process) -> None:
    await begin(one)
    now = await one.now()
    made = [
        await grant(one, "10", priority=1),
        await grant(one, "10"),
        await grant(one, "10", end=now + DAY),
        await grant(one, "10", end=now + HOUR),
        await grant(one, "10"),
    ]
    order = [made[3], made[2], made[1], made[4], made[0]]
    for number in range(5):
        assert (await one.consume(event(f"c{number}", amount="5"))).allowed
        await one.add(event(f"f{number}", amount="5"))
        held = await listed(one)
        assert [held[one.id].left for one in order] == [0] * (number + 1) + [10] * (4 - number)
    assert await one.differences() == []


async def test_what_was_used_before_is_not_charged_and_what_was_used_beyond_is_paid_first(one: Process) -> None:
    await begin(one)
    await one.add(event("before", amount="7"))
    first = await grant(one, "10")
    assert first.left == 10
    await one.add(event("beyond", amount="14"))
    assert await left(one) == [0]
    overrun = (await one.check("calls", "1")).states[0]
    assert (overrun.overrun, overrun.figures.granted) == (4, 17)
    second = await grant(one, "3")
    assert (second.left, second.burned) == (0, 3)
    assert (await grant(one, "6")).left == 5
    assert (await one.consume(event("fits", amount="5"))).allowed
    assert not (await one.consume(event("not"))).allowed
    assert await history(one) == [
        ("base", 7), ("start", 10), ("burn", 10), ("start", 3), ("burn", 3), ("start", 6), ("burn", 1), ("burn", 5),
    ]  # fmt: skip
    assert await one.differences() == []


async def test_an_end_takes_along_what_is_left_once(one: Process, two: Process) -> None:
    await begin(one)
    ending, staying = await grant(one, "10"), await grant(one, "20")
    await one.add(event("1", amount="4"))
    await over(one, ending.id)
    await asyncio.gather(*(process.due.finish() for process in (one, two, one, two)))
    held = await listed(one)
    assert [(held[one.id].state, held[one.id].left, held[one.id].lost) for one in (ending, staying)] == [
        (State.ENDED, 0, 6), (State.ACTIVE, 20, 0),
    ]  # fmt: skip
    assert await history(one) == [("base", 0), ("start", 10), ("start", 20), ("burn", 4), ("expire", 6)]
    await heard()
    assert (await two.check("calls")).states[0].remaining == 20
    assert (await two.consume(event("2", amount="20"))).allowed
    assert not (await two.consume(event("3"))).allowed
    assert await one.differences() == []


async def test_p2_an_end_holds_at_the_next_decision_though_nobody_made_it_due(one: Process) -> None:
    await begin(one)
    ending = await grant(one, "10")
    await over(one, ending.id)
    refused = await one.consume(event("1"))
    assert (refused.allowed, state(refused).figures.granted) == (False, 0)
    assert await history(one) == [("base", 0), ("start", 10), ("expire", 10)]
    assert await one.differences() == []


async def test_a_grant_begins_at_its_start(one: Process) -> None:
    await begin(one)
    later = await grant(one, "10", start=await one.now() + HOUR)
    assert later.state is State.PENDING
    await one.add(event("before", amount="3"))
    assert not (await one.consume(event("1"))).allowed
    await one.fetch("UPDATE usage_grant SET start_at = now(), due_at = now()")
    assert (await one.consume(event("1", amount="10"))).allowed
    assert await history(one) == [("base", 3), ("start", 10), ("burn", 10)]
    assert await one.differences() == []


@pytest.mark.parametrize(
    ("used", "least", "most", "rolled"),
    [("4", "0", "100", 6), ("4", "0", "5", 5), ("9", "2", "5", 2), ("4", "0", "0", 0)],
)
async def test_what_recurs_rolls_over_within_its_bounds(
    clocked: tuple[Process, StepClock], used: str, least: str, most: str, rolled: int
) -> None:
    one, clock = clocked
    await begin(one)
    first = await grant(one, "10", recurs=Period.DAY, rollover_min=least, rollover_max=most)
    await one.add(event("1", amount=used))
    await clock.step(DAY)
    await one.due.finish()
    assert await one.fetch("SELECT count(*) FROM usage_grant WHERE due_at < now()") == [(0,)]
    _, second = (await listed(one)).values()
    assert (second.id, second.state, second.start) == (f"{first.id}.2", State.ACTIVE, first.end)
    assert (second.rolled, second.left) == (rolled, 10 + rolled)
    assert (await one.consume(event("2", amount=str(10 + rolled)))).allowed
    assert not (await one.consume(event("3"))).allowed
    assert await one.differences() == []


async def test_ends_that_nobody_saw_follow_each_other_in_order(clocked: tuple[Process, StepClock]) -> None:
    one, clock = clocked
    await begin(one)
    now = await one.now()
    first = await grant(one, "10", recurs=Period.DAY, rollover_max="15", end=now + 4 * DAY)
    await one.add(event("1", amount="13"))  # 3 more than there is
    await clock.step(3 * DAY + HOUR)
    assert (await one.consume(event("2", amount="25"))).allowed
    assert not (await one.consume(event("3"))).allowed
    held = (await listed(one)).values()
    assert [(one.rolled, one.burned, one.lost) for one in held] == [(0, 10, 0), (0, 3, 7), (7, 0, 17), (15, 25, 0)]
    await clock.step(DAY)
    await one.due.finish()
    assert [one.id for one in (await listed(one)).values()] == [first.id, *[f"{first.id}.{n}" for n in (2, 3, 4)]]
    assert await listed(one, ended_too=False) == {}
    assert await one.differences() == []


async def test_what_is_taken_back_is_gone_and_nothing_follows(clocked: tuple[Process, StepClock]) -> None:
    one, clock = clocked
    await begin(one)
    first, single = await grant(one, "10", recurs=Period.WEEK), await grant(one, "5", end=await one.now() + HOUR)
    await one.add(event("1", amount="4"))
    await clock.step(7 * DAY)
    await one.due.finish()
    voided = (await one.grants.void(PRINCIPAL, first.id))[0].grant
    assert (voided.id, voided.state, voided.lost) == (f"{first.id}.2", State.VOIDED, 10)
    for id_ in (voided.id, first.id):  # a repeat answers as the first did
        assert (await one.grants.void(PRINCIPAL, id_))[0].grant == voided
    for id_, reason in (("g_none", Reason.GRANT_NOT_FOUND), (single.id, Reason.GRANT_ENDED)):
        with pytest.raises(MetergateError) as error:
            await one.grants.void(PRINCIPAL, id_)
        assert error.value.reason is reason
    assert not (await one.consume(event("2"))).allowed
    await clock.step(7 * DAY)
    await one.due.finish()
    assert await listed(one, ended_too=False) == {}
    pending = await grant(one, "5", start=await one.now() + HOUR)
    assert (await one.grants.void(PRINCIPAL, pending.id))[0].grant.state is State.VOIDED
    assert (await history(one))[-1] == ("void", 0)
    assert await one.differences() == []


async def test_p1_a_repeat_gives_once(one: Process, two: Process) -> None:
    await begin(one)
    await settle([one, two])
    made = await asyncio.gather(*(grant([one, two][number % 2], "10", request_id="r") for number in range(6)))
    assert len({one.id for one in made}) == 1
    await one.add(event("1", amount="4"))
    assert (await grant(two, "10", request_id="r")).left == 6
    for other in ({"amount": "11"}, {"amount": "10", "meter": "balance"}):
        with pytest.raises(MetergateError) as error:
            await grant(one, request_id="r", **other)
        assert (error.value.reason, error.value.metadata) == (Reason.REQUEST_ID_REUSED, {"request_id": "r"})
    assert await one.differences() == []


async def test_reservations_hold_of_grants_and_leases_are_not_possible(one: Process) -> None:
    await begin(one)
    await grant(one, "10")
    answer = await one.reserve(Want("calls", Decimal(25), {}), partial=True)
    assert answer.hold is not None
    assert answer.hold.parts[0].granted == 10
    assert await left(one) == [10]
    assert not (await one.consume(event("1"))).allowed
    settled = event("2", amount="12", settles=answer.hold.id)
    await one.reservations.commit(PRINCIPAL, answer.hold.id, [settled])
    assert await left(one) == [0]
    assert (await one.check("calls")).states[0].overrun == 2
    with pytest.raises(MetergateError) as error:
        await one.acquire("calls", "1")
    assert error.value.reason is Reason.LEASE_NOT_POSSIBLE
    assert await one.differences() == []


async def test_p1_p4_a_repeat_is_the_first_decision(one: Process) -> None:
    await begin(one)
    await grant(one, "10")
    first = await one.consume(event("1", amount="4"))
    await grant(one, "90")
    await one.consume(event("2", amount="50"))
    again = await one.consume(event("1", amount="4"))
    assert (state(first).figures, state(again).figures) == (Figures(Decimal(4), granted=Decimal(10)),) * 2


async def test_p4_a_decision_is_explained_with_its_grants(one: Process) -> None:
    await begin(one)
    ending, staying = await grant(one, "10"), await grant(one, "20")
    await one.add(event("1", amount="4"))
    await over(one, ending.id)
    refused = await one.consume(event("2", amount="21"))
    after = await one.consume(event("3", amount="5"))
    content = [[GRANTED.name, KEY[1:4], [[KEY.start, KEY.end]], "", "21"]]
    for answer, burned in ((refused, 0), (after, 5)):
        figures = [str(figure) for figure in state(answer).figures[:6]]
        explained = await one.explain.explain(
            PRINCIPAL, ["acme", answer.seq, answer.at, answer.allowed, "default", [[*content[0], figures]]], 10
        )
        assert explained.confirmed
        assert explained.decision.states[0].figures == state(answer).figures
        assert explained.behind[0].grants == [(staying.id, 20, burned, 0), (ending.id, 10, 4, 6)]


async def test_p4_a_pool_has_grants_that_its_members_use_up(one: Process, two: Process) -> None:
    await begin(one)
    await one.customer("member")
    await one.terms.assign_pool(PRINCIPAL, "member", "acme")
    await settle([one, two])
    await grant(one, "10")
    assert not (await one.consume(event("1", subject="member"))).allowed  # it has none of its own
    own = Asked("member", "calls", Decimal(100), 0, None, None, None, ZERO, ZERO)
    await one.grants.create(PRINCIPAL, own, "")
    works = [[one, two][number % 2].consume(event(f"m{number}", subject="member", amount="3")) for number in range(5)]
    assert sum(answer.allowed for answer in await asyncio.gather(*works)) == 3
    assert await left(one) == [1]
    held = await one.reserve(Want("calls", Decimal(1), {}), subject="member")
    assert held.allowed
    refused = await two.consume(event("2", subject="member"))
    assert refused.decision is not None
    assert [(state.pool, state.remaining) for state in refused.decision.states] == [("", 90), ("acme", 0)]
    await grant(one, "5")
    content = [
        [GRANTED.name, ["acme", *KEY[1:4]], [[KEY.start, KEY.end]], "", "1",
         [str(figure) for figure in refused.decision.states[1].figures[:6]]]
    ]  # fmt: skip
    explained = await one.explain.explain(PRINCIPAL, ["member", refused.seq, refused.at, False, "default", content], 10)
    assert explained.confirmed
    assert [(brought, burned) for _, brought, burned, _ in explained.behind[0].grants] == [(10, 9)]
    assert (await two.consume(event("3", subject="member", amount="5"))).allowed
    assert await one.differences() == []


async def test_soft_limits_allow_beyond_grants_and_show_the_debt(one: Process) -> None:
    await begin(one, Limit("calls/grants", "calls", None, policy=Policy.SOFT, kind=Kind.GRANTS))
    await grant(one, "10")
    answer = await one.consume(event("1", amount="12"))
    assert (answer.allowed, state(answer).overrun) == (True, 2)


async def test_use_without_a_limit_on_grants_burns_with_the_next_under_one(one: Process) -> None:
    await begin(one)
    await grant(one, "10")
    await one.apply(Catalog((CALLS,), (Plan("default"),)))
    await one.add(event("1", amount="4"))
    assert await left(one) == [10]
    await one.apply(Catalog((CALLS,), (Plan("default", (GRANTED,)),)))
    assert (await one.check("calls")).states[0].remaining == 6
    assert (await one.consume(event("2"))).allowed
    assert await left(one) == [5]
    assert await one.differences() == []


async def test_grants_of_a_meter_that_nothing_limits_keep_up(one: Process, two: Process) -> None:
    """No counter of theirs is kept, since no commit would move it: it is summed up when grants are asked about."""
    limited = Limit("calls/subject", "calls", Decimal(50), scope=Scope.SUBJECT)
    await one.apply(Catalog((CALLS,), (Plan("default", (limited,)),)))
    await one.customer("acme")
    await settle([one, two])
    first = await grant(one, "10")
    await two.add(event("1", amount="4"))
    assert (await grant(two, "5")).left == 5
    assert await left(one) == [6, 5]
    await one.add(event("2", amount="4"))
    assert (await one.grants.void(PRINCIPAL, first.id))[0].grant.lost == 2
    assert await one.fetch("SELECT subject FROM usage_counter") == [("acme",)]
    await one.apply(Catalog((CALLS,), (Plan("default", (limited, GRANTED)),)))
    assert (await two.consume(event("3", amount="5"))).allowed
    assert not (await two.consume(event("4"))).allowed
    assert await one.differences() == []


async def test_other_limits_and_grants_are_decided_together(one: Process) -> None:
    lifetime = Limit("calls/lifetime", "calls", Decimal(7), kind=Kind.LIFETIME)
    await begin(one, GRANTED, lifetime)
    await grant(one, "10")
    assert (await one.consume(event("1", amount="7"))).allowed
    refused = await one.consume(event("2"))
    assert refused.decision is not None
    assert refused.decision.binding is not None
    assert refused.decision.binding.limit.name == "calls/lifetime"
    assert await left(one) == [3]
    assert await one.differences() == []


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"amount": "0"}, Reason.FIELD_INVALID, "amount"),
        ({"amount": "1", "priority": -1}, Reason.FIELD_INVALID, "priority"),
        ({"amount": "1", "end": 1}, Reason.FIELD_INVALID, "end_time"),
        ({"amount": "1", "end": -1}, Reason.FIELD_INVALID, "end_time"),
        ({"amount": "1", "rollover_max": 1}, Reason.FIELD_INVALID, "rollover_max"),
        ({"amount": "1", "recurs": Period.DAY, "rollover_min": 1}, Reason.FIELD_INVALID, "rollover_min"),
        ({"amount": "1", "recurs": Period.HOUR}, Reason.FIELD_INVALID, "recurs"),
        ({"amount": "1", "meter": "none"}, Reason.METER_NOT_FOUND, ""),
        ({"amount": "1", "meter": "balance"}, Reason.METER_CAN_SHRINK, ""),
    ],
)
async def test_p12_what_cannot_be_granted(one: Process, fields: dict[str, Any], reason: Reason, field: str) -> None:
    await begin(one)
    with pytest.raises(MetergateError) as error:
        await grant(one, **fields)
    assert (error.value.reason, error.value.field) == (reason, field)
    assert await one.fetch("SELECT count(*) FROM usage_grant WHERE tenant = $1", TENANT) == [(0,)]
    assert await left(one) == []
    assert (await one.check("calls")).states[0].figures.granted == ZERO
