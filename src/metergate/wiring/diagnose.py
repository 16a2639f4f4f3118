"""The doctor: what is well, and what to do about the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import migrate
from metergate.adapters.postgres.health import PostgresHealth
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.reconcile import Reconciler
from metergate.adapters.redis.view import RedisView
from metergate.app import clock
from metergate.app.health import unwell
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain import period
from metergate.settings import Settings
from metergate.wiring.common import accept_window, an_engine

_CLOCK_SKEW_MOST = 2.0  # seconds; more makes advice about windows wrong at their borders


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `cure` says what to do, and is empty where all is well."""

    name: str
    ok: bool
    detail: str
    cure: str = ""

    @classmethod
    def of(cls, name: str, ok: bool, detail: str, cure: str) -> Finding:
        """The finding, with its cure where it needs one."""
        return cls(name, ok, detail, "" if ok else cure)


async def diagnose(settings: Settings) -> list[Finding]:
    """Postgres, clock, schema, Redis, and whether counters equal the ledger."""
    async with an_engine(settings) as engine:
        try:
            began = time.time()
            async with engine.connect() as connection:
                now: int = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
                version = (await connection.execute(text("SHOW server_version"))).scalar_one()
        except (OSError, LedgerUnavailableError) as error:
            return [Finding("postgres", False, str(error), "start Postgres, or name it with --postgres URL")]
        findings = [Finding("postgres", True, f"version {version}"), _clock(now, began)]
        current, newest = await migrate.revisions(settings.postgres_url)
        at_head = current == newest
        stands = f"revision {current}, newest is {newest}"
        findings.append(Finding.of("schema", at_head, stands, "run `metergate migrate`"))
        findings.append(await _redis(settings, PostgresKeys(engine)) if at_head else _skipped("redis"))
        findings += await _tables(settings, engine) if at_head else [_skipped("tables")]
        findings.append(await _counters(engine) if at_head else _skipped("counters = ledger"))
        return findings


def _clock(now: int, began: float) -> Finding:
    skew = abs(now / period.SECOND - (began + time.time()) / 2)
    cure = "run an NTP client on both machines"
    return Finding.of("clock", skew < _CLOCK_SKEW_MOST, f"{skew * 1000:.0f} ms from Postgres's", cure)


def _skipped(name: str) -> Finding:
    return Finding(name, False, "not looked at before the schema is right", "run `metergate migrate`")


async def _redis(settings: Settings, keys: PostgresKeys) -> Finding:
    view = RedisView(settings.redis_url, keys.identity)
    await view.start()
    try:
        cure = "start Redis, or name it with --redis URL; until then Postgres answers"
        return Finding.of("redis", view.up, "reached" if view.up else "cannot be reached", cure)
    finally:
        await view.stop()


async def _tables(settings: Settings, engine: AsyncEngine) -> list[Finding]:
    found = unwell(await PostgresHealth(engine, accept_window(settings).age).readings())
    all_well = Finding("tables", True, "vacuumed, indexed and partitioned as they should be")
    return [Finding("tables", False, said, cure) for said, cure in found] or [all_well]


async def _counters(engine: AsyncEngine) -> Finding:
    began = clock.now()
    differences = await Reconciler(engine).differences()
    seconds = (clock.now() - began) / period.SECOND
    if not differences:
        return Finding("counters = ledger", True, f"events, ids, rollups and counters agree ({seconds:.1f} s)")
    cure = "report this: it must never happen"
    return Finding("counters = ledger", False, f"{len(differences)} differences, first: {differences[0]}", cure)
