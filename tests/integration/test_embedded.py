"""The embedded servers: they keep what they promised to keep, and they never outlive their owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from metergate.adapters.embedded import identity
from metergate.adapters.embedded.errors import AlreadyRunning, StartFailed
from metergate.adapters.embedded.folder import DataFolder
from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.process import living_in
from metergate.adapters.embedded.redis import EmbeddedRedis

# A server in small: takes the folder, starts both, commits row after row and says which.
OWNER = """
import asyncio, sys, threading
from pathlib import Path
import asyncpg
from metergate.adapters.embedded.folder import DataFolder
from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis

async def write(url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE written (n int)")
    for n in range(1, 1_000_000):
        await connection.execute("INSERT INTO written VALUES ($1)", n)
        print(n, flush=True)

data = Path(sys.argv[1])
DataFolder(data).acquire()
postgres, valkey = EmbeddedPostgres(data), EmbeddedRedis(data)
# Started by a thread that ends: the servers are tied to the process, not to whoever called start().
for server in (postgres, valkey):
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
print(postgres.pid, valkey.pid, flush=True)
asyncio.run(write(postgres.url))
"""


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def remember(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()


@pytest.fixture
def owner(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def wait_gone(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if psutil.pid_exists(pid)]}"
        time.sleep(0.02)


async def test_postgres_keeps_its_data_over_stop_kill_and_start(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    try:
        await remember(url)
        server.stop()
        assert server.start() == url
        assert await fetch(url, "SELECT answer FROM kept") == 42
        server.kill()
        server.start()
        assert await fetch(url, "SELECT answer FROM kept") == 42
    finally:
        server.stop()
    assert not list(living_in(data_dir / "postgres"))


async def test_postgres_keeps_the_default_durability_and_its_own_order_of_texts(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        settings = "fsync', 'synchronous_commit', 'full_page_writes"
        query = f"SELECT string_agg(setting, ',') FROM pg_settings WHERE name IN ('{settings}')"
        assert await fetch(server.url, query) == "on,on,on"
        assert await fetch(server.url, "SELECT current_user || current_database()") == "metergatemetergate"
        assert await fetch(server.url, "SELECT 'a' > 'B'") is True
        assert await fetch(server.url, "SHOW listen_addresses") == ""


async def test_postgres_and_redis_listen_on_a_port_when_asked(
    data_dir: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    with (
        EmbeddedPostgres(data_dir, port=unused_tcp_port_factory()) as postgres,
        EmbeddedRedis(data_dir, port=unused_tcp_port_factory()) as valkey,
    ):
        assert await fetch(postgres.url, "SELECT inet_server_port()") is not None
        with redis.Redis.from_url(valkey.url) as client:
            assert client.ping()


def test_redis_starts_empty_each_time(data_dir: Path) -> None:
    with EmbeddedRedis(data_dir, databases=40) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        client.select(39)
        assert client.config_get("maxmemory") == {"maxmemory": "0"}
    with EmbeddedRedis(data_dir) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") is None
    assert not list((data_dir / "valkey").iterdir())


def test_second_owner_is_told_that_one_is_running(data_dir: Path) -> None:
    with DataFolder(data_dir):
        with pytest.raises(AlreadyRunning, match=f"already running on {data_dir} .process {os.getpid()}.") as caught:
            DataFolder(data_dir).acquire()
        assert caught.value.pid == os.getpid()
    with DataFolder(data_dir):
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_p1_death_of_the_owner_ends_the_servers_and_loses_nothing(
    owner: subprocess.Popen[str], data_dir: Path, how: signal.Signals
) -> None:
    assert owner.stdout is not None
    children = [int(pid) for pid in owner.stdout.readline().split()]
    with pytest.raises(AlreadyRunning):
        DataFolder(data_dir).acquire()
    acknowledged = [int(owner.stdout.readline()) for _ in range(200)]
    owner.send_signal(how)
    acknowledged += [int(line) for line in owner.stdout.read().split("\n") if line]

    # At once, while the orphaned PostgreSQL may still be shutting down in the folder.
    with DataFolder(data_dir), EmbeddedPostgres(data_dir) as server:
        wait_gone(children, seconds=5)
        assert await fetch(server.url, "SELECT count(DISTINCT n) FROM written") in range(
            acknowledged[-1], acknowledged[-1] + 2
        )


async def test_killed_postmaster_does_not_lose_or_block(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    try:
        await remember(url)
        # A backend that is busy keeps the killed postmaster's shared memory; start() waits it out.
        connection = await asyncpg.connect(url)
        busy = asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.1)
        server.kill()
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await busy
        await asyncio.to_thread(server.start)
        assert await fetch(url, "SELECT answer FROM kept") == 42
    finally:
        server.stop()


async def test_works_from_a_deep_folder(data_dir: Path) -> None:
    deep = data_dir.joinpath(*["a-folder-with-a-long-name and ünicode"] * 4)
    with EmbeddedPostgres(deep) as postgres, EmbeddedRedis(deep) as valkey:
        assert str(deep) not in postgres.url
        assert await fetch(postgres.url, "SELECT 1") == 1
        with redis.Redis.from_url(valkey.url) as client:
            assert client.ping()


def test_children_have_a_session_of_their_own(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir) as valkey:
        for pid in (postgres.pid, valkey.pid):
            assert pid is not None
            assert os.getsid(pid) == os.getpgid(pid) == pid != os.getsid(0)


def test_existing_data_folder_keeps_its_mode(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o755)
    with DataFolder(data_dir), EmbeddedRedis(data_dir):
        assert data_dir.stat().st_mode & 0o777 == 0o755
        assert {(data_dir / name).stat().st_mode & 0o777 for name in ("run", "valkey")} == {0o700}


def test_half_made_cluster_is_made_again(data_dir: Path) -> None:
    half = data_dir / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir):
        assert not half.exists()


def test_failed_start_shows_the_log(data_dir: Path) -> None:
    with pytest.raises(StartFailed, match="shared_buffers") as caught:
        EmbeddedPostgres(data_dir, settings={"shared_buffers": "nonsense"}).start()
    assert caught.value.name == "PostgreSQL"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to become")
async def test_root_without_namespaces_becomes_a_system_account(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedPostgres(data_dir) as server:
        await remember(server.url)
    monkeypatch.setattr(identity, "namespaces_work", lambda: False)
    with EmbeddedPostgres(data_dir) as server:
        assert psutil.Process(server.pid).uids().real != 0
        assert await fetch(server.url, "SELECT answer FROM kept") == 42
    monkeypatch.undo()
    with EmbeddedPostgres(data_dir) as server:
        assert await fetch(server.url, "SELECT answer FROM kept") == 42
