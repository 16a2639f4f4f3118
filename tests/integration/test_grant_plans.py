"""Grants are reached by index only, however many there are."""

from __future__ import annotations

import re
from decimal import Decimal

import asyncpg

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.app.directory import Directory
from metergate.app.ports.ledger import Moment
from metergate.app.usage.commit import UsageCommitter
from metergate.domain.errors import MetergateError
from metergate.domain.granting import counter_of
from metergate.domain.usage import AcceptWindow
from metergate.domain.work import Consume, CreateGrant, DueGrants, Fact, VoidGrant, Work
from tests.integration.plans import fill, nodes, nothing_behind, watched
from tests.integration.processes import event

BIG = re.compile(r"usage_grant|grant_account|grant_move")
_LIMIT = """
INSERT INTO plan (tenant, name, display_name) VALUES ('t', 'default', '');
INSERT INTO plan_limit (tenant, plan, name, meter, period, policy, scope, labels, per_labels, kind)
VALUES ('t', 'default', 'g', 'in', 'month', 'hard', 'customer', '{}', '{}', 'grants');
"""
# Ten grants of each customer, of which nine are over, with their history.
_GRANTS = """
INSERT INTO usage_grant SELECT 't', 'g_' || n, 'c' || n % 500, 'in', 10, now(), NULL, 0, '', NULL, now(), 0, 0, 0,
    CASE WHEN n < 500 THEN 0 ELSE 10 END, 0, CASE WHEN n < 500 THEN 'active' ELSE 'ended' END, 1, n, now(), '', NULL
FROM generate_series(0, 4999) n;
INSERT INTO grant_account SELECT 't', 'c' || n, 'in', 100 FROM generate_series(0, 499) n;
INSERT INTO grant_move SELECT 't', 'c' || n % 500, 1, n, now(), 'in', 'g_' || n % 5000, k, 10
FROM generate_series(0, 4999) n, unnest(array['start']) k;
INSERT INTO grant_move SELECT 't', 'c' || n % 500, 2, n, now(), 'in', 'g_' || n % 5000, 'burn', 10
FROM generate_series(0, 19999) n;
ANALYZE
"""


async def test_grants_are_reached_by_index_only(postgres_url: str) -> None:
    await fill(postgres_url, 1000, 500)
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connection.execute(_LIMIT)
    await connection.execute(_GRANTS)
    await connection.close()
    engine = connect.engine(postgres_url, 2)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), PostgresKeys(engine), False)
    async with watched(postgres_url, log_format="json") as watch:
        ledger = PostgresLedger(watch)  # type: ignore[arg-type]
        committer = UsageCommitter(ledger, directory, AcceptWindow(), nothing_behind(ledger))
        give = CreateGrant("g_new", "c1", "in", Decimal(5), 0, None, None, None, Decimal(0), Decimal(0), b"")
        works: list[Work] = [
            give,
            give,
            Fact(event("e1", "llm", subject="c1", values={"in": "3"}), "c1", False),
            Consume((event("e2", "llm", subject="c2", values={"in": "3"}),), "c2"),
            VoidGrant("g_new", "c1", "in"),
            DueGrants("c3", "in"),
        ]
        for work in [works, *[[work] for work in works]]:
            done = await committer.commit("t", work, False, {})
            assert not any(isinstance(result, MetergateError) for result in done.results), done.results
        await ledger.due_grants(100, [], [])
        keys = [counter_of((f"c{number}", "in")) for number in range(50)]
        await ledger.figures("t", keys)
        await ledger.figures_at("t", [Moment("c1", 3, await ledger_now(postgres_url), keys)])
        found = {
            (node["Relation Name"], node["Node Type"])
            for plan in watch.plans()
            for node in nodes(plan["Plan"])
            if BIG.fullmatch(node.get("Relation Name", "")) and node["Node Type"] != "ModifyTable"
        }
    await engine.dispose()
    assert {table for table, _ in found} == {"usage_grant", "grant_account", "grant_move"}
    assert {how for _, how in found} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


async def ledger_now(postgres_url: str) -> int:
    """The database's clock, in microseconds."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    try:
        micros: int = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return micros
    finally:
        await connection.close()
