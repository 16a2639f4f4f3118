"""Starting, stopping, and the pages."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

import httpx
import pytest

from metergate.domain.errors import Reason
from tests.unit.http.example import CHECK, QUESTION, Example, error_info


async def test_pages(example: Example, client: httpx.AsyncClient) -> None:
    index = await client.get("/")
    assert index.status_code == 200
    assert index.headers["content-type"].startswith("text/plain")
    for told in ("/healthz", "/readyz", "/metrics", "README.md"):
        assert told in index.text
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200
    example.ready = False
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "python_info" in response.text
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_a_port_that_is_taken(example: Example) -> None:
    address = example.url.removeprefix("http://")
    other = Example()
    with pytest.raises(OSError, match=f"cannot listen on {address} for HTTP: is something else listening there"):
        await other.server.start(address)
    await other.server.stop(1)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", "nowhere.invalid:0", ""])
async def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(OSError, match="cannot listen on"):
        await Example().server.start(address)


async def test_ipv6() -> None:
    example = Example()
    try:
        address = await example.server.start("[::1]:0")
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{address}/healthz")).status_code == 200
    await example.server.stop(1)


async def test_signals_are_left_alone(example: Example, client: httpx.AsyncClient) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    await client.get("/healthz")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert "uvicorn" not in str(before)


async def test_p11_calls_under_way_are_answered() -> None:
    example = Example()
    example.wait = 0.3
    address = await example.server.start("127.0.0.1:0")
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        answer = asyncio.create_task(client.post(CHECK, json=QUESTION))
        while not example.asked:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.005)
        await example.server.stop(5)
        assert (await answer).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")


async def test_p11_a_call_beyond_the_grace_learns_that_its_outcome_is_unknown() -> None:
    example = Example()
    example.wait = 30
    address = await example.server.start("127.0.0.1:0")
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        answer = asyncio.create_task(client.post(CHECK, json=QUESTION))
        while not example.asked:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.005)
        began = time.monotonic()
        await example.server.stop(0.1)
        assert time.monotonic() - began < 5
        response = await answer
        assert response.status_code == 503
        assert error_info(response).reason == Reason.OUTCOME_UNKNOWN


async def test_idle_connections_do_not_delay_the_end(example: Example) -> None:
    other = Example()
    address = await other.server.start("127.0.0.1:0")
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        await client.get("/healthz")
        began = time.monotonic()
        await other.server.stop(10)
        assert time.monotonic() - began < 2


async def test_answers_do_not_wait_for_acknowledgements(example: Example, client: httpx.AsyncClient) -> None:
    await client.get("/healthz")
    connections = example.server._server.server_state.connections
    assert connections
    for connection in connections:
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
