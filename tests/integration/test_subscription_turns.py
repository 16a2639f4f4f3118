"""What was arranged for later takes effect in its time, by many servers, whoever changes what meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from metergate.app.billing.subscribe import Changed, Wanted
from metergate.domain import billing_period, period, plan_terms, subscription
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import DAY, HOUR, SECOND
from metergate.domain.subscription import Mode, State
from tests.integration.processes import PRINCIPAL, Process, Start
from tests.integration.quota_clock import StepClock
from tests.integration.subscribing import (
    CATALOG,
    customer,
    items,
    plan,
    refused,
    subscribe,
    turns,
    used,
    verbs,
)


@pytest.fixture
async def clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> StepClock:
    made = StepClock(postgres_url, monkeypatch)
    await made.install()
    return made


@pytest.fixture
async def timed(clock: StepClock, start: Start) -> Process:
    """The same, by a clock that tests may set."""
    one = await start()
    await one.apply(CATALOG)
    await one.customer("acme")
    return one


async def test_a_trial_is_followed_by_what_is_paid_or_by_nothing(timed: Process, clock: StepClock) -> None:
    await timed.customer("other")
    paid = await subscribe(timed, "tried")
    now = await timed.now()
    assert paid.anchor == period.days_after(paid.segments[0].start, 14, "UTC")
    ending = await subscribe(timed, "pro", customer="other", trial_end=now + HOUR + 5 * SECOND, trial_then_cancel=True)
    assert subscription.state_at(ending, now) is State.TRIALING
    assert await used(timed, 100, "other")
    await clock.step(2 * HOUR)
    await turns(timed).work()
    assert await plan(timed, "other") == ""
    assert await plan(timed) == "tried@1"
    assert not await used(timed, 1, "other")
    assert subscription.state_at(await verbs(timed).get(PRINCIPAL, ending.id), await timed.now()) is State.CANCELED
    activated = await verbs(timed).activate(PRINCIPAL, paid.id)
    assert subscription.state_at(activated, await timed.now()) is State.ACTIVE
    assert await refused(verbs(timed).activate(PRINCIPAL, paid.id)) is Reason.SUBSCRIPTION_STATE
    assert await timed.fetch("SELECT turns_at FROM subscription WHERE turns_at IS NOT NULL") == []


async def test_a_change_at_the_end_of_the_period_and_its_undoing(timed: Process, clock: StepClock) -> None:
    now = await timed.now()
    made = await subscribe(timed, "team", currency="USD", start=now - 27 * DAY)
    end = period.anchored_months(1, "UTC", made.anchor, now).end
    down = await verbs(timed).change(PRINCIPAL, made.id, Changed(items("pro"), at_period_end=True))
    assert [(one.start, one.items[0].plan) for one in down.segments] == [(made.anchor, "team"), (end, "pro")]
    assert await timed.fetch("SELECT turns_at FROM subscription") == [(end,)]
    assert await verbs(timed).undo(PRINCIPAL, made.id) == made
    assert await timed.fetch("SELECT turns_at FROM subscription") == [(None,)]
    assert await refused(verbs(timed).undo(PRINCIPAL, made.id)) is Reason.SUBSCRIPTION_STATE
    await verbs(timed).change(PRINCIPAL, made.id, Changed(items("pro"), at_period_end=True))
    await turns(timed).work()
    assert await plan(timed) == "team@1"
    await clock.step(end - now + SECOND)
    await turns(timed).work()
    assert await plan(timed) == "pro@1"
    canceled = await verbs(timed).cancel(PRINCIPAL, made.id, at_period_end=True)
    assert canceled.segments[-1].end == period.anchored_months(1, "UTC", made.anchor, await timed.now()).end
    assert await plan(timed) == "pro@1"


async def test_p2_a_plan_is_assigned_by_hand_only_where_no_subscription_holds(timed: Process, clock: StepClock) -> None:
    await timed.assign("acme", "gift")
    made = await subscribe(timed, "pro", start=await timed.now() + HOUR)
    assert await plan(timed) == "gift"
    await timed.assign("acme", "default")
    await timed.assign("acme", "gift")
    await clock.step(HOUR + SECOND)
    assert await refused(timed.terms.assign_plan(PRINCIPAL, "acme", "gift")) is Reason.PLAN_FROM_SUBSCRIPTION
    await turns(timed).work()
    assert await plan(timed) == "pro@1"
    assert (await timed.fetch("SELECT anchor_at FROM customer_head WHERE customer = 'acme'")) == [(made.anchor,)]
    await verbs(timed).cancel(PRINCIPAL, made.id, at_period_end=False)
    assert await plan(timed) == ""
    await timed.assign("acme", "gift")
    assert await plan(timed) == "gift"


async def test_p2_many_servers_turn_each_subscription_once_beside_usage(
    timed: Process, start: Start, clock: StepClock
) -> None:
    servers = [timed, await start(), await start()]
    names = [f"c{number:02}" for number in range(30)]
    end = await timed.now() + HOUR
    for name in names:
        await timed.customer(name)
        await subscribe(timed, "pro", customer=name, trial_end=end, trial_then_cancel=True)
    before = dict(await timed.fetch("SELECT customer, seq FROM customer_head"))
    await clock.step(HOUR + SECOND)

    async def busy(one: Process) -> int:
        """Commits that raised a head's seq: admitted ones."""
        return sum([await used(one, 1, names[number % 5]) for number in range(15)])

    done = await asyncio.gather(*[turns(one).work() for one in servers], *[busy(one) for one in servers])
    for one in servers:
        await turns(one).work()
    after = dict(await timed.fetch("SELECT customer, seq FROM customer_head"))
    assert {await plan(timed, name) for name in names} == {""}
    assert sum(after[name] - before[name] for name in names) == len(names) + sum(one or 0 for one in done)
    assert await timed.fetch("SELECT FROM subscription WHERE turns_at IS NOT NULL") == []
    assert await timed.differences() == []


