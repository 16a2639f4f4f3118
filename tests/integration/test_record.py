"""RecordUsage on the real thing: once, whatever comes twice, at the same time, or with other content."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, Period
from metergate.domain.posting import NOBODY
from metergate.domain.quota import Limit
from metergate.domain.usage import AcceptWindow
from tests.integration.processes import TENANT, Process, Start, event, heard

CALLS = Meter("calls", "calls")
CATALOG = Catalog((CALLS,), (Plan("default", (Limit("calls/month", "calls", Decimal(100)),)),))


async def counts(one: Process) -> tuple[int, Decimal]:
    """How many events there are, and what all rollups sum up to."""
    ((events,),) = await one.fetch("SELECT count(*) FROM usage_event")
    ((total,),) = await one.fetch("SELECT coalesce(sum(sum), 0) FROM usage_rollup")
    return events, total


async def test_p1_an_acknowledged_event_is_in_the_ledger(one: Process) -> None:
    await one.apply(CATALOG)
    time = await one.now() - DAY
    made = event("1", amount="2.50", time=time, values={"b": "1", "a": "2"}, labels={"ü": "", "k": "v"}, settles="l")
    done = await one.add(made)
    rows = await one.fetch(
        "SELECT tenant, customer, seq, counted_at, time, source, id, type, subject, amount, values::text, "
        "labels::text, settles FROM usage_event"
    )
    assert rows == [
        (TENANT, "acme", 1, time, time, "api", "1", "calls", "acme", Decimal("2.5"), '{"a": "2", "b": "1"}',
         '{"k": "v", "ü": ""}', "l"),
    ]  # fmt: skip
    assert done.seqs == {"acme": 1}
    assert await one.used("calls") == [Decimal("2.5")]
    assert await one.differences() == []


async def test_p1_an_event_without_a_time_counts_when_it_arrived(one: Process) -> None:
    before = await one.now()
    await one.add(event("1"))
    ((time, counted_at, recorded_at),) = await one.fetch("SELECT time, counted_at, recorded_at FROM usage_event")
    assert time is None
    assert before <= counted_at == recorded_at <= await one.now()
    assert await one.outcomes(event("1")) == ["duplicate"]
    assert await one.outcomes(event("1", time=counted_at)) == ["conflict time"]


async def test_p1_a_repeat_is_a_duplicate_and_other_content_names_its_field(one: Process) -> None:
    await one.apply(CATALOG)
    now = await one.now()
    fields: dict[str, Any] = {
        "amount": "1",
        "time": now,
        "values": {"v": "1"},
        "labels": {"k": "v", "b": ""},
        "settles": "l",
    }
    assert await one.outcomes(event("1", **fields)) == ["accepted"]
    assert await one.outcomes(event("1", **fields), event("1", **{**fields, "amount": "1.00"})) == ["duplicate"] * 2
    changed = {
        "type": event("1", "other", **fields),
        "subject": event("1", **fields, subject="beta"),
        "time": event("1", **{**fields, "time": now - 1}),
        "amount": event("1", **{**fields, "amount": "2"}),
        "values": event("1", **{**fields, "values": {}}),
        "labels": event("1", **{**fields, "labels": {"k": "v"}}),
        "settles": event("1", **{**fields, "settles": ""}),
    }
    for field, other in changed.items():
        assert await one.outcomes(other) == [f"conflict {field}"]
    assert await one.outcomes(event("1", **fields, source="other")) == ["accepted"]
    assert await counts(one) == (2, Decimal(2))


async def test_p1_the_same_id_twice_in_a_batch(one: Process) -> None:
    await one.apply(CATALOG)
    assert await one.outcomes(event("1"), event("1"), event("1", amount="9"), event("2")) == [
        "accepted", "duplicate", "conflict amount", "accepted",
    ]  # fmt: skip
    assert await counts(one) == (2, Decimal(2))


async def test_p1_look_up_comes_before_age(one: Process, start: Start) -> None:
    old = await one.now() - 10 * DAY
    assert await one.outcomes(event("1", time=old)) == ["accepted"]
    strict = await start(accept=AcceptWindow(age=DAY))
    assert await strict.outcomes(event("1", time=old), event("2", time=old)) == ["duplicate", "rejected time"]
    assert await strict.outcomes(event("2", time=old), backfill=True) == ["accepted"]


async def test_p1_duplicates_across_processes_count_once(one: Process, start: Start, rng: random.Random) -> None:
    """Three processes record the same events at the same time, shuffled and cut differently."""
    await one.apply(CATALOG)
    processes = [one, await start(), await start()]
    events = [
        event(f"id-{number}", subject=f"s{number % 7}", amount=str(number % 5), labels={"k": str(number % 3)})
        for number in range(300)
    ]

    async def send(where: Process) -> list[str]:
        mine, outcomes, sends = rng.sample(events, len(events)), [], []
        while mine:
            size = rng.randint(1, 40)
            sends.append(where.outcomes(*mine[:size]))
            mine = mine[size:]
        for part in await asyncio.gather(*sends):
            outcomes += part
        return outcomes

    outcomes = [outcome for part in await asyncio.gather(*(send(where) for where in processes * 2)) for outcome in part]
    assert outcomes.count("accepted") == len(events)
    assert outcomes.count("duplicate") == 5 * len(events)
    assert await counts(one) == (300, Decimal(sum(number % 5 for number in range(300))))
    assert await one.differences() == []
    await heard()
    for customer in range(7):
        mine = Decimal(sum(number % 5 for number in range(customer, 300, 7)))
        for where in processes:
            assert await where.used("calls", f"s{customer}") == [mine]


async def test_p1_the_same_id_for_two_customers_at_the_same_time_counts_once(one: Process, start: Start) -> None:
    """They lock different heads, so that only the ids' unique index keeps them apart."""
    await one.apply(CATALOG)
    two = await start()
    await asyncio.gather(one.add(event("a"), event("b", subject="beta")), two.add(event("c", subject="beta")))
    for number in range(40):
        first, second = event(f"x{number}"), event(f"x{number}", subject="beta")
        outcomes = await asyncio.gather(one.outcomes(first), two.outcomes(second))
        assert sorted(outcomes) == [["accepted"], ["conflict subject"]]
    assert await counts(one) == (43, Decimal(43))
    assert await one.differences() == []


