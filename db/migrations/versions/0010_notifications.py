"""Endpoints of merchants, what each is to be told, and what came of every try.

Revision 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _endpoints()
    _deliveries()
    _tries()


def downgrade() -> None:
    for table in ("delivery_tries", "deliveries", "endpoints"):
        op.drop_table(table)


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _instant(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True))


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        _id("id"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="enabled", nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_old_secret", sa.LargeBinary()),
        _instant("old_secret_until"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.clock_timestamp(),
            nullable=False,
        ),
        _instant("failing_since"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.CheckConstraint(
            "state IN ('enabled', 'disabled', 'removed')", name=op.f("ck_endpoints_state_known")
        ),
        sa.CheckConstraint(
            "(sealed_old_secret IS NULL) = (old_secret_until IS NULL)",
            name=op.f("ck_endpoints_old_secret_ends"),
        ),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        _id("endpoint_id"),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        _id("subject_id"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries_before", sa.Integer(), server_default="0", nullable=False),
        _instant("next_at"),
        sa.Column("tried_until", sa.DateTime(timezone=True), nullable=False),
        _instant("finished_at"),
        sa.PrimaryKeyConstraint("endpoint_id", "event_id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_deliveries_endpoint_id")),
        sa.ForeignKeyConstraint(["event_id"], ["outbox.id"], name=op.f("fk_deliveries_event_id")),
        sa.CheckConstraint(
            "state IN ('waiting', 'held', 'delivered', 'given_up', 'dropped')",
            name=op.f("ck_deliveries_state_known"),
        ),
        sa.CheckConstraint(
            "(state = 'waiting') = (next_at IS NOT NULL)", name=op.f("ck_deliveries_turn_when_waiting")
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('delivered', 'given_up', 'dropped'))",
            name=op.f("ck_deliveries_finished_when_done"),
        ),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["endpoint_id", "next_at", "event_id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_deliveries_object", "deliveries", ["subject_id", "endpoint_id", "event_id"])
    op.create_index(
        "ix_deliveries_open",
        "deliveries",
        ["subject_id", "endpoint_id", "event_id"],
        postgresql_where=sa.text("state IN ('waiting', 'held')"),
    )
    op.create_index("ix_deliveries_event", "deliveries", ["event_id"])
    op.create_index("ix_deliveries_finished", "deliveries", ["endpoint_id", "state", "finished_at"])


def _tries() -> None:
    op.create_table(
        "delivery_tries",
        _id("endpoint_id"),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "event_id", "number", name=op.f("pk_delivery_tries")),
        sa.ForeignKeyConstraint(
            ["endpoint_id", "event_id"],
            ["deliveries.endpoint_id", "deliveries.event_id"],
            name="fk_delivery_tries_delivery",
        ),
    )
    op.create_index(
        "ix_delivery_tries_failed",
        "delivery_tries",
        ["endpoint_id", "at"],
        postgresql_where=sa.text("error <> '' OR status < 200 OR status >= 300"),
    )
