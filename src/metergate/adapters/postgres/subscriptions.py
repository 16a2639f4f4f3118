"""Subscriptions and billing details in PostgreSQL.

A change holds the customer's head, as every commit of its usage does, and keeps the tenant's catalog from changing: so
the version of a plan that is looked at is the one that is subscribed to.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, Text, cast, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.customers import PostgresCustomerChange
from metergate.adapters.postgres.definitions import driver, load_catalog
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.offers import details_from_json, price_from_json, to_json
from metergate.adapters.postgres.once import PostgresOnce
from metergate.app.billing.ports import Standing, SubscriptionChange
from metergate.app.stores import Customer
from metergate.domain.catalog import Catalog
from metergate.domain.offer import NO_DETAILS, BillingDetails
from metergate.domain.price import Interval
from metergate.domain.quantity import to_text
from metergate.domain.subscription import AppliedCoupon, Item, Mode, Segment, Subscription

_s, _d, _heads = schema.subscriptions.c, schema.billing_details.c, schema.heads.c
# In this order `to_subscription` takes them; the driver gives JSON as texts.
COLUMNS = (
    "id, customer, currency, interval, anchor_at, time_zone, segments::text, coupons::text, created_at, billed_until"
)
_COLUMNS = (
    _s.id, _s.customer, _s.currency, _s.interval, _s.anchor_at, _s.time_zone, cast(_s.segments, Text),
    cast(_s.coupons, Text), _s.created_at, _s.billed_until,
)  # fmt: skip


def to_subscription(row: Any) -> Subscription:
    """The subscription of a row of `COLUMNS`."""
    id_, customer, currency, interval, anchor, time_zone, segments, coupons, created_at, billed_until = row
    return Subscription(
        id_,
        customer,
        currency,
        Interval(interval),
        anchor,
        time_zone,
        tuple([_to_segment(one) for one in json.loads(segments)]),
        tuple([AppliedCoupon(one["coupon"], one["start"]) for one in json.loads(coupons)]),
        created_at,
        billed_until,
    )


def _to_segment(plain: dict[str, Any]) -> Segment:
    return Segment(
        plain["start"],
        plain["end"],
        tuple([Item(plan, version, Decimal(times)) for plan, version, times in plain["items"]]),
        Mode(plain["mode"]),
        tuple([price_from_json(one) for one in plain["custom"]]),
    )


def _from_segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": segment.start,
        "end": segment.end,
        "items": [[item.plan, item.version, to_text(item.quantity)] for item in segment.items],
        "mode": segment.mode.value,
        "custom": [to_json(price) for price in segment.custom],
    }


class PostgresSubscriptions:
    """`app.billing.ports.SubscriptionStore` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, tenant: str, subscription: str) -> Subscription | None:
        """See `app.billing.ports.SubscriptionStore`."""
        return next(iter(await self._read(_select(tenant).where(_s.id == subscription))), None)

    async def list(self, tenant: str, customer: str, after: str, most: int) -> Sequence[Subscription]:
        """See `app.billing.ports.SubscriptionStore`."""
        page = _select(tenant).where(_s.id > after)
        return await self._read((page.where(_s.customer == customer) if customer else page).order_by(_s.id).limit(most))

    async def _read(self, query: Select[Any]) -> Sequence[Subscription]:
        with engine_errors():
            async with self._engine.connect() as connection:
                return [to_subscription(row) for row in await connection.execute(query)]

    async def details(self, tenant: str, customer: str) -> BillingDetails:
        """See `app.billing.ports.SubscriptionStore`."""
        mine = select(_d.body).where(_d.tenant == tenant, _d.customer == customer)
        with engine_errors():
            async with self._engine.connect() as connection:
                body = (await connection.execute(mine)).scalar_one_or_none()
        return NO_DETAILS if body is None else details_from_json(body)

    def change(self, tenant: str, customer: str) -> AbstractAsyncContextManager[SubscriptionChange]:
        """See `app.billing.ports.SubscriptionStore`."""
        return self._change(tenant, customer)

    @asynccontextmanager
    async def _change(self, tenant: str, customer: str) -> AsyncGenerator[PostgresSubscriptionChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                where = schema.tenants.c.tenant == tenant
                await connection.execute(select(schema.tenants.c.tenant).where(where).with_for_update(read=True))
                await PostgresCustomerChange(connection, tenant).lock(customer)
                yield PostgresSubscriptionChange(connection, tenant, customer)


def _select(tenant: str) -> Select[Any]:
    return select(*_COLUMNS).where(_s.tenant == tenant)


class PostgresSubscriptionChange(PostgresOnce):
    """See `app.billing.ports.SubscriptionChange`."""

    def __init__(self, connection: Any, tenant: str, customer: str) -> None:
        super().__init__(connection, tenant)
        self._customer = customer

    async def now(self) -> int:
        """See `app.billing.ports.SubscriptionChange`."""
        instant: int = await (await driver(self._connection)).fetchval("SELECT clock_timestamp()")
        return instant

    async def catalog(self) -> Catalog:
        """See `app.billing.ports.SubscriptionChange`."""
        return await load_catalog(await driver(self._connection), self._tenant)

    async def customer(self) -> Customer | None:
        """See `app.billing.ports.SubscriptionChange`."""
        return await PostgresCustomerChange(self._connection, self._tenant).get(self._customer)

    async def subscriptions(self) -> list[Subscription]:
        """See `app.billing.ports.SubscriptionChange`."""
        mine = _select(self._tenant).where(_s.customer == self._customer).order_by(_s.created_at, _s.id)
        return [to_subscription(row) for row in await self._connection.execute(mine)]

    async def save(self, standing: Standing) -> None:
        """See `app.billing.ports.SubscriptionChange`."""
        one = standing.subscription
        row = {
            "tenant": self._tenant,
            "id": one.id,
            "customer": one.customer,
            "currency": one.currency,
            "interval": one.interval.value,
            "anchor_at": one.anchor,
            "time_zone": one.time_zone,
            "segments": [_from_segment(segment) for segment in one.segments],
            "coupons": [{"coupon": coupon.coupon, "start": coupon.start} for coupon in one.coupons],
            "created_at": one.created_at,
            "billed_until": one.billed_until,
            "turns_at": standing.turns_at,
            "closes_at": standing.closes_at,
        }
        keys = ["tenant", "id"]
        changed = {name: value for name, value in row.items() if name not in keys}
        await self._connection.execute(
            insert(schema.subscriptions).values(row).on_conflict_do_update(index_elements=keys, set_=changed)
        )

    async def govern(self, plan: str, anchor: int | None) -> int:
        """See `app.billing.ports.SubscriptionChange`."""
        change = (
            update(schema.heads)
            .where(_heads.tenant == self._tenant, _heads.customer == self._customer)
            .values(seq=_heads.seq + 1, plan=plan, anchor_at=anchor)
            .returning(_heads.seq)
        )
        seq: int = (await self._connection.execute(change)).scalar_one()
        await notify(self._connection, "customer", self._tenant, self._customer)
        return seq

    async def set_details(self, details: BillingDetails) -> None:
        """See `app.billing.ports.SubscriptionChange`."""
        row = {"tenant": self._tenant, "customer": self._customer, "body": to_json(details)}
        await self._connection.execute(
            insert(schema.billing_details)
            .values(row)
            .on_conflict_do_update(index_elements=["tenant", "customer"], set_={"body": row["body"]})
        )
