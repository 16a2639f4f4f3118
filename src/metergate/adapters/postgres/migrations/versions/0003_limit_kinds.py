"""Kinds of limits: windows of all sorts, rates and concurrency; grace, shadow limits and thresholds."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_COLUMNS = {
    "kind": "text NOT NULL DEFAULT 'calendar'",
    "length": "bigint NOT NULL DEFAULT 0",
    "sub_windows": "integer NOT NULL DEFAULT 10",
    "week_start": "text NOT NULL DEFAULT 'monday'",
    "burst": "numeric CHECK (burst > 0)",
    "grace": "numeric CHECK (grace > 0)",
    "shadow": "boolean NOT NULL DEFAULT false",
    "thresholds": "integer[] NOT NULL DEFAULT '{}'",
    "when_view_gone": "text NOT NULL DEFAULT 'ledger'",
}


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items())
    op.execute(f"ALTER TABLE plan_limit {added}")
    op.execute("COMMENT ON COLUMN plan_limit.length IS 'in microseconds: of fixed and rolling windows and of rates'")
    op.execute("COMMENT ON COLUMN plan_limit.burst IS 'null = as much as max'")


def downgrade() -> None:
    dropped = ", ".join(f"DROP COLUMN {name}" for name in _COLUMNS)
    op.execute(f"ALTER TABLE plan_limit {dropped}")
