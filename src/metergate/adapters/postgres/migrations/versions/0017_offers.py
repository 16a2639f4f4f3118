"""What plans cost: versions of plans with their prices and features, and what else the catalog says for billing."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"

_OFFERS = """
ALTER TABLE plan ADD COLUMN version int NOT NULL DEFAULT 1 CHECK (version > 0);
ALTER TABLE plan ADD COLUMN body jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN plan.version IS 'subscriptions stay on the version that they began with';
COMMENT ON COLUMN plan.body IS 'prices, features and what else a plan says for billing';
ALTER TABLE tenant ADD COLUMN offer jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN tenant.offer IS 'features, coupons, tax rates and the seller of the catalog in force';
CREATE TABLE plan_version (
    tenant text COLLATE "C" NOT NULL REFERENCES tenant,
    plan text COLLATE "C" NOT NULL,
    version int NOT NULL CHECK (version > 0),
    display_name text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, plan, version)
);
COMMENT ON TABLE plan_version IS
    'versions of plans that others took the place of; their limits stand in plan_limit, where plan is plan@version';
COMMENT ON COLUMN plan_version.created_at IS 'when another one took its place';
ALTER TABLE plan_limit DROP CONSTRAINT plan_limit_tenant_plan_fkey
"""
_LIMITS_OF_PLANS = (
    "ALTER TABLE plan_limit ADD CONSTRAINT plan_limit_tenant_plan_fkey "
    "FOREIGN KEY (tenant, plan) REFERENCES plan (tenant, name)"
)


def upgrade() -> None:
    for statement in _OFFERS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DELETE FROM plan_limit USING plan_version v WHERE plan_limit.tenant = v.tenant "
        "AND plan_limit.plan = v.plan || '@' || v.version"
    )
    op.execute(_LIMITS_OF_PLANS)
    op.execute("DROP TABLE plan_version")
    op.execute("ALTER TABLE tenant DROP COLUMN offer")
    op.execute("ALTER TABLE plan DROP COLUMN body, DROP COLUMN version")
