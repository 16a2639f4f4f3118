"""Backfills: loaded, previewed, applied whatever is killed meanwhile, and undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.backfill import PostgresBackfillQueue
from metergate.app.backfill.apply import ApplyBackfills
from metergate.app.backfill.ports import BackfillQueue
from metergate.domain.aggregation import LevelUnit
from metergate.domain.backfill import RowState, Scope, State
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import LEVEL, Meter
from metergate.domain.period import DAY
from metergate.domain.quota import Limit, Policy
from metergate.domain.usage import Event
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event

CATALOG = Catalog(
    (Meter("calls", "calls"), Meter("peak", "calls", aggregation="max"), Meter("other", "other")),
    (
        Plan(
            "default",
            (
                Limit("calls/month", "calls", Decimal(1_000_000), thresholds=(1,)),
                Limit("peak/month", "peak", Decimal(10), policy=Policy.SOFT),
            ),
        ),
    ),
)


@pytest.fixture
async def ready(one: Process) -> Process:
    await one.apply(CATALOG)
    return one


async def opened(one: Process, scope: Scope | None = None) -> str:
    return (await one.backfills.open(PRINCIPAL, "a wrong export", scope, "", b"d")).id


async def loaded(one: Process, id: str, *events: Event) -> list[str]:
    """Loads them; what became of each."""
    receipts = await one.backfills.load(PRINCIPAL, id, events)
    return [
        f"{receipt.outcome} {receipt.error.field}" if receipt.error else str(receipt.outcome) for receipt in receipts
    ]


async def refused(action: Awaitable[Any]) -> Reason:
    with pytest.raises(MetergateError) as error:
        await action
    return error.value.reason


async def sums(one: Process) -> dict[str, Decimal]:
    """What stands, by customer."""
    rows = await one.fetch(
        "SELECT customer, sum(amount * coalesce(sign, 1)) FROM usage_event GROUP BY 1 HAVING sum(amount) <> 0"
    )
    return {customer: total for customer, total in rows if total}


async def standing(one: Process) -> set[tuple[Any, ...]]:
    """What stands, content by content."""
    return set(
        await one.fetch(
            "SELECT customer, counted_at, source, id, type, subject, time, amount, labels::text FROM usage_event "
            "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(coalesce(sign, 1)) = 1"
        )
    )


async def test_what_a_level_would_be(one: Process) -> None:
    """Ten for two days and, were it not for the backfill, for three more; then twenty for five, until now."""
    await one.apply(Catalog((Meter("stock", "stock", LEVEL, level_unit=LevelUnit.HOUR),), (Plan("default"),)))
    began = await one.now() - 10 * DAY

    def sample(id: str, days: int, amount: int, subject: str = "alpha") -> Event:
        return event(id, "stock", time=began + days * DAY, amount=amount, subject=subject)

    await one.add(sample("first", 0, 10), sample("second", 5, 20), sample("another", 1, 7, "beta"))
    id_ = await opened(one)
    assert await loaded(one, id_, sample("between", 2, 50), sample("new", 2, 9, "beta")) == ["accepted"] * 2
    plan, (alpha, beta) = await one.backfills.preview(PRINCIPAL, id_, None, 10)
    assert (plan.start, plan.end) == (began + 2 * DAY, began + 2 * DAY)
    assert [(one.customer, one.meter) for one in (alpha, beta)] == [("alpha", "stock"), ("beta", "stock")]
    before, after, made = [quantity or Decimal(0) for quantity in (alpha.before, alpha.after, beta.after)]
    assert after - before == 40 * 24 * 3
    assert 0 <= before - 24 * (10 * 3 + 20 * 5) < 1
    assert 0 <= made - 24 * 9 * 8 < 1


async def test_loads_previews_commits_and_reverts(ready: Process) -> None:
    now = await ready.now()
    old = now - 400 * DAY
    await ready.add(
        event("known", time=now - DAY, amount=3), event("late", time=now - 2 * DAY, amount=1, subject="beta")
    )
    before = await standing(ready)
    id_ = await opened(ready)
    first = event("old", time=old, amount=5)
    outcomes = await loaded(
        ready, id_, first, event("old", time=old, amount=5), event("old", time=old, amount=6),
        event("known", time=now - DAY, amount=3), event("late", time=now - 2 * DAY, amount=2, subject="beta"),
        event("no time"), event("ahead", time=now + DAY), event("less", time=old, amount=-1),
        event("settling", time=old, settles="r_1"), event("beta", subject="beta", time=old, amount=7),
    )  # fmt: skip
    assert outcomes == [
        "accepted", "duplicate", "conflict amount", "duplicate", "conflict ", "rejected time", "rejected time",
        "rejected amount", "rejected settles", "accepted",
    ]  # fmt: skip
    assert await loaded(ready, id_, first, event("old", time=old, amount=9)) == ["duplicate", "conflict amount"]
    plan, differences = await ready.backfills.preview(PRINCIPAL, id_, None, 100)
    assert (plan.start, plan.end, plan.new, plan.amended, plan.voided) == (old, old, 2, 0, 0)
    assert plan.others == {RowState.DUPLICATE: 1, RowState.CONFLICT: 1}
    assert [tuple(one) for one in differences] == [
        ("acme", "calls", None, 5), ("acme", "peak", None, 5), ("beta", "calls", None, 7), ("beta", "peak", None, 7),
    ]  # fmt: skip
    (problem,) = await ready.backfills.problems(PRINCIPAL, id_, ("", ""), 10)
    assert (problem.id, problem.reason) == ("late", "EVENT_CONFLICT")
    assert await standing(ready) == before

    assert (await ready.backfills.commit(PRINCIPAL, id_)).state is State.COMMITTING
    assert await refused(ready.backfills.load(PRINCIPAL, id_, [first])) is Reason.BACKFILL_CLOSED
    await ready.applying.work()
    done = await ready.backfills.commit(PRINCIPAL, id_)
    assert done.state is State.COMMITTED
    assert done.counts == {RowState.APPLIED: 2, RowState.DUPLICATE: 1, RowState.CONFLICT: 1}
    assert await sums(ready) == {"acme": 8, "beta": 8}
    assert await ready.differences() == []
    assert await ready.outcomes(first, backfill=True) == ["duplicate"]

    await ready.backfills.revert(PRINCIPAL, id_)
    await ready.applying.work()
    done = await ready.backfills.get(PRINCIPAL, id_)
    assert (done.state, done.counts[RowState.REVERTED]) == (State.REVERTED, 2)
    assert await standing(ready) == before
    assert await ready.differences() == []


async def test_replaces_what_stands_and_restores_it(ready: Process) -> None:
    now = await ready.now()
    base = now - 3 * DAY
    await ready.add(
        *[event(f"{n}", time=base + n, amount=n, subject="acme") for n in range(1, 7)],
        event("out", time=now - 20 * DAY, amount=50), event("other", "other", time=base, amount=1),
        event("beta", time=base, amount=9, subject="beta"),
    )  # fmt: skip
    await ready.amend("3", event("3", amount=33, time=base + 3))
    await ready.void("4")
    before = await standing(ready)
    id_ = await opened(ready, Scope(("acme",), (), ("calls",), base, base + DAY))
    await loaded(
        ready, id_, event("1", time=base + 1, amount=1), event("2", time=base + 2, amount=22),
        event("3", time=base + 3, amount=3, subject="beta"), event("4", time=base + 4, amount=44),
        event("7", time=base + 7, amount=7),
    )  # fmt: skip
    plan, differences = await ready.backfills.preview(PRINCIPAL, id_, None, 100)
    # 1 stays as it is, 2 and 3 are amended, 4 was voided before and keeps its id, 5 and 6 go, 7 is new.
    assert (plan.new, plan.amended, plan.voided) == (1, 2, 2)
    assert plan.others == {RowState.DUPLICATE: 1, RowState.CONFLICT: 1}
    assert [tuple(one) for one in differences] == [
        ("acme", "calls", 1 + 2 + 33 + 5 + 6, 1 + 22 + 7), ("acme", "peak", 33, 22),
        ("beta", "calls", 9, 12), ("beta", "peak", 9, 9),
    ]  # fmt: skip
    page = await ready.backfills.preview(PRINCIPAL, id_, ("acme", "peak"), 1)
    assert [tuple(one) for one in page[1]] == [("beta", "calls", 9, 12)]
    await ready.backfills.commit(PRINCIPAL, id_)
    await ready.applying.work()
    assert await ready.differences() == []
    assert await sums(ready) == {"acme": 1 + 22 + 7 + 50 + 1, "beta": 9 + 3}
    # Somebody corrects one of those since: that stays.
    await ready.amend("7", event("7", time=base + 7, amount=77))
    await ready.backfills.revert(PRINCIPAL, id_)
    await ready.applying.work()
    done = await ready.backfills.get(PRINCIPAL, id_)
    assert (done.state, done.counts[RowState.REVERTED], done.counts[RowState.KEPT]) == (State.REVERTED, 4, 1)
    assert {row for row in await standing(ready) if row[3] != "7"} == before
    assert await ready.differences() == []
    versions = await ready.histories.get(PRINCIPAL, "api", "3", 0, 100)
    assert [(one.version, one.kind, one.event and one.event.amount, bool(one.backfill)) for one in versions] == [
        (1, None, 3, False), (2, "amend", 33, False), (3, "amend", 3, True), (4, "restore", 33, True),
    ]  # fmt: skip


class Interrupted(Exception):
    """The worker is killed here."""


class Interrupting:
    """A queue whose process is killed at the n-th step, before it or after it."""

    def __init__(self, queue: BackfillQueue, at: int) -> None:
        self._queue = queue
        self._left = at

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        step = getattr(self._queue, name)

        async def interrupted(*parameters: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise Interrupted
            done = await step(*parameters)
            self._left -= 1
            if self._left == 0:
                raise Interrupted
            return done

        return interrupted


async def work(one: Process, at: int, cut: bool) -> bool:
    """Works until it is interrupted at that step; whether it came to its end before. With `cut` the connections are cut
    while it commits, too."""
    queue: Any = Interrupting(PostgresBackfillQueue(one.engine), at)
    worker = ApplyBackfills(queue, one.applying._lanes, one.directory, claim_seconds=0)
    try:
        working = asyncio.create_task(worker.work())
        if cut:
            await asyncio.sleep(0.004 * at)
            await one.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database() AND (query ILIKE '%usage_event%' OR query ILIKE '%customer_head%')"
            )
        await working
    except Exception:  # noqa: BLE001  whatever a killed worker dies of
        return False
    return True


@pytest.mark.parametrize("cut", [False, True])
async def test_p1_a_crash_at_each_step_gives_the_same_end(
    start: Start, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    monkeypatch.setattr("metergate.app.backfill.apply.APPLIED_AT_ONCE", 3)
    one = await start()
    await one.apply(CATALOG)
    base = await one.now() - 3 * DAY
    await one.add(*[event(f"{n}", time=base + n, amount=n + 1, subject=("acme", "beta")[n % 2]) for n in range(8)])
    before = await standing(one)
    id_ = await opened(one, Scope((), ("acme", "beta"), ()))
    await loaded(
        one, id_,
        *[event(f"{n}", time=base + n, amount=n + 2, subject=("acme", "gamma")[n % 2]) for n in range(4, 12)],
    )  # fmt: skip
    await one.backfills.commit(PRINCIPAL, id_)
    steps = 1
    while not await work(one, steps, cut):
        steps += 1
        assert steps < 100
    assert steps > 3
    assert (await one.backfills.get(PRINCIPAL, id_)).state is State.COMMITTED
    expected = {"acme": 6 + 8 + 10 + 12, "gamma": 7 + 9 + 11 + 13}
    assert await sums(one) == expected
    assert await one.differences() == []
    await one.backfills.revert(PRINCIPAL, id_)
    steps = 1
    while not await work(one, steps, cut):
        steps += 1
        assert steps < 100
    assert await standing(one) == before
    assert await one.differences() == []


async def test_two_workers_at_once_do_it_once(start: Start) -> None:
    one, two = await start(), await start()
    await one.apply(CATALOG)
    base = await one.now() - 100 * DAY
    id_ = await opened(one)
    for place in range(3):
        await loaded(one, id_, *[event(f"{place}-{n}", time=base, subject=f"s{n % 7}", amount=2) for n in range(500)])
    await one.backfills.commit(PRINCIPAL, id_)
    workers = [
        ApplyBackfills(PostgresBackfillQueue(process.engine), process.applying._lanes, process.directory, 0)
        for process in (one, two)
    ]
    await asyncio.gather(*(worker.work() for worker in workers))
    done = await one.backfills.get(PRINCIPAL, id_)
    assert (done.state, done.counts) == (State.COMMITTED, {RowState.APPLIED: 1500})
    assert sum((await sums(one)).values()) == 3000
    assert await one.differences() == []


async def test_one_that_is_left_open_for_a_day_is_discarded(ready: Process) -> None:
    id_ = await opened(ready)
    await loaded(ready, id_, event("1", time=await ready.now()))
    await ready.fetch("UPDATE backfill SET expires_at = now() - interval '1 second'")
    for call in (
        ready.backfills.commit(PRINCIPAL, id_), ready.backfills.load(PRINCIPAL, id_, []),
        ready.backfills.preview(PRINCIPAL, id_, None, 1), ready.backfills.revert(PRINCIPAL, id_),
    ):  # fmt: skip
        assert await refused(call) is Reason.BACKFILL_CLOSED
    await ready.applying.work()
    found = await ready.backfills.get(PRINCIPAL, id_)
    assert (found.state, found.expired, found.counts) == (State.DISCARDED, True, {})
    with pytest.raises(MetergateError, match="left open for a day"):
        await ready.backfills.load(PRINCIPAL, id_, [event("2")])
    assert await ready.fetch("SELECT 1 FROM backfill_row") == []


async def test_states_and_lists(ready: Process) -> None:
    assert await refused(ready.backfills.get(PRINCIPAL, "b_none")) is Reason.BACKFILL_NOT_FOUND
    assert await refused(ready.backfills.commit(PRINCIPAL, "b_none")) is Reason.BACKFILL_NOT_FOUND
    assert await refused(ready.backfills.problems(PRINCIPAL, "b_none", ("", ""), 1)) is Reason.BACKFILL_NOT_FOUND
    first = (await ready.backfills.open(PRINCIPAL, "r", None, "req", b"1")).id
    assert (await ready.backfills.open(PRINCIPAL, "r", None, "req", b"1")).id == first
    assert await refused(ready.backfills.open(PRINCIPAL, "r", None, "req", b"2")) is Reason.REQUEST_ID_REUSED
    bad = [Scope((), (), ()), Scope(("a",), ("b",), ()), Scope(("a",), (), (), 5, 5), Scope(("a",) * 1001, (), ())]
    for scope in bad:
        assert await refused(ready.backfills.open(PRINCIPAL, "r", scope, "", b"")) is Reason.FIELD_INVALID
    assert await refused(ready.backfills.revert(PRINCIPAL, first)) is Reason.BACKFILL_CLOSED
    await ready.backfills.discard(PRINCIPAL, first)
    assert (await ready.backfills.discard(PRINCIPAL, first)).state is State.DISCARDED
    assert await refused(ready.backfills.commit(PRINCIPAL, first)) is Reason.BACKFILL_CLOSED
    second = await opened(ready)
    found = await ready.backfills.list(PRINCIPAL, None, None, 1)
    assert [one.id for one in found] == [second]
    found = await ready.backfills.list(PRINCIPAL, None, (found[0].created_at, second), 5)
    assert [one.id for one in found] == [first]
    assert [one.id for one in await ready.backfills.list(PRINCIPAL, State.DISCARDED, None, 5)] == [first]
    await ready.backfills.commit(PRINCIPAL, second)
    await ready.applying.work()
    assert (await ready.backfills.get(PRINCIPAL, second)).state is State.COMMITTED  # of nothing


async def test_a_subject_that_is_unknown_waits_for_its_customer(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(CATALOG)
    time = await one.now() - 90 * DAY
    id_ = await opened(one)
    await loaded(one, id_, event("1", time=time, subject="later", amount=4))
    await one.backfills.commit(PRINCIPAL, id_)
    await one.applying.work()
    await one.amend("1", event("1", time=time, subject="later", amount=5))
    assert await one.customer("later") == 3  # with what the correction took back
    assert await sums(one) == {"later": 5}
    await one.backfills.revert(PRINCIPAL, id_)
    await one.applying.work()
    assert (await one.backfills.get(PRINCIPAL, id_)).counts == {RowState.KEPT: 1}
    await one.void("1")
    assert await sums(one) == {}
    assert await one.differences() == []


async def test_p1_what_was_dropped_since_is_not_brought_back_as_nothing(ready: Process) -> None:
    """The contents that stood before are told by rows that retention may have dropped: then what was put stays."""
    now = await ready.now()
    await ready.add(*[event(id_, time=now - DAY, amount=3) for id_ in ("lost", "left", "voided")])
    id_ = await opened(ready, Scope(("acme",), (), ()))
    await loaded(ready, id_, event("new", time=now - DAY, amount=9))
    await loaded(ready, id_, *[event(one, time=now - DAY, amount=5) for one in ("lost", "left")])
    await ready.backfills.preview(PRINCIPAL, id_, None, 100)
    await ready.backfills.commit(PRINCIPAL, id_)
    await ready.applying.work()
    assert await sums(ready) == {"acme": 19}
    await ready.fetch("DELETE FROM usage_event WHERE id IN ('lost', 'voided') AND sign IS NULL AND version IS NULL")
    await ready.backfills.revert(PRINCIPAL, id_)
    await ready.applying.work()
    counts = (await ready.backfills.get(PRINCIPAL, id_)).counts
    assert counts == {RowState.REVERTED: 2, RowState.REJECTED: 2}
    problems = await ready.backfills.problems(PRINCIPAL, id_, ("", ""), 10)
    assert [(one.id, one.reason) for one in problems] == [("lost", "EVENTS_DROPPED"), ("voided", "EVENTS_DROPPED")]
    rows = await ready.fetch(
        "SELECT id, sum(amount * coalesce(sign, 1)) FROM usage_event WHERE id IN ('left', 'new') OR version > 1 "
        "GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("left", 3), ("lost", 5), ("new", 0)]
