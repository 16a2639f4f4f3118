"""ConsumeQuota on real Postgres and Redis: exact, once, all or nothing, and explained."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import Period
from metergate.domain.quota import Limit, Policy, Scope
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, settle

CALLS = Meter("calls", "calls", dimensions=("region",))
TOKENS = Meter("tokens", "llm", value="tokens")


def catalog(*limits: Limit) -> Catalog:
    return Catalog((CALLS, TOKENS), (Plan("default", limits),))


@pytest.fixture
async def two(start: Start, one: Process) -> Process:
    return await start()


MONTH = Limit("calls/month", "calls", Decimal(10))


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(catalog(*limits))
    await one.customer("acme")


def used(answer: Answer) -> list[Decimal]:
    assert answer.decision is not None
    return [state.figures.used for state in answer.decision.states]


async def test_p2_a_limit_is_used_to_the_unit_and_never_passed(one: Process) -> None:
    await begin(one, MONTH)
    answers = await asyncio.gather(*(one.consume(event(str(number), amount="3")) for number in range(6)))
    assert sum(answer.allowed for answer in answers) == 3
    assert (await one.consume(event("last", amount="1"))).allowed
    refused = await one.consume(event("more", amount="1"))
    assert not refused.allowed
    assert refused.decision is not None
    assert refused.decision.binding is not None
    assert refused.decision.binding.limit == MONTH
    assert used(refused) == [10]
    assert await one.differences() == []


async def test_p3_limits_are_decided_all_or_nothing(one: Process) -> None:
    eu = Limit("calls/eu", "calls", Decimal(2), Period.DAY, labels=(("region", "eu"),))
    each = Limit("calls/subject", "calls", Decimal(5), Period.HOUR, scope=Scope.SUBJECT)
    await begin(one, MONTH, eu, each)
    await one.subject("alice", "acme")
    assert (await one.consume(event("1", amount="2", labels={"region": "eu"}))).allowed
    refused = await one.consume(event("2", labels={"region": "eu"}, subject="alice"))
    assert refused.decision is not None
    assert refused.decision.binding is not None
    assert refused.decision.binding.limit.name == "calls/eu"
    assert sorted(used(refused)) == [0, 2, 2]
    assert (await one.consume(event("3", subject="alice", amount="5"))).allowed
    assert not (await one.consume(event("4", subject="alice"))).allowed
    assert sorted(await one.used("calls", "alice", {"region": "eu"})) == [2, 5, 7]
    assert await one.fetch("SELECT count(*) FROM usage_event") == [(2,)]
    assert await one.differences() == []


async def test_p3_several_events_are_one_unit(one: Process) -> None:
    await begin(one, MONTH, Limit("tokens/day", "tokens", Decimal(100), Period.DAY))
    llm = event("l1", "llm", values={"tokens": "101"})
    refused = await one.consume(event("1"), llm)
    assert refused.decision is not None
    assert refused.decision.binding is not None
    assert refused.decision.binding.limit.name == "tokens/day"
    assert await one.used("calls") == [0]
    both = await one.consume(event("1"), event("l1", "llm", values={"tokens": "100"}))
    assert used(both) == [1, 100]
    with pytest.raises(MetergateError) as error:
        await one.consume(event("1"), event("new"))
    assert error.value.reason is Reason.UNIT_PARTLY_KNOWN
    assert await one.used("calls") == [1]


async def test_p1_a_repeat_is_the_first_decision_and_counts_once(one: Process) -> None:
    await begin(one, MONTH)
    first = await one.consume(event("1", amount="4"))
    await one.consume(event("2", amount="5"))
    await one.add(event("fact", amount="7"))
    again = await one.consume(event("1", amount="4"))
    assert again.allowed
    assert [receipt.outcome.value for receipt in again.receipts] == ["duplicate"]
    assert (used(first), used(again)) == ([4], [4])
    assert (first.seq, again.seq) == (1, 1)
    with pytest.raises(MetergateError) as error:
        await one.consume(event("1", amount="5"))
    assert error.value.reason is Reason.EVENT_CONFLICT
    assert await one.used("calls") == [16]


async def test_p1_a_repeat_does_not_know_of_usage_that_was_adopted_since(start: Start) -> None:
    """It was recorded long before the decision, and waited for its customer until after it."""
    one = await start(dev=False)
    await begin(one, MONTH)
    await one.add(event("waits", subject="ghost", amount="3"))
    earlier = "- interval '20 minutes'"
    await one.fetch(f"UPDATE usage_event SET recorded_at = recorded_at {earlier}")
    first = await one.consume(event("1", amount="4"))
    await one.subject("ghost", "acme")
    again = await one.consume(event("1", amount="4"))
    assert (again.repeated, used(first), used(again)) == (True, [4], [4])
    assert await one.used("calls") == [7]


async def test_p1_the_same_unit_twice_in_one_commit(one: Process) -> None:
    await begin(one, MONTH)
    done = await one.consumes.consume(PRINCIPAL, [(event("1", amount="4"),)] * 2)
    outcomes = [answer.receipts[0].outcome.value for answer in done.answers if isinstance(answer, Answer)]
    assert outcomes == ["accepted", "duplicate"]
    assert await one.used("calls") == [4]


async def test_p2_facts_lift_above_the_limit_and_nothing_more_is_admitted(one: Process) -> None:
    await begin(one, MONTH)
    await one.add(event("fact", amount="12"))
    refused = await one.consume(event("1"))
    assert refused.decision is not None
    assert (refused.allowed, refused.decision.states[0].overrun) == (False, 2)


async def test_soft_limits_admit_and_show_the_overrun(one: Process) -> None:
    await begin(one, Limit("calls/month", "calls", Decimal(3), policy=Policy.SOFT))
    answer = await one.consume(event("1", amount="5"))
    assert answer.decision is not None
    assert (answer.allowed, answer.decision.states[0].overrun) == (True, 2)


async def test_a_limit_changed_in_the_window_holds_at_the_next_decision(one: Process, two: Process) -> None:
    await begin(one, MONTH)
    assert (await two.consume(event("1", amount="10"))).allowed
    await one.apply(catalog(Limit("calls/month", "calls", Decimal(12))))
    assert (await two.consume(event("2", amount="2"))).allowed
    await one.apply(catalog(Limit("calls/month", "calls", Decimal(5))))
    refused = await two.consume(event("3", amount="1"))
    assert refused.decision is not None
    assert (refused.allowed, refused.decision.states[0].overrun) == (False, 7)
    await settle([one, two])


async def test_p2_two_processes_never_pass_a_limit_together(one: Process, two: Process) -> None:
    await begin(one, Limit("calls/month", "calls", Decimal(57)))
    await settle([one, two])
    works = [[one, two][number % 2].consume(event(str(number), amount=str(number % 4 + 1))) for number in range(60)]
    answers = await asyncio.gather(*works)
    admitted = sum(number % 4 + 1 for number, answer in enumerate(answers) if answer.allowed)
    assert admitted <= 57
    rest = await asyncio.gather(*(one.consume(event(f"rest{number}")) for number in range(5)))
    assert admitted + sum(answer.allowed for answer in rest) == 57
    assert await two.used("calls") == [57]
    assert await one.differences() == []


@pytest.mark.parametrize(
    ("one_event", "reason"),
    [
        (event("1", subject="nobody"), Reason.SUBJECT_NOT_FOUND),
        (event("1", "unheard"), Reason.METER_NOT_FOUND),
        (event("1", amount="-1"), Reason.QUANTITY_NEGATIVE),
        (event("1", settles="r_x"), Reason.FIELD_INVALID),
        (event("1", time=0), Reason.TIME_TOO_OLD),
    ],
)
async def test_p12_what_cannot_be_consumed(one: Process, one_event: object, reason: Reason) -> None:
    await begin(one, MONTH)
    with pytest.raises(MetergateError) as error:
        await one.consume(one_event)  # type: ignore[arg-type]
    assert error.value.reason is reason
    assert await one.fetch("SELECT count(*) FROM usage_event") == [(0,)]


async def test_p1_a_refusal_is_remembered_and_a_retry_is_never_refused(one: Process, two: Process) -> None:
    await begin(one, MONTH)
    assert (await one.consume(event("1", amount="8"))).allowed
    answers = [await one.consume(event(str(number), amount="3")) for number in range(2, 5)]
    decisions = [answer.decision for answer in answers if answer.decision]
    assert [decision.answered_by for decision in decisions] == ["ledger", "memory", "memory"]
    assert [decision.allowed for decision in decisions] == [False] * 3
    again = await one.consume(event("1", amount="8"))
    assert again.receipts[0].outcome.value == "duplicate"
    held = await two.consume(event("5", amount="2"))
    assert held.allowed
    refused = await one.consume(event("6", amount="3"))
    assert refused.decision is not None
    assert (refused.decision.answered_by, used(refused)) == ("ledger", [10])
    await two.apply(catalog(Limit("calls/month", "calls", Decimal(13))))
    assert (await one.consume(event("7", amount="3"))).allowed
