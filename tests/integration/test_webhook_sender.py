"""Calls to endpoints: only to checked addresses, with TLS checked against the name, within bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from metergate.adapters.webhook.guard import Resolver
from metergate.adapters.webhook.sender import WebhookSender
from metergate.domain.address import Target
from tests.integration.deliveries import LOOPBACK
from tests.receiver import Receiver, receiver
from tests.server import free_port

# Signed by itself, for localhost, until 2126; `openssl req -x509` made it.
CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.pem"


@pytest.fixture
async def sender() -> AsyncGenerator[WebhookSender]:
    made = WebhookSender(LOOPBACK, connect=2, whole=3)
    yield made
    await made.close()


@pytest.fixture
async def strict() -> AsyncGenerator[WebhookSender]:
    """Without any allowed network."""
    made = WebhookSender((), connect=2, whole=3)
    yield made
    await made.close()


@asynccontextmanager
async def over_tls() -> AsyncGenerator[Receiver]:
    """A receiver with the certificate of localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    made = Receiver(f"https://localhost:{free_port()}/hook")
    port = int(made.url.rpartition(":")[2].partition("/")[0])
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, ssl=context)
    yield made
    server.close()
    for task in made.serving:
        task.cancel()


async def test_a_certificate_that_nobody_signed_is_not_believed(sender: WebhookSender) -> None:
    async with over_tls() as hook:
        outcome = await sender.send(hook.url, {}, b"{}")
        assert outcome.status == 0
        assert "certificate verify failed" in outcome.error
        assert not hook.got


async def test_a_certificate_is_checked_against_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    trusting = WebhookSender(LOOPBACK, connect=2, whole=3)
    async with over_tls() as hook:
        assert (await trusting.send(hook.url, {"webhook-id": "m"}, b"{}")).delivered
        assert hook.got[0].headers["webhook-id"] == "m"
        # The address is the same, and the name is not that of the certificate.
        outcome = await trusting.send(hook.url.replace("localhost", "127.0.0.1"), {}, b"{}")
        assert "IP address mismatch" in outcome.error
        assert len(hook.got) == 1
    await trusting.close()


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433"])
async def test_names_of_this_machine_are_not_called(strict: WebhookSender, host: str) -> None:
    async with over_tls() as hook:
        url = hook.url.replace("localhost", host)
        outcome = await strict.send(url, {}, b"{}")
        assert (outcome.status, outcome.error.endswith("is not public")) == (0, True), outcome
        port = int(url.rpartition(":")[2].partition("/")[0])
        assert await strict.refused(Target(True, host, port)) is not None
        assert not hook.got


async def test_a_name_that_answers_otherwise_the_next_time_leads_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, sender: WebhookSender
) -> None:
    """DNS rebinding: what is connected to is what was checked, and it is asked for once for each connection."""
    answers = [["127.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["10.0.0.1", "::1", "::ffff:127.0.0.1"]]
    asked: list[str] = []

    def look_up(self: Resolver, host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    monkeypatch.setattr(Resolver, "_look_up", look_up)
    connected: list[str] = []
    connect = asyncio.BaseEventLoop.create_connection

    async def watched(self: Any, factory: Any, host: Any = None, *args: Any, **options: Any) -> Any:
        connected.append(str(host))
        return await connect(self, factory, host, *args, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", watched)
    for count in (1, 2, 2):
        async with receiver() as hook:
            outcome = await sender.send(hook.url.replace("127.0.0.1", "rebind.example"), {}, b"{}")
            assert outcome.delivered == (len(asked) == count)
            assert [got.headers["host"].partition(":")[0] for got in hook.got] == ["rebind.example"] * outcome.delivered
    assert outcome.error == "the address 10.0.0.1 is not public"
    assert asked == ["rebind.example"] * 3
    assert connected == ["127.0.0.1"] * 2


async def test_without_tls_only_allowed_networks_are_called(sender: WebhookSender) -> None:
    for host in ("8.8.8.8", "[2606:4700:4700::1111]"):
        outcome = await sender.send(f"http://{host}/", {}, b"{}")
        assert (outcome.status, "not public" in outcome.error) == (0, True)


async def test_a_name_that_leads_nowhere_is_no_reason_to_refuse_it(
    monkeypatch: pytest.MonkeyPatch, strict: WebhookSender
) -> None:
    def look_up(self: Resolver, host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(Resolver, "_look_up", look_up)
    assert await strict.refused(Target(True, "nowhere.example", 443)) is None
    outcome = await strict.send("https://nowhere.example/", {}, b"{}")
    assert (outcome.status, "Name or service not known" in outcome.error) == (0, True)


async def test_connections_are_used_again(sender: WebhookSender) -> None:
    async with receiver() as hook:
        for number in range(5):
            assert (await sender.send(hook.url, {}, b"%d" % number)).delivered
        assert [got.payload for got in hook.got] == [b"0", b"1", b"2", b"3", b"4"]
        assert len(hook.serving) == 1


async def test_ends_of_networks() -> None:
    one = WebhookSender((ip_network("127.0.0.1/32"),), connect=2, whole=3)
    async with receiver() as hook:
        assert (await one.send(hook.url, {}, b"{}")).delivered
        refused = await one.send(hook.url.replace("127.0.0.1", "127.0.0.2"), {}, b"{}")
        assert "not public" in refused.error
    await one.close()
