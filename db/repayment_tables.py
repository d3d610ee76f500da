"""The table of repayments: money for a payment that was charged back (spec: customers.md §4).

A row is a link by which the customer pays, or money that came otherwise. How much of it moved stands in `attempts` and
`ledger`, as for all money.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from db.columns import currency, id_, instant, metadata, one_of, words
from domain.repayment import RepaymentKind, RepaymentStatus

repayments: Final = Table(
    "repayments",
    metadata,
    id_("id", primary_key=True),
    id_("object_id", nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    words("comment"),
    # Of money that came otherwise: how, under which name, and on which day.
    Column("method", Text),
    Column("received_as", Text),
    Column("received_on", Date),
    # Of a link: only the caller ever had its token.
    id_("token_hash"),
    id_("form_id"),
    instant("expires_at", nullable=True),
    Column("reminders", Integer, nullable=False, server_default="0"),
    Column("paid_minor", BigInteger, nullable=False, server_default="0"),
    instant("created_at"),
    instant("updated_at"),
    ForeignKeyConstraint(
        ["object_id", "number"], ["payments.object_id", "payments.number"], name="fk_repayments_payment"
    ),
    UniqueConstraint("token_hash", name="uq_repayments_token_hash"),
    one_of("kind", [kind.value for kind in RepaymentKind]),
    one_of("status", [status.value for status in RepaymentStatus]),
    currency(),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("paid_minor BETWEEN 0 AND amount_minor", name="paid_within_amount"),
    CheckConstraint("(status = 'paid') = (paid_minor > 0)", name="paid_has_money"),
    CheckConstraint("(kind = 'link') = (token_hash IS NOT NULL)", name="link_has_token"),
    CheckConstraint("(kind = 'link') = (expires_at IS NOT NULL)", name="link_expires"),
    CheckConstraint("(kind = 'manual') = (method IS NOT NULL)", name="manual_has_method"),
    CheckConstraint("(kind = 'manual') = (received_on IS NOT NULL)", name="manual_has_day"),
    # A new link voids the old one: at most one of a payment can be paid.
    Index(
        "uq_repayments_open",
        "object_id",
        "number",
        unique=True,
        postgresql_where=text("status = 'open'"),
    ),
    Index("ix_repayments_payment", "object_id", "number", "created_at"),
    Index("ix_repayments_created", text("created_at DESC"), text("id DESC")),
)
