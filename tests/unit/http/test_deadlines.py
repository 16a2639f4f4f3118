"""Deadlines, clients that go away, and bodies that do not come."""

from __future__ import annotations

import asyncio
import json
import time
from unittest.mock import Mock

import httpx
import pytest
from starlette.requests import Request

from metergate.domain.errors import MetergateError, Reason
from metergate.http.body import BodyReader
from tests.unit.http.example import BATCH, CHECK, QUESTION, Example, error_info


def _head(path: str, length: int, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def _connect(example: Example) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(example.url.rpartition(":")[2]))


async def test_p12_a_deadline_that_passes(example: Example, client: httpx.AsyncClient) -> None:
    example.wait = 30
    began = time.monotonic()
    response = await client.post(CHECK, json=QUESTION, headers={"Connect-Timeout-Ms": "50"})
    assert time.monotonic() - began < 5
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert error_info(response).reason == Reason.DEADLINE_PASSED
    assert example.cancelled.is_set()


async def test_a_deadline_that_is_kept(client: httpx.AsyncClient) -> None:
    response = await client.post(CHECK, json=QUESTION, headers={"Connect-Timeout-Ms": "9999999999"})
    assert response.status_code == 200


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1e3", "soon", "12345678901", "1_0"])
async def test_p12_a_deadline_that_is_none(client: httpx.AsyncClient, value: str) -> None:
    response = await client.post(CHECK, json=QUESTION, headers={"Connect-Timeout-Ms": value})
    assert response.status_code == 400
    assert error_info(response).reason == Reason.MESSAGE_MALFORMED


async def test_p12_a_body_that_does_not_come(example: Example) -> None:
    reader, writer = await _connect(example)
    writer.write(_head(CHECK, 100, "Connect-Timeout-Ms: 50") + b"{")
    assert b"504" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_goes_away_ends_the_call(example: Example) -> None:
    example.wait = 30
    body = json.dumps(QUESTION).encode()
    _, writer = await _connect(example)
    writer.write(_head(CHECK, len(body)) + body)
    await writer.drain()
    while not example.asked:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0.005)
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(example.cancelled.wait(), 5)


async def test_a_client_that_goes_away_within_its_body(
    example: Example, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await _connect(example)
    writer.write(_head(CHECK, 100) + b"{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.post(CHECK, json=QUESTION)).status_code == 200
    assert len(example.asked) == 1
    assert not caplog.records


async def test_p10_what_strangers_send_is_bounded() -> None:
    reader = BodyReader(most=10)
    hold, go = asyncio.Event(), asyncio.Event()

    async def slow() -> dict[str, object]:
        if not hold.is_set():
            hold.set()
            return {"type": "http.request", "body": b"12345678", "more_body": True}
        await go.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def other() -> dict[str, object]:
        return {"type": "http.request", "body": b"123", "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": []}
    first = asyncio.create_task(reader.read(Request(scope, slow, Mock())))
    await hold.wait()
    await asyncio.sleep(0)
    with pytest.raises(MetergateError) as raised:
        await reader.read(Request(scope, other, Mock()))
    assert raised.value.reason is Reason.OVERLOADED
    go.set()
    assert await first == b"12345678"
    assert await reader.read(Request(scope, other, Mock())) == b"123"


async def test_p10_a_hostile_body_does_not_stop_the_loop(client: httpx.AsyncClient) -> None:
    content = '{"events":[' + ",".join(["{}"] * 400_000) + "]}"
    headers = {"Content-Type": "application/json", "Connect-Timeout-Ms": "300"}
    hostile = asyncio.create_task(client.post(BATCH, content=content, headers=headers))
    longest, last = 0.0, time.monotonic()
    while not hostile.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.5  # parsing takes two seconds
    assert (await hostile).status_code in (400, 504)
