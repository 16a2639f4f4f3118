"""The outbox, webhook endpoints, their queues and their deliveries."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# No foreign key from the outbox: a commit would wait for whoever changes the tenant's catalog.
_OUTBOX = """
CREATE TABLE outbox (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    place integer NOT NULL,
    kind text NOT NULL,
    recorded_at timestamptz NOT NULL,
    body text NOT NULL,
    fresh boolean NOT NULL DEFAULT true,
    PRIMARY KEY (tenant, customer, seq, place)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE outbox IS
    'news, written by the commit that they tell of; fresh = the queues that wait for it have not been woken';
CREATE INDEX outbox_fresh ON outbox (recorded_at) WHERE fresh;
CREATE INDEX outbox_recorded ON outbox USING brin (recorded_at) WITH (pages_per_range = 16);

CREATE TABLE webhook_endpoint (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    endpoint text COLLATE "C" NOT NULL,
    url text NOT NULL,
    kinds text[] NOT NULL,
    description text NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text NOT NULL,
    secret text NOT NULL,
    previous_secret text,
    previous_until timestamptz,
    since timestamptz[] NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, endpoint)
);
COMMENT ON TABLE webhook_endpoint IS
    'where news go; since = from when on, for each of the kinds; previous_secret signs too until previous_until';

CREATE TABLE webhook_queue (
    tenant text COLLATE "C" NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    place integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    moved_at timestamptz NOT NULL DEFAULT now(),
    claimed boolean NOT NULL DEFAULT false,
    claim bigint NOT NULL DEFAULT 0,
    woken bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, endpoint, customer),
    FOREIGN KEY (tenant, endpoint) REFERENCES webhook_endpoint ON DELETE CASCADE
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE webhook_queue IS
    'one customer''s news on their way to one endpoint; seq, place = the last that were begun; next_at = when to
    look again, of a claimed queue when the claim runs out; moved_at = since when it waits';
CREATE INDEX webhook_queue_due ON webhook_queue (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE webhook_delivery (
    tenant text COLLATE "C" NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    place integer NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    status integer,
    error text NOT NULL,
    recorded_at timestamptz NOT NULL,
    since_at timestamptz NOT NULL,
    tried_at timestamptz,
    PRIMARY KEY (tenant, endpoint, customer, seq, place),
    FOREIGN KEY (tenant, endpoint) REFERENCES webhook_endpoint ON DELETE CASCADE
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE webhook_delivery IS
    'news that were begun to be delivered, by state; since_at = from when their time is counted: recorded or replayed';
CREATE INDEX webhook_delivery_listed ON webhook_delivery (tenant, recorded_at, endpoint, customer, seq, place);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (tenant, endpoint, customer, seq, place)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_dead ON webhook_delivery (tenant, recorded_at, endpoint, customer, seq, place)
    WHERE state = 'dead';
CREATE INDEX webhook_delivery_recorded ON webhook_delivery USING brin (recorded_at) WITH (pages_per_range = 16)
"""


def upgrade() -> None:
    for statement in _OUTBOX.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    # Of an overrun that began (threshold 0) the schema before does not know.
    op.execute("DELETE FROM limit_event WHERE threshold = 0")
    for table in ("webhook_delivery", "webhook_queue", "webhook_endpoint", "outbox"):
        op.execute(f"DROP TABLE {table}")
