"""P1 on the issue's real input: imports during which the server and Postgres are killed, again and again.

The command line is the real one. Its batches are smaller than usual, and a proxy in front of Postgres holds each COMMIT
for a moment, so that there is a middle for a kill to hit. A COMMIT whose server died while it was held arrives or not,
at random, as it would if it had been on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.cli.catalog import DEV_CATALOG, read_catalog
from metergate.v1 import catalog_pb2, usage_pb2
from tests.chaos.client import Client
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Fate, Link, PostgresProxy
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant
from tests.server import ServerProcess

KILLS = int(os.environ.get("METERGATE_CHAOS_KILLS", "20"))
"""Half of them hit the server, half Postgres."""
BATCH = 150  # events in a batch of the import
HOLD = (0.05, 0.25)  # seconds for which a COMMIT is held
TRACE = Path(__file__).parents[3] / "shared" / "data" / "azure_llm_code_2023.csv"
REAL_TOTALS = (8_819, 18_059_974, 245_896)
COLUMNS = {"input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
IMPORT = (
    "from metergate.cli.importing import sender; "
    f"sender.BATCH_EVENTS = {BATCH}; "
    "from metergate.cli.main import main; main()"
)


@dataclass(frozen=True)
class Usage:
    """A file in the shape of the Azure trace and what it adds up to: rows, and for each meter tokens by minute."""

    path: Path
    rows: int
    by_minute: dict[str, Counter[datetime]]

    def totals(self) -> tuple[int, ...]:
        """Rows, input tokens, output tokens."""
        return self.rows, *(self.by_minute[meter].total() for meter in COLUMNS)


def read_usage(path: Path) -> Usage:
    by_minute: dict[str, Counter[datetime]] = {meter: Counter() for meter in COLUMNS}
    rows = 0
    with path.open(newline="") as file:
        for rows, row in enumerate(csv.DictReader(file), 1):  # noqa: B007  the last number is the count
            minute = datetime.fromisoformat(row["TIMESTAMP"][:16]).replace(tzinfo=UTC)
            for meter, column in COLUMNS.items():
                by_minute[meter][minute] += int(row[column])
    return Usage(path, rows, by_minute)


def make_trace(path: Path, rng: random.Random) -> None:
    """A file like the real one, for machines without it."""
    at = datetime(2023, 11, 16, 18, 17)  # noqa: DTZ001  as in the file
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for _ in range(6000):
            at += timedelta(microseconds=rng.randint(0, 700_000))
            file.write(f"{at.isoformat(' ', 'microseconds')}0,{rng.randint(1, 7000)},{rng.randint(1, 500)}\n")


def move_to_now(trace: Path, path: Path) -> None:
    """The same rows in the hour before now, where counters of open windows count them."""
    header, *lines = trace.read_text().splitlines()
    last = datetime.fromisoformat(lines[-1][:19]).replace(tzinfo=UTC)
    by = timedelta(minutes=(datetime.now(UTC) - last) // timedelta(minutes=1))
    moved = [f"{datetime.fromisoformat(line[:19]) + by}{line[19:]}" for line in lines]
    path.write_text("\n".join([header, *moved]) + "\n")


class Import:
    """Imports a file under one series after another until it is told that the killing is over."""

    def __init__(self, usage: Usage, name: str, url: str, key: str) -> None:
        self.usage = usage
        self.over = False
        self.customers: list[str] = []
        self._name = name
        self._environment = os.environ | {"METERGATE_URL": url, "METERGATE_KEY": key}

    async def run(self) -> None:
        """Each import must come to its end by itself, and every row of it must have been taken."""
        while not self.over:
            self.customers.append(f"{self._name}-{len(self.customers)}")
            summary = await self.once(self.customers[-1])
            assert summary["accepted"] + summary["duplicates"] == summary["rows"] == self.usage.rows, summary

    async def once(self, customer: str) -> dict[str, Any]:
        """One import; what the command says of it."""
        arguments = [
            "usage", "import", str(self.usage.path), "--time", "TIMESTAMP", "--type", "llm.request", "--backfill",
            "--wait", "150", "--subject", customer, "--series", customer, "--json",
            *(f"--value={meter}={column}" for meter, column in COLUMNS.items()),
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", IMPORT, *arguments, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        summary: dict[str, Any] = json.loads(out)
        return summary


async def kill_now_and_then(
    proxy: PostgresProxy, server: ServerProcess, postgres: EmbeddedPostgres, rng: random.Random
) -> tuple[int, Counter[str]]:
    """Kills, and starts again right away; returns how many kills hit rows on their way, and what was killed."""
    victims = ["server"] * (KILLS // 2) + rng.choices(["postmaster", "postgres and its children"], k=KILLS // 2)
    rng.shuffle(victims)
    hits, killed = 0, Counter[str]()
    for number, victim in enumerate(victims):
        await asyncio.sleep(rng.uniform(0, HOLD[1]))
        if number % 4:  # three of four are aimed at a COMMIT that is held, the others come when they come
            async with asyncio.timeout(30):
                await proxy.commit_held.wait()
        hits += proxy.commit_held.is_set()
        killed[victim] += 1
        if victim == "server":
            server.kill()
            await asyncio.to_thread(server.start)
            continue
        if victim == "postmaster":
            postgres.kill()
        else:
            kill_family(postgres)
        await asyncio.to_thread(postgres.start)
    return hits, killed


def kill_family(postgres: EmbeddedPostgres) -> None:
    """The postmaster and all its children at once, as a loss of power would."""
    assert postgres.pid is not None
    family = psutil.Process(postgres.pid).children(recursive=True)
    postgres.kill()
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


async def assert_summary(client: Client, customer: str, usage: Usage) -> None:
    """Totals and minutes as the file says, to the unit."""
    minutes = sorted(usage.by_minute["input_tokens"])
    request = usage_pb2.GetUsageSummaryRequest(
        customer=customer, meters=list(COLUMNS), granularity=usage_pb2.Granularity.GRANULARITY_MINUTE,
        start_time=Timestamp(seconds=int(minutes[0].timestamp())),
        end_time=Timestamp(seconds=int(minutes[-1].timestamp()) + 60),
    )  # fmt: skip
    answer = await client.call("UsageService/GetUsageSummary", request)
    series = {one.meter: one for one in answer.series}
    for meter, by_minute in usage.by_minute.items():
        assert (int(series[meter].total), series[meter].event_count) == (by_minute.total(), usage.rows), meter
        points = {point.start_time.ToDatetime(UTC): int(point.value) for point in series[meter].points}
        assert {minute: value for minute, value in points.items() if value} == dict(by_minute), meter


@pytest.mark.slow
async def test_p1_kills_during_an_import(
    own_postgres: EmbeddedPostgres, redis_url: str, start_server: StartServer, tmp_path: Path, rng: random.Random
) -> None:
    if TRACE.exists():
        old = read_usage(TRACE)
        assert old.totals() == REAL_TOTALS
    else:
        make_trace(tmp_path / "old.csv", rng)
        old = read_usage(tmp_path / "old.csv")
    move_to_now(old.path, tmp_path / "new.csv")
    new = read_usage(tmp_path / "new.csv")
    assert new.totals() == old.totals()

    async def hold(link: Link) -> Fate:
        await asyncio.sleep(rng.uniform(*HOLD))
        return Fate.LOST if link.client_gone and rng.random() < 0.5 else Fate.PASS

    async with PostgresProxy(own_postgres.url) as proxy, asyncio.timeout(170):
        server = await start_server(proxy.url, redis_url)
        _, key = await new_tenant(own_postgres.url)
        async with Client(server.grpc_url, key) as client:
            catalog = catalog_pb2.ApplyCatalogRequest(catalog=read_catalog(DEV_CATALOG))
            await client.call("CatalogService/ApplyCatalog", catalog)
            proxy.on_commit = hold
            imports = [Import(old, "old", server.grpc_url, key), Import(new, "new", server.grpc_url, key)]
            running = asyncio.gather(*(one.run() for one in imports))
            try:
                hits, killed = await kill_now_and_then(proxy, server, own_postgres, rng)
                for one in imports:
                    one.over = True
                proxy.on_commit = None
                await running
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            print(
                f"kills: {dict(killed)}, {hits} with rows on their way; imports: {[one.customers for one in imports]}"
            )
            assert hits >= KILLS * 0.6
            for one in imports:
                for customer in one.customers:
                    again = await one.once(customer)
                    assert (again["accepted"], again["duplicates"]) == (0, one.usage.rows)
                    await assert_summary(client, customer, one.usage)
    ledger = Ledger(own_postgres.url)
    assert await ledger.differences() == []
    ((counters,),) = await ledger.fetch("SELECT count(*) FROM usage_counter WHERE used > 0")
    assert counters > 0
