"""Incidents, twins and verification.

A second charge that the gateway made for one payment (a twin) is booked, given back by an attempt of its own and shown
to people as an incident; reconciliations leave their reports. Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LIVE = "state IN ('sent', 'unsent', 'unknown', 'pending', 'attention', 'settled')"
_OPEN = "state IN ('sent', 'unsent', 'unknown', 'pending', 'attention')"
_KINDS = (
    "kind IN ('double_charge', 'charge_without_attempt', 'charge_missing_at_gateway', 'refund_missing_at_gateway', "
    "'amount_differs', 'state_differs', 'ledger_differs', 'attempt_stuck', 'workflow_missing')"
)
_BACKFILL = """
UPDATE attempts r SET returns = c.gateway_id FROM attempts c
WHERE r.purpose = 'refund' AND c.purpose = 'charge' AND c.state = 'settled'
  AND c.subscription_id = r.subscription_id AND c.number = r.number
"""


def upgrade() -> None:
    op.add_column("attempts", sa.Column("returns", sa.Text()))
    op.add_column("attempts", sa.Column("verified_at", sa.DateTime(timezone=True)))
    op.execute(_BACKFILL)
    op.drop_constraint(op.f("ck_attempts_purpose_known"), "attempts", type_="check")
    op.create_check_constraint(
        op.f("ck_attempts_purpose_known"), "attempts", "purpose IN ('charge', 'refund', 'twin')"
    )
    op.create_check_constraint(
        op.f("ck_attempts_returns_a_charge"), "attempts", "(returns IS NULL) = (purpose = 'charge')"
    )
    op.drop_constraint("uq_attempts_attempt", "attempts", type_="unique")
    op.create_unique_constraint(
        "uq_attempts_attempt",
        "attempts",
        ["subscription_id", "number", "purpose", "attempt", "returns"],
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index("uq_attempts_live", "attempts")
    op.create_index(
        "uq_attempts_live",
        "attempts",
        ["subscription_id", "number", "purpose", "returns"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text(_LIVE),
    )
    op.create_index("ix_attempts_open", "attempts", ["recorded_at"], postgresql_where=sa.text(_OPEN))
    op.execute(sa.schema.CreateSequence(sa.Sequence("incidents_seq")))
    op.create_table(
        "incidents",
        sa.Column(
            "id",
            sa.Text(collation="C"),
            server_default=sa.text("'inc_' || nextval('incidents_seq')"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(collation="C"), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C")),
        sa.Column("number", sa.Integer()),
        sa.Column("attempt_key", sa.Text(collation="C")),
        sa.Column("gateway_id", sa.Text()),
        sa.Column("amount_minor", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("facts", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_by", sa.Text()),
        sa.Column("closing_comment", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_incidents_kind_known")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_incidents_currency_code")),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL)", name=op.f("ck_incidents_closed_by_someone")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_incidents_amount_positive")),
        sa.CheckConstraint(
            "(amount_minor IS NULL) = (currency IS NULL)", name=op.f("ck_incidents_amount_whole")
        ),
        sa.ForeignKeyConstraint(["attempt_key"], ["attempts.key"], name=op.f("fk_incidents_attempt_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("dedupe_key", name="uq_incidents_dedupe_key"),
    )
    op.create_index(
        "ix_incidents_open", "incidents", ["opened_at", "id"], postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_index("ix_incidents_subject", "incidents", ["subject_id", "opened_at"])
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("since <= until", name=op.f("ck_reconciliations_window_forward")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index(
        "ix_reconciliations_gateway", "reconciliations", ["gateway", sa.literal_column("until DESC")]
    )


def downgrade() -> None:
    op.drop_table("reconciliations")
    op.drop_table("incidents")
    op.execute(sa.schema.DropSequence(sa.Sequence("incidents_seq")))
    op.drop_index("ix_attempts_open", "attempts")
    op.drop_index("uq_attempts_live", "attempts")
    op.drop_constraint("uq_attempts_attempt", "attempts", type_="unique")
    op.drop_constraint(op.f("ck_attempts_returns_a_charge"), "attempts", type_="check")
    # Twins' bookings are append-only: with one in the books there is no way back, and that is right.
    op.drop_constraint(op.f("ck_attempts_purpose_known"), "attempts", type_="check")
    op.create_check_constraint(
        op.f("ck_attempts_purpose_known"), "attempts", "purpose IN ('charge', 'refund')"
    )
    op.create_unique_constraint(
        "uq_attempts_attempt", "attempts", ["subscription_id", "number", "purpose", "attempt"]
    )
    op.create_index(
        "uq_attempts_live",
        "attempts",
        ["subscription_id", "number", "purpose"],
        unique=True,
        postgresql_where=sa.text(_LIVE),
    )
    op.drop_column("attempts", "verified_at")
    op.drop_column("attempts", "returns")
