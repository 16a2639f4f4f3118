"""WatchUsage: every row once, in order, whoever is slow, wherever it goes on, while many record."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from metergate.adapters.postgres.watch import PostgresWatch
from metergate.app.ports.readers import RecordedEvent
from metergate.app.usage.watch import PAGE, Told, Watching, WatchRequest, WatchUsage
from metergate.domain import period
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY
from tests.integration import summary_oracle as oracle
from tests.integration.processes import PRINCIPAL, TENANT, Process, Start, event

CALLS = Meter("calls", "calls", "count")
TOKENS = Meter("tokens", "llm", value="tokens")


class Counting(PostgresWatch):
    """Counts what is read."""

    reads = 0
    looks = 0

    async def rows(self, *arguments: Any) -> list[RecordedEvent]:
        self.reads += 1
        return await super().rows(*arguments)

    async def heads(self, *arguments: Any) -> Any:
        self.looks += 1
        return await super().heads(*arguments)


class Watchers:
    """A process's watchers."""

    def __init__(self, one: Process, quiet: float = 10.0) -> None:
        self.reader = Counting(one.engine)
        self.watching = Watching(self.reader)
        self._verb = WatchUsage(one.directory, self.watching, quiet)

    async def begin(self, after: int | None = None, **asked: Any) -> AsyncGenerator[Told]:
        """A stream of customer "acme" unless told otherwise."""
        customer = asked.get("customer", "" if "subject" in asked else "acme")
        request = WatchRequest(
            customer, asked.get("subject", ""), after, asked.get("types", ()), asked.get("meters", ())
        )
        return await self._verb.watch(PRINCIPAL, request)

    async def told(self, number: int, after: int | None = None, **asked: Any) -> list[Told]:
        """What is told until there are so many events."""
        found: list[Told] = []
        async with aclosing(await self.begin(after, **asked)) as stream, asyncio.timeout(20):
            async for one in stream:
                found.append(one)
                if sum(len(told.events) for told in found) >= number:
                    return found
        raise AssertionError("it ended")


def ids(found: list[Told]) -> list[str]:
    return [one.recorded.event.id for told in found for one in told.events]


async def test_each_row_comes_once_and_in_order_while_others_record(one: Process, rng: random.Random) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    watchers = Watchers(one)

    async def record(name: str) -> None:
        for place in range(30):
            await one.add(*[event(f"{name}-{place}-{number}") for number in range(rng.randint(1, 4))])

    following = [asyncio.create_task(watchers.told(200, 0)) for _ in range(5)]
    await asyncio.gather(*[record(name) for name in "abcd"])
    await one.add(*[event(f"last-{number}") for number in range(200)])
    rows = await one.fetch("SELECT seq, id FROM usage_event WHERE tenant = $1 ORDER BY seq, source, id", TENANT)
    for task in following:
        found = await task
        assert ids(found) == [id_ for _, id_ in rows][: len(ids(found))]
        assert all(told.seq >= max((one.recorded.seq for one in told.events), default=0) for told in found)
    assert ids(await watchers.told(len(rows), 0)) == [id_ for _, id_ in rows]


async def test_a_client_that_remembers_seq_goes_on_without_loss_or_repetition(one: Process, rng: random.Random) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    names = []
    for place in range(40):
        batch = [f"{place:02}-{number}" for number in range(rng.randint(1, 30))]
        await one.add(*[event(name) for name in batch])
        names += sorted(batch)
    watchers, seen, position = Watchers(one), [], 0
    while len(seen) < len(names):
        *_, last = found = await watchers.told(1, position)
        seen += ids(found)
        position = last.seq
    assert sorted(seen) == sorted(names)
    assert len(set(seen)) == len(seen)


