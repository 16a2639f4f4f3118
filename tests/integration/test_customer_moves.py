"""Subjects that move and customers that are merged: usage counts for the one or the other, on real databases."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.customer_moves import PostgresMoves
from metergate.app.customer.data import Moved, MovesQuery
from metergate.app.customer.grants import Asked
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.quota.lease import Report
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.quota import Limit, Scope
from metergate.domain.work import Want
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event

CALLS = Meter("calls", "calls")
LIMITS = Limit("calls/month", "calls", Decimal(100)), Limit("each", "calls", Decimal(50), scope=Scope.SUBJECT)


async def begin(one: Process) -> None:
    """Customers a (with the subjects x and y) and b."""
    await one.apply(Catalog((CALLS,), (Plan("default", LIMITS),)))
    for name in "ab":
        await one.customer(name)
    for name in "xy":
        await one.subject(name, "a")


async def move(one: Process, subject: str, customer: str) -> Moved | None:
    return await MoveSubjects(PostgresMoves(one.engine), one.directory, one.catch_up).move(PRINCIPAL, subject, customer)


async def merge(one: Process, customer: str, into: str) -> list[str]:
    verb = MergeCustomers(PostgresMoves(one.engine), one.directory, one.catch_up)
    return sorted(moved.subject for moved in await verb.merge(PRINCIPAL, customer, into))


async def moves(one: Process, **fields: Any) -> list[tuple[str, str, str]]:
    query = MovesQuery(fields.get("customer", ""), fields.get("subject", ""), None, 100)
    found = await MoveSubjects(PostgresMoves(one.engine), one.directory, one.catch_up).history(PRINCIPAL, query)
    return [(moved.subject, moved.from_customer, moved.to_customer) for moved in found]


async def totals(one: Process) -> dict[str, int]:
    rows = await one.fetch("SELECT customer, sum(amount) FROM usage_event GROUP BY 1")
    return {customer: int(total) for customer, total in rows}


async def test_usage_counts_for_the_new_customer_and_the_past_stays(one: Process) -> None:
    await begin(one)
    assert (await one.consume(event("1", subject="x", amount=40))).allowed
    moved = await move(one, "x", "b")
    assert moved is not None
    assert (moved.from_customer, moved.to_customer, moved.key_id) == ("a", "b", "key")
    assert (await one.consume(event("2", subject="x", amount=45))).allowed  # each of 50 begins anew
    assert not (await one.consume(event("3", subject="x", amount=6))).allowed
    assert await totals(one) == {"a": 40, "b": 45}
    seqs = dict(await one.fetch("SELECT customer, seq FROM usage_event"))
    assert seqs["a"] < moved.from_seq
    assert seqs["b"] > moved.to_seq
    assert await move(one, "x", "b") is None
    await move(one, "x", "a")
    assert await moves(one, subject="x") == [("x", "b", "a"), ("x", "a", "b")]
    assert await moves(one, customer="b", subject="y") == []
    assert (await one.summarize("calls", customer="a")).series[0].total == 40
    assert await one.differences() == []


async def test_p1_a_process_that_remembers_the_old_customer(one: Process, start: Start) -> None:
    await begin(one)
    two = await start()
    await two.add(event("1", subject="x", amount=1))
    await two.consume(event("2", subject="x", amount=2))
    held = await two.reserve(Want("calls", Decimal(5), {}), subject="x", request_id="r")
    await move(one, "x", "b")  # two is not told
    assert await two.outcomes(event("1", subject="x", amount=1), event("3", subject="x", amount=4)) == [
        "duplicate", "accepted",
    ]  # fmt: skip
    assert (await two.consume(event("4", subject="x", amount=8))).allowed
    assert (await two.consume(event("4", subject="x", amount=8))).repeated
    assert await totals(two) == {"a": 3, "b": 12}
    again = await two.reserve(Want("calls", Decimal(5), {}), subject="x", request_id="r")
    assert again.repeated
    fresh = await two.reserve(Want("calls", Decimal(5), {}), subject="x")
    assert again.hold is not None
    assert held.hold is not None
    assert fresh.hold is not None
    assert (again.hold.id, again.hold.customer, fresh.hold.customer) == (held.hold.id, "a", "b")
    leased = await two.acquire("calls", "2", subject="x")
    assert leased.hold is not None
    assert leased.hold.customer == "b"
    two.directory.forget("subjects", "t", "a")
    repeated = await two.consume(event("2", subject="x", amount=2))  # of the customer who has it
    assert (repeated.repeated, repeated.demand.customer) == (True, "a")
    assert await one.differences() == []


async def test_a_unit_whose_subjects_part(one: Process, start: Start) -> None:
    await begin(one)
    two = await start()
    await two.directory.owners("t", ["x", "y"])
    await move(one, "x", "b")
    with pytest.raises(MetergateError, match="one customer"):
        await two.consume(event("1", subject="x"), event("2", subject="y"))
    assert await totals(one) == {}


async def test_holds_stay_until_they_end(one: Process) -> None:
    await begin(one)
    reserved = await one.reserve(Want("calls", Decimal(20), {}), subject="x")
    leased = await one.acquire("calls", "10", subject="x")
    assert reserved.hold is not None
    assert leased.hold is not None
    await move(one, "x", "b")
    id_ = reserved.hold.id
    await one.reservations.commit(PRINCIPAL, id_, [event("1", subject="x", amount=7, settles=id_)])
    spent = event("2", subject="x", amount=1, settles=leased.hold.id)
    assert await one.outcomes(spent) == ["accepted"]
    assert await totals(one) == {"a": 8}
    assert await one.fetch("SELECT settled FROM hold WHERE kind = 'lease'") == [(1,)]
    (synced,) = await one.sync(Report(leased.hold.id, Decimal(1), None, Decimal(40), False))
    assert not isinstance(synced, MetergateError)
    assert synced.hold is not None
    assert synced.hold.end_at == leased.hold.end_at
    assert synced.hold.parts[0].granted == leased.hold.parts[0].granted
    assert await one.differences() == []


async def test_p1_moves_amid_usage_from_two_processes(one: Process, start: Start) -> None:
    await begin(one)
    two = await start()

    async def record(n: int) -> None:
        who = (one, two)[n % 2]
        await who.add(event(f"f{n}", subject="x", amount=1))
        await who.consume(event(f"c{n}", subject="y", amount=1))

    async def wander() -> None:
        for n in range(12):
            await move((one, two)[n % 2], "xy"[n % 2], "ba"[n // 2 % 2])

    await asyncio.gather(wander(), *(record(n) for n in range(60)))
    events = await one.fetch("SELECT count(*), count(DISTINCT id) FROM usage_event WHERE id LIKE 'f%'")
    assert events == [(60, 60)]
    # What a customer has of a subject stands between its coming and its going.
    for subject in "xy":
        history = await one.fetch(
            "SELECT from_customer, from_seq, to_customer, to_seq FROM subject_move "
            "WHERE subject = $1 ORDER BY moved_at",
            subject,
        )
        spans = [("a", 0, history[0][1])]
        for place, (_, _, to, since) in enumerate(history):
            spans.append((to, since, history[place + 1][1] if place + 1 < len(history) else 10**9))
        for customer, seq in await one.fetch("SELECT customer, seq FROM usage_event WHERE subject = $1", subject):
            assert any(customer == who and since < seq < until for who, since, until in spans), (customer, seq, spans)
    assert await one.differences() == []


async def test_a_merged_customer_is_closed_and_its_subjects_are_the_others(one: Process, start: Start) -> None:
    await begin(one)
    two = await start()
    await two.add(event("1", subject="x", amount=10), event("2", subject="a", amount=5))
    assert await merge(one, "a", "b") == ["a", "x", "y"]
    await two.add(event("3", subject="x", amount=20), event("4", subject="a", amount=7))
    assert (await two.consume(event("5", subject="a", amount=1))).allowed
    assert await totals(one) == {"a": 15, "b": 28}
    assert (await one.summarize("calls", customer="a")).series[0].total == 15
    found = await one.customers.get(PRINCIPAL, "a")
    assert found.merged_into == "b"
    assert await one.customers.subjects(PRINCIPAL, "a", "", 10) == []
    assert {one_.id for one_ in await one.customers.subjects(PRINCIPAL, "b", "", 10)} == {"a", "b", "x", "y"}
    grant = Asked("a", "calls", Decimal(1), 0, None, None, None, Decimal(0), Decimal(0))
    for change in (
        one.assign("a", "default"), one.subject("z", "a"), move(one, "x", "a"), one.override("each", "1", customer="a"),
        two.grants.create(PRINCIPAL, grant, ""),
    ):  # fmt: skip
        with pytest.raises(MetergateError) as error:
            await change
        assert (error.value.reason, error.value.metadata["merged_into"]) == (Reason.CUSTOMER_MERGED, "b")
    assert await one.differences() == []


async def test_p12_merges_that_cannot_be(one: Process) -> None:
    await begin(one)
    for name in ("c", "p"):
        await one.customer(name)
    await one.terms.assign_pool(PRINCIPAL, "c", "p")
    grant = Asked("c", "calls", Decimal(1), 0, None, None, None, Decimal(0), Decimal(0))
    made, _ = await one.grants.create(PRINCIPAL, grant, "")
    await merge(one, "a", "b")
    for customer, into, words in (
        ("b", "b", "the same"), ("a", "c", "is closed"), ("c", "a", "merge into 'b'"), ("p", "b", "leave"),
        ("c", "b", "grants"),
    ):  # fmt: skip
        with pytest.raises(MetergateError, match=words) as error:
            await merge(one, customer, into)
        assert error.value.reason is Reason.MERGE_NOT_POSSIBLE
    for customer, into in (("nobody", "b"), ("b", "nobody")):
        with pytest.raises(MetergateError) as error:
            await merge(one, customer, into)
        assert error.value.reason is Reason.CUSTOMER_NOT_FOUND
    await one.grants.void(PRINCIPAL, made.grant.id)
    assert await merge(one, "c", "p") == ["c"]  # a member into its pool
    assert await one.outcomes(event("1", subject="c")) == ["accepted"]
    assert await one.differences() == []


async def test_p12_moves_that_cannot_be(one: Process) -> None:
    await begin(one)
    for subject, customer, reason in (
        ("nobody", "b", Reason.SUBJECT_NOT_FOUND), ("x", "nobody", Reason.CUSTOMER_NOT_FOUND),
        ("a", "b", Reason.FIELD_INVALID),
    ):  # fmt: skip
        with pytest.raises(MetergateError) as error:
            await move(one, subject, customer)
        assert error.value.reason is reason
    assert await moves(one) == []


async def test_corrections_of_a_subject_that_moved(one: Process, start: Start) -> None:
    """What was recorded stays where it was counted; other content counts for whose its subject is now."""
    await begin(one)
    two = await start()
    await two.add(*(event(str(n), subject="x", amount=10) for n in range(3)), event("3", subject="y", amount=10))
    await move(one, "x", "b")
    await two.amend("0", event("0", subject="x", amount=4))
    await two.void("1")
    await two.amend("3", event("3", subject="x", amount=1))
    rows = await one.fetch("SELECT customer, sum(amount * coalesce(sign, 1)) FROM usage_event GROUP BY 1 ORDER BY 1")
    assert rows == [("a", 14), ("b", 1)]
    assert await one.differences() == []
