"""What must hold after a run, whatever its speed: speed with a broken promise is not a result."""

from __future__ import annotations

import asyncpg

from benchmarks import load
from benchmarks.report import BrokenPromise
from benchmarks.stage import CUSTOMERS, METER, Outcome, Product, in_a_process
from metergate.adapters.postgres import connect
from metergate.adapters.postgres.reconcile import Reconciler


def fill(server: Product) -> None:
    """Each customer has used something, so that heads, rollups, counters and the view are there."""
    done = in_a_process(load.record, server.address, server.key, CUSTOMERS + 50, 64, 0)
    all_in(done)


def all_in(done: Outcome) -> None:
    """All that was sent was accepted or allowed."""
    if done.units != done.notes["sent"]:
        raise BrokenPromise(f"{done.units} were accepted or allowed of {done.notes}")


def rate(done: Outcome) -> float:
    """Units a second, of which none may be missing."""
    if "sent" in done.notes:
        all_in(done)
    return done.units / done.seconds


async def prove(postgres_url: str, types: tuple[str, ...] = (METER,)) -> None:
    """Events = ids = rollups = counters, floor's and product's alike, and no HARD limit was passed."""
    engine = connect.engine(postgres_url, 1)
    differences = await Reconciler(engine).differences()
    await engine.dispose()
    connection = await asyncpg.connect(postgres_url)
    unmatched = await connection.fetchval(
        "SELECT count(*) FROM usage_event WHERE customer = '' OR type <> ALL ($1::text[])", types
    )
    passed = await connection.fetch(_PASSED)
    await connection.close()
    if differences or unmatched:
        raise BrokenPromise(f"{unmatched} unmatched; {differences[:3]}")
    if passed:
        raise BrokenPromise(f"admitted past a limit: {dict(passed[0])}")


# Of limits on a whole customer or on subjects. A meter's limits are equally high in these catalogs, whatever their
# windows, and those with labels too.
_PASSED = """
SELECT c.customer, c.meter, c.subject, l.name, l.max, c.used, c.reserved, c.leased, c.forfeited
FROM usage_counter c JOIN plan_limit l ON l.tenant = c.tenant AND l.meter = c.meter AND l.policy = 'hard'
    AND l.kind = 'calendar' AND NOT l.shadow
    AND l.labels = '{}' AND c.filter = '' AND (l.scope = 'subject') = (c.subject <> '')
WHERE c.used + c.reserved + c.leased + c.forfeited > l.max LIMIT 1"""
