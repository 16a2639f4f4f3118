"""The history of holds is found by the window that is explained, and by what came after a seq."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("CREATE INDEX hold_move_window ON hold_move (tenant, customer, meter, counted_at)")


def downgrade() -> None:
    op.execute("DROP INDEX hold_move_window")
