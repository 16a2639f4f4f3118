"""What is kept of one customer, read in the order of its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Float, Table, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.errors import engine_errors
from metergate.app.customer.data import Cut
from metergate.domain import period
from metergate.domain.quantity import to_text

# What stands for a content, is secret, or is of no meaning outside.
_LEFT_OUT = {"tenant", "digest", "secret", "id_secret", "metering_version"}


@dataclass(frozen=True, slots=True)
class _Section:
    """A part: its rows, found by the columns `by`, in an order that tells any two of them apart. Rows that have a
    `seq` end at the cut."""

    name: str
    table: Table
    order: Sequence[ColumnElement[Any]]
    by: tuple[str, ...] = ("customer",)


def _keys(table: Table, *left_out: str) -> list[ColumnElement[Any]]:
    return [column for column in table.primary_key if column.name not in ("tenant", *left_out)]


def _events() -> list[ColumnElement[Any]]:
    columns = schema.events.c
    order: list[ColumnElement[Any]] = [columns.counted_at, columns.source, columns.id, columns.seq]
    # A correction that comes with what it corrects by has a sign of its own.
    return [*order, func.coalesce(columns.sign, 1)] if "sign" in columns else order


# Rows without a key have their place in the table, by block and item.
_ITEM = [literal_column(f"(hold_move.ctid::text::point)[{part}]", Float) for part in (0, 1)]
_SECTIONS: Final = (
    _Section("customer", schema.customers, _keys(schema.customers)),
    _Section("terms", schema.heads, _keys(schema.heads)),
    _Section("subject", schema.subjects, _keys(schema.subjects)),
    _Section("subject_move", schema.subject_moves, _keys(schema.subject_moves), ("from_customer", "to_customer")),
    _Section("event", schema.events, _events()),
    _Section("hold", schema.holds, _keys(schema.holds)),
    _Section("hold_move", schema.hold_moves, [schema.hold_moves.c.seq, *_ITEM]),
    _Section("grant", schema.grants, _keys(schema.grants)),
    _Section("grant_move", schema.grant_moves, _keys(schema.grant_moves, "customer")),
    _Section("limit_event", schema.limit_events, _keys(schema.limit_events, "customer")),
    _Section("rollup", schema.rollups, _keys(schema.rollups, "customer")),
    _Section("closed", schema.closed, _keys(schema.closed, "customer")),
    _Section("correction", schema.versions, _keys(schema.versions)),
    _Section("billing_details", schema.billing_details, _keys(schema.billing_details)),
    _Section("subscription", schema.subscriptions, _keys(schema.subscriptions)),
    _Section("budget", schema.budgets, _keys(schema.budgets)),
    _Section("invoice", schema.invoices, _keys(schema.invoices)),
    _Section("invoice_line", schema.invoice_lines, _keys(schema.invoice_lines)),
    _Section("credit_note", schema.credit_notes, _keys(schema.credit_notes)),
    _Section("erasure", schema.erasures, _keys(schema.erasures)),
)
_BY_NAME = {section.name: section for section in _SECTIONS}


class PostgresExports:
    """`app.customer.data.Exports` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def sections(self) -> Sequence[str]:
        """See `app.customer.data.Exports`."""
        return tuple(_BY_NAME)

    async def cut(self, tenant: str, customer: str) -> Cut | None:
        """See `app.customer.data.Exports`."""
        heads, customers = schema.heads, schema.customers
        found = select(heads.c.seq, func.clock_timestamp(type_=schema.Instant)).where(
            heads.c.tenant == tenant,
            heads.c.customer == customer,
            select(customers).where(customers.c.tenant == tenant, customers.c.customer == customer).exists(),
        )
        with engine_errors():
            async with self._engine.connect() as connection:
                row = (await connection.execute(found)).one_or_none()
                return None if row is None else Cut(*row)

    async def rows(
        self, tenant: str, customer: str, section: str, cut: Cut, after: Sequence[Any] | None, most: int
    ) -> list[tuple[list[Any], Mapping[str, Any]]]:
        """See `app.customer.data.Exports`."""
        part = _BY_NAME[section]
        table, shown = part.table, [column for column in part.table.c if column.name not in _LEFT_OUT]
        page = select(*shown, *[place.label(f"place_{number}") for number, place in enumerate(part.order)]).where(
            table.c.tenant == tenant, or_(*[table.c[name] == customer for name in part.by])
        )
        if "seq" in table.c and table is not schema.heads:
            page = page.where(table.c.seq <= cut.seq)
        if after is not None:
            places = [literal(value, one.type) for value, one in zip(after, part.order, strict=True)]
            page = page.where(tuple_(*part.order) > tuple_(*places))
        with engine_errors():
            async with self._engine.connect() as connection:
                found = await connection.execute(page.order_by(*part.order).limit(most))
                return [(list(row[len(shown) :]), _plain(shown, row)) for row in found]


def _plain(columns: Sequence[Column[Any]], row: Sequence[Any]) -> dict[str, Any]:
    """The row as JSON has it: instants in RFC 3339, quantities as texts, and nothing where there is none."""
    return {
        column.name: _value(column, value)
        for column, value in zip(columns, row, strict=False)
        if value is not None and not isinstance(value, bytes)
    }


def _value(column: Column[Any], value: Any) -> Any:
    if column.type is schema.Instant:
        return period.to_text(value)
    return to_text(value) if isinstance(value, Decimal) else value
