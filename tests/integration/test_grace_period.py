"""Grace for a stated time: it begins with the commit in which a limit is first reached in its window, for everybody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metergate.adapters.postgres.ledger import PostgresCommit
from metergate.app.customer.terms import ChangeTerms
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import AnsweredBy, Decision, LimitState
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.domain.work import Want
from metergate.rpc.quota.verdict import _content
from tests.integration.processes import PRINCIPAL, Process, Start, event, heard, settle
from tests.integration.quota_clock import StepClock

CALLS = Meter("calls", "calls", dimensions=("region",))
# A window that does not end while a test runs, whatever the hour.
LIMIT = Limit("calls", "calls", Decimal(10), kind=Kind.LIFETIME, policy=Policy.GRACE, grace_period=HOUR)


@pytest.fixture
async def clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> StepClock:
    made = StepClock(postgres_url, monkeypatch)
    await made.install()
    return made


@pytest.fixture
async def one(clock: StepClock, start: Start) -> Process:
    return await start()


@pytest.fixture
async def mute(clock: StepClock, start: Start, tmp_path: Path) -> Process:
    """A process without Redis."""
    return await start(redis=f"unix://{tmp_path}/nobody?db=0")


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits or (LIMIT,)),)))
    await one.customer("acme")


def state(decision: Decision | None) -> LimitState:
    assert decision is not None
    return decision.states[0]


async def took(one: Process, id: str, amount: str = "1", **fields: Any) -> tuple[bool, int | None]:
    """Whether it was admitted, and when the grace ends."""
    answer = await one.consume(event(id, amount=amount, **fields))
    return answer.allowed, state(answer.decision).grace_ends_at


async def reached_at(one: Process) -> int:
    ((at,),) = await one.fetch("SELECT recorded_at FROM limit_event WHERE threshold = 100")
    return int(at)


async def ends(*processes: Process) -> set[tuple[bool, int | None]]:
    """What each of them says, by the view or the ledger, and listed."""
    await heard()
    found = set()
    for process in processes:
        checked = await process.check("calls")
        listed = (await process.limits.list(PRINCIPAL, "acme", [])).states[0]
        assert state(checked).grace_ends_at == listed.grace_ends_at
        found.add((checked.allowed, listed.grace_ends_at))
    return found


async def test_p2_it_allows_any_overrun_until_its_time_is_over(
    clock: StepClock, one: Process, start: Start, mute: Process
) -> None:
    other = await start()
    await begin(one)
    assert await took(one, "1", "9") == (True, None)
    assert await ends(one, other, mute) == {(True, None)}
    allowed, until = await took(other, "2", "6")
    assert (allowed, until) == (True, await reached_at(one) + HOUR)
    assert await ends(one, other, mute) == {(True, until)}
    assert await took(mute, "3", "100") == (True, until)
    await clock.step(HOUR - 10 * SECOND)
    assert await took(one, "4") == (True, until)
    await clock.step(20 * SECOND)
    assert await took(other, "5") == (False, until)
    assert await took(mute, "6") == (False, until)
    assert await ends(one, other, mute) == {(False, until)}
    await one.add(event("7"))  # facts are facts
    assert await one.used("calls") == [117]
    assert [fired.threshold for fired in await one.fired()] == [100]
    assert await one.differences() == []


async def test_the_view_says_that_a_grace_is_over_without_being_told(clock: StepClock, one: Process) -> None:
    await begin(one, replace(LIMIT, grace_period=10 * MINUTE))
    await one.add(event("1", amount="10"))
    first = await one.check("calls")
    assert (first.allowed, first.answered_by) == (True, AnsweredBy.VIEW)
    await clock.step(10 * MINUTE)
    second = await one.check("calls")
    assert (second.allowed, second.answered_by) == (False, AnsweredBy.VIEW)


async def test_p2_of_two_bounds_each_holds(clock: StepClock, one: Process) -> None:
    await begin(one, replace(LIMIT, grace=Decimal(5)))
    assert await took(one, "1", "16") == (False, None)
    allowed, until = await took(one, "2", "12")
    assert allowed
    assert until is not None
    assert not (await took(one, "3", "4"))[0]
    assert (await took(one, "4", "3"))[0]
    await clock.step(HOUR)
    assert not (await took(one, "5"))[0]


async def test_p2_reservations_and_leases_have_the_same_grace(clock: StepClock, one: Process) -> None:
    await begin(one, replace(LIMIT, kind=Kind.FIXED, length=30 * DAY))
    held = await one.reserve(Want("calls", Decimal(12), {}))
    assert (held.allowed, state(held.decision).grace_ends_at) == (True, await reached_at(one) + HOUR)
    assert (await one.acquire("calls", "5")).allowed
    await clock.step(HOUR)
    assert not (await one.reserve(Want("calls", Decimal(1), {}))).allowed
    assert not (await one.acquire("calls", "5")).allowed


async def test_p2_it_begins_once_from_two_processes(one: Process, start: Start) -> None:
    other = await start()
    await begin(
        one, LIMIT, replace(LIMIT, name="later", max=Decimal(30)), replace(LIMIT, name="never", max=Decimal(99))
    )
    answers = await asyncio.gather(*((one, other)[number % 2].consume(event(f"e{number}")) for number in range(40)))
    assert all(answer.allowed for answer in answers)
    fired = {(told.limit, told.threshold): told for told in await one.fired()}
    assert set(fired) == {("calls", 100), ("later", 100)}
    await heard()
    for process in (one, other):
        found = {one.limit.name: one.grace_ends_at for one in (await process.check("calls")).states}
        assert found == {
            "calls": fired["calls", 100].recorded_at + HOUR, "later": fired["later", 100].recorded_at + HOUR,
            "never": None,
        }  # fmt: skip


async def test_each_counter_has_a_grace_of_its_own(clock: StepClock, one: Process) -> None:
    each = replace(LIMIT, scope=Scope.SUBJECT, per_labels=("region",))
    await begin(one, each)
    await one.subject("alice", "acme")
    eu, us = {"labels": {"region": "eu"}}, {"labels": {"region": "us"}}
    first = await took(one, "1", "10", **eu)
    await clock.step(HOUR)
    assert await took(one, "2", **eu) == (False, first[1])
    assert (await took(one, "3", "11", **us))[0]
    assert (await took(one, "4", "11", subject="alice", **eu))[0]


async def test_a_raised_limit_admits_up_to_itself_and_the_time_runs_on(clock: StepClock, one: Process) -> None:
    await begin(one)
    until = (await took(one, "1", "12"))[1]
    await begin(one, replace(LIMIT, max=Decimal(20)))
    await clock.step(HOUR - MINUTE)
    assert await took(one, "2", "9") == (True, until)  # past 20, with a minute left
    await clock.step(2 * MINUTE)
    await one.override("calls", "30")
    assert await took(one, "3", "9") == (True, until)
    assert await took(one, "4") == (False, until)
    await one.override("calls", None)
    assert (await took(one, "5", "1000"))[0]
    assert len(await one.fired()) == 1


async def test_a_lowered_limit_begins_its_grace_with_the_next_change(clock: StepClock, one: Process) -> None:
    await begin(one, replace(LIMIT, max=Decimal(100)))
    assert await took(one, "1", "50") == (True, None)
    await begin(one)
    assert await ends(one) == {(True, None)}
    await clock.step(2 * HOUR)
    allowed, until = await took(one, "2")
    assert (allowed, until) == (True, await reached_at(one) + HOUR)
    await clock.step(HOUR)
    assert await took(one, "3") == (False, until)


async def test_what_fired_before_there_was_a_grace_is_its_beginning(clock: StepClock, one: Process) -> None:
    hard = replace(LIMIT, policy=Policy.HARD, grace_period=None, thresholds=(100,))
    await begin(one, hard)
    assert await took(one, "1", "10") == (True, None)
    assert not (await took(one, "2"))[0]
    await clock.step(HOUR // 2)
    await begin(one)
    allowed, until = await took(one, "3")
    assert (allowed, until) == (True, await reached_at(one) + HOUR)
    await clock.step(HOUR // 2)
    assert await took(one, "4") == (False, until)


async def test_a_plan_that_is_changed_takes_its_grace_along(clock: StepClock, one: Process, mute: Process) -> None:
    """The name is the limit: whoever comes back to a plan finds the time that is left."""
    other = replace(LIMIT, policy=Policy.SOFT, grace_period=None)
    await one.apply(Catalog((CALLS,), (Plan("default", (LIMIT,)), Plan("soft", (other,)))))
    await one.customer("acme")
    until = (await took(one, "1", "11"))[1]
    await one.assign("acme", "soft")
    assert (await took(one, "2"))[0]
    await clock.step(HOUR)
    await one.assign("acme", "")
    await settle([one, mute])
    assert await ends(one, mute) == {(False, until)}


async def test_p2_the_pools_grace_is_its_own(clock: StepClock, one: Process) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default"), Plan("shared", (LIMIT,)))))
    await one.customer("g", "shared")
    for name in "ab":
        await one.customer(name)
        await ChangeTerms(one.customers._customers, one.directory, one.catch_up).assign_pool(PRINCIPAL, name, "g")
    first = await one.consume(event("1", subject="a", amount="8"))
    second = await one.consume(event("2", subject="b", amount="8"))
    assert (first.allowed, second.allowed) == (True, True)
    assert (state(second.decision).pool, state(second.decision).grace_ends_at) == ("g", await reached_at(one) + HOUR)
    await clock.step(HOUR)
    assert not (await one.consume(event("3", subject="a"))).allowed
    assert not (await one.check("calls", subject="b")).allowed


async def explained(one: Process, answer: Answer) -> Decision:
    assert answer.decision is not None
    done = await one.explain.explain(PRINCIPAL, _content(answer, answer.decision), 10)
    assert done.confirmed
    return done.decision


async def test_p4_decisions_are_explained_with_the_grace_of_then(clock: StepClock, one: Process) -> None:
    await begin(one)
    before, reaching = await one.consume(event("1", amount="9")), await one.consume(event("2"))
    over = await one.consume(event("3", amount="7"))
    await clock.step(HOUR)
    refused = await one.consume(event("4"))
    until = await reached_at(one) + HOUR
    for answer, end in ((before, None), (reaching, until), (over, until), (refused, until)):
        found = await explained(one, answer)
        assert state(found) == state(answer.decision)
        assert (found.allowed, state(found).grace_ends_at) == (answer.allowed, end)


async def test_a_repeat_hears_of_the_grace_of_then(one: Process) -> None:
    await begin(one)
    first = [await took(one, "1", "9"), await took(one, "2", "2")]
    assert [await took(one, "1", "9"), await took(one, "2", "2")] == first


async def test_without_a_grace_of_time_nothing_is_asked(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("it was asked when limits were reached")

    monkeypatch.setattr(PostgresCommit, "reached", never)
    monkeypatch.setattr(type(one.ledger), "reached", never)
    await begin(one, replace(LIMIT, grace=Decimal(5), grace_period=None, thresholds=(100,)))
    await one.add(event("1", amount="11"))
    assert (await took(one, "2"))[0]
    assert (await one.check("calls")).allowed