async def test_a_held_head_delays_only_its_own_turn(timed: Process, clock: StepClock) -> None:
    end = await timed.now() + HOUR
    await timed.customer("held")
    for name in ("acme", "held"):
        await subscribe(timed, "pro", customer=name, trial_end=end, trial_then_cancel=True)
    await clock.step(HOUR + SECOND)
    async with timed.pool.acquire() as connection, connection.transaction():
        await connection.fetch("SELECT FROM customer_head WHERE customer = 'held' FOR UPDATE")
        work = asyncio.create_task(turns(timed).work())
        while await plan(timed) != "":  # noqa: ASYNC110 - what another transaction does is seen by looking
            await asyncio.sleep(0.01)
        assert await plan(timed, "held") == "pro@1"
    await work
    assert await plan(timed, "held") == ""


async def test_p2_heads_say_what_subscriptions_are_whoever_changes_them_at_once(
    timed: Process, start: Start, clock: StepClock, rng: random.Random
) -> None:
    servers = [timed, await start(), await start()]
    names = ["acme", await customer(timed, "b"), await customer(timed, "c")]

    async def act(one: Process) -> None:
        mine, verb = await verbs(one).list(PRINCIPAL, rng.choice(names), "", 9), verbs(one)
        later, plans = rng.random() < 0.5, items(*rng.choice([("pro",), ("tried", "seats"), ("pro", "seats")]))
        id_ = rng.choice(mine).id if mine else ""
        acts: list[Callable[[], Awaitable[Any]]] = [
            lambda: verb.change(PRINCIPAL, id_, Changed(plans, at_period_end=later)),
            lambda: verb.cancel(PRINCIPAL, id_, later), lambda: verb.undo(PRINCIPAL, id_),
            lambda: verb.pause(PRINCIPAL, id_), lambda: verb.resume(PRINCIPAL, id_),
            lambda: verb.activate(PRINCIPAL, id_), turns(one).work,
            lambda: verb.create(PRINCIPAL, Wanted(rng.choice(names), plans, trial_days=rng.choice([None, 0, 1]))),
        ]  # fmt: skip
        try:
            await rng.choice(acts if mine else acts[-1:])()
        except MetergateError as error:
            if error.reason is not Reason.SUBSCRIPTION_STATE:
                raise

    for _ in range(6):
        await asyncio.gather(*[act(one) for one in servers for _ in range(5)])
        await clock.step(rng.choice([0, 0, HOUR, DAY, 31 * DAY]))
        await turns(rng.choice(servers)).work()
        now = await timed.now()
        for name in names:
            mine = await verbs(timed).list(PRINCIPAL, name, "", 99)
            held = [subscription.segment_at(one, now) for one in mine]
            assert await plan(timed, name) == plan_terms.write(
                [item for one in held if one and one.mode is not Mode.PAUSED for item in one.items]
            )
            for one in mine:
                following = billing_period.next_period(one, lambda name, _: CATALOG.plan_of[name].all_prices)
                assert await timed.fetch("SELECT turns_at, closes_at FROM subscription WHERE id = $1", one.id) == [
                    (subscription.next_turn(one, now), following and following.end)
                ]
