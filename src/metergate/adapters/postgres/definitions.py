"""Catalogs in PostgreSQL: loading one, and replacing it under the tenant's lock."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.once import PostgresOnce
from metergate.app.stores import CatalogChange
from metergate.domain.aggregation import LevelUnit
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import LabelFilter, LatePolicy, Meter, Op, Shape
from metergate.domain.period import Period, Weekday
from metergate.domain.quota import Kind, Limit, Policy, Scope, WhenViewGone
from metergate.domain.retention import ClosedMonth

_TENANT = """
SELECT catalog_version, metering_version, default_plan,
    ARRAY(SELECT DISTINCT unnest(kinds) FROM webhook_endpoint WHERE tenant = $1 AND enabled)
FROM tenant WHERE tenant = $1"""
_METERS = (
    "SELECT name, event_type, aggregation, value, dimensions, allow_negative, unit, description, since, "
    "shapes::text, filters::text, scale, percentile, level_unit, accept_window, late "
    "FROM meter WHERE tenant = $1 ORDER BY name"
)
_CLOSED = """
SELECT c.first_at, c.last_at, c.measures, c.extremes FROM closed_month c JOIN event_month e USING (month)
WHERE c.tenant = $1 AND e.state = 'dropped' ORDER BY c.month"""
_PLANS = "SELECT name, display_name FROM plan WHERE tenant = $1 ORDER BY name"
_LIMITS = (
    "SELECT plan, name, meter, max, period, policy, scope, labels::text, per_labels, "
    "kind, length, sub_windows, week_start, burst, grace, shadow, thresholds, when_view_gone, grace_period "
    "FROM plan_limit WHERE tenant = $1 ORDER BY plan, name"
)


async def load_catalog(connection: Any, tenant: str) -> Catalog:
    """The tenant's catalog, read on a driver connection. The version is read first: a change that comes
    between the reads makes a catalog that is newer than its version, which the next commit reloads."""
    version, metering_version, default_plan, kinds = await connection.fetchrow(_TENANT, tenant)
    meters = [_meter(row) for row in await connection.fetch(_METERS, tenant)]
    limits: dict[str, list[Limit]] = {}
    for row in await connection.fetch(_LIMITS, tenant):
        limits.setdefault(row["plan"], []).append(_limit(row))
    plans = [
        Plan(row["name"], tuple(limits.get(row["name"], ())), row["display_name"])
        for row in await connection.fetch(_PLANS, tenant)
    ]
    closed = [
        ClosedMonth(first, last, frozenset(measures), frozenset(extremes))
        for first, last, measures, extremes in await connection.fetch(_CLOSED, tenant)
    ]
    return Catalog(
        tuple(meters), tuple(plans), default_plan, version, metering_version, frozenset(kinds), tuple(closed)
    )


def _meter(row: Any) -> Meter:
    shapes = tuple([Shape(per_subject, tuple(labels)) for per_subject, labels in json.loads(row["shapes"])])
    filters = tuple(
        [LabelFilter(one["label"], Op(one["op"]), tuple(one["values"])) for one in json.loads(row["filters"])]
    )
    unit = row["level_unit"]
    return Meter(
        **{
            **dict(row), "dimensions": tuple(row["dimensions"]), "shapes": shapes, "filters": filters,
            "level_unit": LevelUnit(unit) if unit else None, "late": LatePolicy(row["late"]),
        }
    )  # fmt: skip


def _limit(row: Any) -> Limit:
    return Limit(
        row["name"],
        row["meter"],
        row["max"],
        Period(row["period"]),
        Policy(row["policy"]),
        Scope(row["scope"]),
        tuple(sorted(json.loads(row["labels"]).items())),
        tuple(row["per_labels"]),
        Kind(row["kind"]),
        row["length"],
        row["sub_windows"],
        Weekday(row["week_start"]),
        row["burst"],
        row["grace"],
        row["shadow"],
        tuple(row["thresholds"]),
        WhenViewGone(row["when_view_gone"]),
        grace_period=row["grace_period"],
    )


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

    async def replace(self, new: Catalog) -> None:
        """Puts the catalog in force; other processes hear of it with the commit."""
        for table in (schema.limits, schema.plans, schema.meters):
            await self._connection.execute(delete(table).where(table.c.tenant == self._tenant))
        await self._insert(schema.meters, [_meter_row(meter) for meter in new.meters])
        await self._insert(schema.plans, [{"name": plan.name, "display_name": plan.display_name} for plan in new.plans])
        await self._insert(schema.limits, [_limit_row(plan, limit) for plan in new.plans for limit in plan.limits])
        await self._connection.execute(
            update(schema.tenants)
            .where(schema.tenants.c.tenant == self._tenant)
            .values(catalog_version=new.version, metering_version=new.metering_version, default_plan=new.default_plan)
        )
        await notify(self._connection, "catalog", self._tenant)

    async def _insert(self, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            await self._connection.execute(insert(table), [{"tenant": self._tenant, **row} for row in rows])


def _meter_row(meter: Meter) -> dict[str, Any]:
    return {
        "name": meter.name,
        "event_type": meter.event_type,
        "aggregation": meter.aggregation,
        "value": meter.value,
        "dimensions": list(meter.dimensions),
        "allow_negative": meter.allow_negative,
        "unit": meter.unit,
        "description": meter.description,
        "since": meter.since,
        "shapes": [[shape.per_subject, list(shape.labels)] for shape in meter.shapes],
        "filters": [{"label": label, "op": op.value, "values": list(values)} for label, op, values in meter.filters],
        "scale": meter.scale,
        "percentile": meter.percentile,
        "level_unit": meter.level_unit.value if meter.level_unit else None,
        "accept_window": meter.accept_window,
        "late": meter.late.value,
        "measure": meter.measure,
        "leads": meter.leads,
        "extremes": meter.extremes,
    }


def _limit_row(plan: Plan, limit: Limit) -> dict[str, Any]:
    return {
        "plan": plan.name,
        "name": limit.name,
        "meter": limit.meter,
        "max": limit.max,
        "period": limit.period.value,
        "policy": limit.policy.value,
        "scope": limit.scope.value,
        "labels": dict(limit.labels),
        "per_labels": list(limit.per_labels),
        "kind": limit.kind.value,
        "length": limit.length,
        "sub_windows": limit.sub_windows,
        "week_start": limit.week_start.value,
        "burst": limit.burst,
        "grace": limit.grace,
        "shadow": limit.shadow,
        "thresholds": list(limit.thresholds),
        "when_view_gone": limit.when_view_gone.value,
        "grace_period": limit.grace_period,
    }


async def driver(connection: AsyncConnection) -> Any:
    """The asyncpg connection underneath, inside the transaction that SQLAlchemy has begun."""
    raw = await connection.get_raw_connection()
    # SQLAlchemy begins a transaction with its first own statement; the driver must not run ahead of it.
    await connection.exec_driver_sql("SELECT 1")
    return raw.driver_connection
