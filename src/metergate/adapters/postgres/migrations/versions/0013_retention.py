"""Retention: closing balances of months of events that were dropped, and how far each month's dropping is."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

_RETENTION = """
CREATE TABLE event_month (
    month date PRIMARY KEY,
    state text NOT NULL,
    changes bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    taken_back bigint NOT NULL DEFAULT 0,
    file text NOT NULL DEFAULT '',
    sha256 text NOT NULL DEFAULT '',
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped_at timestamptz
);
COMMENT ON TABLE event_month IS
    'months of recording whose events are being dropped or were: begun, exported, closed, dropped';
COMMENT ON COLUMN event_month.changes IS 'statements that changed its events since it was begun: it must begin anew';
COMMENT ON COLUMN event_month.taken_back IS
    'how many rows that take back some of its time, recorded since about begun_at, the closing balances know of';
CREATE TABLE closed_month (
    tenant text COLLATE "C" NOT NULL,
    month date NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    events bigint NOT NULL,
    waiting bigint NOT NULL,
    measures text[] NOT NULL,
    extremes text[] NOT NULL,
    PRIMARY KEY (tenant, month)
);
COMMENT ON TABLE closed_month IS
    'a tenant''s events of a month: when they counted, and of which measures there are closing balances';
CREATE TABLE usage_closed (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    quarter timestamptz NOT NULL,
    subject text COLLATE "C" NOT NULL,
    dimensions jsonb NOT NULL,
    month date NOT NULL,
    count bigint NOT NULL,
    sum numeric NOT NULL,
    min numeric,
    max numeric,
    last_at timestamptz,
    last_key text COLLATE "C",
    last numeric,
    PRIMARY KEY (tenant, customer, measure, quarter, subject, dimensions, month)
);
COMMENT ON TABLE usage_closed IS
    'closing balances: what a dropped month of events made of the rollups; those of other months do not count yet';
COMMENT ON COLUMN usage_closed.quarter IS
    'start of a piece: a quarter hour, cut in two where windows of the customer''s anchor begin';
CREATE FUNCTION event_month_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE event_month m SET changes = changes + 1
    WHERE m.state <> 'dropped' AND EXISTS (SELECT FROM changed
        WHERE recorded_at >= m.month::timestamp AT TIME ZONE 'UTC'
            AND recorded_at < (m.month + interval '1 month') AT TIME ZONE 'UTC');
    RETURN NULL;
END $$;
CREATE TRIGGER usage_event_updated AFTER UPDATE ON usage_event
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION event_month_changed();
CREATE TRIGGER usage_event_deleted AFTER DELETE ON usage_event
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION event_month_changed()
"""


def upgrade() -> None:
    body, function = _RETENTION.split("CREATE FUNCTION")
    function, first, second = function.split("CREATE TRIGGER")
    for statement in body.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("CREATE FUNCTION" + function)
    for trigger in (first, second):
        op.execute("CREATE TRIGGER" + trigger)


def downgrade() -> None:
    op.execute("DROP TRIGGER usage_event_updated ON usage_event")
    op.execute("DROP TRIGGER usage_event_deleted ON usage_event")
    op.execute("DROP FUNCTION event_month_changed")
    for table in ("usage_closed", "closed_month", "event_month"):
        op.execute(f"DROP TABLE {table}")
