"""Holds: reservations and leases, and the history of what they kept from others; the state of rates (`tat`)."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_HOLDS = """
CREATE TABLE hold (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    id text COLLATE "C" NOT NULL,
    part integer NOT NULL,
    kind text NOT NULL,
    customer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    labels jsonb NOT NULL,
    seq bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    state text NOT NULL,
    granted numeric NOT NULL,
    returned numeric NOT NULL,
    spent numeric NOT NULL,
    settled numeric NOT NULL,
    reserved numeric NOT NULL,
    leased numeric NOT NULL,
    forfeited numeric NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (tenant, id, part)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE hold IS
    'capacity handed out, one row per meter; reserved + leased + forfeited = granted - returned - settled';
CREATE INDEX hold_kept ON hold (tenant, customer, meter, counted_at) WHERE reserved + leased + forfeited > 0;
CREATE INDEX hold_due ON hold (end_at) WHERE state = 'open' OR leased > 0;
CREATE INDEX hold_end ON hold USING brin (end_at);

CREATE TABLE hold_move (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    id text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    labels jsonb NOT NULL,
    counted_at timestamptz NOT NULL,
    reserved numeric NOT NULL,
    leased numeric NOT NULL,
    forfeited numeric NOT NULL
);
COMMENT ON TABLE hold_move IS 'append-only: what each commit added to the counters by changing a hold';
CREATE INDEX hold_move_seq ON hold_move (tenant, customer, seq);
CREATE INDEX hold_move_recorded ON hold_move USING brin (recorded_at) WITH (pages_per_range = 16);

ALTER TABLE usage_counter ADD COLUMN tat numeric NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    for statement in _HOLDS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE usage_counter DROP COLUMN tat")
    op.execute("DROP TABLE hold_move")
    op.execute("DROP TABLE hold")
