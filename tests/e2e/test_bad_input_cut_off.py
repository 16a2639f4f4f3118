"""Callers who do not wait: a deadline that passes and a client that goes away while the commit is in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest

from metergate.adapters.postgres.partitions import slices
from metergate.app import clock
from metergate.v1.usage_event_pb2 import OUTCOME_ACCEPTED, OUTCOME_DUPLICATE
from tests.e2e.calls import Caller, holding, holding_head, request_type, total, used
from tests.server import Server


def _head(server: Server, id_: str) -> Any:
    """The commit waits for the customer's head: nothing is written yet."""
    return holding_head(server.postgres_url, server.tenant, "acme")


def _id(server: Server, id_: str) -> Any:
    """The commit waits in its last statement, for a row of the same id: everything else is decided."""
    statement = (
        "INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at) "
        "SELECT $1, 'test', $2, unnest($3::date[]), '', 'acme', 0, now()"
    )
    return holding(server.postgres_url, statement, server.tenant, id_, slices(clock.now()))


HELD = pytest.mark.parametrize("held", [_head, _id])
Held = Callable[[Server, str], Any]


def _event(id_: str, subject: str = "acme") -> dict[str, str]:
    return {"id": id_, "type": "calls", "subject": subject, "amount": "5"}


async def _furnish(api: Caller) -> None:
    await api("SetLimit", limit={"meter": "calls", "max": "1000"})
    for subject in ("acme", "beta"):
        await api("RecordUsage", event=_event(f"first-{subject}", subject))


async def _counted_once(api: Caller, *ids: str) -> None:
    """Repeats the calls until each is a duplicate, and looks at the sums: the event counts once with the first."""
    for id_ in ids:
        outcomes = [(await api("RecordUsage", event=_event(id_))).receipt.outcome for _ in range(2)]
        assert outcomes[0] in (OUTCOME_ACCEPTED, OUTCOME_DUPLICATE)
        assert outcomes[1] == OUTCOME_DUPLICATE
    expected = str(5 * (1 + len(ids)))
    assert await total(api, "calls") == expected
    assert await used(api, "calls") == expected
    assert len((await api("ListUsageEvents", customer="acme")).events) == 1 + len(ids)


@HELD
async def test_p1_p12_a_deadline_that_passes(api: Caller, server: Server, held: Held) -> None:
    await _furnish(api)
    request = request_type("RecordUsage")(event=_event("late"))
    async with held(server, "late"):
        began = time.monotonic()
        answer = await api.answer("RecordUsage", request, deadline=0.3)
        assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - began < 5  # far less, on a machine that is not busy
    await _counted_once(api, "late")


@HELD
async def test_p1_a_client_that_goes_away(api: Caller, server: Server, held: Held) -> None:
    await _furnish(api)
    async with held(server, "gone"):
        call = asyncio.create_task(api("RecordUsage", event=_event("gone")))
        await asyncio.sleep(0.3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.1)
    await _counted_once(api, "gone")


async def test_p1_a_connection_that_breaks(api: Caller, server: Server) -> None:
    await _furnish(api)
    other = Caller(server.grpc_url, server.key)
    async with holding_head(server.postgres_url, server.tenant, "acme"):
        call = asyncio.create_task(other("RecordUsage", event=_event("broken")))
        await asyncio.sleep(0.2)
        await other.close()
        with pytest.raises((asyncio.CancelledError, AssertionError)):
            await call
    await _counted_once(api, "broken")


async def test_p1_a_client_that_goes_away_over_http(api: Caller, server: Server) -> None:
    await _furnish(api)
    headers = {"Authorization": f"Bearer {server.key}"}
    path = f"{server.http_url}/metergate.v1.UsageService/RecordUsage"
    held = holding_head(server.postgres_url, server.tenant, "acme")
    async with held, httpx.AsyncClient(headers=headers, trust_env=False) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(path, json={"event": _event("gone")}, timeout=0.3)
        timeout = {"Connect-Timeout-Ms": "300"}
        response = await http.post(path, json={"event": _event("late")}, headers=timeout)
        assert response.status_code == 504
        assert response.json()["details"][0]["debug"]["reason"] == "DEADLINE_PASSED"
    await _counted_once(api, "gone", "late")


async def test_a_held_head_delays_nobody_else(api: Caller, server: Server) -> None:
    """A batch over two customers, one of them held: what can be committed is, and a repeat brings the rest."""
    await _furnish(api)
    events = [_event("both-1"), _event("both-2", "beta")]
    async with holding_head(server.postgres_url, server.tenant, "acme"):
        answer = await api.answer("BatchRecordUsage", request_type("BatchRecordUsage")(events=events), deadline=0.3)
        assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
        began = time.monotonic()
        await api("RecordUsage", event=_event("meanwhile", "beta"))
        assert time.monotonic() - began < 3
    receipts = (await api("BatchRecordUsage", events=events)).receipts
    assert receipts[1].outcome == OUTCOME_DUPLICATE
    assert await total(api, "calls", "beta") == "15"
    await _counted_once(api, "both-1")


async def test_p1_who_leaves_before_the_batch_is_sent_takes_his_request_along(api: Caller, server: Server) -> None:
    """Many calls given up while a head is held: afterwards each counts once, whether it was sent or not."""
    await _furnish(api)
    ids = [f"many-{number}" for number in range(20)]
    async with holding_head(server.postgres_url, server.tenant, "acme"):
        requests = [request_type("RecordUsage")(event=_event(id_)) for id_ in ids]
        answers = await asyncio.gather(*(api.answer("RecordUsage", one, deadline=0.3) for one in requests))
        assert {answer.code for answer in answers} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    await _counted_once(api, *ids)
