"""The outbox: news are there if and only if the commit is, once, and in the customer's order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from metergate.adapters.postgres.ledger import PostgresCommit
from metergate.app.notify.manage import Wanted
from metergate.app.ports.ledger import RaceLostError
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR
from metergate.domain.quota import Kind, Limit, Policy
from metergate.domain.work import Want
from tests.integration.deliveries import ALL, Post, post
from tests.integration.processes import PRINCIPAL, Process, Start, event, settle

CALLS = Meter("calls", "calls")
LIMIT = Limit("calls", "calls", Decimal(100), kind=Kind.LIFETIME, policy=Policy.SOFT, thresholds=(50, 100))
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
async def office(one: Process, postgres_url: str) -> AsyncGenerator[Post]:
    async with post(one, postgres_url) as made:
        yield made


async def news(one: Process, customer: str = "acme") -> list[tuple[str, Any]]:
    """What the outbox holds of a customer: kind and data, in order."""
    rows = await one.fetch("SELECT kind, body, seq FROM outbox WHERE customer = $1 ORDER BY seq, place", customer)
    found = [(kind, json.loads(body)) for kind, body, _ in rows]
    for (kind, body), (_, _, seq) in zip(found, rows, strict=True):
        assert body["type"] == kind
        assert (body["data"]["customer"], body["data"]["seq"]) == (customer, seq)
    return [(kind, body["data"]) for kind, body in found]


async def ids(one: Process, customer: str = "acme") -> list[list[str]]:
    """The ids of the events that each of the news tells of."""
    return [[one["id"] for one in data["events"]] for kind, data in await news(one, customer) if "events" in data]


async def test_nothing_is_written_where_nobody_listens(one: Process, office: Post, start: Start) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", (LIMIT,)),)))
    await one.add(event("1", amount=60))
    assert await news(one) == []
    other = await start()
    await other.catalogs.set_limit(PRINCIPAL, "", replace(LIMIT, name="more"))
    await other.add(event("2"))
    made = await office.endpoint(NOWHERE, *ALL)
    # The other process was told nothing, and sees by the catalog's version.
    await other.add(event("3"))
    assert await ids(one) == [["3"]]
    await office.manage.delete(PRINCIPAL, made.id)
    await other.add(event("4"))
    assert await ids(one) == [["3"]]


async def test_news_tell_what_was_recorded(one: Process, office: Post) -> None:
    await one.apply(Catalog((CALLS,)))
    await office.endpoint(NOWHERE)
    at = await one.now() - HOUR
    first = event("1", amount="1.50", time=at, values={"tokens": "7"}, labels={"region": "eu"})
    await one.add(first, event("2"))
    await one.consume(event("3", source="other"))
    [(kind, data), (_, third)] = await news(one)
    assert kind == "usage.recorded"
    [told, second] = data["events"]
    assert told.pop("counted_at") == told.pop("time")
    assert told == {
        "id": "1", "source": "api", "type": "calls", "subject": "acme", "amount": "1.5", "values": {"tokens": "7"},
        "labels": {"region": "eu"},
    }  # fmt: skip
    assert set(second) == {"id", "source", "type", "subject", "counted_at"}
    assert [one["source"] for one in third["events"]] == ["other"]


async def test_one_piece_of_news_holds_a_hundred_events(one: Process, office: Post) -> None:
    await office.endpoint(NOWHERE)
    await one.add(*[event(f"e{number:03}", subject=("acme", "beta")[number % 2]) for number in range(410)])
    assert [len(some) for some in await ids(one)] == [100, 100, 5]
    assert list(chain(*await ids(one))) == [f"e{number:03}" for number in range(0, 410, 2)]
    assert [len(some) for some in await ids(one, "beta")] == [100, 100, 5]


async def test_duplicates_conflicts_and_refusals_are_no_news(one: Process, office: Post) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", (replace(LIMIT, policy=Policy.HARD, thresholds=()),)),)))
    await office.endpoint(NOWHERE)
    await one.add(event("1"))
    await one.outcomes(event("1"), event("1", amount=2), event("2", amount=-1))
    assert not (await one.consume(event("3", amount=200))).allowed
    held = await one.reserve(Want("calls", Decimal(5), {}))
    assert held.hold is not None
    assert await ids(one) == [["1"]]


async def test_a_commit_that_fails_leaves_no_news(one: Process, office: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.endpoint(NOWHERE, *ALL)
    await one.add(event("1"))
    write, failed = PostgresCommit.write_outbox, 0

    async def fail(commit: PostgresCommit, all_news: Any) -> None:
        nonlocal failed
        await write(commit, all_news)
        if failed < 2:
            failed += 1
            raise RaceLostError("as if another commit had been first")

    monkeypatch.setattr(PostgresCommit, "write_outbox", fail)
    await one.add(event("2"))
    assert failed == 2
    assert await ids(one) == [["1"], ["2"]]
    assert list(chain(*await ids(one))) == [
        row[0] for row in await one.fetch("SELECT id FROM usage_event ORDER BY seq")
    ]


async def test_thresholds_and_overruns_are_told_once_by_many_processes(
    one: Process, office: Post, start: Start
) -> None:
    limits = (LIMIT, replace(LIMIT, name="plain", thresholds=()))
    await one.apply(Catalog((CALLS,), (Plan("default", limits),)))
    await office.endpoint(NOWHERE, *ALL)
    two = await start()
    await settle([one, two])
    await asyncio.gather(*[process.add(event(f"{number}", amount=5)) for number, process in enumerate([one, two] * 20)])
    told = [(kind, data["limit"], data.get("threshold")) for kind, data in await news(one) if "limit" in data]
    assert sorted(told, key=str) == [
        ("billing.threshold_exceeded", "calls", 100), ("billing.threshold_exceeded", "calls", 50),
        ("limit.exceeded", "calls", None), ("limit.exceeded", "plain", None),
    ]  # fmt: skip
    for kind, data in await news(one):
        if kind == "limit.exceeded":
            assert Decimal(data["overrun"]) == Decimal(data["usage"]) - 100 > 0
            assert "window" not in data
    assert sorted([one.threshold for one in await one.fired()]) == [0, 0, 50, 100]


async def test_an_overrun_is_told_where_it_begins(one: Process, office: Post) -> None:
    rolling = Limit("soon", "calls", Decimal(10), kind=Kind.ROLLING, length=10 * HOUR, policy=Policy.SOFT)
    nothing = replace(LIMIT, name="none", max=Decimal(0), thresholds=())
    await one.apply(Catalog((CALLS,), (Plan("default", (rolling, nothing)),)))
    now = await one.now()
    await one.add(event("1", amount=6, time=now - 2 * HOUR))
    await office.endpoint(NOWHERE, "limit.exceeded")
    await one.add(event("2", amount=4))
    assert [(kind, data["limit"], data["max"]) for kind, data in await news(one)] == [("limit.exceeded", "none", "0")]
    await one.add(event("3", amount="0.5"))
    [_, (kind, data)] = await news(one)
    assert (kind, data["limit"], data["usage"], data["overrun"]) == ("limit.exceeded", "soon", "10.5", "0.5")
    assert set(data["window"]) == {"start_time", "end_time"}


async def test_a_pool_hears_of_its_limits_and_not_of_its_members_usage(one: Process, office: Post) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", (replace(LIMIT, max=Decimal(1)),)),)))
    for customer in ("acme", "group"):
        await one.customer(customer)
    await one.terms.assign_pool(PRINCIPAL, "acme", "group")
    await office.endpoint(NOWHERE, *ALL)
    await one.add(event("1", amount=2))
    assert [kind for kind, _ in await news(one)] == [
        "usage.recorded", "billing.threshold_exceeded", "billing.threshold_exceeded", "limit.exceeded",
    ]  # fmt: skip
    assert [kind for kind, _ in await news(one, "group")] == [
        "billing.threshold_exceeded", "billing.threshold_exceeded", "limit.exceeded",
    ]  # fmt: skip


async def test_an_endpoint_that_is_turned_off_is_not_written_for(one: Process, office: Post) -> None:
    made = await office.endpoint(NOWHERE)
    await office.manage.update(PRINCIPAL, made.id, Wanted(enabled=False))
    await one.add(event("1"))
    assert await ids(one) == []
    await office.manage.update(PRINCIPAL, made.id, Wanted(enabled=True))
    await one.add(event("2"))
    assert await ids(one) == [["2"]]
