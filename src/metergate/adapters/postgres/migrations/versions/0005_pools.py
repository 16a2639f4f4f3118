"""Pools: customers whose usage counts in another customer's limits as well."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_POOLS = """
ALTER TABLE customer_head ADD COLUMN pool text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN is_pool boolean NOT NULL DEFAULT false;
ALTER TABLE usage_event ADD COLUMN pool text COLLATE "C";
CREATE INDEX usage_event_pool ON usage_event (tenant, pool, counted_at) WHERE pool IS NOT NULL;
ALTER TABLE hold ADD COLUMN pool text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX hold_kept_pool ON hold (tenant, pool, meter, counted_at)
    WHERE pool <> '' AND reserved + leased + forfeited > 0
"""


def upgrade() -> None:
    for statement in _POOLS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX hold_kept_pool")
    op.execute("ALTER TABLE hold DROP COLUMN pool")
    op.execute("DROP INDEX usage_event_pool")
    op.execute("ALTER TABLE usage_event DROP COLUMN pool")
    op.execute("ALTER TABLE customer_head DROP COLUMN pool, DROP COLUMN is_pool")