async def test_p1_many_customers_in_any_order_from_many_processes_never_deadlock(
    one: Process, start: Start, rng: random.Random
) -> None:
    await one.apply(CATALOG)
    processes = [one, await start(), await start()]
    names = [f"c{number}" for number in range(40)]

    async def send(where: Process, sender: int) -> None:
        for turn in range(6):
            batch = [
                event(f"{sender}-{turn}-{place}", subject="hot" if place % 3 == 0 else rng.choice(names))
                for place in range(60)
            ]
            rng.shuffle(batch)
            assert set(await where.outcomes(*batch)) == {"accepted"}

    await asyncio.gather(*(send(processes[sender % 3], sender) for sender in range(9)))
    assert await counts(one) == (9 * 6 * 60, Decimal(9 * 6 * 60))
    ((deadlocks,),) = await one.fetch("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert deadlocks == 0
    assert await one.differences() == []


async def test_a_held_head_delays_nobody_else(one: Process, start: Start) -> None:
    await one.apply(CATALOG)
    await one.add(event("0", subject="hot"))
    async with one.pool.acquire() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM customer_head WHERE customer = 'hot' FOR UPDATE")
        hot = asyncio.create_task(one.outcomes(event("1", subject="hot"), event("2", subject="cold")))
        await asyncio.sleep(0.05)
        for number in range(20):
            assert await asyncio.wait_for(one.outcomes(event(f"c{number}", subject="cold")), 5) == ["accepted"]
        assert not hot.done()
        await transaction.rollback()
    assert await asyncio.wait_for(hot, 10) == ["accepted", "accepted"]
    assert await counts(one) == (23, Decimal(23))


async def test_what_matches_nothing_is_kept_and_counts_once_its_meter_exists(one: Process) -> None:
    now = await one.now()
    done = await one.add(event("1", amount="5"), event("2", "bytes", time=now - DAY, amount="7"))
    assert [receipt.unmatched for receipt in done.receipts] == ["meter", "meter"]
    assert await counts(one) == (2, Decimal(0))
    await one.apply(Catalog((CALLS, Meter("bytes", "bytes"))))
    assert (await one.summarize("bytes", start=now - 2 * DAY, end=now + DAY)).series[0].total == 7
    assert (await one.summarize("calls", start=now - 2 * DAY, end=now + DAY)).series[0].total == 5
    assert await one.differences() == []


async def test_what_has_no_customer_waits_and_counts_once_its_subject_exists(start: Start) -> None:
    production = await start(dev=False)
    await production.apply(CATALOG)
    await production.customer("acme")
    done = await production.add(*[event(f"{number}", subject="alice") for number in range(3)], event("a"))
    assert [receipt.unmatched for receipt in done.receipts] == ["subject"] * 3 + [""]
    assert await production.used("calls") == [1]
    assert await production.subject("alice", "acme") == 3
    assert await production.used("calls") == [4]
    assert await production.outcomes(event("1", subject="alice"), event("1", subject="bob")) == [
        "duplicate", "conflict subject",
    ]  # fmt: skip
    assert await production.fetch("SELECT DISTINCT customer FROM usage_event") == [("acme",)]
    assert await production.differences() == []


async def test_p1_a_subject_made_while_its_events_arrive_gets_each_once(start: Start) -> None:
    recorders = [await start(dev=False), await start(dev=False)]
    maker = await start(dev=False)
    await maker.apply(CATALOG)

    async def send(where: Process, sender: int) -> None:
        for turn in range(40):
            await where.add(event(f"{sender}-{turn}", subject="late"))

    async def make() -> int:
        await asyncio.sleep(0.03)
        return await maker.customer("late")

    *_, adopted = await asyncio.gather(send(recorders[0], 0), send(recorders[1], 1), make())
    assert adopted > 0
    assert await maker.fetch("SELECT count(*) FROM usage_event WHERE customer = $1", NOBODY) == [(0,)]
    assert await maker.used("calls", "late") == [80]
    assert await maker.differences() == []


async def test_counts_of_a_meter_added_while_others_record_are_whole(one: Process, start: Start) -> None:
    """The others learn of the change from the catalog's version under the lock, not from a message."""
    processes = [one, await start(), await start()]
    await one.apply(CATALOG)
    twice = Meter("twice", "calls", "count")
    changed = Catalog((CALLS, twice), (Plan("default", (Limit("twice/month", "twice", Decimal(100)),)),))

    async def send(where: Process, sender: int) -> None:
        for turn in range(30):
            await where.add(event(f"{sender}-{turn}", subject=f"s{turn % 2}"))

    async def change() -> None:
        await asyncio.sleep(0.03)
        await one.apply(changed)

    await asyncio.gather(*(send(where, sender) for sender, where in enumerate(processes)), change())
    await heard()
    for where in processes:
        where.directory.forget_all()
        assert await where.used("twice", "s0") == [45]
    assert (await one.summarize("calls", customer="s1")).series[0].total == 45
    assert await one.differences() == []


async def test_p7_sums_are_exact_beyond_what_a_column_of_fixed_size_holds(one: Process) -> None:
    await one.apply(CATALOG)
    most = "999999999999999999.999999999999"
    await one.add(*[event(f"{number}", amount=most) for number in range(2000)])
    await one.add(event("least", amount="0.000000000001"))
    total = Decimal("1999999999999999999999.999999998001")
    assert await one.used("calls") == [total]
    assert await one.used("calls") == [total]
    assert (await one.summarize("calls")).series[0].total == total


@pytest.mark.parametrize("size", [1, 5000])
async def test_a_batch_of_any_allowed_size_is_one_commit(one: Process, size: int) -> None:
    await one.apply(CATALOG)
    done = await one.add(*[event(f"{number}", subject=f"s{number % 50}") for number in range(size)])
    assert set(done.seqs.values()) == {1}
    assert await counts(one) == (size, Decimal(size))


async def test_backfill_counts_in_its_own_window(one: Process) -> None:
    now = await one.now()
    await one.apply(Catalog((CALLS,), (Plan("default", (Limit("calls/day", "calls", Decimal(9), Period.DAY),)),)))
    assert await one.outcomes(event("1", time=now - 300 * DAY)) == ["rejected time"]
    assert await one.outcomes(event("1", time=now - 300 * DAY), backfill=True) == ["accepted"]
    assert await one.outcomes(event("1", time=now - 300 * DAY)) == ["duplicate"]
    assert await one.used("calls") == [0]
    summary = await one.summarize("calls", start=now - 301 * DAY, end=now - 299 * DAY, granularity=Period.DAY)
    assert summary.series[0].total == 1
    assert await one.differences() == []


NASTY = [
    "{", "}", "{}", ",", '"', "\\", '\\"', "NULL", "null", " ", " a ", "''", "'; DROP TABLE tenant; --", "$1", "%s",
    "a,b", "{a,b}", '{"a"}', "ü", "日本語", "😀", "\u2028", "\u0085", "\ufeff", "\\u001f", "\\n", "|", ":",
]  # fmt: skip


async def test_texts_of_any_kind_come_back_as_they_went(one: Process) -> None:
    meter = Meter("calls", "calls", dimensions=("k",))
    limit = Limit("calls/month", "calls", Decimal(100), per_labels=("k",))
    await one.apply(Catalog((meter,), (Plan("default", (limit,)),)))
    events = [
        event(text, source=text, subject=text, labels={"k": text, text: text}, values={text: "1"}, settles=text)
        for text in NASTY
    ]
    assert await one.outcomes(*events) == ["accepted"] * len(NASTY)
    assert await one.outcomes(*events) == ["duplicate"] * len(NASTY)
    assert await one.outcomes(*[event(text, source=text, subject=text) for text in NASTY]) == ["conflict values"] * len(
        NASTY
    )
    stored = await one.fetch("SELECT id, source, subject, customer, type, labels ->> 'k', settles FROM usage_event")
    assert sorted(stored) == sorted((text, text, text, text, "calls", text, text) for text in NASTY)
    for text in NASTY:
        assert await one.used("calls", text, labels={"k": text}) == [1]
        assert await one.used("calls", text, labels={"k": text}) == [1]
        summary = await one.summarize("calls", subject=text, group_by=("k", "subject"))
        assert [series.group for series in summary.series] == [{"k": text, "subject": text}]
    assert await one.differences() == []
