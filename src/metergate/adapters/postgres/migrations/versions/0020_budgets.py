"""Budgets: what the usage of a subscription's period should cost, and what was told of it."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"

_BUDGETS = """
CREATE TABLE budget (
    tenant text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    thresholds integer[] NOT NULL,
    spent bigint,
    period_end timestamptz,
    told integer[] NOT NULL DEFAULT '{}',
    seen_seq bigint NOT NULL DEFAULT -1,
    looked_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00+00',
    PRIMARY KEY (tenant, subscription),
    FOREIGN KEY (tenant, subscription) REFERENCES subscription
);
COMMENT ON TABLE budget IS
    'an amount of money per period of a subscription, parts of it are told when they are reached';
COMMENT ON COLUMN budget.thresholds IS 'in per cent of the amount';
COMMENT ON COLUMN budget.told IS 'the thresholds that were told of the period up to period_end';
COMMENT ON COLUMN budget.seen_seq IS
    'the customer''s seq when it was looked at: another one says that it is to be again';
CREATE INDEX budget_looked_at ON budget (looked_at)
"""


def upgrade() -> None:
    for statement in _BUDGETS.split(";"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE budget")
