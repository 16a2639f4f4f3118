"""Catalogs in PostgreSQL: loading one, and replacing it under the tenant's lock."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import delete, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definition_rows import (
    limit_row,
    limits_key,
    meter_row,
    offer_json,
    plan_body,
    to_limit,
    to_meter,
    to_offer,
    to_plan,
)
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.offers import price_from_json
from metergate.adapters.postgres.once import PostgresOnce
from metergate.app.stores import CatalogChange
from metergate.domain.catalog import Catalog
from metergate.domain.price import Price
from metergate.domain.quota import Limit
from metergate.domain.retention import ClosedMonth

_TENANT = """
SELECT catalog_version, metering_version, default_plan,
    ARRAY(SELECT DISTINCT unnest(kinds) FROM webhook_endpoint WHERE tenant = $1 AND enabled), offer::text
FROM tenant WHERE tenant = $1"""
_METERS = (
    "SELECT name, event_type, aggregation, value, dimensions, allow_negative, unit, description, since, "
    "shapes::text, filters::text, scale, percentile, level_unit, accept_window, late "
    "FROM meter WHERE tenant = $1 ORDER BY name"
)
_CLOSED = """
SELECT c.first_at, c.last_at, c.measures, c.extremes FROM closed_month c JOIN event_month e USING (month)
WHERE c.tenant = $1 AND e.state = 'dropped' ORDER BY c.month"""
_PLANS = "SELECT name, version, display_name, body::text FROM plan WHERE tenant = $1 ORDER BY name"
_KEPT = "SELECT plan, version, display_name, body::text FROM plan_version WHERE tenant = $1 ORDER BY plan, version"
_LIMITS = (
    "SELECT plan, name, meter, max, period, policy, scope, labels::text, per_labels, "
    "kind, length, sub_windows, week_start, burst, grace, shadow, thresholds, when_view_gone, grace_period "
    "FROM plan_limit WHERE tenant = $1 ORDER BY plan, name"
)

_SUBSCRIPTIONS = """
SELECT item ->> 0, (item ->> 1)::int, count(DISTINCT s.id)
FROM subscription s, jsonb_array_elements(s.segments) segment, jsonb_array_elements(segment -> 'items') item
WHERE s.tenant = $1 AND item ->> 0 = ANY($2::text[]) GROUP BY 1, 2"""
_COUPONS = """
SELECT coupon ->> 'coupon', count(*) FROM subscription s, jsonb_array_elements(s.coupons) coupon
WHERE s.tenant = $1 AND s.closes_at IS NOT NULL AND coupon ->> 'coupon' = ANY($2::text[]) GROUP BY 1"""
_TAXED = """
SELECT rate, count(*) FROM billing_details d, jsonb_array_elements_text(d.body -> 'tax_rates') rate
WHERE d.tenant = $1 AND rate = ANY($2::text[]) GROUP BY 1"""
_OWN_PRICES = """
SELECT DISTINCT price::text
FROM subscription s, jsonb_array_elements(s.segments) segment, jsonb_array_elements(segment -> 'custom') price
WHERE s.tenant = $1 AND price ->> 'meter' = ANY($2::text[])"""


async def load_catalog(connection: Any, tenant: str) -> Catalog:
    """The tenant's catalog, read on a driver connection. The version is read first: a change that comes
    between the reads makes a catalog that is newer than its version, which the next commit reloads."""
    version, metering_version, default_plan, kinds, offer = await connection.fetchrow(_TENANT, tenant)
    meters = [to_meter(row) for row in await connection.fetch(_METERS, tenant)]
    limits: dict[str, list[Limit]] = {}
    for row in await connection.fetch(_LIMITS, tenant):
        limits.setdefault(row["plan"], []).append(to_limit(row))
    plans = [to_plan(row, limits.get(row["name"], ())) for row in await connection.fetch(_PLANS, tenant)]
    kept = [
        to_plan(row, limits.get(f"{row['plan']}@{row['version']}", ())) for row in await connection.fetch(_KEPT, tenant)
    ]
    closed = [
        ClosedMonth(first, last, frozenset(measures), frozenset(extremes))
        for first, last, measures, extremes in await connection.fetch(_CLOSED, tenant)
    ]
    return Catalog(
        tuple(meters), tuple(plans), default_plan, version, metering_version, frozenset(kinds), tuple(closed),
        **to_offer(offer), kept=tuple(kept),
    )  # fmt: skip


class PostgresCatalogs:
    """`app.stores.Catalogs` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)

    async def load(self, tenant: str) -> Catalog:
        """The tenant's catalog in one snapshot."""
        with engine_errors():
            async with self._snapshots.connect() as connection:
                return await load_catalog(await driver(connection), tenant)

    def change(self, tenant: str) -> AbstractAsyncContextManager[CatalogChange]:
        """A transaction that holds the tenant's catalog alone."""
        return self._change(tenant)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncGenerator[PostgresCatalogChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                where = schema.tenants.c.tenant == tenant
                await connection.execute(select(schema.tenants.c.tenant).where(where).with_for_update())
                yield PostgresCatalogChange(connection, tenant)


class PostgresCatalogChange(PostgresOnce):
    """See `app.stores.CatalogChange`."""

    async def current(self) -> Catalog:
        """The catalog in force."""
        return await load_catalog(await driver(self._connection), self._tenant)

    async def customers_on(self, plans: list[str]) -> dict[str, int]:
        """How many customers are on each of the plans."""
        rows = await (await driver(self._connection)).fetch(
            "SELECT plan, count(*) FROM customer_head WHERE tenant = $1 AND plan = ANY($2::text[]) GROUP BY plan",
            self._tenant,
            plans,
        )
        return {row[0]: row[1] for row in rows}

    async def subscriptions_to(self, plans: list[str]) -> dict[tuple[str, int], int]:
        """See `app.stores.CatalogChange`."""
        rows = await (await driver(self._connection)).fetch(_SUBSCRIPTIONS, self._tenant, plans)
        return {(plan, version): count for plan, version, count in rows}

    async def subscriptions_with(self, coupons: list[str]) -> dict[str, int]:
        """See `app.stores.CatalogChange`."""
        rows = await (await driver(self._connection)).fetch(_COUPONS, self._tenant, coupons)
        return dict(map(tuple, rows))

    async def customers_taxed(self, rates: list[str]) -> dict[str, int]:
        """See `app.stores.CatalogChange`."""
        rows = await (await driver(self._connection)).fetch(_TAXED, self._tenant, rates)
        return dict(map(tuple, rows))

    async def own_prices(self, meters: list[str]) -> list[Price]:
        """See `app.stores.CatalogChange`."""
        rows = await (await driver(self._connection)).fetch(_OWN_PRICES, self._tenant, meters)
        return [price_from_json(json.loads(row[0])) for row in rows]

    async def replace(self, new: Catalog) -> None:
        """Puts the catalog in force; other processes hear of it with the commit."""
        for table in (schema.limits, schema.plans, schema.meters):
            await self._connection.execute(delete(table).where(table.c.tenant == self._tenant))
        await self._insert(schema.meters, [meter_row(meter) for meter in new.meters])
        await self._insert(schema.plans, [
            {"name": plan.name, "version": plan.version, "display_name": plan.display_name, "body": plan_body(plan)}
            for plan in new.plans
        ])  # fmt: skip
        await self._keep(new)
        await self._insert(schema.limits, [
            limit_row(limits_key(plan, in_force), limit)
            for plans, in_force in ((new.plans, True), (new.kept, False)) for plan in plans for limit in plan.all_limits
        ])  # fmt: skip
        await self._connection.execute(
            update(schema.tenants)
            .where(schema.tenants.c.tenant == self._tenant)
            .values(
                catalog_version=new.version,
                metering_version=new.metering_version,
                default_plan=new.default_plan,
                offer=offer_json(new),
            )
        )
        await notify(self._connection, "catalog", self._tenant)

    async def _keep(self, new: Catalog) -> None:
        """Keeps the versions that another one took the place of; those that were kept before stay as they are."""
        table = schema.plan_versions
        kept = [plan.key for plan in new.kept]
        there = tuple_(table.c.plan, table.c.version)
        await self._connection.execute(delete(table).where(table.c.tenant == self._tenant, there.not_in(kept)))
        rows = [
            {
                "tenant": self._tenant, "plan": plan.name, "version": plan.version,
                "display_name": plan.display_name, "body": plan_body(plan),
            }
            for plan in new.kept
        ]  # fmt: skip
        if rows:
            await self._connection.execute(upsert(table).on_conflict_do_nothing(), rows)

    async def _insert(self, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            await self._connection.execute(insert(table), [{"tenant": self._tenant, **row} for row in rows])


async def driver(connection: AsyncConnection) -> Any:
    """The asyncpg connection underneath, inside the transaction that SQLAlchemy has begun."""
    raw = await connection.get_raw_connection()
    # SQLAlchemy begins a transaction with its first own statement; the driver must not run ahead of it.
    await connection.exec_driver_sql("SELECT 1")
    return raw.driver_connection
