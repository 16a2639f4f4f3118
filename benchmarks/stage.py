"""The stage of a benchmark: a PostgreSQL and a Redis of its own, a product server, and client processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from metergate import wiring
from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis
from metergate.adapters.postgres import migrate
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.quantity import parse
from metergate.domain.quota import Limit, Policy
from metergate.settings import Settings

_CALLS = re.compile(r'^metergate_calls_total\{.*method="[^"]*/(\w+)".*\} (\S+)$', re.MULTILINE)
CUSTOMERS = 1_000
METER = "api_calls"
# Every benchmark runs on this catalog: one meter with one dimension, one monthly limit, so that each event moves
# one rollup and one counter.
CATALOG = Catalog(
    meters=(Meter(METER, METER, dimensions=("region",)),),
    plans=(Plan("default", (Limit(f"{METER}/month", METER, parse("1000000000", "max"), policy=Policy.SOFT),)),),
)


@dataclass(frozen=True, slots=True)
class Product:
    """A running product server."""

    address: str
    key: str
    process: subprocess.Popen[bytes]
    postgres_url: str
    http: str

    def cpu_seconds(self) -> float:
        """CPU that the server has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        """Memory that the server holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def calls(self) -> Counter[str]:
        """How many calls of each method the server has answered, as its metrics say."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as page:
            text = page.read().decode()
        found: Counter[str] = Counter()
        for method, count in re.findall(
            r'^metergate_calls_total\{.*method="[^"]*/(\w+)".*\} (\S+)$', text, re.MULTILINE
        ):
            found[method] += int(float(count))
        return found


@contextmanager
def databases() -> Iterator[tuple[str, str]]:
    """URLs of a fresh PostgreSQL, with its defaults of durability, and a fresh Redis."""
    with tempfile.TemporaryDirectory(prefix="metergate-bench-") as folder, ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(Path(folder)))
        redis = stack.enter_context(EmbeddedRedis(Path(folder)))
        yield postgres.url, redis.url


@contextmanager
def product(postgres_url: str, redis_url: str, catalog: Catalog = CATALOG) -> Iterator[Product]:
    """A product server in a process of its own, with the tenant and the catalog ready."""
    migrate.upgrade(postgres_url)
    settings = Settings(postgres_url=postgres_url, redis_url=redis_url)
    key = asyncio.run(wiring.bootstrap(settings, catalog=catalog))
    address, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as home:
        command = [
            sys.executable, "-m", "metergate.cli", "serve", "--postgres", postgres_url, "--redis", redis_url,
            "--grpc", address, "--http", http,
        ]  # fmt: skip
        config = str(Path(home) / "config.toml")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "METERGATE_CONFIG": config})
        try:
            _wait_for(address, process)
            yield Product(address, key, process, postgres_url, http)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def serving(catalog: Catalog = CATALOG) -> Iterator[Product]:
    """A product server on databases of its own."""
    with databases() as (postgres, redis), product(postgres, redis, catalog) as server:
        yield server


@contextmanager
def floor_server(serve: Callable[[str], Coroutine[Any, Any, Any]]) -> Iterator[str]:
    """A floor server in a process of its own; its address."""
    address = f"127.0.0.1:{free_port()}"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve_floor, args=(serve, address, ready), daemon=True)
    process.start()
    assert ready.wait(30)
    try:
        yield address
    finally:
        process.terminate()
        process.join(10)


def _serve_floor(serve: Callable[[str], Coroutine[Any, Any, Any]], address: str, ready: Any) -> None:
    import uvloop

    async def run() -> None:
        server = await serve(address)
        ready.set()
        await server.wait_for_termination()

    uvloop.run(run())


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.rpartition(":")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection((host, int(port)), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start in time")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client process counted: units done in so many seconds, its CPU, and whatever else it noted."""

    units: int
    seconds: float
    cpu_seconds: float
    notes: dict[str, Any]


def in_a_process(run: Callable[..., Any], *arguments: Any) -> Outcome:
    """Runs `run(*arguments) -> (units, seconds, notes)`, a coroutine function, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sending, run, arguments))
    process.start()
    sending.close()
    try:
        return receiving.recv()  # type: ignore[no-any-return]
    except EOFError:
        raise RuntimeError("a client process died") from None
    finally:
        process.join(30)


def in_processes(run: Callable[..., Any], each: Sequence[Sequence[Any]]) -> list[Outcome]:
    """Runs `run(*arguments)` in a fresh process for each list of arguments, all at once."""
    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(lambda arguments: in_a_process(run, *arguments), each))


def _child(sending: Any, run: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import uvloop

    units, seconds, notes = uvloop.run(run(*arguments))
    used = resource.getrusage(resource.RUSAGE_SELF)
    sending.send(Outcome(units, seconds, used.ru_utime + used.ru_stime, notes))
