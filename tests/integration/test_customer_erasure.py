"""Erasure: names are gone from all tables and from Redis, and the sums stay; on real databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
import redis.asyncio

from metergate.adapters.postgres import customer_erase
from metergate.adapters.postgres.customer_erase import PostgresErasures
from metergate.adapters.postgres.customer_export import PostgresExports
from metergate.adapters.postgres.customer_moves import PostgresMoves
from metergate.app.customer import erase as erase_module
from metergate.app.customer.data import Erasure
from metergate.app.customer.erase import EraseCustomers
from metergate.app.customer.export import ExportCustomer, Position
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.customer.terms import CustomerUpdate
from metergate.app.quota.lease import Report
from metergate.app.usage.correct import Correction
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.erasure import Step
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, MINUTE
from metergate.domain.quota import Limit, Policy, Scope
from metergate.domain.work import Want
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event, heard

MARK = "zzmark"  # stands in all that has to go
CALLS = Meter("calls", "calls", dimensions=("region",))
TOKENS = Meter("tokens", "calls", value="tokens")
PEOPLE = Meter("people", "calls", "unique")
REGIONS = Meter("regions", "calls", "unique", "region")
LAST = Meter("last", "calls", "latest")
LIMITS = (
    Limit("calls/month", "calls", Decimal(100_000)),
    Limit("each", "calls", Decimal(50_000), scope=Scope.SUBJECT),
    Limit("eu", "calls", Decimal(50_000), labels=(("region", "eu"),)),
    Limit("people", "people", Decimal(50_000), policy=Policy.SOFT),
    Limit("by", "calls", Decimal(50_000), per_labels=("region",), thresholds=(1,)),
)


def erasing(one: Process, budget: float = 60.0) -> EraseCustomers:
    return EraseCustomers(PostgresErasures(one.engine), one.directory, one.catch_up, budget)


async def erase(one: Process, customer: str = "a", budget: float = 60.0, **fields: Any) -> Erasure:
    asked = {"dimensions": False, "event_ids": False, "new_id": "", "request_id": ""} | fields
    return await erasing(one, budget).erase(PRINCIPAL, customer, **asked)


async def begin(one: Process) -> None:
    """Customer a with subjects that are people, in the pool p with b; usage of them, holds, and news of limits."""
    await one.apply(Catalog((CALLS, TOKENS, PEOPLE, REGIONS, LAST), (Plan("default", LIMITS),)))
    for name in "abp":
        await one.customer(name)
    await one.terms.update(PRINCIPAL, "a", CustomerUpdate(name=f"{MARK} Ltd"))
    for name in "ab":
        await one.terms.assign_pool(PRINCIPAL, name, "p")
    for number in range(3):
        await one.subject(f"{MARK}-user{number}", "a")
    await one.subject("other", "b")
    now = await one.now()
    for number in range(24):
        subject = ("a", f"{MARK}-user0", f"{MARK}-user1", "other")[number % 4]
        mark = "theirs" if subject == "other" else MARK
        await one.add(
            event(
                f"e{number}",
                subject=subject,
                amount=number + 1,
                time=now - number * 20 * MINUTE,
                values={"tokens": 10, mark: 5},
                labels={"region": ("eu", f"{mark}-region", "")[number % 3], "mail": f"{mark}@example.org"},
            )
        )
    await one.void("e5")
    new = event("e6", subject=f"{MARK}-user1", amount=70, labels={"region": f"{MARK}-region"})
    await one.corrections.correct(PRINCIPAL, Correction("api", "e6", new, f"{MARK} asked", "", b"", False, 0))
    await one.consume(event("c1", subject=f"{MARK}-user0", amount=5_000, labels={"region": f"{MARK}-region"}))
    held = await one.reserve(Want("calls", Decimal(9), {"region": f"{MARK}-region"}), subject=f"{MARK}-user2")
    assert held.hold is not None
    used = event("s1", subject=f"{MARK}-user2", amount=4, settles=held.hold.id, labels={"region": f"{MARK}-region"})
    await one.reservations.commit(PRINCIPAL, held.hold.id, [used])
    leased = await one.acquire("calls", "40", subject=f"{MARK}-user1", holder=f"{MARK}-holder")
    assert leased.hold is not None
    await one.sync(Report(leased.hold.id, Decimal(0), None, None, True))
    for subject in ("a", f"{MARK}-user0", "other"):
        await one.check("calls", subject=subject, labels={"region": "eu" if subject == "other" else f"{MARK}-region"})


async def found(one: Process, redis_url: str, text: str) -> list[str]:
    """Where the text stands: in any text, JSON, array or bytes of any table, and in Redis."""
    columns = await one.fetch(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND NOT a.attisdropped"
    )
    places = []
    for table, column in columns:
        rows = await one.fetch(
            f'SELECT count(*) FROM {table} WHERE position($1 IN "{column}"::text) > 0 '
            f"OR position(encode(convert_to($1, 'UTF8'), 'hex') IN \"{column}\"::text) > 0",
            text,
        )
        if rows[0][0]:
            places.append(f"{table}.{column}")
    client = redis.asyncio.Redis.from_url(redis_url)
    try:
        hashes = {key: repr(await client.hgetall(key)) async for key in client.scan_iter()}
    finally:
        await client.aclose()
    return places + [f"redis {key!r}" for key, value in hashes.items() if text in f"{key!r} {value}"]


async def sums(one: Process) -> dict[str, Any]:
    """What is summed up of each customer, in all and by subject, without the subjects' names."""
    result: dict[str, Any] = {}
    for customer in "abp":
        summary = await one.summarize(
            "calls", "tokens", "people", "regions", "last", customer=customer, end=await one.now() + DAY
        )
        result[customer] = [(one_.meter, one_.total, one_.count) for one_ in summary.series]
        rows = await one.fetch(
            "SELECT sum(count), sum(sum) FROM usage_rollup WHERE customer = $1 GROUP BY subject, measure ORDER BY 1, 2",
            customer,
        )
        result[f"{customer} by subject"] = rows
    return result


