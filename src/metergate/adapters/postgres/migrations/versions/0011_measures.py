"""Measures: rollups are of what is read from events, and shared by the meters that read it. Rows can be taken back."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter

revision = "0011"
down_revision = "0010"

# Rollups are derived: they are made anew, customer by customer, with the next use.
_MEASURES = """
ALTER TABLE meter
    ADD COLUMN filters jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN scale numeric NOT NULL DEFAULT 1,
    ADD COLUMN percentile numeric,
    ADD COLUMN level_unit text,
    ADD COLUMN accept_window bigint,
    ADD COLUMN late text NOT NULL DEFAULT 'next_invoice',
    ADD COLUMN measure text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN leads boolean NOT NULL DEFAULT true,
    ADD COLUMN extremes boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN meter.measure IS 'what it reads from events, as a digest; meters that read the same share rollups';
COMMENT ON COLUMN meter.leads IS 'whether it is the meter of its measure that the rollups are made by';
DROP TABLE usage_rollup;
CREATE TABLE usage_rollup (
    tenant text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    quarter timestamptz NOT NULL,
    subject text COLLATE "C" NOT NULL,
    dimensions jsonb NOT NULL,
    count bigint NOT NULL,
    sum numeric NOT NULL,
    min numeric,
    max numeric,
    last_at timestamptz,
    last_key text COLLATE "C",
    last numeric,
    PRIMARY KEY (tenant, customer, measure, quarter, subject, dimensions)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON COLUMN usage_rollup.last IS
    'the value of the greatest (last_at, last_key); as min and max it is kept where a meter needs it';
ALTER TABLE usage_event ADD COLUMN sign smallint, ADD COLUMN version integer;
COMMENT ON COLUMN usage_event.sign IS '-1 takes a row of the same content back; null = 1';
COMMENT ON COLUMN usage_event.version IS 'which version of its event it is, or takes back; null = the first';
UPDATE customer_head SET metering_version = 0
"""


def upgrade() -> None:
    for statement in _MEASURES.split(";\n"):
        op.execute(statement)
    op.execute("UPDATE tenant SET catalog_version = catalog_version + 1")
    _name_measures()


def _name_measures() -> None:
    """What a measure is called is the domain's to say."""
    connection = op.get_bind()
    by_tenant: dict[str, list[Meter]] = {}
    found = connection.execute(
        text("SELECT tenant, name, event_type, aggregation, value, dimensions, allow_negative FROM meter")
    )
    for tenant, name, event_type, aggregation, value, dimensions, allow_negative in found:
        meter = Meter(name, event_type, aggregation, value, tuple(dimensions), allow_negative)
        by_tenant.setdefault(tenant, []).append(meter)
    for tenant, meters in by_tenant.items():
        for meter in Catalog(tuple(meters)).meters:
            connection.execute(
                text("UPDATE meter SET measure = :measure, leads = :leads WHERE tenant = :tenant AND name = :name"),
                {"measure": meter.measure, "leads": meter.leads, "tenant": tenant, "name": meter.name},
            )


def downgrade() -> None:
    op.execute("ALTER TABLE usage_event DROP COLUMN sign, DROP COLUMN version")
    op.execute("DROP TABLE usage_rollup")
    op.execute("""
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
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)""")
    op.execute("UPDATE customer_head SET metering_version = 0")
    op.execute(
        "ALTER TABLE meter DROP COLUMN filters, DROP COLUMN scale, DROP COLUMN percentile, DROP COLUMN level_unit, "
        "DROP COLUMN accept_window, DROP COLUMN late, DROP COLUMN measure, DROP COLUMN leads, DROP COLUMN extremes"
    )
