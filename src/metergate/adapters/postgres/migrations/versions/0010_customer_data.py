"""Moves of subjects, merges of customers, erasures."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE customer ADD COLUMN merged_into text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE customer_head ADD COLUMN moved boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN customer_head.moved IS
    'subjects came or went: commits look whose they are, since what was remembered of them may be old';

CREATE TABLE subject_move (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    subject text COLLATE "C" NOT NULL,
    from_customer text COLLATE "C" NOT NULL,
    from_seq bigint NOT NULL,
    to_customer text COLLATE "C" NOT NULL,
    to_seq bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    merged boolean NOT NULL,
    service text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, from_customer, from_seq, subject)
);
COMMENT ON TABLE subject_move IS
    'append-only: a subject counts for to_customer after to_seq there; what from_customer has up to from_seq stays';
CREATE INDEX subject_move_to ON subject_move (tenant, to_customer);
CREATE INDEX subject_move_subject ON subject_move (tenant, subject);

CREATE TABLE customer_erasure (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    new_id text COLLATE "C" NOT NULL,
    dimensions boolean NOT NULL,
    event_ids boolean NOT NULL,
    service text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    step text NOT NULL,
    place bigint NOT NULL,
    pools text[] COLLATE "C" NOT NULL,
    counts jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    touched_at timestamptz NOT NULL,
    finished_at timestamptz,
    secret bytea,
    id_secret bytea,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE customer_erasure IS
    'who erased a customer''s personal data, when, and how much; place = how far the step is, secrets go at its end';
CREATE UNIQUE INDEX customer_erasure_open ON customer_erasure (tenant, customer) WHERE finished_at IS NULL;
CREATE INDEX customer_erasure_customer ON customer_erasure (tenant, customer, started_at);
CREATE INDEX customer_erasure_left ON customer_erasure (touched_at) WHERE id_secret IS NOT NULL
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE customer_erasure")
    op.execute("DROP TABLE subject_move")
    op.execute("ALTER TABLE customer_head DROP COLUMN moved")
    op.execute("ALTER TABLE customer DROP COLUMN merged_into")
