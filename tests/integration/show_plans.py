"""`PYTHONPATH=.:src python -m tests.integration.show_plans [IDS]`: the figures and plans of the adapter's README.

It measures look-ups with so many ids in each of one and three slices, and shows the hot statements' plans.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import asyncpg

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.postgres import connect, migrate
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.app.directory import Directory
from metergate.app.usage.commit import UsageCommitter
from metergate.domain.period import MINUTE, Period, window_at
from metergate.domain.quota import CounterKey
from metergate.domain.usage import AcceptWindow
from metergate.domain.work import Fact
from tests.integration.plans import fill, nothing_behind, watched
from tests.integration.processes import event

CUSTOMERS, ROUNDS = 2000, 35

_EARLIER_SLICE = """
INSERT INTO usage_id
SELECT 't', 'api', lpad(to_hex({first}::bigint + n), 12, '0') || '7' || substr(md5(n::text), 1, 19),
    (date_trunc('month', now()) - interval '{back} month')::date, sha256(n::text::bytea), 'c' || n % 2000, 5, now()
FROM generate_series(1, {ids}) n"""


def new_ids(count: int, ordered: bool) -> list[str]:
    """Ids that are not there: UUIDv7 of this moment, or random."""
    start = f"{time.time_ns() // 1_000_000:012x}7"
    return [start + uuid4().hex[:19] if ordered else uuid4().hex for _ in range(count)]


async def look_up(url: str, ids: list[str], what: str) -> None:
    """Prints the time that Postgres takes to look 1,000 ids up."""
    times = []
    async with watched(url, log_format="text") as watch:
        ledger = PostgresLedger(watch)  # type: ignore[arg-type]
        for _ in range(ROUNDS):
            picked = [event(id, "llm") for id in sorted(random.sample(ids, 1000))]
            watch.messages.clear()
            async with ledger.commit("t") as commit:
                await commit.look(picked)
            (message,) = [message for message in watch.messages if "usage_id" in message]
            found = re.search(r"duration: ([\d.]+) ms", message)
            times.append(float(found[1]) if found else 0.0)
    times = sorted(times[5:])
    print(f"  look-up of 1,000 ids, {what}: median {statistics.median(times):.1f} ms, most {times[-1]:.1f} ms")


async def look_ups(url: str, known: list[str]) -> None:
    await look_up(url, known, "all known")
    await look_up(url, new_ids(5000, ordered=True), "new, UUIDv7")
    await look_up(url, new_ids(5000, ordered=False), "new, random")


async def commits(url: str, ordered: bool) -> None:
    """Prints the time of whole commits of 1,000 new events of 100 customers."""
    engine, pool = connect.engine(url, 2), await connect.commit_pool(url, 1)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), PostgresKeys(engine), False)
    committer = UsageCommitter(PostgresLedger(pool), directory, AcceptWindow(), nothing_behind(PostgresLedger(pool)))
    times = []
    for _ in range(ROUNDS):
        batch = pending(new_ids(1000, ordered))
        began = time.perf_counter()
        await committer.commit("t", batch, False, {})
        times.append((time.perf_counter() - began) * 1000)
    print(
        f"  commit of 1,000 events, {'UUIDv7' if ordered else 'random'} ids: median {statistics.median(times):.1f} ms"
    )
    pool.terminate()
    await engine.dispose()


def pending(ids: list[str]) -> list[Fact]:
    owners = [f"c{n % 100}" for n in range(len(ids))]
    return [
        Fact(event(id, "llm", subject=owner, values={"in": "1", "out": "2"}), owner, False)
        for id, owner in zip(ids, owners, strict=True)
    ]


async def plans(url: str) -> None:
    """Prints the plans of a commit of 1,000 events, and of 100 sums over a day that begins between quarter hours."""
    engine = connect.engine(url, 2)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), PostgresKeys(engine), False)
    async with watched(url, log_format="text", log_analyze="on", log_buffers="on", log_timing="off") as watch:
        ledger = PostgresLedger(watch)  # type: ignore[arg-type]
        committer = UsageCommitter(ledger, directory, AcceptWindow(), nothing_behind(ledger))
        day = window_at(Period.DAY, "UTC", time.time_ns() // 1000)
        keys = [CounterKey(f"c{n}", "in", "", "", day.start + 5 * MINUTE, day.end) for n in range(100)]
        for _ in range(3):
            watch.messages.clear()
            await committer.commit("t", pending(new_ids(1000, ordered=True)), False, {})
            async with ledger.commit("t") as commit:
                await commit.sums(keys)
        for message in watch.messages:
            print(message[message.index("plan:") :], "\n")
    await engine.dispose()


async def main(url: str, ids: int) -> None:
    await migrate.upgrade_async(url)
    known = await fill(url, ids, CUSTOMERS)
    print(f"{ids} ids in one slice")
    await look_ups(url, known)
    await plans(url)
    connection = await asyncpg.connect(connect.plain_url(url))
    for back in (1, 2):
        first = await connection.fetchval(f"SELECT (date_trunc('month', now()) - interval '{back} month')::date")
        after = await connection.fetchval("SELECT ($1::date + interval '1 month')::date", first)
        name = f"usage_id_{first:%Y_%m}"
        await connection.execute(
            f"CREATE TABLE {name} PARTITION OF usage_id FOR VALUES FROM ('{first}') TO ('{after}')"
        )
        await connection.execute(_EARLIER_SLICE.format(first=1_780_000_000_000 - back * 10**9, back=back, ids=ids))
    await connection.execute("ANALYZE")
    await connection.close()
    print(f"{3 * ids} ids in three slices")
    await look_ups(url, known)
    await commits(url, ordered=True)
    await commits(url, ordered=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        asyncio.run(main(server.url, int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
