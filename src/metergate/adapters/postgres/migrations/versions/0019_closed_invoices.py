"""Closed invoices stay as they are, whatever SQL says: their lines, credit notes and payments too.

Only a superuser, or who owns the tables, gets past it, by taking the triggers away.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"

_LOGO = """
CREATE TABLE invoice_logo (
    tenant text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, digest)
)"""
_LOGO_COMMENT = """
COMMENT ON TABLE invoice_logo IS 'the sellers'' logos on finalized invoices, each once; digest: SHA-256, as in body'"""

# A draft may be made anew. Of a closed one only what becomes of it moves, forwards, and each state says what is so.
_INVOICE = """
CREATE FUNCTION invoice_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before invoice;
    subtotal numeric;
    discount numeric;
    taxes numeric;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' OR NEW.number <> '' OR NEW.paid <> 0 OR NEW.credited <> 0 THEN
            RAISE EXCEPTION 'an invoice begins as a draft' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.state <> 'draft' THEN
            RAISE EXCEPTION 'closed invoice % is not deleted', OLD.id USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (NEW.tenant, NEW.id) <> (OLD.tenant, OLD.id) THEN
        RAISE EXCEPTION 'invoice % keeps its id', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    before := OLD;
    IF OLD.state <> 'draft' THEN
        before.state := NEW.state;
        before.paid := NEW.paid;
        before.credited := NEW.credited;
        before.paid_at := coalesce(OLD.paid_at, NEW.paid_at);
        before.voided_at := coalesce(OLD.voided_at, NEW.voided_at);
        IF before *<> NEW OR NEW.paid < OLD.paid OR NEW.credited < OLD.credited THEN
            RAISE EXCEPTION 'closed invoice % is not changed', OLD.id USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF NEW.state <> 'draft' THEN
        SELECT coalesce(sum(l.amount), 0), coalesce(sum(l.discount), 0) INTO subtotal, discount
        FROM invoice_line l WHERE l.tenant = NEW.tenant AND l.invoice = NEW.id;
        SELECT coalesce(sum((t.tax ->> 'amount')::bigint), 0) INTO taxes
        FROM jsonb_array_elements(NEW.body -> 'taxes') AS t(tax) WHERE NOT (t.tax ->> 'inclusive')::boolean;
        IF (subtotal, discount, subtotal - discount + taxes) <> (NEW.subtotal, NEW.discount, NEW.total)
            OR NEW.paid <> 0 OR NEW.credited <> 0
        THEN
            RAISE EXCEPTION 'invoice % is not the sum of its lines', NEW.id USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    IF NOT (CASE NEW.state
        WHEN 'draft' THEN OLD.state = 'draft' AND NEW.number = '' AND NEW.finalized_at IS NULL
            AND NEW.paid = 0 AND NEW.credited = 0
        WHEN 'open' THEN OLD.state IN ('draft', 'open') AND NEW.paid + NEW.credited < NEW.total
        WHEN 'uncollectible' THEN OLD.state IN ('open', 'uncollectible') AND NEW.paid + NEW.credited < NEW.total
        WHEN 'paid' THEN OLD.state <> 'void' AND NEW.paid_at IS NOT NULL AND NEW.paid + NEW.credited >= NEW.total
            AND NEW.paid <= greatest(NEW.total, 0) AND NEW.credited <= greatest(NEW.total, 0)
        WHEN 'void' THEN OLD.state NOT IN ('draft', 'paid') AND NEW.voided_at IS NOT NULL
            AND NEW.paid = 0 AND NEW.credited = 0
        ELSE false
    END)
        OR (NEW.state <> 'paid' AND NEW.paid_at IS NOT NULL) OR (NEW.state <> 'void' AND NEW.voided_at IS NOT NULL)
        OR (NEW.state <> 'draft' AND (NEW.number = '' OR NEW.finalized_at IS NULL OR NEW.due_at IS NULL))
    THEN
        RAISE EXCEPTION 'invoice % cannot go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$"""

# The lock waits for who is about to finalize it, or has him wait. Each row is locked, and looked at after that.
_LINE = """
CREATE FUNCTION invoice_line_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed boolean;
BEGIN
    SELECT bool_or(held.state <> 'draft') INTO closed FROM (
        SELECT i.state FROM invoice i
        WHERE (i.tenant, i.id) IN (SELECT c.tenant, c.invoice FROM changed c) FOR SHARE
    ) held;
    IF closed THEN
        RAISE EXCEPTION 'lines of closed invoices are not changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$"""

_APPEND_ONLY = """
CREATE FUNCTION billing_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$"""

