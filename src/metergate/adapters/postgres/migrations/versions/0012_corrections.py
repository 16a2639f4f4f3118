"""Corrections of events, and backfills with their staging."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Staging is filled at once, and the planner may know nothing of it: what looks for a row by its key must find no other
# index that fits as well. So the others begin with the state.
_CORRECTIONS = """
CREATE TABLE usage_version (
    tenant text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    customer text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    counted_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    content integer NOT NULL,
    from_customer text COLLATE "C",
    from_pool text COLLATE "C",
    from_counted_at timestamptz,
    from_seq bigint,
    recorded_at timestamptz NOT NULL,
    reason text NOT NULL,
    service text COLLATE "C" NOT NULL,
    key_id text NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    unmatched text NOT NULL,
    backfill text NOT NULL,
    PRIMARY KEY (tenant, source, id, version)
);
COMMENT ON TABLE usage_version IS
    'corrections: each makes the next version of its event. Where it stands since, or stood last where it was voided,
    content = the version whose row holds the content; from_ = what was taken back';
CREATE UNIQUE INDEX usage_version_request ON usage_version (tenant, service, request_id) WHERE request_id <> '';

CREATE TABLE backfill (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    service text NOT NULL,
    key_id text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    expired boolean NOT NULL DEFAULT false,
    scope jsonb,
    digest bytea NOT NULL,
    planned boolean NOT NULL DEFAULT false,
    claimed_until timestamptz NOT NULL DEFAULT '1970-01-01 00:00+00',
    claim text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
);
COMMENT ON COLUMN backfill.planned IS 'whether its rows say what a commit is to do with them';
CREATE INDEX backfill_listed ON backfill (tenant, created_at, id);
CREATE INDEX backfill_at_work ON backfill (tenant, id) WHERE state IN ('open', 'committing', 'reverting');

CREATE TABLE backfill_row (
    tenant text COLLATE "C" NOT NULL,
    backfill text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    counted_at timestamptz NOT NULL,
    stands_at timestamptz,
    state text NOT NULL,
    type text COLLATE "C",
    subject text COLLATE "C",
    amount numeric,
    values jsonb,
    labels jsonb,
    digest bytea,
    replaces integer,
    made integer,
    reason text NOT NULL DEFAULT '',
    field text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, backfill, source, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE backfill_row IS
    'an id of a backfill: with a type, an event to load; replaces = the version of a standing event to take back, which
    counts for the customer at stands_at; owner = for whom the content will count; made = the version that was made';
CREATE INDEX backfill_row_order ON backfill_row (state, tenant, backfill, customer, counted_at, source, id);
CREATE INDEX backfill_row_owner ON backfill_row (state, tenant, backfill, owner)
"""


def upgrade() -> None:
    for statement in _CORRECTIONS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("backfill_row", "backfill", "usage_version"):
        op.execute(f"DROP TABLE {table}")
