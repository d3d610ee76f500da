"""Endpoints, what each of them is to be told, and what came of every try (spec: customers.md §5).

The outbox holds the notifications; `outbox.delivered_at` says when one was passed to the endpoints there were. A
delivery is `waiting` (for its next try), `held` (behind an earlier one of the same object), `delivered`, `given_up`, or
`dropped` (its endpoint was removed).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.columns import id_, instant, metadata, one_of, words

ENDPOINT_STATES: Final = ("enabled", "disabled", "removed")
DELIVERY_STATES: Final = ("waiting", "held", "delivered", "given_up", "dropped")

endpoints: Final = Table(
    "endpoints",
    metadata,
    id_("id", primary_key=True),
    Column("url", Text, nullable=False),
    # Empty: every topic.
    Column("topics", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False, server_default="enabled"),
    # Only a key that the database does not have opens them.
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("sealed_old_secret", LargeBinary),
    instant("old_secret_until", nullable=True),
    # From here on it is told of what is written.
    instant("created_at", server_default=func.clock_timestamp()),
    # Since its first failure without a success after it; nothing is decided by it.
    instant("failing_since", nullable=True),
    one_of("state", ENDPOINT_STATES),
    CheckConstraint("(sealed_old_secret IS NULL) = (old_secret_until IS NULL)", name="old_secret_ends"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    id_("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("event_id", BigInteger, ForeignKey("outbox.id"), nullable=False),
    id_("subject_id", nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    # Those before a person had it tried anew: the pauses begin again after them.
    Column("tries_before", Integer, nullable=False, server_default="0"),
    # A claim puts it off; NULL: it has no turn.
    instant("next_at", nullable=True),
    instant("tried_until"),
    instant("finished_at", nullable=True),
    PrimaryKeyConstraint("endpoint_id", "event_id"),
    one_of("state", DELIVERY_STATES),
    CheckConstraint("(state = 'waiting') = (next_at IS NOT NULL)", name="turn_when_waiting"),
    CheckConstraint(
        "(finished_at IS NOT NULL) = (state IN ('delivered', 'given_up', 'dropped'))",
        name="finished_when_done",
    ),
    Index(
        "ix_deliveries_due", "endpoint_id", "next_at", "event_id", postgresql_where=text("state = 'waiting'")
    ),
    Index("ix_deliveries_object", "subject_id", "endpoint_id", "event_id"),
    # What is not finished of an object: few, however long its story is.
    Index(
        "ix_deliveries_open",
        "subject_id",
        "endpoint_id",
        "event_id",
        postgresql_where=text("state IN ('waiting', 'held')"),
    ),
    Index("ix_deliveries_event", "event_id"),
    Index("ix_deliveries_finished", "endpoint_id", "state", "finished_at"),
)

delivery_tries: Final = Table(
    "delivery_tries",
    metadata,
    id_("endpoint_id", nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    instant("at"),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer),
    words("answer"),
    words("error"),
    PrimaryKeyConstraint("endpoint_id", "event_id", "number"),
    ForeignKeyConstraint(
        ["endpoint_id", "event_id"],
        ["deliveries.endpoint_id", "deliveries.event_id"],
        name="fk_delivery_tries_delivery",
    ),
    Index(
        "ix_delivery_tries_failed",
        "endpoint_id",
        "at",
        postgresql_where=text("error <> '' OR status < 200 OR status >= 300"),
    ),
)
