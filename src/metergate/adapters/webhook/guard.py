"""Connections to checked addresses only: names are resolved here, and what is connected to is the very address that was
checked, so that a name which answers differently from one moment to the next leads nowhere else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

from metergate.domain.address import Address, Network, is_refused, literal

# Names that are looked up at a time. A look-up cannot be broken off, and must not hold up what else waits for threads.
_LOOK_UPS = 32


class AddressRefusedError(Exception):
    """A name leads to addresses that are not called; the first of them is its argument."""


class Resolver:
    """Looks names up, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="webhook-names")

    async def addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of a host.

        Raises:
            OSError: there are none.
        """
        if (address := literal(host)) is not None:
            return [address]
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._look_up, host, port)
        return [address for text in dict.fromkeys(found) if (address := literal(text)) is not None]

    def close(self) -> None:
        """Lets go of the threads; what they still look up nobody waits for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _look_up(self, host: str, port: int) -> list[str]:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for a pool. Without TLS (`secure`) only networks that the operator allows are called."""

    def __init__(self, resolver: Resolver, allowed: Sequence[Network], secure: bool) -> None:
        self._resolver = resolver
        self._allowed = allowed
        self._secure = secure
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore calls it so
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first of the host's addresses that may be called and answers.

        Raises:
            AddressRefusedError, OSError, TimeoutError, httpcore.NetworkError, httpcore.TimeoutException
        """
        async with asyncio.timeout(timeout):
            addresses = await self._resolver.addresses(host, port)
            good = [one for one in addresses if not is_refused(one, self._allowed, self._secure)]
            if not good:
                raise AddressRefusedError(str(addresses[0]) if addresses else host)
            for address in good[:-1]:
                try:
                    return await self._inner.connect_tcp(str(address), port, None, local_address, socket_options)
                except httpcore.NetworkError:
                    continue
            return await self._inner.connect_tcp(str(good[-1]), port, None, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)
