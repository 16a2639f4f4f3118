"""Counters are found by what they count: their key leads to the subject and the filter before the window.

A commit then looks only for counters that its usage can count in, however many its customer has.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

_SHAPES = """
UPDATE meter m SET shapes = coalesce((
    SELECT jsonb_agg(DISTINCT jsonb_build_array(s.per_subject, s.labels)) FROM (
        SELECT l.scope = 'subject' AS per_subject, to_jsonb(ARRAY(
            SELECT k FROM jsonb_object_keys(l.labels) k UNION SELECT unnest(l.per_labels) ORDER BY 1)) AS labels
        FROM plan_limit l WHERE l.tenant = m.tenant AND l.meter = m.name
        UNION SELECT c.subject <> '', to_jsonb(ARRAY(
            SELECT k FROM jsonb_object_keys(coalesce(nullif(c.filter, ''), '{}')::jsonb) k ORDER BY 1))
        FROM usage_counter c WHERE c.tenant = m.tenant AND c.meter = m.name
    ) s), '[]')
"""


def upgrade() -> None:
    op.execute("ALTER TABLE meter ADD COLUMN shapes jsonb NOT NULL DEFAULT '[]'")
    op.execute(_SHAPES)
    _key("subject, filter, end_at, start_at")


def downgrade() -> None:
    _key("end_at, start_at, subject, filter")
    op.execute("ALTER TABLE meter DROP COLUMN shapes")


def _key(places: str) -> None:
    op.execute("ALTER TABLE usage_counter DROP CONSTRAINT usage_counter_pkey")
    op.execute(f"ALTER TABLE usage_counter ADD PRIMARY KEY (tenant, customer, meter, {places})")
