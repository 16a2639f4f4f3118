"""Limits on UNIQUE meters are exact: a value that is in the window already adds nothing."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import orjson

from metergate.adapters.postgres.upkeep import Upkeep
from metergate.adapters.postgres.values import VALUES, VALUES_GONE
from metergate.app.tokens import Sealer
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import AnsweredBy
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, Period, window_at
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.rpc.quota.verdict import _content, decision_of
from tests.integration.conftest import Start
from tests.integration.plans import nodes
from tests.integration.processes import PRINCIPAL, TENANT, Process, event, heard
from tests.integration.test_pools import join

USERS = Meter("users", "login", "unique", value="user", dimensions=("region",))
MONTH = Limit("users/month", "users", Decimal(3))


def limited(*limits: Limit, meter: Meter = USERS) -> Catalog:
    return Catalog((meter,), (Plan("default", limits or (MONTH,)),))


async def login(one: Process, id: str, user: str, subject: str = "acme", **labels: str) -> Answer:
    return await one.consume(event(id, "login", subject=subject, labels={"user": user, **labels}))


async def login_known(one: Process, user: str) -> None:
    """A fact, of whom the counter is born."""
    await one.add(event(f"known {user}", "login", labels={"user": user}))


async def counted(one: Process) -> list[int]:
    return [int(used) for (used,) in await one.fetch("SELECT used FROM usage_counter ORDER BY used")]


async def test_p2_a_value_that_is_there_adds_nothing(one: Process) -> None:
    await one.apply(limited())
    await one.customer("acme")
    await one.add(event("fact", "login", labels={"user": "a"}))
    allowed = [(await login(one, f"{n}", user)).allowed for n, user in enumerate("abacadbdc")]
    assert allowed == [True, True, True, True, True, False, True, False, True]
    assert await counted(one) == [3]
    await one.add(event("more", "login", labels={"user": "e"}))  # what happened, happened
    assert [(await login(one, f"late {user}", user)).allowed for user in "aef"] == [True, True, False]
    assert await counted(one) == [4]
    assert await one.differences() == []


async def test_p2_a_refusal_says_what_it_would_add_where(one: Process) -> None:
    """Of two limits the one refuses where the value is new; the other is over, and the value is known there."""
    day = Limit("users/day", "users", Decimal(1), Period.DAY)
    await one.apply(limited(day, MONTH))
    await one.customer("acme")
    now = await one.now()
    old = now - now % DAY - HOUR
    await one.add(*[event(user, "login", labels={"user": user}, time=old) for user in "abcd"])
    await login(one, "today", "a")
    refused = await login(one, "1", "b")
    assert refused.decision is not None
    assert refused.decision.binding is not None
    assert refused.decision.binding.limit.name == "users/day"
    if window_at(Period.MONTH, "UTC", now).start <= old:
        assert [state.fits for state in refused.decision.states] == [False, True]
    assert (await login(one, "2", "a")).allowed
    assert await one.differences() == []


async def test_p2_units_are_admitted_whole(one: Process) -> None:
    await one.apply(limited())
    await one.customer("acme")

    async def unit(name: str, users: str) -> bool:
        events = [event(f"{name}{n}", "login", labels={"user": user}) for n, user in enumerate(users)]
        return (await one.consume(*events)).allowed

    assert await unit("one", "aabb")
    assert not await unit("two", "acd")
    assert await unit("three", "abcca")
    assert not await unit("four", "abcd")
    assert await counted(one) == [3]
    assert await one.differences() == []


async def test_p2_processes_together_never_pass_it(start: Start, rng: random.Random) -> None:
    """Of any order: no more values than allowed, all events of those are taken, none of others."""
    processes = [await start(), await start()]
    limits = (
        Limit("users/month", "users", Decimal(5)),
        Limit("users/region", "users", Decimal(3), Period.DAY, per_labels=("region",)),
    )
    await processes[0].apply(limited(*limits))
    await processes[0].customer("acme")
    await heard()
    asked = [(f"{n}", rng.choice("abcdefgh"), rng.choice(["eu", "us"])) for n in range(120)]
    answers = await asyncio.gather(
        *[login(rng.choice(processes), id_, user, region=region) for id_, user, region in asked]
    )
    taken = [one[1:] for one, answer in zip(asked, answers, strict=True) if answer.allowed]
    assert len({user for user, _ in taken}) <= 5
    for region in ("eu", "us"):
        assert len({user for user, where in taken if where == region}) <= 3
    for id_, user, region in asked:  # who is in both windows goes on
        if (user, region) in taken:
            assert (await login(processes[0], f"again {id_}", user, region=region)).allowed
    assert await processes[1].differences() == []


async def test_p2_subjects_are_told_apart_in_a_pool_too(one: Process) -> None:
    """Seats: UNIQUE without a label counts subjects, per customer and in its pool."""
    seats = Meter("seats", "login", "unique")
    own, shared = Limit("seats", "seats", Decimal(2)), Limit("seats", "seats", Decimal(3))
    await one.apply(Catalog((seats,), (Plan("default", (own,)), Plan("shared", (shared,)))))
    await one.customer("pool", "shared")
    for name in ("a", "b"):
        await one.customer(name)
        for n in range(3):
            await one.subject(f"{name}{n}", name)
    for name in ("a", "b"):
        await join(one, name, "pool")
    allowed = [(await login(one, subject, "x", subject)).allowed for subject in ("a0", "a1", "a2", "b0", "b1", "a1")]
    assert allowed == [True, True, False, True, False, True]
    assert await counted(one) == [1, 2, 3]
    assert await one.differences() == []


async def test_p2_a_counter_is_born_with_the_values_that_there_are(one: Process) -> None:
    await one.apply(Catalog((USERS,)))
    await one.add(*[event(f"{n}", "login", labels={"user": user}) for n, user in enumerate("abca")])
    await one.apply(limited())
    assert not (await login(one, "d", "d")).allowed  # nothing is kept of a refusal
    assert await one.fetch("SELECT value FROM counter_value") == []
    assert (await login(one, "a", "a")).allowed
    assert await one.fetch("SELECT value, number FROM counter_value ORDER BY value") == [("a", 3), ("b", 1), ("c", 1)]
    assert await one.differences() == []


async def test_p2_a_rolling_window_counts_each_value_once(one: Process) -> None:
    """The parts of a rolling window cannot be added up: a value may stand in many of them."""
    rolling = Limit("users/10m", "users", Decimal(2), kind=Kind.ROLLING, length=10 * MINUTE, sub_windows=10)
    await one.apply(limited(rolling))
    await one.customer("acme")
    now = await one.now()
    for n in range(1, 9):  # the same two in every part
        await one.add(*[event(f"{n}{user}", "login", labels={"user": user}, time=now - n * MINUTE) for user in "ab"])
    assert (await login(one, "1", "a")).allowed
    assert not (await login(one, "2", "c")).allowed
    await one.add(event("old", "login", labels={"user": "z"}, time=now - 20 * MINUTE))
    await one.add(event("late", "login", labels={"user": "y"}, time=now - 5 * MINUTE))
    assert await one.used("users") == [3]
    assert (await login(one, "3", "y")).allowed
    assert await one.differences() == []


async def test_p4_a_catalog_change_tells_other_values_apart(one: Process) -> None:
    await one.apply(limited())
    await one.add(*[event(f"{n}", "login", labels={"user": user, "team": "t"}) for n, user in enumerate("abc")])
    await one.apply(limited(MONTH, meter=Meter("users", "login", "unique", value="team")))
    await one.add(event("4", "login", labels={"user": "d", "team": "u"}))
    assert await one.used("users") == [2]
    assert await one.differences() == []


async def test_p4_old_counters_go_with_their_values(one: Process) -> None:
    """Late usage of a window whose counter is gone leaves nothing wrong behind; one that comes back is born whole."""
    await one.apply(limited(Limit("users/day", "users", Decimal(9), Period.DAY, Policy.SOFT)))
    now = await one.now()
    await one.add(*[event(user, "login", labels={"user": user}, time=now - 3 * DAY) for user in "ab"])
    await login(one, "today", "a")
    moved = "start_at = start_at - interval '3 days', end_at = end_at - interval '3 days'"
    await one.fetch(f"UPDATE usage_counter SET used = 2, {moved}")
    await one.fetch(f"UPDATE counter_value SET {moved}")
    columns = "tenant, customer, meter, end_at, start_at, subject, filter"
    await one.fetch(f"INSERT INTO counter_value SELECT {columns}, 'b', 1 FROM counter_value")
    assert await one.differences() == []
    await Upkeep(one.engine, 35 * DAY).keep_house()
    assert await one.fetch("SELECT used FROM usage_counter") == []
    assert await one.fetch("SELECT value FROM counter_value") == []
    await one.add(event("late", "login", labels={"user": "c"}, time=now - 3 * DAY))
    await login(one, "now", "a")
    assert await counted(one) == [1]
    assert await one.differences() == []


async def test_p4_damage_to_values_is_found(one: Process) -> None:
    await one.apply(limited())
    await one.add(*[event(f"{n}", "login", labels={"user": user}) for n, user in enumerate("aab")])
    for damage in (
        "UPDATE counter_value SET number = number + 1 WHERE value = 'a'",
        "DELETE FROM counter_value WHERE value = 'b'",
        "UPDATE counter_value SET value = 'c' WHERE value = 'a'",
    ):
        async with one.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            before = await connection.fetch("SELECT * FROM counter_value")
            await transaction.rollback()
        await one.fetch(damage)
        assert any(line.startswith("value t/acme users") for line in await one.differences())
        await one.fetch("DELETE FROM counter_value")
        await one.pool.executemany(
            "INSERT INTO counter_value VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", [tuple(row) for row in before]
        )
    assert await one.differences() == []


async def test_a_question_about_a_value_that_is_there_is_answered_yes(one: Process) -> None:
    await one.apply(limited(MONTH, Limit("per-subject", "users", Decimal(9), scope=Scope.SUBJECT)))
    await one.customer("acme")
    for user in "abc":
        await login(one, user, user)
    await heard()
    await one.check("users", "0")
    full = await one.check("users", labels={"user": "d"})
    assert full.binding is not None
    assert (full.allowed, full.binding.limit.name, full.binding.remaining) == (False, "users/month", 0)
    known = await one.check("users", labels={"user": "b"})
    assert (known.allowed, known.answered_by, known.states[0].would_fit) == (True, AnsweredBy.LEDGER, 1)
    unnamed = await one.check("users")
    assert not unnamed.allowed
    assert not (await one.check("users", "2", labels={"user": "b"})).allowed  # two that are new


async def test_a_decision_on_values_is_explained(one: Process) -> None:
    await one.apply(limited())
    await one.customer("acme")
    answers = [await login(one, f"{n}", user) for n, user in enumerate("aabcdb")]
    assert [answer.allowed for answer in answers] == [True, True, True, True, False, True]
    sealer = Sealer(b"secret")
    for answer in answers:
        id_ = sealer.decision(TENANT, _content(answer, decision_of(answer)))
        explained = await one.explain.explain(PRINCIPAL, sealer.open_decision(TENANT, id_), 10)
        assert explained.confirmed
        assert explained.decision.allowed is answer.allowed
        assert explained.decision.states[0].figures == decision_of(answer).states[0].figures


async def test_the_values_of_a_large_counter_are_found_by_index(one: Process) -> None:
    """A counter of many values costs a batch what it looks up, not what there is."""
    await one.apply(limited())
    await login_known(one, "a")
    many = "SELECT tenant, customer, meter, end_at, start_at, subject, filter, 'v' || n, 1 FROM counter_value"
    await one.fetch(f"INSERT INTO counter_value {many}, generate_series(1, 50000) n")
    await one.fetch("ANALYZE counter_value, usage_counter")
    (key,) = await one.fetch("SELECT customer, meter, subject, filter, start_at, end_at FROM usage_counter")
    asked = [[part] for part in key]
    for statement, items in ((VALUES, ["v7\x1fv8\x1fnew"]), (VALUES_GONE, ["v7"])):
        (row,) = await one.fetch(f"EXPLAIN (FORMAT JSON) {statement}", TENANT, *asked, items)
        (plan,) = orjson.loads(row[0])
        found = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "counter_value"]
        assert found
        assert {node["Node Type"] for node in found} <= {"Index Scan", "Index Only Scan", "ModifyTable"}
        conditions = [node["Index Cond"] for node in found if "Index Cond" in node]
        assert all("value" in condition and "start_at" in condition for condition in conditions)
