"""The Python client's calls for customers' terms, grants, explanations, limit events and silent leases, for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from clients.python.tests.lossy_proxy import lossy_proxy

from metergate_client import AsyncMetergate, Conflict, InvalidArgument, Metergate, NotFound
from tests.e2e.calls import Caller
from tests.e2e.quota import acquire, let_end
from tests.server import Server

T = TypeVar("T")


@pytest.fixture
async def mg(server: Server) -> AsyncIterator[AsyncMetergate]:
    async with AsyncMetergate(server.grpc_url, server.key, timeout=20) as client:
        yield client


async def _all(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def test_units_are_given_used_explained_and_taken_back(mg: AsyncMetergate) -> None:
    assert repr(await mg.set_limit("calls", None, kind="grants")).startswith("calls/grants: hard what grants hold")
    await mg.create_customer("acme")
    assert not await mg.consume("calls", subject="acme")
    first = await mg.create_grant("acme", "calls", Decimal("100.5"), priority=1)
    end = datetime.now(UTC) + timedelta(days=40)
    monthly = await mg.create_grant("acme", "calls", 50, recurs="month", end=end, rollover_max="20.25")
    assert (monthly.recurs, monthly.until_time, monthly.rollover_max, monthly.state) == (
        "month", end, Decimal("20.25"), "active",
    )  # fmt: skip
    used = await mg.consume("calls", 60, subject="acme")
    assert repr(used) == "allowed · 60 used · 90.5 left"
    assert (await mg.check("calls", subject="acme", token=monthly.token)).allowed
    explained = await mg.explain(used.decision_id)
    assert explained.confirmed
    assert {(one.id, one.burned) for one in explained["calls/grants"].grants} == {(monthly.id, 50), (first.id, 10)}
    assert [event.value for event in explained["calls/grants"].events] == [60]
    assert [(one.id, one.left) for one in await _all(mg.grants("acme", page_size=1))] == [
        (monthly.id, 0), (first.id, Decimal("90.5")),
    ]  # fmt: skip
    for _ in range(2):
        voided = await mg.void_grant(first.id)
        assert (voided.state, voided.lost, voided.left) == ("voided", Decimal("90.5"), 0)
    assert [one.id for one in await _all(mg.grants("acme"))] == [monthly.id]
    assert len(await _all(mg.grants("acme", include_ended=True))) == 2
    moves = await _all(mg.grant_moves("acme", grant_id=first.id, page_size=2))
    assert [(one.kind, one.amount) for one in moves] == [
        ("void", Decimal("90.5")),
        ("burn", 10),
        ("start", Decimal("100.5")),
    ]
    with pytest.raises(NotFound) as missing:
        await mg.void_grant("g_none")
    assert missing.value.reason == "GRANT_NOT_FOUND"
    with pytest.raises(NotFound):
        await _all(mg.grants("nobody"))


async def test_p1_changes_whose_answers_were_lost_are_made_once(server: Server, mg: AsyncMetergate) -> None:
    await mg.set_limit("calls", 10)
    await mg.create_customer("acme")
    with lossy_proxy(server.grpc_url) as proxy:
        async with AsyncMetergate(proxy.url, server.key, timeout=20) as client:
            await client.customer("acme")  # connected and at rest
            proxy.cuts = 1
            made = await client.create_grant("acme", "calls", 5)
            proxy.cuts = 1
            overridden = await client.set_limit_override("acme", "calls/month", 12)
            proxy.cuts = 1
            voided = await client.void_grant(made.id)
            assert proxy.lost == 3
    assert [(one.id, one.state) for one in await _all(mg.grants("acme", include_ended=True))] == [(made.id, "voided")]
    assert voided.lost == 5
    assert (await mg.customer("acme")).limit_overrides == overridden.limit_overrides
    assert len(overridden.limit_overrides) == 1, "a start of now is the moment of the first try"
    again = [await mg.create_grant("acme", "calls", 7, request_id="order-17") for _ in range(2)]
    assert again[0].id == again[1].id
    with pytest.raises(InvalidArgument) as reused:
        await mg.create_grant("acme", "calls", 8, request_id="order-17")
    assert reused.value.reason == "REQUEST_ID_REUSED"


async def test_a_customers_own_terms_hold_at_the_next_decision(mg: AsyncMetergate) -> None:
    await mg.set_limit("calls", 10, thresholds=[50, 100])
    anchor = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    await mg.create_customer("acme", anchor=anchor)
    assert await mg.consume("calls", 10, subject="acme")
    assert not await mg.consume("calls", subject="acme")
    start = datetime.now(UTC) - timedelta(minutes=1)
    customer = await mg.set_limit_override("acme", "calls/month", None, start=start)
    assert [(one.max, one.start_time, one.end_time) for one in customer.limit_overrides] == [(None, start, None)]
    assert await mg.consume("calls", 5, subject="acme")
    [limit] = await mg.limits(subject="acme")
    assert (limit.overridden, limit.max, limit.used) == (True, None, 15)
    assert not (await mg.delete_limit_override("acme", "calls/month", start=start)).limit_overrides
    assert not await mg.consume("calls", subject="acme")
    reached = await _all(mg.limit_events(customer="acme", page_size=1))
    assert {(one.threshold, one.taken, one.max) for one in reached} == {(50, 10, 10), (100, 10, 10)}
    updated = await mg.update_customer("acme", time_zone="Asia/Kolkata")
    assert (updated.time_zone, updated.anchor_time) == ("Asia/Kolkata", anchor)
    assert (await mg.update_customer("acme", no_anchor=True)).anchor_time is None
    with pytest.raises(InvalidArgument) as wrong:
        await mg.set_limit_override("acme", "no-such-limit", 1)
    assert wrong.value.metadata["field"] == "limit"


async def test_p2_a_pool_is_shared_until_it_is_left(server: Server) -> None:
    def share() -> None:
        with Metergate(server.grpc_url, server.key, timeout=20) as mg:
            mg.set_limit("calls", 10)
            mg.set_limit("calls", 15, plan="group")
            mg.create_customer("group", plan="group")
            for name in ("acme", "beta"):
                mg.create_customer(name)
                assert mg.assign_pool(name, "group").pool == "group"
            mg.create_subject("key-7", customer="acme")
            assert mg.consume("calls", 10, subject="key-7")
            refused = mg.consume("calls", 6, subject="beta")
            assert refused.binding_limit == "calls/month"
            assert refused.limit is not None
            assert {limit.pool for limit in refused.limits} == {"", "group"}
            explained = mg.explain(refused.decision_id)
            assert (explained.confirmed, explained.decision.allowed) == (True, False)
            with pytest.raises(Conflict) as nested:
                mg.assign_pool("group", "acme")
            assert nested.value.reason == "POOL_NOT_POSSIBLE"
            assert mg.assign_pool("beta").pool == ""
            assert mg.consume("calls", 6, subject="beta")
            assert [one.id for one in mg.customers(page_size=2)] == ["acme", "beta", "group"]
            assert [one.id for one in mg.subjects("acme")] == ["acme", "key-7"]

    await asyncio.to_thread(share)


async def test_p2_a_silent_holders_lease_is_released_on_an_operators_word(
    server: Server, api: Caller, mg: AsyncMetergate
) -> None:
    await mg.set_limit("calls", 2_000)
    await mg.create_customer("acme")
    lease = await acquire(api, "40")
    with pytest.raises(Conflict) as held:
        await mg.release_lease(lease.id)
    assert held.value.reason == "LEASE_NOT_FORFEITED"
    await let_end(server, lease.id)
    refused = await mg.consume("calls", 2_000, subject="acme")
    assert repr(refused) == "refused by calls/month · 1960 would fit · nothing charged"
    [hold] = (await mg.explain(refused.decision_id))["calls/month"].holds
    assert (hold.id, hold.forfeited) == (lease.id, 40)
    for _ in range(2):
        released = await mg.release_lease(hold.id)
        assert (released.state, released.holder, released.granted) == ("released", "h", 40)
    assert await mg.consume("calls", 2_000, subject="acme")


async def test_p12_what_cannot_be_explained_or_listed_says_why(mg: AsyncMetergate) -> None:
    for wrong, kind, reason in (
        (lambda: mg.explain("no-decision"), InvalidArgument, "TOKEN_INVALID"),
        (lambda: mg.release_lease("none"), NotFound, "LEASE_NOT_FOUND"),
        (lambda: mg.customer("nobody"), NotFound, "CUSTOMER_NOT_FOUND"),
        (lambda: mg.create_grant("nobody", "calls", 1), NotFound, "CUSTOMER_NOT_FOUND"),
        (lambda: _all(mg.limit_events(customer="nobody")), NotFound, "CUSTOMER_NOT_FOUND"),
    ):
        work: Any = wrong
        with pytest.raises(kind) as caught:
            await work()
        assert caught.value.reason == reason
