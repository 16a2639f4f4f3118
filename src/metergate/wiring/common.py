"""What several parts of the wiring need."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.retention import PostgresMonths
from metergate.app.retention import KeepRetention, Policy
from metergate.domain import period
from metergate.domain.usage import AcceptWindow
from metergate.settings import Settings


def accept_window(settings: Settings) -> AcceptWindow:
    return AcceptWindow(settings.accept_days * period.DAY, settings.accept_ahead_seconds * period.SECOND)


def retention(settings: Settings, engine: AsyncEngine) -> KeepRetention:
    folder = Path(settings.events_export_dir) if settings.events_export_dir else None
    policy = Policy(
        settings.events_keep_months, settings.history_keep_months, folder is not None, accept_window(settings).age
    )
    return KeepRetention(PostgresMonths(engine, folder), policy)


@asynccontextmanager
async def an_engine(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    engine = connect.engine(settings.postgres_url, 2)
    try:
        yield engine
    finally:
        await engine.dispose()