@pytest.mark.parametrize("dimensions", [False, True])
async def test_names_are_gone_and_sums_stay(one: Process, redis_url: str, dimensions: bool) -> None:
    await begin(one)
    await heard()
    before = await sums(one)
    assert {"usage_event.labels", "usage_rollup.subject", "hold.holder", "customer.name", "usage_counter.subject",
            "limit_event.filter"} <= set(await found(one, redis_url, MARK))  # fmt: skip
    done = await erase(one, dimensions=dimensions)
    assert done.step is Step.DONE
    assert done.counts["usage_event"] == 23  # with those that take back
    places = await found(one, redis_url, MARK)
    if dimensions:
        assert places == []
    else:
        assert await found(one, redis_url, f"{MARK}-user") == []
        assert {place.partition(".")[2] for place in places} <= {"labels", "dimensions", "filter", ""}, places
    assert await one.differences() == []
    assert await sums(one) == before
    assert await one.fetch("SELECT count(DISTINCT labels ->> 'region') FROM usage_event WHERE customer = 'a'") == [(3,)]
    assert (await one.check("calls", subject="other")).allowed
    assert await one.outcomes(event("late", subject="a", amount=1)) == ["accepted"]
    assert await one.differences() == []


async def test_p1_ids_are_remembered_until_they_cannot_come_again(
    one: Process, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(one)
    await one.add(event(f"{MARK}-id", subject="a"), event("x", subject="a", source=f"{MARK}-source"))
    done = await erase(one)
    assert await one.outcomes(event(f"{MARK}-id", subject="a")) == ["duplicate"]
    assert set(await found(one, redis_url, f"{MARK}-id")) == {"usage_id.id", "usage_event.id", "usage_rollup.last_key"}
    assert await erasing(one)._erasures.left(0, 10) == []
    # Their slices are dropped.
    for (name,) in await one.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage_id'::regclass"
    ):
        if name < "usage_id_2999":
            await one.fetch(f"ALTER TABLE usage_id DETACH PARTITION {name}")
            await one.fetch(f"DROP TABLE {name}")
    await one.fetch(
        "CREATE TABLE usage_id_2199_01 PARTITION OF usage_id FOR VALUES FROM ('2199-01-01') TO ('2199-02-01')"
    )
    left = await erasing(one)._erasures.left(0, 10)
    assert left == [("t", done.id)]
    monkeypatch.setattr(erase_module, "_IDLE", 0)
    await erasing(one).go_on()
    (after,) = await erasing(one).list(PRINCIPAL, "a", None, 10)
    assert after.step is Step.OVER
    assert await found(one, redis_url, f"{MARK}-id") == await found(one, redis_url, f"{MARK}-source") == []
    assert await one.fetch("SELECT secret, id_secret FROM customer_erasure") == [(None, None)]


