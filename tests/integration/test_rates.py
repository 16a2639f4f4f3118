"""Rates on real Postgres and Redis: facts take from them, a change of a rate forgives nothing, and shadows say so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from metergate.adapters.postgres.ledger import PostgresCommit
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import Decision, LimitState
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.domain.work import Want
from metergate.rpc.quota.verdict import _content
from tests.integration.processes import PRINCIPAL, Process, Start, event, heard
from tests.integration.quota_clock import StepClock

CALLS = Meter("calls", "calls", dimensions=("region",))
# So slow that nothing comes back while a test runs on a busy machine: a unit takes almost three hours.
SLOW = Limit("rate", "calls", Decimal(60), kind=Kind.RATE, length=7 * DAY, burst=Decimal(10))


@pytest.fixture
async def clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> StepClock:
    made = StepClock(postgres_url, monkeypatch)
    await made.install()
    return made


@pytest.fixture
async def one(clock: StepClock, start: Start) -> Process:
    return await start()


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits or (SLOW,)),)))
    await one.customer("acme")


def state(answer: Answer | Decision) -> LimitState:
    decision = answer.decision if isinstance(answer, Answer) else answer
    assert decision is not None
    return decision.states[0]


async def left(*processes: Process, subject: str = "acme") -> int:
    """What is left of the first limit, in whole units, as each says by the view or the ledger, and listed; below zero
    where it is in debt."""
    await heard()
    found = set()
    for process in processes:
        listed = (await process.limits.list(PRINCIPAL, subject, [])).states[0]
        for one in (state(await process.check("calls", "0", subject)), listed):
            assert one.remaining is not None
            found.add(round(one.remaining - one.overrun))
    assert len(found) == 1, found
    return found.pop()


AT_ONCE = Limit("at-once", "calls", Decimal(10), kind=Kind.CONCURRENCY, shadow=True)


# --- facts ----------------------------------------------------------------------------------------------------------


async def test_p2_facts_take_from_a_rate_and_may_leave_it_in_debt(
    clock: StepClock, one: Process, start: Start, tmp_path: Path
) -> None:
    mute = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    await begin(one)
    await one.add(event("1", amount="4"), event("2", amount="3"))
    assert await left(one, mute) == 3
    refused = await one.consume(event("3", amount="4"))
    assert (refused.allowed, round(state(refused).would_fit or 0)) == (False, 3)
    assert (await one.consume(event("4", amount="2.9"))).allowed
    await one.add(event("5", amount="20"))
    assert await left(one, mute) == -20
    assert not (await one.consume(event("6", amount="0.1"))).allowed
    await clock.step(2 * DAY)  # in which 17 come back
    assert not (await mute.consume(event("7", amount="0.1"))).allowed
    await clock.step(DAY)
    assert (await one.consume(event("8", amount="4"))).allowed
    assert await one.differences() == []


async def test_p2_facts_of_a_commit_come_before_what_it_admits(one: Process) -> None:
    await begin(one)
    await one.add(event("1"))
    held = await one.reserve(Want("calls", Decimal(5), {}))
    assert held.hold is not None
    answer = (await one.reservations.commit(PRINCIPAL, held.hold.id, [event("2", amount="7", settles=held.hold.id)]))[0]
    assert round(state(answer).remaining or 0) == 2  # what was held was taken then, the other 2 are taken now
    assert await left(one) == 2


async def test_a_fact_takes_by_the_time_by_which_it_counts(one: Process) -> None:
    await begin(one)
    now = await one.now()
    await one.add(event("old", amount="1000", time=now - 8 * DAY))  # more than a period ago
    assert await left(one) == 10
    await one.add(event("2", amount="10", time=now - 7 * HOUR))  # of which 2.5 have come back
    assert await left(one) == 2 or await left(one) == 3
    await one.add(event("3", time=now - 20 * HOUR))  # out of order: it errs towards refusing
    assert await left(one) <= 2
    assert await one.differences() == []


async def test_facts_take_from_the_rate_that_they_match(one: Process) -> None:
    each = replace(SLOW, scope=Scope.SUBJECT, per_labels=("region",))
    await begin(one, each, replace(SLOW, name="soft", policy=Policy.SOFT, length=5 * DAY, labels=(("region", "eu"),)))
    await one.subject("alice", "acme")
    for number, (subject, region) in enumerate((("acme", "eu"), ("acme", "eu"), ("alice", "eu"), ("alice", "us"))):
        await one.add(event(f"e{number}", subject=subject, labels={"region": region}, amount="3"))
    rows = await one.fetch("SELECT subject, filter, start_at, used, tat <> 0 FROM usage_counter ORDER BY 1, 2")
    expected = {("", "eu", 9), ("acme", "eu", 6), ("alice", "eu", 3), ("alice", "us", 3)}
    assert {(row[0], "eu" if "eu" in row[1] else "us", int(row[3])) for row in rows} == expected
    assert all(row[4] for row in rows)
    fit = {}
    for subject, region in (("acme", "eu"), ("alice", "us"), ("alice", "eu")):
        states = (await one.check("calls", "0", subject, {"region": region})).states
        fit[subject, region] = [round(found.remaining or 0) for found in states]
    assert fit == {("acme", "eu"): [4, 1], ("alice", "us"): [7], ("alice", "eu"): [7, 1]}


async def test_without_a_rate_on_the_meter_facts_cost_no_further_statement(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    write = PostgresCommit.write

    async def watch(self: PostgresCommit, *arguments: object) -> None:
        fetchval = self._connection.fetchval

        async def told(statement: str, *parameters: object) -> object:
            statements.append(statement)
            return await fetchval(statement, *parameters)

        self._connection = type("Watched", (), {"fetchval": staticmethod(told)})()
        await write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresCommit, "write", watch)
    await begin(one, replace(SLOW, kind=Kind.LIFETIME, length=0, burst=None))
    await one.add(event("1"))
    assert len(statements) == 1
    await begin(one)
    await one.add(event("2"))
    assert len(statements) == 3


# --- a change of a rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (replace(SLOW, length=14 * DAY, max=Decimal(120)), 4),  # the same pace
        (replace(SLOW, length=HOUR, max=Decimal(1), burst=Decimal(100)), 94),  # faster
        (replace(SLOW, length=DAY), 4),
        (replace(SLOW, length=70 * DAY), 4),  # slower
        (replace(SLOW, length=70 * DAY, burst=Decimal(2)), 0),  # whose bucket is empty at worst
        (replace(SLOW, max=Decimal(6)), 4),
        (replace(SLOW, max=Decimal(600)), 4),
        (replace(SLOW, burst=Decimal(30)), 24),
        (replace(SLOW, burst=Decimal(5)), -1),
    ],
)
async def test_p2_a_changed_rate_goes_on_with_what_was_taken(
    one: Process, start: Start, tmp_path: Path, after: Limit, expected: int
) -> None:
    mute = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    await begin(one)
    assert (await one.consume(event("1", amount="6"))).allowed
    await begin(one, after)
    mute.directory.forget_all()
    assert await left(one, mute) == expected  # before anything was written under the new one
    await one.consume(event("2", amount="0"))
    assert await left(one, mute) == expected
    admitted = max(Decimal(expected) - Decimal("0.1"), Decimal(0))
    assert (await one.consume(event("3", amount=str(admitted)))).allowed
    assert not (await one.consume(event("4", amount="0.5"))).allowed
    if expected > 0:
        assert await left(one, mute) == 0


async def test_facts_go_on_from_a_changed_rate_too(one: Process) -> None:
    await begin(one)
    await one.add(event("1", amount="6"))
    await begin(one, replace(SLOW, length=DAY))
    await one.add(event("2", amount="3"))
    assert await left(one) == 1


async def test_an_upgraded_customer_waits_no_longer(one: Process) -> None:
    """What takes a day to come back at one a day is there in a moment at a thousand a second."""
    day, fast = replace(SLOW, max=Decimal(1), length=DAY, burst=None), replace(SLOW, length=1_000_000, burst=None)
    await one.apply(Catalog((CALLS,), (Plan("default", (day,)), Plan("pro", (fast,)))))
    await one.customer("acme")
    assert (await one.consume(event("1"))).allowed
    assert not (await one.consume(event("2"))).allowed
    await one.assign("acme", "pro")
    assert (await one.consume(event("3", amount="50"))).allowed


async def test_a_rate_of_another_scope_begins_anew(one: Process) -> None:
    await begin(one)
    await one.add(event("1", amount="6"))
    await begin(one, replace(SLOW, length=DAY, scope=Scope.SUBJECT))
    assert await left(one) == 10
    await one.add(event("2"))
    assert await left(one) == 9


# --- what answers say -----------------------------------------------------------------------------------------------


async def test_a_shadow_says_that_it_would_have_refused_what_it_let_pass(one: Process) -> None:
    await begin(one, replace(SLOW, shadow=True), AT_ONCE)
    said = []
    for number, amount in enumerate(("6", "5", "4", "100")):
        answer = await one.consume(event(f"e{number}", amount=amount))
        assert answer.allowed
        assert answer.decision is not None
        said.append({found.limit.name for found in answer.decision.states if found.would_refuse})
        done = await one.explain.explain(PRINCIPAL, _content(answer, answer.decision), 10)
        assert {found.limit.name for found in done.decision.states if found.would_refuse} == said[-1]
    # 5 of 4 that were left would have been refused, and took nothing.
    assert said == [set(), {"rate"}, set(), {"rate", "at-once"}]
    held = await one.reserve(Want("calls", Decimal(3), {}))
    assert held.decision is not None
    assert [found.limit.name for found in held.decision.states if found.would_refuse] == ["rate"]


async def test_a_repeat_does_not_say_what_nothing_tells(one: Process) -> None:
    await begin(one, SLOW, replace(SLOW, name="ever", kind=Kind.LIFETIME, length=0, burst=None))
    await one.consume(event("1", amount="6"))
    await one.consume(event("2"))
    again = await one.consume(event("1", amount="6"))
    assert again.decision is not None
    assert {found.limit.name: (found.unknown, found.remaining) for found in again.decision.states} == {
        "rate": (True, None), "ever": (False, 54),
    }  # fmt: skip
    done = await one.explain.explain(PRINCIPAL, _content(again, again.decision), 10)
    assert done.confirmed
    assert {found.limit.name for found in done.decision.states if found.unknown} == {"rate"}


async def test_a_debt_of_facts_is_paid_off_at_the_rates_pace(clock: StepClock, one: Process) -> None:
    await begin(one, replace(SLOW, max=Decimal(60), length=HOUR, burst=Decimal(1)))
    await one.add(event("1", amount="31"))
    await clock.step(29 * MINUTE)
    refused = await one.consume(event("2"))
    assert not refused.allowed
    assert refused.decision is not None
    assert refused.decision.retry_after is not None
    assert MINUTE < refused.decision.retry_after <= 2 * MINUTE
    await clock.step(2 * MINUTE)
    assert (await one.consume(event("3"))).allowed
