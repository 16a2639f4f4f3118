"""When waiting events began to count for their customer: what was known before, and what watchers are told."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

_ADOPTION = """
CREATE TABLE usage_adoption (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    adopted_at timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, customer, seq)
);
COMMENT ON TABLE usage_adoption IS
    'changes in which events that waited became a customer''s, and when the first and the last of them were recorded'
"""


def upgrade() -> None:
    for statement in _ADOPTION.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE usage_adoption")
