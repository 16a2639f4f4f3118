"""While Postgres is away nothing is promised: every call on quota is UNAVAILABLE and says when to try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from metergate import wiring
from metergate.settings import Settings
from tests.chaos.proxy import PostgresProxy
from tests.chaos.servers import servers_in
from tests.e2e.calls import Answer, Caller, caller, request_type
from tests.e2e.quota import acquire, consume, event, figures, furnish, reserve


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[PostgresProxy]:
    """What stands between the server and Postgres."""
    async with PostgresProxy(postgres_url) as made:
        yield made


@pytest.fixture
async def quota(proxy: PostgresProxy, postgres_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Caller]:
    """A furnished tenant on a server of the test's own."""
    with servers_in(tmp_path) as start:
        server = await start(proxy.url, redis_url)
        key = await wiring.create_key(Settings(postgres_url=postgres_url, redis_url=redis_url), "t", "test")
        async with caller(server.grpc_url, key) as calling:
            await furnish(calling)
            yield calling


async def test_p2_p12_no_call_on_quota_is_answered_without_postgres(quota: Caller, proxy: PostgresProxy) -> None:
    decision, held, lease = await consume(quota, "3"), await reserve(quota), await acquire(quota)
    asked: dict[str, dict[str, Any]] = {
        "ConsumeQuota": {"events": [event(id="away")]},
        "BatchConsumeQuota": {"consumes": [{"events": [event()]}]},
        "ReserveQuota": {"subject": "acme", "amounts": [{"meter": "calls"}], "request_id": "r-1"},
        "ExtendReservation": {"reservation_id": held.id, "ttl": {"seconds": 600}},
        "CommitReservation": {"reservation_id": held.id, "events": [event()]},
        "ReleaseReservation": {"reservation_id": held.id},
        "AcquireLease": {"subject": "acme", "meter": "calls", "holder": "h", "amount": "1", "request_id": "l-1"},
        "SyncLeases": {"marks": [{"lease_id": lease.id, "spent": "1"}]},
        "ReturnLease": {"lease_id": lease.id, "spent": "1"},
        "ReleaseLease": {"lease_id": lease.id},
        "ExplainDecision": {"decision_id": decision.decision_id},
        "ListLimits": {"subject": "acme"},
    }  # fmt: skip
    before = await figures(quota)
    proxy.away = True
    proxy.cut()
    answers = await asyncio.gather(*(_answer(quota, method, body) for method, body in asked.items()))
    proxy.away = False
    assert {method: answer.short for method, answer in zip(asked, answers, strict=True)} == dict.fromkeys(
        asked, ("UNAVAILABLE", "LEDGER_UNAVAILABLE")
    )
    for answer in answers:
        assert answer.details["RetryInfo"].retry_delay.nanos > 0
    assert await figures(quota) == before
    again = [await _answer(quota, method, body) for method, body in asked.items()]
    assert [answer.reason for answer in again if answer.reason] == ["RESERVATION_CLOSED", "LEASE_NOT_FORFEITED"]


async def _answer(quota: Caller, method: str, body: dict[str, Any]) -> Answer:
    return await quota.answer(method, request_type(method)(**body), deadline=30)