# At the end of the commit, since payment and invoice are written by two statements.
_SETTLED = """
CREATE FUNCTION invoice_settled() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := coalesce(to_jsonb(NEW) ->> 'invoice', to_jsonb(NEW) ->> 'id');
BEGIN
    IF NOT EXISTS (
        SELECT FROM invoice i WHERE i.tenant = NEW.tenant AND i.id = changed
            AND i.paid = (SELECT coalesce(sum(p.amount), 0) FROM payment p
                WHERE p.tenant = NEW.tenant AND p.invoice = changed)
            AND i.credited = (SELECT coalesce(sum(c.total), 0) FROM credit_note c
                WHERE c.tenant = NEW.tenant AND c.invoice = changed)
    ) THEN
        RAISE EXCEPTION 'paid or credited of invoice % is not the sum of its payments or credit notes', changed
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$"""
_NOTE = """
CREATE FUNCTION credit_note_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := coalesce(to_jsonb(NEW) ->> 'credit_note', to_jsonb(NEW) ->> 'id');
BEGIN
    IF NOT EXISTS (
        SELECT FROM credit_note c WHERE c.tenant = NEW.tenant AND c.id = changed
            AND (c.body ->> 'lines')::int = (SELECT count(*) FROM credit_note_line l
                WHERE l.tenant = NEW.tenant AND l.credit_note = changed)
    ) THEN
        RAISE EXCEPTION 'credit note % comes with its lines, and they stay', changed
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$"""

# Each number of a series is that of an invoice or a credit note by the end of the commit that gives it.
_SERIES = """
CREATE FUNCTION invoice_series_full() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.last ELSE 0 END;
BEGIN
    IF NEW.last <= before OR EXISTS (
        SELECT FROM generate_series(before + 1, NEW.last) place
        CROSS JOIN LATERAL (
            SELECT NEW.series || '-' || lpad(place::text, greatest(6, length(place::text)), '0') AS number
        ) n
        WHERE NOT EXISTS (SELECT FROM invoice i WHERE i.tenant = NEW.tenant AND i.number = n.number AND i.number <> '')
            AND NOT EXISTS (SELECT FROM credit_note c WHERE c.tenant = NEW.tenant AND c.number = n.number)
    ) THEN
        RAISE EXCEPTION 'numbers of series % would have a gap', NEW.series USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$"""

_FUNCTIONS = {
    "invoice_kept": _INVOICE,
    "invoice_line_kept": _LINE,
    "billing_kept": _APPEND_ONLY,
    "invoice_settled": _SETTLED,
    "credit_note_whole": _NOTE,
    "invoice_series_full": _SERIES,
}
_LINES_CHANGED = "TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION invoice_line_kept()"
_DEFERRED = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION"
_TRIGGERS = (
    "TRIGGER invoice_kept BEFORE INSERT OR UPDATE OR DELETE ON invoice FOR EACH ROW EXECUTE FUNCTION invoice_kept()",
    f"TRIGGER invoice_line_added AFTER INSERT ON invoice_line REFERENCING NEW {_LINES_CHANGED}",
    f"TRIGGER invoice_line_deleted AFTER DELETE ON invoice_line REFERENCING OLD {_LINES_CHANGED}",
    "TRIGGER invoice_line_kept BEFORE UPDATE ON invoice_line FOR EACH ROW EXECUTE FUNCTION billing_kept()",
    "TRIGGER invoice_series_kept BEFORE DELETE ON invoice_series FOR EACH ROW EXECUTE FUNCTION billing_kept()",
    *[
        f"TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION billing_kept()"
        for table in ("credit_note", "credit_note_line", "payment", "invoice_logo")
    ],
    *[
        f"TRIGGER {table}_not_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION billing_kept()"
        for table in (
            "invoice", "invoice_line", "credit_note", "credit_note_line", "payment", "invoice_series", "invoice_logo",
        )
    ],
    f"CONSTRAINT TRIGGER invoice_settled AFTER UPDATE OF paid, credited ON invoice {_DEFERRED} invoice_settled()",
    f"CONSTRAINT TRIGGER payment_settled AFTER INSERT ON payment {_DEFERRED} invoice_settled()",
    f"CONSTRAINT TRIGGER credit_note_settled AFTER INSERT ON credit_note {_DEFERRED} invoice_settled()",
    f"CONSTRAINT TRIGGER credit_note_whole AFTER INSERT ON credit_note {_DEFERRED} credit_note_whole()",
    f"CONSTRAINT TRIGGER credit_note_line_whole AFTER INSERT ON credit_note_line {_DEFERRED} credit_note_whole()",
    f"CONSTRAINT TRIGGER series_full AFTER INSERT OR UPDATE ON invoice_series {_DEFERRED} invoice_series_full()",
)  # fmt: skip


def upgrade() -> None:
    for statement in (_LOGO, _LOGO_COMMENT, *_FUNCTIONS.values()):
        op.execute(statement)
    for trigger in _TRIGGERS:
        op.execute(f"CREATE {trigger}")
    op.execute("CREATE INDEX invoice_listed ON invoice (tenant, period_end, id)")


def downgrade() -> None:
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name} CASCADE")  # with its triggers
    op.execute("DROP TABLE invoice_logo")
    op.execute("DROP INDEX invoice_listed")
