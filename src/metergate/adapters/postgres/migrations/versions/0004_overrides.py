"""A customer's own terms (anchor, overrides of limits) on its head; thresholds that were reached."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_LIMIT_EVENT = """
CREATE TABLE limit_event (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    customer text COLLATE "C" NOT NULL,
    limit_name text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    filter text COLLATE "C" NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    threshold integer NOT NULL,
    taken numeric NOT NULL,
    max numeric NOT NULL,
    seq bigint NOT NULL,
    place integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, customer, limit_name, meter, subject, filter, start_at, end_at, threshold)
);
COMMENT ON TABLE limit_event IS
    'append-only: thresholds (in percent of max) that were reached, each once per window; place = within its commit';
CREATE INDEX limit_event_recorded ON limit_event (tenant, recorded_at, customer, seq, place);
CREATE INDEX limit_event_customer ON limit_event (tenant, customer, recorded_at, seq, place)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE customer_head ADD COLUMN anchor_at timestamptz, ADD COLUMN overrides jsonb")
    op.execute(
        "COMMENT ON COLUMN customer_head.overrides IS "
        "'null = none; limit, max (null = unlimited), start and end (null = for good) in microseconds since 1970'"
    )
    for statement in _LIMIT_EVENT.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE limit_event")
    op.execute("ALTER TABLE customer_head DROP COLUMN anchor_at, DROP COLUMN overrides")
