"""Budgets in PostgreSQL. What is told of one is written with what it was told by, behind the customer's head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.outbox import write_outbox
from metergate.app.billing.budget import DueBudget
from metergate.domain.budget import Budget, budget_news, reached
from metergate.domain.news import NewsKind
from metergate.domain.period import Window

_COLUMNS = "subscription, customer, currency, amount, thresholds, spent, period_end, told"
_GET = f"SELECT {_COLUMNS} FROM budget WHERE tenant = $1 AND subscription = $2"
_PUT = """
INSERT INTO budget (tenant, subscription, customer, currency, amount, thresholds) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, subscription) DO UPDATE SET amount = excluded.amount, thresholds = excluded.thresholds,
    seen_seq = -1"""
_DELETE = "DELETE FROM budget WHERE tenant = $1 AND subscription = $2"
# A customer that never rests is looked at again every second, and so is a period that is over until it is invoiced.
_DUE = """
SELECT b.tenant, b.subscription, b.customer, b.currency, b.amount, b.thresholds, b.spent, b.period_end, b.told
FROM budget b JOIN customer_head h USING (tenant, customer)
WHERE (h.seq <> b.seen_seq OR b.period_end <= clock_timestamp())
    AND b.looked_at < clock_timestamp() - interval '1 second'
ORDER BY b.looked_at LIMIT $1"""
_HEAD = """
SELECT h.seq, clock_timestamp(), EXISTS (
    SELECT FROM webhook_endpoint WHERE tenant = $1 AND enabled AND $3 = ANY(kinds))
FROM customer_head h JOIN budget b USING (tenant, customer)
WHERE h.tenant = $1 AND b.subscription = $2 FOR UPDATE OF h, b"""
_RAISE = "UPDATE customer_head SET seq = seq + 1 WHERE tenant = $1 AND customer = $2"
_LOOKED_AT = """
UPDATE budget SET looked_at = clock_timestamp(), seen_seq = $3, spent = $4, period_end = $5, told = $6
WHERE tenant = $1 AND subscription = $2"""

# What was told of a period that still runs stays told; one that is over is not looked at again for its end alone.
_NOTHING_SEEN = """
UPDATE budget SET looked_at = clock_timestamp(), seen_seq = $3,
    period_end = CASE WHEN period_end > clock_timestamp() THEN period_end END
WHERE tenant = $1 AND subscription = $2"""


class PostgresBudgets:
    """`app.billing.budget.BudgetStore` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, tenant: str, subscription: str) -> Budget | None:
        """See `app.billing.budget.BudgetStore`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                row = await (await driver(connection)).fetchrow(_GET, tenant, subscription)
        return None if row is None else _to_budget(row)

    async def put(self, tenant: str, budget: Budget) -> None:
        """See `app.billing.budget.BudgetStore`."""
        one = budget
        row = (one.subscription, one.customer, one.currency, one.amount, list(one.thresholds))
        await self._execute(_PUT, tenant, *row)

    async def delete(self, tenant: str, subscription: str) -> None:
        """See `app.billing.budget.BudgetStore`."""
        await self._execute(_DELETE, tenant, subscription)

    async def due(self, most: int) -> Sequence[DueBudget]:
        """See `app.billing.budget.BudgetStore`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(_DUE, most)
        return [DueBudget(tenant, _to_budget(row)) for tenant, *row in rows]

    async def looked_at(self, tenant: str, subscription: str, seq: int, spent: int, period: Window | None) -> bool:
        """See `app.billing.budget.BudgetStore`."""
        with engine_errors():
            async with self._engine.begin() as connection:
                raw = await driver(connection)
                head = await raw.fetchrow(_HEAD, tenant, subscription, NewsKind.THRESHOLD.value)
                if head is None:
                    return False
                budget = _to_budget(await raw.fetchrow(_GET, tenant, subscription))
                if period is None:
                    await raw.execute(_NOTHING_SEEN, tenant, subscription, head[0])
                    return False
                # Another process may have looked later, and told of it. A period may come to end at another time than
                # was known (its subscription is changed or ends): the next one begins when it has ended.
                same = budget.period_end is not None and period.start < budget.period_end
                told = budget.told if same else ()
                new = reached(budget, spent, told)
                last, now, wanted = head
                if new and wanted:
                    await raw.execute(_RAISE, tenant, budget.customer)
                    await write_outbox(raw, tenant, budget_news(budget, new, spent, period, last + 1, now))
                    seq = last + 1 if seq == last else seq
                told_now = sorted({*told, *new})
                await raw.execute(_LOOKED_AT, tenant, subscription, seq, spent, period.end, told_now)
                return bool(new)

    async def _execute(self, statement: str, *parameters: Any) -> None:
        with engine_errors():
            async with self._engine.begin() as connection:
                await (await driver(connection)).execute(statement, *parameters)


def _to_budget(row: Sequence[Any]) -> Budget:
    subscription, customer, currency, amount, thresholds, spent, period_end, told = row
    return Budget(subscription, customer, currency, amount, tuple(thresholds), spent, period_end, tuple(told))
