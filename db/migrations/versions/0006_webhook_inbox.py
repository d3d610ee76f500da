"""What payment companies told us, until the workflow concerned has heard of it.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("gateway_id", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.clock_timestamp(),
            nullable=False,
        ),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False
        ),
        sa.Column("handled_at", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_inbox")),
        sa.UniqueConstraint("gateway", "event_id", name="uq_webhook_inbox_event"),
        sa.CheckConstraint(
            "state IN ('waiting', 'parked', 'told', 'nobody_waits', 'decided', 'unaddressed')",
            name=op.f("ck_webhook_inbox_state_known"),
        ),
        sa.CheckConstraint(
            "(handled_at IS NULL) = (state IN ('waiting', 'parked'))",
            name=op.f("ck_webhook_inbox_handled_when_done"),
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_webhook_inbox_attempts_counted")),
    )
    op.create_index(
        "ix_webhook_inbox_due",
        "webhook_inbox",
        ["next_at", "id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_webhook_inbox_handled",
        "webhook_inbox",
        ["handled_at"],
        postgresql_where=sa.text("handled_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_inbox_parked", "webhook_inbox", ["id"], postgresql_where=sa.text("state = 'parked'")
    )


def downgrade() -> None:
    op.drop_table("webhook_inbox")
