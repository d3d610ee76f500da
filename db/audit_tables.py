"""Who did what, and who may: the audit's chain and the grants of roles (spec: customers.md §7).

A row of `audit` is never written by our code: triggers of the migration append it in the same transaction as the write
it tells of, one after another under one lock. Its hash covers the row before, so that nothing can be changed, taken
out or put in between without a trace (`domain/audit_chain.py`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from db.columns import id_, instant, metadata, one_of, words
from domain.audit_chain import OUTCOMES
from domain.roles import Role

audit: Final = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    instant("recorded_at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    id_("subject_id", nullable=False),
    Column("outcome", Text, nullable=False),
    # The row of history that it tells of; no foreign key, which would make every row of history wait for a look here.
    Column("history_seq", BigInteger),
    # JSON as text: what was hashed is kept letter by letter.
    Column("content", Text, nullable=False),
    id_("prev_hash", nullable=False),
    id_("hash", nullable=False),
    # Two rows after the same one would be two chains.
    UniqueConstraint("prev_hash", name="uq_audit_prev_hash"),
    UniqueConstraint("hash", name="uq_audit_hash"),
    one_of("outcome", OUTCOMES),
    CheckConstraint("seq >= 1", name="seq_from_one"),
    Index("ix_audit_actor", "actor", "seq"),
    Index("ix_audit_subject", "subject_id", "seq"),
    Index(
        "uq_audit_history_seq", "history_seq", unique=True, postgresql_where=text("history_seq IS NOT NULL")
    ),
)

role_grants: Final = Table(
    "role_grants",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("operator", Text(collation="C"), nullable=False),
    Column("role", Text, nullable=False),
    instant("granted_at"),
    Column("granted_by", Text, nullable=False),
    words("comment"),
    instant("revoked_at", nullable=True),
    Column("revoked_by", Text),
    words("revoking_comment"),
    one_of("role", [role.value for role in Role]),
    CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_somebody"),
    Index(
        "uq_role_grants_held", "operator", "role", unique=True, postgresql_where=text("revoked_at IS NULL")
    ),
    # Whether there ever was an admin is asked with every command of an operator.
    Index("ix_role_grants_admins", "id", postgresql_where=text("role = 'admin'")),
)
