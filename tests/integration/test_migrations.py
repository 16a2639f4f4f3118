"""Migrations go up, down and up again, and give what `schema` says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from metergate.adapters.postgres import connect, migrate, schema
from tests.integration.processes import Process, event


def config(connection: Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    made.attributes["connection"] = connection
    return made


async def tables(postgres_url: str) -> set[str]:
    connection = await asyncpg.connect(postgres_url)
    try:
        rows = await connection.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        return {row[0] for row in rows}
    finally:
        await connection.close()


async def test_migrations_go_up_down_and_up_again(postgres_url: str) -> None:
    before = await tables(postgres_url)
    engine = connect.engine(postgres_url, 1)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), "base"))
    await engine.dispose()
    assert await tables(postgres_url) == {"alembic_version", "alembic_version_pkc"}
    assert (await migrate.revisions(postgres_url))[0] is None
    await migrate.upgrade_async(postgres_url)
    assert await tables(postgres_url) == before
    current, newest = await migrate.revisions(postgres_url)
    assert current == newest is not None


async def test_servers_that_start_together_migrate_once(postgres_url: str) -> None:
    engine = connect.engine(postgres_url, 1)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), "base"))
        await connection.execute(text("DROP TABLE alembic_version"))
    await engine.dispose()
    await asyncio.gather(*(migrate.upgrade_async(postgres_url) for _ in range(3)))
    connection_ = await asyncpg.connect(postgres_url)
    assert await connection_.fetchval("SELECT count(*) FROM installation") == 1
    await connection_.close()


async def test_migrating_again_keeps_what_is_there(one: Process, postgres_url: str) -> None:
    await one.add(event("1"))
    await migrate.upgrade_async(postgres_url)
    assert await one.outcomes(event("1")) == ["duplicate"]


def _named_in_schema(thing: Any, name: str | None, type_: str, *_: Any) -> bool:
    """Indexes, the installation's one row and partitions are the migrations' own business."""
    if type_ == "table":
        return name in schema.metadata.tables
    return type_ not in ("index", "foreign_key_constraint")


def _about_comments(difference: Any) -> bool:
    """Comments are for whoever looks at the tables; the code has docstrings."""
    first = difference[0]
    return (first if isinstance(first, str) else first[0]) in ("remove_table_comment", "modify_comment")


async def test_the_schema_is_what_the_migrations_make(postgres_url: str) -> None:
    def differences(sync: Connection) -> list[Any]:
        options = {"include_object": _named_in_schema, "compare_type": True, "compare_server_default": False}
        found = compare_metadata(MigrationContext.configure(sync, opts=options), schema.metadata)
        return [one for one in found if not _about_comments(one)]

    engine = connect.engine(postgres_url, 1)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        keys = await connection.run_sync(_primary_keys)
    await engine.dispose()
    for name, table in schema.metadata.tables.items():
        assert sorted(keys[name]) == sorted(column.name for column in table.primary_key)


def _primary_keys(sync: Connection) -> dict[str, list[str]]:
    found = inspect(sync)
    return {name: found.get_pk_constraint(name)["constrained_columns"] for name in schema.metadata.tables}
