"""Fixture `server`: a real server in a process that tests share, with a tenant for each test; and servers of a test's
own, to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metergate import wiring
from metergate.settings import Settings
from tests.databases import Databases, elsewhere

# Receivers of tests are on this machine, and nobody waits a day for a dead letter.
_WEBHOOKS = {
    "METERGATE_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
    "METERGATE_WEBHOOK_TRIES": "3",
    "METERGATE_WEBHOOK_RETRY_SECONDS": "0.1",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, a key for a tenant of the test's own, and the databases behind it."""

    grpc_url: str
    http_url: str
    key: str
    tenant: str
    environment: str
    postgres_url: str
    redis_url: str

    @property
    def settings(self) -> Settings:
        """Settings with which `wiring` works on the same databases."""
        return Settings(postgres_url=self.postgres_url, redis_url=self.redis_url)

    async def new_key(self, tenant: str | None = None, service: str = "test") -> str:
        """Another key, of the test's tenant or of another one, which is made."""
        return await wiring.create_key(self.settings, tenant or self.tenant, service)


@pytest.fixture(scope="session")
def _dev_server(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServer]:
    yield from shared_server("dev", databases, redis_server, tmp_path_factory)


@pytest.fixture(scope="session")
def _production_server(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServer]:
    yield from shared_server("production", databases, redis_server, tmp_path_factory)


@pytest.fixture
def server(_dev_server: SharedServer) -> Server:
    """A server in the dev environment, in a process that tests share; the tenant is the test's own, and empty."""
    return _dev_server.with_a_tenant()


@pytest.fixture
def production_server(_production_server: SharedServer) -> Server:
    """The same in production: nothing is made on first use."""
    return _production_server.with_a_tenant()


@dataclass(frozen=True, slots=True)
class SharedServer:
    """A server that tests share, each with a tenant of its own."""

    process: ServerProcess
    postgres_url: str
    redis_url: str

    def with_a_tenant(self) -> Server:
        """The server, with a key for a new tenant."""
        tenant, process = f"t-{secrets.token_hex(6)}", self.process
        settings = Settings(postgres_url=self.postgres_url, redis_url=self.redis_url)
        key = elsewhere(lambda: asyncio.run(wiring.create_key(settings, tenant, "test")))
        return Server(
            process.grpc_url, process.http_url, key, tenant, process.environment, self.postgres_url, self.redis_url
        )


def shared_server(
    environment: str, databases: Databases, redis_url: str, folders: pytest.TempPathFactory
) -> Iterator[SharedServer]:
    """A server with a database of its own, which is ended and dropped after use."""
    postgres_url = databases.create()
    process = ServerProcess(postgres_url, redis_url, folders.mktemp("server"), environment)
    process.start()
    yield SharedServer(process, postgres_url, redis_url)
    process.end()
    databases.drop(postgres_url)


class ServerProcess:
    """`metergate serve` in a process of its own, to be killed."""

    def __init__(self, postgres_url: str, redis_url: str, home: Path, environment: str = "dev") -> None:
        self.grpc_url = f"127.0.0.1:{free_port()}"
        http = f"127.0.0.1:{free_port()}"
        self.http_url = f"http://{http}"
        self.environment = environment
        self._arguments = [
            "--postgres", postgres_url, "--redis", redis_url, "--environment", environment,
            "--grpc", self.grpc_url, "--http", http,
        ]  # fmt: skip
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it serves."""
        env = {**os.environ, **_WEBHOOKS, "METERGATE_CONFIG": str(self._home / "config.toml")}
        command = [sys.executable, "-m", "metergate.cli", "serve", *self._arguments]
        log = (self._home / "server.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", int(self.grpc_url.rpartition(":")[2])), 0.2).close()
            except OSError:
                assert self._process.poll() is None, (self._home / "server.log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not start in time")

    def kill(self) -> None:
        """SIGKILL."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal and waits for the end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)


def _own_ports() -> Iterator[int]:
    """Ports of this worker's own, below those that the kernel gives to whoever asks for any."""
    most, worker = 4_000, int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 5
    first = secrets.randbelow(most)  # another run may be under way
    for number in itertools.count(first):
        yield 12_000 + worker * most + number % most


_ports = _own_ports()


def free_port() -> int:
    """A port on which nothing listens now, and which nobody else is given before a server of ours takes it."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")
