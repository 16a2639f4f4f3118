"""The values of UNIQUE counters, so that a commit knows whether one is new in its window."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

# UNIQUE counters that there are lack their values: they are born anew with their next use.
_VALUES = """
CREATE TABLE counter_value (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    end_at timestamptz NOT NULL,
    start_at timestamptz NOT NULL,
    subject text COLLATE "C" NOT NULL,
    filter text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (tenant, customer, meter, end_at, start_at, subject, filter, value)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE counter_value IS
    'how many events of each value stand in the window of a UNIQUE counter; without that counter it says nothing';
DELETE FROM usage_counter c USING meter m
WHERE m.tenant = c.tenant AND m.name = c.meter AND m.aggregation = 'unique'
"""


def upgrade() -> None:
    for statement in _VALUES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE counter_value")
