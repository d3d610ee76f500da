"""Exports: requests, downloads, sealed passwords; and when each payment was entered.

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")


def upgrade() -> None:
    _payments()
    _exports()
    op.create_table(
        "export_downloads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("export_id", _ID, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_downloads")),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name=op.f("fk_export_downloads_export_id")),
    )
    op.create_index("ix_export_downloads_export", "export_downloads", ["export_id", "id"])
    op.create_table(
        "sealed_secrets",
        sa.Column("export_id", _ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_sealed_secrets")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_sealed_secrets_life_forward")),
    )
    op.create_index("ix_sealed_secrets_expires", "sealed_secrets", ["expires_at"])


def _payments() -> None:
    """Which payments there were at an instant: told by the database's own clock from now on.

    Older ones are dated by their first attempt, those without one (skipped) by their due instant.
    """
    op.add_column("payments", sa.Column("recorded_at", sa.DateTime(timezone=True)))
    op.execute(
        "UPDATE payments p SET recorded_at = coalesce((SELECT min(a.recorded_at) FROM attempts a"
        " WHERE a.subscription_id = p.subscription_id AND a.number = p.number),"
        " least(p.due_at, clock_timestamp()))"
    )
    op.alter_column("payments", "recorded_at", nullable=False, server_default=sa.func.clock_timestamp())
    op.create_index(
        "ix_payments_due",
        "payments",
        [sa.text("due_at DESC"), sa.text("subscription_id DESC"), sa.text("number DESC")],
    )


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("requester", _ID, nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("again_of", _ID),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ready_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("file_name", _ID),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
        sa.ForeignKeyConstraint(["again_of"], ["exports.id"], name=op.f("fk_exports_again_of")),
        sa.CheckConstraint(
            "status IN ('requested', 'creating', 'ready', 'expired', 'failed')",
            name=op.f("ck_exports_status_known"),
        ),
        sa.CheckConstraint("language IN ('ja', 'en')", name=op.f("ck_exports_language_known")),
        sa.CheckConstraint(
            "status <> 'creating' OR started_at IS NOT NULL", name=op.f("ck_exports_creating_is_dated")
        ),
        sa.CheckConstraint(
            "status <> 'ready' OR (ready_at IS NOT NULL AND expires_at > ready_at AND file_name IS NOT NULL"
            " AND rows IS NOT NULL AND size_bytes IS NOT NULL)",
            name=op.f("ck_exports_ready_is_whole"),
        ),
        sa.CheckConstraint(
            "(status IN ('expired', 'failed')) = (ended_at IS NOT NULL)",
            name=op.f("ck_exports_ended_is_dated"),
        ),
        sa.CheckConstraint("rows >= 0 AND size_bytes > 0", name=op.f("ck_exports_size_sensible")),
    )
    newest_first = [sa.text("requested_at DESC"), sa.text("id DESC")]
    op.create_index("ix_exports_requester", "exports", ["requester", *newest_first])
    op.create_index("ix_exports_requested", "exports", newest_first)
    op.create_index(
        "ix_exports_open",
        "exports",
        ["requester", "status", "requested_at"],
        postgresql_where=sa.text("status IN ('requested', 'creating', 'ready')"),
    )
    op.create_index(
        "uq_exports_file_name",
        "exports",
        ["file_name"],
        unique=True,
        postgresql_where=sa.text("file_name IS NOT NULL"),
    )


def downgrade() -> None:
    for table in ("sealed_secrets", "export_downloads", "exports"):
        op.drop_table(table)
    op.drop_index("ix_payments_due", "payments")
    op.drop_column("payments", "recorded_at")
