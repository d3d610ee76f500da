"""The circuit of each gateway, shared by all workers and shown to people.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gateway_circuits",
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("retry_at", sa.DateTime(timezone=True)),
        sa.Column("last_hint", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name=op.f("pk_gateway_circuits")),
        sa.CheckConstraint(
            "state IN ('closed', 'open', 'half_open')", name=op.f("ck_gateway_circuits_state_known")
        ),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_gateway_circuits_failures_counted")),
        sa.CheckConstraint(
            "(state = 'closed') = (opened_at IS NULL) AND (opened_at IS NULL) = (retry_at IS NULL)",
            name=op.f("ck_gateway_circuits_open_since_and_until"),
        ),
    )


def downgrade() -> None:
    op.drop_table("gateway_circuits")
