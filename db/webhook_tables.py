"""The inbox of webhooks: what payment companies told us, until the workflow concerned has heard of it.

`told`: the workflow heard of it. `nobody_waits`: it has ended, or there never was one. `decided`: the books knew the
outcome already. `unaddressed`: the reference names nobody. `parked`: it could not be handed over, people look.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from db.columns import id_, instant, metadata, one_of, words

WEBHOOK_STATES: Final = ("waiting", "parked", "told", "nobody_waits", "decided", "unaddressed")

webhook_inbox: Final = Table(
    "webhook_inbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("gateway", Text, nullable=False),
    id_("event_id", nullable=False),
    words("kind"),
    words("reference"),
    words("gateway_id"),
    # As it came, byte for byte; may hold personal data, so handled rows live 30 days.
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    instant("received_at", server_default=func.clock_timestamp()),
    instant("next_at", server_default=func.clock_timestamp()),
    instant("handled_at", nullable=True),
    words("last_error"),
    UniqueConstraint("gateway", "event_id", name="uq_webhook_inbox_event"),
    one_of("state", WEBHOOK_STATES),
    CheckConstraint("(handled_at IS NULL) = (state IN ('waiting', 'parked'))", name="handled_when_done"),
    CheckConstraint("attempts >= 0", name="attempts_counted"),
    Index("ix_webhook_inbox_due", "next_at", "id", postgresql_where=text("state = 'waiting'")),
    Index("ix_webhook_inbox_handled", "handled_at", postgresql_where=text("handled_at IS NOT NULL")),
    Index("ix_webhook_inbox_parked", "id", postgresql_where=text("state = 'parked'")),
)