async def test_ids_at_once_and_another_customer_id(one: Process, redis_url: str) -> None:
    await begin(one)
    await one.customer(f"{MARK}-co")
    await one.subject(f"{MARK}-sub", f"{MARK}-co")
    await one.terms.assign_pool(PRINCIPAL, f"{MARK}-co", "p")
    for number, subject in enumerate((f"{MARK}-co", f"{MARK}-sub")):
        await one.add(event(f"{MARK}-{number}", subject=subject, amount=7, labels={"region": "eu"}))
        await one.check("calls", subject=subject)
    await erase(one, dimensions=True, event_ids=True)
    done = await erase(one, f"{MARK}-co", dimensions=True, event_ids=True, new_id="gone-1")
    assert (done.step, done.customer) == (Step.OVER, "gone-1")
    assert await found(one, redis_url, MARK) == []
    assert (await one.summarize("calls", customer="gone-1")).series[0].total == 14
    assert await one.differences() == []
    assert await one.outcomes(event("new", subject="gone-1")) == ["accepted"]
    assert await one.differences() == []


async def test_killed_at_each_piece(one: Process, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a quarter hour; after each one everything agrees, and another process goes on."""
    monkeypatch.setattr(customer_erase, "_ROWS", 1)
    await begin(one)
    before = await sums(one)
    done = await erase(one, budget=0.0, dimensions=True, request_id="r")
    pieces = 0
    while not done.step.finished:
        pieces += 1
        assert await one.differences() == []
        await one.add(event(f"meanwhile{pieces}", "other.type", subject="a"))
        done = await erase(one, budget=0.0, dimensions=True, request_id="r")
        assert pieces < 100
    assert pieces > 10
    assert await found(one, redis_url, MARK) == []
    assert await sums(one) == before
    assert (await erase(one, dimensions=True, request_id="r")).id == done.id
    assert len(await erasing(one).list(PRINCIPAL, "a", None, 10)) == 1


async def test_amid_usage(one: Process, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_erase, "_ROWS", 3)
    await begin(one)
    two = await start(dev=False)
    await two.add(event("w", subject=f"{MARK}-user0", amount=1))
    names = [f"{MARK}-user0", "a", "other"]
    usage = [two.add(event(f"u{n}", subject=names[n % 3], labels={"region": "eu"})) for n in range(60)]
    done, *_ = await asyncio.gather(erase(one, dimensions=True), *usage)
    assert done.step is Step.DONE
    assert await one.fetch("SELECT count(*), count(DISTINCT id) FROM usage_event WHERE id LIKE 'u%'") == [(60, 60)]
    assert await one.differences() == []


async def test_p12_erasures_that_cannot_be(one: Process) -> None:
    await begin(one)
    held = await one.reserve(Want("calls", Decimal(1), {}), subject="a")
    for customer, new_id, reason in (
        ("nobody", "", Reason.CUSTOMER_NOT_FOUND), ("a", "", Reason.ERASURE_NOT_POSSIBLE),
        ("b", "other", Reason.ERASURE_NOT_POSSIBLE), ("b", "a", Reason.ERASURE_NOT_POSSIBLE),
        ("b", "x" * 129, Reason.FIELD_INVALID), ("b", "a\x00", Reason.FIELD_INVALID),
    ):  # fmt: skip
        with pytest.raises(MetergateError) as error:
            await erase(one, customer, new_id=new_id)
        assert error.value.reason is reason
    assert held.hold is not None
    await one.reservations.release(PRINCIPAL, held.hold.id)
    await erase(one, budget=0.0, request_id="r")
    for fields, reason in (({"dimensions": True}, Reason.ERASURE_NOT_POSSIBLE),
                           ({"dimensions": True, "request_id": "r"}, Reason.REQUEST_ID_REUSED)):  # fmt: skip
        with pytest.raises(MetergateError) as error:
            await erase(one, **fields)
        assert error.value.reason is reason
    assert (await erase(one)).step is Step.DONE  # goes on with the one that is under way


async def test_subjects_that_moved_within_a_pool_and_merged_customers(one: Process, redis_url: str) -> None:
    await begin(one)
    moves = PostgresMoves(one.engine)
    mover = MoveSubjects(moves, one.directory, one.catch_up)
    await mover.move(PRINCIPAL, f"{MARK}-user0", "b")
    await one.add(event("m1", subject=f"{MARK}-user0", amount=3))
    before = await sums(one)
    await erase(one, dimensions=True)
    assert await one.differences() == []
    # What b has of the subject is b's.
    assert await one.fetch("SELECT DISTINCT customer FROM usage_event WHERE subject = $1", f"{MARK}-user0") == [("b",)]
    # In the pool it was one person, and is two now that nobody can tell.
    after = await sums(one)
    for found_, kept in ((after, before), (before, after)):
        found_["p"] = [figures for figures in found_["p"] if figures[0] != "people"]
        assert {name: found_[name] for name in "ab"} == {name: kept[name] for name in "ab"}
    assert after["p"] == before["p"]
    await erase(one, "b", dimensions=True)
    assert await found(one, redis_url, MARK) == []
    await MergeCustomers(moves, one.directory, one.catch_up).merge(PRINCIPAL, "a", "b")
    await erase(one, "p")
    await erase(one, "b")
    assert await one.outcomes(event("m2", subject="a")) == ["accepted"]
    assert await one.fetch("SELECT customer FROM usage_event WHERE id = 'm2'") == [("b",)]
    assert await one.differences() == []


async def export(one: Process, customer: str, size: int) -> list[dict[str, Any]]:
    verb, lines = ExportCustomer(PostgresExports(one.engine)), []
    page, position = await verb.export(PRINCIPAL, customer, None, size)
    lines += page
    while position is not None:
        assert len(page) <= size + 1
        position = Position(position.cut, position.part, json.loads(json.dumps(position.after)), position.counts)
        page, position = await verb.export(PRINCIPAL, customer, position, size)
        lines += page
    return [json.loads(line) for line in lines]


async def test_an_export_has_all_in_order(one: Process) -> None:
    await begin(one)
    await MoveSubjects(PostgresMoves(one.engine), one.directory, one.catch_up).move(PRINCIPAL, f"{MARK}-user1", "b")
    whole = await export(one, "a", 1000)
    for size in (1, 7):
        lines = await export(one, "a", size)
        assert lines[1:-1] == whole[1:-1]
    first, last = whole[0], whole[-1]
    assert (first["record"], first["format"], last["record"]) == ("export", 1, "manifest")
    counts: dict[str, int] = {}
    for line in whole[1:-1]:
        counts[line["record"]] = counts.get(line["record"], 0) + 1
    assert {kind: count for kind, count in last["counts"].items() if count} == counts
    assert counts["event"] == 23
    assert counts["subject_move"] == counts["customer"] == counts["terms"] == 1
    assert set(counts) >= {"subject", "hold", "hold_move", "limit_event", "rollup"}
    events = [line for line in whole if line["record"] == "event"]
    assert [line["counted_at"] for line in events] == sorted(line["counted_at"] for line in events)
    consumed: Mapping[str, Any] = next(line for line in events if line["id"] == "c1")
    assert consumed["amount"] == "5000"
    assert consumed["subject"] == f"{MARK}-user0"
    with pytest.raises(MetergateError) as error:
        await export(one, "nobody", 10)
    assert error.value.reason is Reason.CUSTOMER_NOT_FOUND


async def test_an_export_ends_where_it_began(one: Process) -> None:
    await begin(one)
    verb = ExportCustomer(PostgresExports(one.engine))
    lines, position = await verb.export(PRINCIPAL, "a", None, 5)
    await one.add(event("later", subject="a"))
    while position is not None:
        page, position = await verb.export(PRINCIPAL, "a", position, 50)
        lines += page
    assert not [line for line in lines if '"later"' in line]


@pytest.mark.parametrize("new_id", ["", "c"])
async def test_p1_an_event_that_was_moved_by_a_correction_keeps_its_id(one: Process, new_id: str) -> None:
    """It is the other customer's too: there its id must not be taken for a new one, nor what took it back be lost."""
    await one.apply(Catalog((CALLS,), (Plan("default", LIMITS[:1]),)))
    for name in "ab":
        await one.customer(name)
    there_and_back, left, came = event("1", subject="a"), event("2", subject="b"), event("3", subject="a")
    own = event("4", subject="b")
    await one.add(there_and_back, left, came, own)
    await one.amend("1", event("1", subject="b"))
    await one.amend("1", event("1", subject="a"))
    await one.amend("2", event("2", subject="a", amount=2))
    await one.amend("3", event("3", subject="b", amount=4))
    await one.amend("4", event("4", subject="b", amount=8))
    await erase(one, "b", event_ids=True, new_id=new_id)
    assert await one.fetch("SELECT DISTINCT id FROM usage_event WHERE id NOT LIKE 'erased-%' ORDER BY 1") == [
        ("1",), ("2",), ("3",),
    ]  # fmt: skip
    assert await one.differences() == []
    for again in (there_and_back, left, came):
        assert await one.outcomes(again) == ["duplicate"]
    assert await one.outcomes(event("3", subject="a", amount=9)) == ["conflict amount"]
    for id_ in ("1", "2", "3"):
        await one.void(id_)
    assert (await one.summarize("calls", customer="a")).series[0].total == 0
    assert (await one.summarize("calls", customer=new_id or "b")).series[0].total == 8
    assert await one.differences() == []
