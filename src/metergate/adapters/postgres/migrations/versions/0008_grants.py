"""Grants: units given ahead of use, what they allow in all, and the history of both."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

_GRANTS = """
CREATE TABLE usage_grant (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    amount numeric NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz,
    priority integer NOT NULL,
    recurs text NOT NULL,
    until_at timestamptz,
    anchor_at timestamptz NOT NULL,
    rollover_min numeric NOT NULL,
    rollover_max numeric NOT NULL,
    rolled numeric NOT NULL,
    burned numeric NOT NULL,
    lost numeric NOT NULL,
    state text NOT NULL,
    seq bigint NOT NULL,
    place integer NOT NULL,
    created_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    due_at timestamptz,
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE usage_grant IS
    'units given to a customer; left = amount + rolled - burned - lost; due_at = when it next begins or ends';
CREATE INDEX usage_grant_open ON usage_grant (tenant, customer, meter) WHERE state IN ('pending', 'active');
CREATE INDEX usage_grant_seq ON usage_grant (tenant, customer, seq, id);
CREATE INDEX usage_grant_due ON usage_grant (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE grant_account (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    granted numeric NOT NULL,
    PRIMARY KEY (tenant, customer, meter)
) WITH (fillfactor = 70);
COMMENT ON TABLE grant_account IS
    'granted = what was used before the first grant began + what grants brought - what was left when they were over';

CREATE TABLE grant_move (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    place integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    meter text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (tenant, customer, seq, place)
);
COMMENT ON TABLE grant_move IS
    'append-only: base (used before the first grant), start, roll, burn, expire and void, by seq and place';
CREATE INDEX grant_move_id ON grant_move (tenant, id, seq, place);
CREATE INDEX grant_move_granted ON grant_move (tenant, customer, meter, seq) WHERE kind <> 'burn';
CREATE INDEX grant_move_recorded ON grant_move USING brin (recorded_at) WITH (pages_per_range = 16)
"""


def upgrade() -> None:
    for statement in _GRANTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("grant_move", "grant_account", "usage_grant"):
        op.execute(f"DROP TABLE {table}")