async def test_a_commit_larger_than_a_message_comes_in_parts(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    before = (await oracle.seqs(one))[0]
    names = [f"{number:04}" for number in range(2 * PAGE + 7)]
    await one.add(*[event(name) for name in names])
    await one.add(event("after"))
    found = [told for told in await Watchers(one).told(len(names) + 1, before) if told.events]
    assert ids(found) == [*names, "after"]
    first, second, *rest = found
    assert first.seq == second.seq == before  # a break begins the commit anew
    assert rest[-1].seq == (await oracle.seqs(one))[0]


async def test_positions_of_any_age_work(start: Start, rng: random.Random) -> None:
    one = await start(dev=False)
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    now, names = await one.now(), []
    await one.add(*[event(f"waiting-{number}", subject="alice") for number in range(3)])
    for place in range(60):
        if place == 30:
            await one.subject("alice", "acme")  # what waited counts from here on
        late = rng.random() < 0.4
        batch = [f"{place:02}-{number}" for number in range(rng.randint(1, 5))]
        time = now - rng.randint(0, 30 * DAY) if late else None
        await one.add(*[event(name, time=time) for name in batch])
        names += batch
    # As if it had taken half a year, with long pauses; what waited stays as old as it is.
    await one.fetch(
        "CREATE TABLE usage_event_old PARTITION OF usage_event FOR VALUES FROM ('2020-01-01') TO "
        f"('{period.to_datetime(now):%Y-%m-01}')"
    )
    ages = sorted((rng.randint(0, 180 * DAY) for _ in range(100)), reverse=True)
    [(adopted,)] = await one.fetch("SELECT seq FROM usage_adoption")
    for seq, age in enumerate(ages, 1):
        column, table = ("adopted_at", "usage_adoption") if seq == adopted else ("recorded_at", "usage_event")
        await one.fetch(
            f"UPDATE {table} SET {column} = $3 WHERE tenant = $1 AND customer = 'acme' AND seq = $2",
            TENANT, seq, now - age,
        )  # fmt: skip
    waited = "UPDATE usage_event SET recorded_at = $2 WHERE tenant = $1 AND id LIKE 'waiting%'"
    await one.fetch(waited, TENANT, now - 200 * DAY)
    await one.fetch("UPDATE usage_adoption SET first_at = $1, last_at = $1", now - 200 * DAY)
    await one.fetch("UPDATE customer SET created_at = $2 WHERE tenant = $1", TENANT, now - 181 * DAY)
    rows = await one.fetch(
        "SELECT seq, id FROM usage_event WHERE tenant = $1 AND customer = 'acme' ORDER BY seq, source, id", TENANT
    )
    assert len(rows) == len(names) + 3
    watchers = Watchers(one)
    for after in (0, 1, *rng.sample(range(2, 60), 5)):
        expected = [id_ for seq, id_ in rows if seq > after]
        found = await watchers.told(len(expected), after)
        assert ids(found) == expected
        assert [told.seq for told in found] == sorted(told.seq for told in found)


async def test_p12_rows_that_were_dropped_are_not_passed_over_in_silence(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.add(event("1"))
    await one.fetch("UPDATE customer SET created_at = $2 WHERE tenant = $1", TENANT, await one.now() - 100 * DAY)
    await one.fetch("INSERT INTO event_month (month, state) VALUES (date_trunc('month', now())::date - 30, 'dropped')")
    watchers, (seq, _) = Watchers(one), await oracle.seqs(one)
    with pytest.raises(MetergateError) as refused:
        await watchers.begin(0)
    assert (refused.value.reason, refused.value.field) == (Reason.EVENTS_DROPPED, "after_seq")
    await one.add(event("2"))
    assert ids(await watchers.told(1, seq)) == ["2"]


async def test_from_now_on_it_comes_within_a_second(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.add(event("before"))
    stream = await Watchers(one).begin()
    async with aclosing(stream), asyncio.timeout(20):
        assert (await anext(stream)).events == []
        began = asyncio.get_running_loop().time()
        await one.add(event("now"))
        told = await anext(stream)
        assert ids([told]) == ["now"]
        assert asyncio.get_running_loop().time() - began < 5  # a second, on a machine that is not busy
        assert told.as_of <= await one.now()


async def test_corrections_come_with_what_they_took_back(one: Process, rng: random.Random) -> None:
    await one.apply(Catalog(oracle.METERS))
    await one.customer("acme")
    await one.subject("alice", "acme")
    rows = oracle.make(rng, 5)
    seq = await oracle.tell(one, rows)
    await oracle.take_back(one, [replace(row, seq=seq) for row in rows], rows[:2])
    found = await Watchers(one).told(2, seq)
    assert sorted(ids(found)) == ["e0", "e1"]
    assert {listed.recorded.sign for told in found for listed in told.events} == {-1}


async def test_only_what_was_asked_for(one: Process) -> None:
    await one.apply(Catalog((CALLS, TOKENS)))
    await one.customer("acme")
    await one.subject("alice", "acme")
    await one.add(
        event("1"), event("2", "llm", values={"tokens": 5}), event("3", "other"), event("4", subject="alice"),
        event("5", "llm"),
    )  # fmt: skip
    watchers = Watchers(one)
    assert ids(await watchers.told(2, 0, types=("llm",))) == ["2", "5"]
    assert ids(await watchers.told(1, 0, meters=("tokens",))) == ["2"]
    assert ids(await watchers.told(1, 0, subject="alice")) == ["4"]


async def test_what_waited_for_its_subject_comes_when_it_counts(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    await one.add(event("early", subject="alice"))
    stream = await Watchers(one).begin()
    async with aclosing(stream), asyncio.timeout(20):
        await anext(stream)
        await one.subject("alice", "acme")
        assert ids([await anext(stream)]) == ["early"]


async def test_many_watchers_of_one_customer_cost_one_query(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    watchers = Watchers(one)
    streams = [await watchers.begin() for _ in range(50)]
    async with asyncio.timeout(20):
        for stream in streams:
            await anext(stream)
        reads = watchers.reader.reads
        await one.add(event("1"))
        for told in await asyncio.gather(*[anext(stream) for stream in streams]):
            assert ids([told]) == ["1"]
    assert watchers.reader.reads == reads + 1
    for stream in streams:
        await stream.aclose()
    await asyncio.sleep(0.6)
    looks = watchers.reader.looks
    await asyncio.sleep(0.6)
    assert watchers.reader.looks == looks  # nobody watches, nothing is asked


async def test_who_is_slow_is_served_from_the_database(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    watchers = Watchers(one)
    slow, fast = await watchers.begin(), await watchers.begin()
    async with aclosing(slow), aclosing(fast), asyncio.timeout(20):
        await anext(slow), await anext(fast)
        for place in range(3):
            await one.add(event(str(place)))
            assert ids([await anext(fast)]) == [str(place)]
        assert ids([await anext(slow)]) == ["0", "1", "2"]


async def test_a_quiet_stream_says_that_it_lives(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    stream = await Watchers(one, quiet=0.4).begin()
    async with aclosing(stream), asyncio.timeout(20):
        told = [await anext(stream) for _ in range(3)]
    assert [one.events for one in told] == [[], [], []]
    assert told[0].as_of < told[2].as_of


async def test_p11_a_server_that_stops_ends_its_streams(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    watchers = Watchers(one)
    stream = await watchers.begin()
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    watchers.watching.close()
    with pytest.raises(MetergateError) as ended:
        await asyncio.wait_for(waiting, 5)
    assert ended.value.reason is Reason.SHUTTING_DOWN


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        ({"customer": ""}, Reason.FIELD_INVALID, "customer"),
        ({"customer": "acme", "subject": "acme"}, Reason.FIELD_INVALID, "customer"),
        ({"customer": "nobody"}, Reason.CUSTOMER_NOT_FOUND, ""),
        ({"subject": "nobody"}, Reason.SUBJECT_NOT_FOUND, ""),
        ({"after": -1}, Reason.FIELD_INVALID, "after_seq"),
        ({"after": 1_000_000}, Reason.FIELD_INVALID, "after_seq"),
        ({"meters": ("nothing",)}, Reason.METER_NOT_FOUND, ""),
        ({"types": tuple(map(str, range(101)))}, Reason.FIELD_INVALID, "types"),
    ],
)
async def test_p12_what_cannot_be_watched_is_told_why(
    one: Process, asked: dict[str, Any], reason: Reason, field: str
) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.customer("acme")
    with pytest.raises(MetergateError) as refused:
        await Watchers(one).begin(**asked)
    assert (refused.value.reason, refused.value.field) == (reason, field)
