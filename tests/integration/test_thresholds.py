"""Thresholds of limits: each fires once per window, in the commit that reaches it, whatever happens later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.adapters.postgres.ledger import PostgresCommit
from metergate.app.quota.limit_events import Place
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, LIFETIME, Period
from metergate.domain.quota import Kind, Limit, Policy, Scope
from metergate.domain.work import Want
from tests.integration.processes import PRINCIPAL, Process, Start, event

CALLS = Meter("calls", "calls", dimensions=("region",))
# A window that does not end while a test runs.
LIMIT = Limit("calls", "calls", Decimal(100), kind=Kind.LIFETIME, thresholds=(50, 80, 100))


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits),)))
    await one.customer("acme")


async def percents(one: Process) -> list[int]:
    """The thresholds that fired, in order."""
    return [fired.threshold for fired in reversed(await one.fired())]


@pytest.fixture
async def two(start: Start, one: Process) -> Process:
    return await start()


async def test_a_threshold_fires_once_under_concurrency_from_two_processes(one: Process, two: Process) -> None:
    await begin(one, LIMIT, replace(LIMIT, name="soft", policy=Policy.SOFT, thresholds=(50, 150)))
    works = [
        process.consume(event(f"c{number}")) if number % 3 else process.add(event(f"c{number}"))
        for number, process in enumerate([one, two] * 90)
    ]
    await asyncio.gather(*works)
    fired = await one.fired()
    [used] = await one.fetch("SELECT used FROM usage_counter")
    assert sorted((event_.limit, event_.threshold) for event_ in fired if event_.threshold < 150) == [
        ("calls", 50), ("calls", 80), ("calls", 100), ("soft", 50),
    ]  # fmt: skip
    for event_ in fired:
        assert event_.max * event_.threshold / 100 <= event_.taken <= used[0]
        assert (event_.key.customer, event_.key.start, event_.key.end) == ("acme", LIFETIME.start, LIFETIME.end)
    await one.add(event("over", amount="150"))
    assert ("soft", 150) in {(event_.limit, event_.threshold) for event_ in await two.fired("acme")}
    assert len(await one.fired()) == 5
    assert await one.differences() == []


async def test_what_lies_in_one_commit_is_told_by_its_seq(one: Process) -> None:
    await begin(one, LIMIT)
    await one.add(event("1", amount="49"))
    assert await percents(one) == []
    await one.add(event("2"))
    await one.add(event("3"), event("4", amount="60"))
    assert await percents(one) == [50, 80, 100]
    rows = await one.fetch("SELECT threshold, seq, recorded_at, taken FROM limit_event ORDER BY threshold")
    events = {row[0]: row[1:] for row in await one.fetch("SELECT id, seq, recorded_at FROM usage_event")}
    assert rows == [(50, *events["2"], 50), (80, *events["3"], 111), (100, *events["4"], 111)]


async def test_it_does_not_fire_again_whatever_happens_later(one: Process, start: Start) -> None:
    await begin(one, LIMIT)
    for process in (one, one, await start()):  # the last one remembers nothing
        held = await process.reserve(Want("calls", Decimal(85), {}))
        assert held.hold is not None
        assert await percents(one) == [50, 80]
        await one.reservations.release(PRINCIPAL, held.hold.id)
    await one.apply(Catalog((CALLS,), (Plan("default", (replace(LIMIT, max=Decimal(1000)),)),)))
    await one.add(event("1", amount="750"))
    assert await percents(one) == [50, 80]
    await one.add(event("2", amount="260"))
    assert await percents(one) == [50, 80, 100]
    assert [int(fired.max) for fired in await one.fired()] == [1000, 100, 100]


async def test_a_lowered_limit_is_told_by_the_next_commit(one: Process, two: Process) -> None:
    await begin(one, LIMIT)
    await one.add(event("1", amount="45"))
    await one.override("calls", "40")
    assert not (await two.consume(event("2"))).allowed
    assert await percents(one) == []
    await two.add(event("3"))
    assert await percents(one) == [50, 80, 100]
    assert [(fired.taken, fired.max) for fired in await one.fired()] == [(46, 40)] * 3
    await one.override("calls", None)
    await one.add(event("4", amount="1000"))
    assert len(await one.fired()) == 3


async def test_each_counter_has_thresholds_of_its_own(one: Process) -> None:
    each = replace(LIMIT, scope=Scope.SUBJECT, per_labels=("region",), max=Decimal(10), thresholds=(100,))
    await begin(one, each, replace(LIMIT, name="eu", labels=(("region", "eu"),), thresholds=(10,)))
    await one.subject("alice", "acme")
    for number, (subject, region) in enumerate((("acme", "eu"), ("alice", "eu"), ("alice", "us"), ("acme", ""))):
        await one.add(event(f"e{number}", subject=subject, labels={"region": region}, amount="9"))
        await one.add(event(f"f{number}", subject=subject, labels={"region": region} if region else {}))
    found = sorted([(fired.limit, fired.key.subject, fired.key.filter) for fired in await one.fired()])
    assert found == [
        ("calls", "acme", '{"region":""}'), ("calls", "acme", '{"region":"eu"}'), ("calls", "alice", '{"region":"eu"}'),
        ("calls", "alice", '{"region":"us"}'), ("eu", "", '{"region":"eu"}'),
    ]  # fmt: skip


async def test_a_rolling_window_is_told_as_a_whole(one: Process) -> None:
    rolling = replace(LIMIT, kind=Kind.ROLLING, length=10 * HOUR, thresholds=(50,))
    await begin(one)
    now = await one.now()
    await one.add(event("0", amount="20", time=now - 7 * HOUR))  # before there was a limit
    await one.apply(Catalog((CALLS,), (Plan("default", (rolling,)),)))
    await one.add(event("1", amount="29", time=now - 4 * HOUR), event("old", amount="90", time=now - 20 * HOUR))
    assert await percents(one) == []
    await one.add(event("2"))
    [fired] = await one.fired()
    assert (fired.threshold, fired.taken, fired.key.end - fired.key.start) == (50, 50, 11 * HOUR)
    assert await one.differences() == []


async def test_windows_that_are_over_fire_nothing(one: Process) -> None:
    await begin(one, replace(LIMIT, kind=Kind.CALENDAR, period=Period.MINUTE))
    now = await one.now()
    await one.add(event("1", amount="200", time=now - HOUR))
    assert await percents(one) == []


async def test_without_thresholds_there_is_no_further_statement(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("a limit event was written")

    monkeypatch.setattr(PostgresCommit, "write_limit_events", never)
    await begin(one, replace(LIMIT, thresholds=()), replace(LIMIT, name="far", thresholds=(300,)))
    await one.add(event("1", amount="200"))
    assert not (await one.consume(event("2"))).allowed
    assert await one.used("calls") == [200, 200]


async def test_what_was_told_is_not_written_again(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin(one, LIMIT)
    await one.add(event("1", amount="90"))
    written: list[object] = []

    async def count(_: object, events: list[object]) -> None:
        written.extend(events)

    monkeypatch.setattr(PostgresCommit, "write_limit_events", count)
    await one.add(event("2"))
    await one.add(event("3", amount="20"))
    assert [event_.threshold for event_ in written] == [100]  # type: ignore[attr-defined]


async def test_limit_events_are_listed_newest_first_and_paged(one: Process) -> None:
    await begin(one, LIMIT)
    for number, subject in enumerate(("acme", "beta", "gamma")):
        await one.add(event(f"e{number}", subject=subject, amount="55"))
    await one.add(event("more", subject="beta", amount="60"))
    everything = await one.fired()
    shown = [(fired.key.customer, fired.threshold) for fired in everything]
    assert shown == [("beta", 100), ("beta", 80), ("gamma", 50), ("beta", 50), ("acme", 50)]
    paged, after = [], None
    while True:
        page, after = await one.limit_events.list(PRINCIPAL, "", 2, after)
        paged += page
        if after is None:
            break
        assert len(page) == 2
    assert paged == everything
    assert [fired.threshold for fired in await one.fired("beta")] == [100, 80, 50]
    last = everything[1]
    behind = Place(last.recorded_at, last.key.customer, last.seq, last.place)
    assert [fired.threshold for fired in await one.fired("beta", after=behind)] == [50]
    with pytest.raises(MetergateError) as refused:
        await one.fired("nobody")
    assert refused.value.reason is Reason.CUSTOMER_NOT_FOUND
