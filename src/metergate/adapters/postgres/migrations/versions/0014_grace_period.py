"""Grace for a stated time; the pace at which a rate's state was reckoned, which outlives a change of the rate."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("ALTER TABLE plan_limit ADD COLUMN grace_period bigint CHECK (grace_period > 0)")
    op.execute("COMMENT ON COLUMN plan_limit.grace_period IS 'in microseconds; null = grace is not bounded by time'")
    op.execute("ALTER TABLE usage_counter ADD COLUMN pace numeric NOT NULL DEFAULT 0")
    op.execute(
        "COMMENT ON COLUMN usage_counter.pace IS "
        "'microseconds per unit of the rate that left tat; 0 = of the rate in force'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE usage_counter DROP COLUMN pace")
    op.execute("ALTER TABLE plan_limit DROP COLUMN grace_period")
