"""The ledger: definitions, heads, ids, events, rollups, counters.

Ids are compared byte by byte (collation "C"): sorting for locks must mean the same to every process.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_DEFINITIONS = """
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation uuid NOT NULL DEFAULT gen_random_uuid(),
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN installation.generation IS 'changed by hand after a restore from backup: it voids the fast view';
COMMENT ON COLUMN installation.secret IS 'signs page tokens and write tokens';

CREATE TABLE tenant (
    tenant text COLLATE "C" PRIMARY KEY,
    catalog_version bigint NOT NULL DEFAULT 0,
    metering_version bigint NOT NULL DEFAULT 0,
    default_plan text COLLATE "C" NOT NULL DEFAULT 'default',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    key_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    service text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_key_tenant ON api_key (tenant);

CREATE TABLE meter (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    name text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    aggregation text NOT NULL,
    value text NOT NULL,
    dimensions text[] NOT NULL,
    allow_negative boolean NOT NULL,
    unit text NOT NULL,
    description text NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE plan (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    name text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE plan_limit (
    tenant text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    max numeric CHECK (max >= 0),
    period text NOT NULL,
    policy text NOT NULL,
    scope text NOT NULL,
    labels jsonb NOT NULL,
    per_labels text[] NOT NULL,
    PRIMARY KEY (tenant, plan, name),
    FOREIGN KEY (tenant, plan) REFERENCES plan
);
COMMENT ON COLUMN plan_limit.max IS 'null = unlimited';

CREATE TABLE customer (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    customer text COLLATE "C" NOT NULL,
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, customer)
);

CREATE TABLE subject (
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, subject),
    FOREIGN KEY (tenant, customer) REFERENCES customer
);
CREATE INDEX subject_customer ON subject (tenant, customer, subject);

CREATE TABLE request (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    request_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, request_id)
);
CREATE INDEX request_created ON request USING brin (created_at);
"""

_LEDGER = """
CREATE TABLE customer_head (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    plan text COLLATE "C" NOT NULL DEFAULT '',
    time_zone text NOT NULL DEFAULT 'UTC',
    metering_version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, customer)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE customer_head IS
    'one row per customer, locked by each commit; customer '''' is the waiting room of events whose subject is unknown';

CREATE TABLE usage_id (
    tenant text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    slice date NOT NULL,
    digest bytea NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, source, id, slice)
) PARTITION BY RANGE (slice);
COMMENT ON COLUMN usage_id.slice IS 'the first day of the month in which the id was recorded';

CREATE TABLE usage_event (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    time timestamptz,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    amount numeric,
    values jsonb,
    labels jsonb,
    settles text
) PARTITION BY RANGE (recorded_at);
CREATE INDEX usage_event_counted ON usage_event (tenant, customer, counted_at);
CREATE INDEX usage_event_recorded ON usage_event USING brin (recorded_at) WITH (pages_per_range = 16);
CREATE INDEX usage_event_waiting ON usage_event (tenant, subject) WHERE customer = '';

CREATE TABLE usage_rollup (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    quarter timestamptz NOT NULL,
    subject text COLLATE "C" NOT NULL,
    dimensions jsonb NOT NULL,
    count bigint NOT NULL,
    sum numeric NOT NULL,
    PRIMARY KEY (tenant, customer, meter, quarter, subject, dimensions)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE usage_counter (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    filter text COLLATE "C" NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    used numeric NOT NULL,
    reserved numeric NOT NULL DEFAULT 0,
    leased numeric NOT NULL DEFAULT 0,
    forfeited numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, customer, meter, end_at, start_at, subject, filter)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
"""

_TABLES = (
    "usage_counter usage_rollup usage_event usage_id customer_head request subject customer plan_limit plan meter "
    "api_key tenant installation"
)


def upgrade() -> None:
    for statement in (_DEFINITIONS + _LEDGER).split(";\n"):
        if statement.strip():
            op.execute(statement)
    # Two UUIDs hold 244 random bits, and need no extension.
    op.execute(
        "INSERT INTO installation (secret) "
        "VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))"
    )


def downgrade() -> None:
    for table in _TABLES.split():
        op.execute(f"DROP TABLE {table}")
