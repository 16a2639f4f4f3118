"""Partitions of the ledger: made ahead, and id slices dropped once their ids cannot come back.

A month of events and a month of ids each are a partition. Ids recorded close to the end of a month are written
into the next slice too (see `slices`), so that two commits on either side of the border meet in one unique index.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from metergate.domain import period

MONTHS_AHEAD = 6
# No commit lives this long: its statements and its idle time are bounded to seconds.
_BORDER = 10 * period.MINUTE


def slices(now: int) -> list[date]:
    """The id slices in which an id recorded now is written: this month's, and close to its end the next one's too."""
    return sorted({_month(now), _month(now + _BORDER)})


def oldest_slice(now: int, accept_age: int) -> date:
    """The oldest slice whose ids may still be asked for: the accept window and 7 days more."""
    return _month(now - accept_age - 7 * period.DAY)


def _month(instant: int) -> date:
    return period.to_datetime(instant).date().replace(day=1)


async def ensure_partitions(connection: AsyncConnection) -> None:
    """Makes the partitions of this month and of the next six, where they are missing.

    Attaching takes only a lock that lets reads and writes go on.
    """
    first = (datetime.now(UTC) - timedelta(days=1)).date().replace(day=1)
    for _ in range(MONTHS_AHEAD + 1):
        after = (first + timedelta(days=31)).replace(day=1)
        for table in ("usage_id", "usage_event"):
            await _ensure(connection, table, first, after)
        first = after


async def _ensure(connection: AsyncConnection, table: str, first: date, after: date) -> None:
    name = f"{table}_{first:%Y_%m}"
    exists = await connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})
    if exists:
        return
    zone = " 00:00+00" if table == "usage_event" else ""
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    await connection.execute(
        text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}{zone}') TO ('{after}{zone}')")
    )


async def drop_id_slices(connection: AsyncConnection, oldest: date) -> list[str]:
    """Drops the id slices before `oldest`; returns their names."""
    rows = await connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage_id'::regclass ORDER BY 1")
    )
    dropped = [name for (name,) in rows if name < f"usage_id_{oldest:%Y_%m}"]
    for name in dropped:
        await connection.execute(text(f"DROP TABLE {name}"))
    return dropped
