"""Pools: customers who share another one's limits beside their own, on real Postgres and Redis."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from metergate.app.customer.terms import ChangeTerms
from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import MINUTE, Period
from metergate.domain.quota import Limit
from metergate.domain.work import Want
from metergate.rpc.quota.verdict import _content
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, heard

CALLS = Meter("calls", "calls")
OWN = Limit("calls/month", "calls", Decimal(60))
SHARED = Limit("calls/month", "calls", Decimal(100))
SHARED_MINUTE = Limit("calls/minute", "calls", Decimal(90), Period.MINUTE)


async def begin(one: Process, *shared: Limit) -> None:
    """Customers a and b in the pool g, whose plan is "shared"; c is in none."""
    plans = Plan("default", (OWN,)), Plan("shared", shared or (SHARED,))
    await one.apply(Catalog((CALLS,), plans))
    await one.customer("g", "shared")
    for name in "abc":
        await one.customer(name)
    for name in "ab":
        await join(one, name, "g")


async def join(one: Process, customer: str, pool: str) -> None:
    terms = ChangeTerms(one.customers._customers, one.directory, one.catch_up)
    await terms.assign_pool(PRINCIPAL, customer, pool)


async def consume(one: Process, id: str, customer: str, amount: int) -> Answer:
    return await one.consume(event(id, subject=customer, amount=str(amount)))


async def used(one: Process) -> dict[str, int]:
    rows = await one.fetch("SELECT customer, used FROM usage_counter WHERE end_at - start_at > '1 hour'")
    return {customer: int(figure) for customer, figure in rows}


def binding(answer: Answer) -> tuple[str, str]:
    assert answer.decision is not None
    assert answer.decision.binding is not None
    return answer.decision.binding.pool, answer.decision.binding.limit.name


async def test_p2_members_never_pass_their_own_limit_nor_the_pools(one: Process) -> None:
    await begin(one)
    assert (await consume(one, "1", "a", 60)).allowed
    assert binding(await consume(one, "2", "a", 1)) == ("", "calls/month")
    assert binding(await consume(one, "3", "b", 41)) == ("g", "calls/month")
    assert (await consume(one, "4", "b", 40)).allowed
    assert (await consume(one, "5", "c", 60)).allowed
    assert await used(one) == {"a": 60, "b": 40, "c": 60, "g": 100}
    await heard()
    assert sorted(await one.used("calls", "b")) == [40, 100]
    assert await one.differences() == []


async def test_p2_two_processes_fill_a_pool_to_the_unit(one: Process, start: Start) -> None:
    two = await start()
    await begin(one)
    works = [consume([one, two][n % 2], str(n), "ab"[n // 2 % 2], n % 3 + 1) for n in range(80)]
    answers = await asyncio.gather(*works)
    admitted = sum(n % 3 + 1 for n, answer in enumerate(answers) if answer.allowed)
    rest = await asyncio.gather(*(consume(two, f"r{n}", "ab"[n % 2], 1) for n in range(8)))
    assert admitted + sum(answer.allowed for answer in rest) == 100
    assert (await used(one))["g"] == 100
    assert await one.differences() == []


async def test_facts_holds_and_leases_count_in_the_pool(one: Process) -> None:
    await begin(one)
    await one.add(event("1", subject="a", amount="10"), event("2", subject="g", amount="5"))
    held = await one.reserve(Want("calls", Decimal(20), {}), subject="b")
    leased = await one.acquire("calls", "2", subject="a")
    assert held.hold is not None
    assert leased.hold is not None
    figures = await one.fetch("SELECT used::int, reserved::int, leased::int FROM usage_counter WHERE customer = 'g'")
    assert figures == [(15, 20, 2)]
    assert not (await consume(one, "3", "b", 64)).allowed
    await one.reservations.commit(PRINCIPAL, held.hold.id, [event("4", subject="b", amount="7", settles=held.hold.id)])
    await one.add(event("5", subject="a", amount="2", settles=leased.hold.id))
    await one.sync(Report(leased.hold.id, Decimal(2), close=True))
    figures = await one.fetch("SELECT used::int, reserved::int, leased::int FROM usage_counter WHERE customer = 'g'")
    assert figures == [(24, 0, 0)]
    assert await one.differences() == []


async def test_a_pools_counter_is_born_with_its_members_usage(one: Process) -> None:
    await begin(one)
    await one.add(event("1", subject="a", amount="10"), event("2", subject="c", amount="1"))
    await one.reserve(Want("calls", Decimal(20), {}), subject="b")
    await one.apply(Catalog((CALLS,), (Plan("default", (OWN,)), Plan("shared", (SHARED, SHARED_MINUTE)))))
    refused = await consume(one, "3", "b", 35)
    assert refused.allowed
    assert await one.differences() == []
    summary = await one.summarize("calls", customer="g")
    assert [series.total for series in summary.series] == [45]


async def test_p1_a_repeat_hears_the_first_decision(one: Process) -> None:
    await begin(one)
    first = await consume(one, "1", "a", 10)
    await consume(one, "2", "b", 5)
    again = await consume(one, "1", "a", 10)
    for answer in (first, again):
        assert answer.decision is not None
        assert [state.figures.used for state in answer.decision.states] == [10, 10]


async def test_who_leaves_counts_no_more_and_what_counted_stays(one: Process) -> None:
    await begin(one)
    await consume(one, "1", "a", 10)
    await join(one, "a", "")
    await consume(one, "2", "a", 10)
    assert await used(one) == {"a": 20, "g": 10}
    limits = await one.limits.list(PRINCIPAL, "b", ["calls"])
    assert [(state.pool, state.figures.used) for state in limits.states] == [("", 0), ("g", 10)]
    assert await one.differences() == []


async def test_p12_pools_that_cannot_be(one: Process) -> None:
    await begin(one)
    held = await one.reserve(Want("calls", Decimal(2), {}), subject="a", ttl=MINUTE)
    for customer, pool, reason in [
        ("c", "c", Reason.POOL_NOT_POSSIBLE),
        ("g", "c", Reason.POOL_NOT_POSSIBLE),
        ("c", "a", Reason.POOL_NOT_POSSIBLE),
        ("a", "", Reason.POOL_NOT_POSSIBLE),
        ("c", "none", Reason.CUSTOMER_NOT_FOUND),
        ("none", "g", Reason.CUSTOMER_NOT_FOUND),
    ]:
        with pytest.raises(MetergateError) as error:
            await join(one, customer, pool)
        assert error.value.reason is reason, (customer, pool)
    assert held.hold is not None
    await one.reservations.release(PRINCIPAL, held.hold.id)
    await join(one, "a", "")


async def test_a_new_meter_counts_the_pools_old_events_too(one: Process) -> None:
    await begin(one)
    await one.add(event("1", "jobs", subject="a", amount="3"))
    jobs = Meter("jobs", "jobs")
    await one.apply(
        Catalog((CALLS, jobs), (Plan("default", (OWN,)), Plan("shared", (Limit("j", "jobs", Decimal(5)),))))
    )
    assert binding(await one.consume(event("2", "jobs", subject="b", amount="3"))) == ("g", "j")
    assert (await one.consume(event("3", "jobs", subject="b", amount="2"))).allowed
    assert await one.differences() == []


async def test_p4_what_a_pool_uses_itself_is_explained_with_what_its_members_used(one: Process) -> None:
    """Whose events have an order of their own, far behind the pool's."""
    await begin(one)
    for number in range(4):
        await consume(one, f"b{number}", "b", 1)
    first = await consume(one, "g", "g", 5)
    await consume(one, "late", "a", 7)
    again = await consume(one, "g", "g", 5)
    assert first.decision is not None
    assert again.decision is not None
    assert first.decision.states[0].figures.used == again.decision.states[0].figures.used == 9
    explained = await one.explain.explain(PRINCIPAL, _content(first, first.decision), 10)
    assert (explained.confirmed, explained.behind[0].count) == (True, 5)
