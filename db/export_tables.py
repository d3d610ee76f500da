"""The tables of exports: requests, who downloaded what, and passwords that wait sealed (spec: exports.md)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import id_, instant, metadata, one_of, words
from domain.exports import ExportStatus

exports: Final = Table(
    "exports",
    metadata,
    id_("id", primary_key=True),
    Column("kind", Text, nullable=False),
    Column("filter", JSONB, nullable=False),
    Column("requester", Text(collation="C"), nullable=False),
    words("comment"),
    Column("language", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    id_("again_of", ForeignKey("exports.id")),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    instant("requested_at"),
    # A waiting request says now and then that its workflow lives; one that does not keeps nobody waiting.
    instant("seen_at"),
    instant("started_at", nullable=True),
    instant("ready_at", nullable=True),
    instant("expires_at", nullable=True),
    instant("ended_at", nullable=True),
    # The one file that is, or will be, this export's; whatever else lies in the storage is rubbish.
    Column("file_name", Text(collation="C")),
    Column("rows", BigInteger),
    Column("size_bytes", BigInteger),
    one_of("status", [status.value for status in ExportStatus]),
    one_of("language", ("ja", "en")),
    CheckConstraint("status <> 'creating' OR started_at IS NOT NULL", name="creating_is_dated"),
    CheckConstraint(
        "status <> 'ready' OR (ready_at IS NOT NULL AND expires_at > ready_at AND file_name IS NOT NULL"
        " AND rows IS NOT NULL AND size_bytes IS NOT NULL)",
        name="ready_is_whole",
    ),
    CheckConstraint("(status IN ('expired', 'failed')) = (ended_at IS NOT NULL)", name="ended_is_dated"),
    CheckConstraint("rows >= 0 AND size_bytes > 0", name="size_sensible"),
    Index("ix_exports_requester", "requester", text("requested_at DESC"), text("id DESC")),
    Index("ix_exports_requested", text("requested_at DESC"), text("id DESC")),
    Index(
        "ix_exports_open",
        "requester",
        "status",
        "requested_at",
        postgresql_where=text("status IN ('requested', 'creating', 'ready')"),
    ),
    Index("uq_exports_file_name", "file_name", unique=True, postgresql_where=text("file_name IS NOT NULL")),
)

export_downloads: Final = Table(
    "export_downloads",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    id_("export_id", ForeignKey("exports.id"), nullable=False),
    instant("at"),
    Column("actor", Text, nullable=False),
    # An address, or the name of a terminal's machine.
    words("source"),
    Index("ix_export_downloads_export", "export_id", "id"),
)

sealed_secrets: Final = Table(
    "sealed_secrets",
    metadata,
    # Sealed before its export is entered, hence no foreign key.
    id_("export_id", primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    instant("created_at"),
    instant("expires_at"),
    CheckConstraint("expires_at > created_at", name="life_forward"),
    Index("ix_sealed_secrets_expires", "expires_at"),
)
