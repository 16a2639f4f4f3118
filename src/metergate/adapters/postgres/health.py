"""What PostgreSQL knows of the health of our tables."""

from __future__ import annotations

from datetime import date

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.partitions import oldest_slice
from metergate.app.health import Reading

# Tables whose rows are changed again and again.
_HOT = "('customer_head', 'usage_counter', 'usage_rollup', 'hold', 'usage_grant', 'grant_account', 'webhook_queue')"
_DEAD = f"""
SELECT relname::text, n_dead_tup::float8 / greatest(n_live_tup, 1) FROM pg_stat_user_tables
WHERE relname IN {_HOT} AND n_dead_tup > 10000"""
# An entry of a B-tree takes its columns, 8 bytes of its own and 4 on the page; pages are 90 % full when built, and two
# thirds in the long run. Small indexes are left out.
_BLOAT = f"""
SELECT c.relname::text, pg_relation_size(i.indexrelid)::float8 / (
    greatest(t.reltuples, 1) * (12 + (
        SELECT coalesce(sum(s.avg_width), 0) FROM pg_attribute a JOIN pg_stats s
            ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = a.attname
        WHERE a.attrelid = t.oid AND a.attnum = ANY(i.indkey::smallint[])
    )) / 0.66)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relname IN {_HOT} AND i.indpred IS NULL AND pg_relation_size(i.indexrelid) > 64 * 1024 * 1024
    AND t.reltuples > 0"""
_AGES = """
SELECT 'transaction id', age(datfrozenxid)::float8 / current_setting('autovacuum_freeze_max_age')::float8
FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'multixact id',
    mxid_age(datminmxid)::float8 / current_setting('autovacuum_multixact_freeze_max_age')::float8
FROM pg_database WHERE datname = current_database()"""
_OPEN = """
SELECT coalesce(nullif(application_name, ''), usename::text, 'somebody'), extract(epoch FROM now() - xact_start)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
    AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1"""
_PREPARED = "SELECT '', count(*)::float8 FROM pg_prepared_xacts WHERE database = current_database()"
_AHEAD = """
SELECT inhparent::regclass::text, count(*) FILTER (
    WHERE right(inhrelid::regclass::text, 7) > to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'))::float8
FROM pg_inherits WHERE inhparent IN ('usage_event'::regclass, 'usage_id'::regclass) GROUP BY 1 ORDER BY 1"""
_SLICES = """
SELECT '', count(*)::float8 FROM pg_inherits
WHERE inhparent = 'usage_id'::regclass AND to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') < $1::date"""
_CLOSING = """
SELECT '', count(*)::float8 FROM event_month WHERE state <> 'dropped' AND begun_at < now() - interval '1 day'"""
_KINDS = (
    ("dead_share", _DEAD),
    ("index_bloat", _BLOAT),
    ("xid_age_share", _AGES),
    ("oldest_transaction_seconds", _OPEN),
    ("prepared_transactions", _PREPARED),
    ("months_ahead", _AHEAD),
    ("id_slices_due", _SLICES),
    ("months_closing", _CLOSING),
)


class PostgresHealth:
    """Reads the statistics; cheap enough for each minute."""

    def __init__(self, engine: AsyncEngine, accept_age: int) -> None:
        self._snapshots = snapshots(engine)
        self._accept_age = accept_age

    async def readings(self) -> list[Reading]:
        """All figures there are.

        Raises:
            LedgerUnavailableError
        """
        found = []
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                due: date = oldest_slice(await connection.fetchval("SELECT now()"), self._accept_age)
                for kind, query in _KINDS:
                    rows = await connection.fetch(query, *([due] if "$1" in query else []))
                    found += [Reading(kind, of, value) for of, value in rows]
        return found
