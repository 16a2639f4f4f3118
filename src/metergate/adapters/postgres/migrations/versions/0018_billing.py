"""Billing: subscriptions, to whom invoices go, invoices with their lines, credit notes, payments and numbers."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

_BILLING = """
ALTER TABLE customer_head
    ADD COLUMN billed_until timestamptz,
    ADD COLUMN late_from timestamptz,
    ADD COLUMN late_seq bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN customer_head.billed_until IS
    'end of the latest period that is invoiced or being so; null = none: rows that count before it are late';
COMMENT ON COLUMN customer_head.late_from IS 'the earliest counted_at of late rows that no invoice knows of yet';
COMMENT ON COLUMN customer_head.late_seq IS 'the latest commit that wrote a late row';
CREATE INDEX customer_head_late ON customer_head (tenant, customer) WHERE late_from IS NOT NULL;

CREATE TABLE subscription (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    interval text NOT NULL,
    anchor_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    segments jsonb NOT NULL,
    coupons jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    billed_until timestamptz,
    turns_at timestamptz,
    closes_at timestamptz,
    late_from timestamptz,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE subscription IS 'what customers have subscribed to; its items name versions of plans';
COMMENT ON COLUMN subscription.segments IS 'its time line, [{start, end, mode, items, custom}], instants as numbers';
COMMENT ON COLUMN subscription.billed_until IS 'end of the last period that was invoiced; null = no invoice yet';
COMMENT ON COLUMN subscription.turns_at IS 'when its next segment begins, or its last ends: the head''s plan changes';
COMMENT ON COLUMN subscription.closes_at IS 'end of the next period to invoice; null = all is invoiced';
COMMENT ON COLUMN subscription.late_from IS
    'the earliest counted_at of late rows that its invoices do not know of yet, as the head''s, whose it was';
CREATE INDEX subscription_customer ON subscription (tenant, customer, created_at, id);
CREATE INDEX subscription_turns ON subscription (turns_at) WHERE turns_at IS NOT NULL;
CREATE INDEX subscription_closes ON subscription (closes_at) WHERE closes_at IS NOT NULL;
CREATE INDEX subscription_late ON subscription (tenant, customer) WHERE late_from IS NOT NULL AND closes_at IS NULL;

CREATE TABLE billing_details (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    customer text COLLATE "C" NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (tenant, customer)
);
COMMENT ON TABLE billing_details IS 'to whom a customer''s invoices go; a finalized one has a copy of its own';

CREATE TABLE invoice (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    state text NOT NULL,
    currency text NOT NULL,
    number text COLLATE "C" NOT NULL DEFAULT '',
    seq bigint NOT NULL,
    subtotal bigint NOT NULL,
    discount bigint NOT NULL,
    total bigint NOT NULL,
    paid bigint NOT NULL DEFAULT 0,
    credited bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    finalize_at timestamptz,
    finalized_at timestamptz,
    due_at timestamptz,
    paid_at timestamptz,
    voided_at timestamptz,
    body jsonb NOT NULL,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE invoice IS 'sums are in minor units of the currency; but for drafts they never change';
COMMENT ON COLUMN invoice.seq IS 'the cut: rows of the customer''s ledger up to it are in, later ones are late';
COMMENT ON COLUMN invoice.body IS 'taxes, seller, buyer, notes, metadata';
CREATE UNIQUE INDEX invoice_period ON invoice (tenant, subscription, period_start, period_end);
CREATE UNIQUE INDEX invoice_number ON invoice (tenant, number) WHERE number <> '';
CREATE INDEX invoice_customer ON invoice (tenant, customer, period_end);
CREATE INDEX invoice_drafts ON invoice (finalize_at) WHERE state = 'draft';

CREATE TABLE invoice_line (
    tenant text COLLATE "C" NOT NULL,
    invoice text COLLATE "C" NOT NULL,
    number int NOT NULL,
    customer text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    price text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    version int NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    labels jsonb NOT NULL,
    quantity numeric,
    billed numeric,
    amount bigint NOT NULL,
    discount bigint NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (tenant, invoice, number)
);
COMMENT ON TABLE invoice_line IS 'what invoices charge for; quantity and billed are of rows up to the invoice''s seq';
COMMENT ON COLUMN invoice_line.labels IS '[[label, value], …]';
COMMENT ON COLUMN invoice_line.body IS 'description, unit_amount, flat_amount, tier, why; decimals as texts';
CREATE INDEX invoice_line_window ON invoice_line (tenant, subscription, price, window_start);

CREATE TABLE credit_note (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL,
    invoice text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    total bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE credit_note IS 'append-only: what was taken back of closed invoices; body: taxes';
CREATE UNIQUE INDEX credit_note_number ON credit_note (tenant, number);
CREATE INDEX credit_note_invoice ON credit_note (tenant, invoice, created_at, id);

CREATE TABLE credit_note_line (
    tenant text COLLATE "C" NOT NULL,
    credit_note text COLLATE "C" NOT NULL,
    number int NOT NULL,
    invoice text COLLATE "C" NOT NULL,
    line int NOT NULL,
    amount bigint NOT NULL,
    quantity numeric,
    description text NOT NULL,
    PRIMARY KEY (tenant, credit_note, number)
);
CREATE INDEX credit_note_line_line ON credit_note_line (tenant, invoice, line);

CREATE TABLE payment (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    invoice text COLLATE "C" NOT NULL,
    amount bigint NOT NULL,
    method text NOT NULL,
    reference text NOT NULL,
    paid_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE payment IS 'append-only: what was paid of invoices';
CREATE INDEX payment_invoice ON payment (tenant, invoice, paid_at, id);

CREATE TABLE invoice_series (
    tenant text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (tenant, series)
);
COMMENT ON TABLE invoice_series IS 'the last number given, in the commit that finalized: so numbers have no gaps';

CREATE TABLE billing_failure (
    tenant text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    period_end timestamptz NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    tries int NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant, subscription, period_end)
);
COMMENT ON TABLE billing_failure IS 'periods that could not be invoiced, and why the last try failed'
"""


def upgrade() -> None:
    for statement in _BILLING.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "billing_failure", "invoice_series", "payment", "credit_note_line", "credit_note", "invoice_line", "invoice",
        "billing_details", "subscription",
    ):  # fmt: skip
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX customer_head_late")
    op.execute("ALTER TABLE customer_head DROP COLUMN billed_until, DROP COLUMN late_from, DROP COLUMN late_seq")
