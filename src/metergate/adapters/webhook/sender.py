"""Calls endpoints over HTTP/1.1: no redirects, no proxies, TLS checked against the host's name, and bounded in time and
in what is read of an answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import certifi
import httpcore

from metergate.adapters.webhook.guard import AddressRefusedError, GuardedBackend, Resolver
from metergate.app.notify.ports import Outcome
from metergate.domain.address import Address, Network, Target, is_refused, target_of
from metergate.domain.errors import MetergateError

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0
ANSWER_MOST = 64 * 1024  # bytes that are read; the rest is not waited for
_CONNECTIONS_MOST = 256
_IDLE_MOST = 64
_IDLE_SECONDS = 15.0
_ERROR_MOST = 256  # characters
_BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError)


class WebhookSender:
    """`app.notify.ports.Sender` over two pools of connections, with TLS and without."""

    def __init__(
        self, allowed: Sequence[Network], connect: float = CONNECT_SECONDS, whole: float = WHOLE_SECONDS
    ) -> None:
        """`connect` and `whole` are time limits in seconds."""
        self._allowed = allowed
        self._connect = connect
        self._whole = whole
        self._resolver = Resolver()
        self._secure, self._plain = self._pool(True), self._pool(False)

    def _pool(self, secure: bool) -> httpcore.AsyncConnectionPool:
        context = None
        if secure:
            context = ssl.create_default_context()  # what the machine trusts, or SSL_CERT_FILE names
            context.load_verify_locations(certifi.where())
        return httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS_MOST,
            max_keepalive_connections=_IDLE_MOST,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedBackend(self._resolver, self._allowed, secure),
        )

    async def refused(self, target: Target) -> Address | None:
        """See `app.notify.ports.Sender`. A name that leads nowhere may do so later, and is no reason."""
        try:
            async with asyncio.timeout(self._connect):
                addresses = await self._resolver.addresses(target.host, target.port)
        except (OSError, UnicodeError):
            return None
        bad = [address for address in addresses if is_refused(address, self._allowed, target.secure)]
        return bad[0] if bad and len(bad) == len(addresses) else None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """See `app.notify.ports.Sender`. An answer whose body breaks off, or does not end in time, is one."""
        status, error = 0, ""
        try:
            async with asyncio.timeout(self._whole):
                target = target_of(url, "url", self._allowed)
                pool, request = self._secure if target.secure else self._plain, _url(url, target)
                timeout = {"timeout": {"connect": self._connect}}
                sent = _headers(url, headers)
                async with pool.stream("POST", request, headers=sent, content=body, extensions=timeout) as response:
                    status = response.status
                    await _read(response)
        except TimeoutError:
            error = f"no answer within {self._whole:g} s"
        except AddressRefusedError as refused:
            error = f"the address {refused} is not public"
        except MetergateError as wrong:
            error = wrong.message
        except _BROKEN as broken:
            error = f"{type(broken).__name__}: {broken}"
        return Outcome(status, _said(status) if status else _printable(error))

    async def close(self) -> None:
        """Closes all connections."""
        for pool in (self._secure, self._plain):
            await pool.aclose()
        self._resolver.close()


def _url(url: str, target: Target) -> httpcore.URL:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    scheme = "https" if target.secure else "http"
    return httpcore.URL(scheme=scheme, host=target.host, port=target.port, target=path)


def _headers(url: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    fixed = [("host", urlsplit(url).netloc), ("content-type", "application/json"), ("user-agent", "Metergate")]
    return [*fixed, *headers.items()]


async def _read(response: httpcore.Response) -> None:
    """As much of the answer as lets the connection be used again; nobody looks at it."""
    read = 0
    async for piece in response.aiter_stream():
        read += len(piece)
        if read > ANSWER_MOST:
            return


def _said(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _printable(text: str) -> str:
    return "".join([one if one.isprintable() else " " for one in text])[:_ERROR_MOST]
