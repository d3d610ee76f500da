"""The tables by which people see that something is wrong, and that somebody looked (spec: charging.md §2)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import INCIDENT_KINDS, currency, id_, instant, metadata, one_of, words

incidents_seq: Final = Sequence("incidents_seq", metadata=metadata)
incidents: Final = Table(
    "incidents",
    metadata,
    id_("id", primary_key=True, server_default=text("'inc_' || nextval('incidents_seq')")),
    Column("kind", Text, nullable=False),
    # The same trouble found again is the same incident.
    id_("dedupe_key", nullable=False),
    id_("subject_id"),
    Column("number", Integer),
    id_("attempt_key", ForeignKey("attempts.key")),
    Column("gateway_id", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    instant("opened_at", server_default=func.clock_timestamp()),
    instant("closed_at", nullable=True),
    Column("closed_by", Text),
    words("closing_comment"),
    UniqueConstraint("dedupe_key", name="uq_incidents_dedupe_key"),
    one_of("kind", INCIDENT_KINDS),
    currency(),
    CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed_by_someone"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("(amount_minor IS NULL) = (currency IS NULL)", name="amount_whole"),
    Index("ix_incidents_open", "opened_at", "id", postgresql_where=text("closed_at IS NULL")),
    Index("ix_incidents_subject", "subject_id", "opened_at"),
)

reconciliations: Final = Table(
    "reconciliations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("gateway", Text, nullable=False),
    # What the run covered, by the gateway's own clock.
    instant("since"),
    instant("until"),
    instant("started_at"),
    instant("finished_at"),
    Column("report", JSONB, nullable=False),
    CheckConstraint("since <= until", name="window_forward"),
    Index("ix_reconciliations_gateway", "gateway", text("until DESC")),
)

gateway_circuits: Final = Table(
    "gateway_circuits",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    instant("opened_at", nullable=True),
    instant("retry_at", nullable=True),
    words("last_hint"),
    instant("updated_at"),
    one_of("state", ("closed", "open", "half_open")),
    CheckConstraint("failures >= 0", name="failures_counted"),
    CheckConstraint(
        "(state = 'closed') = (opened_at IS NULL) AND (opened_at IS NULL) = (retry_at IS NULL)",
        name="open_since_and_until",
    ),
)
