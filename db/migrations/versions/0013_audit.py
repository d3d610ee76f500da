"""The audit: who did what and who was refused, as one chain; and the grants of roles.

Rows are appended by triggers in the transaction of the write that they tell of. The triggers are deferred to its end,
where one lock makes them follow one another: a transaction that holds it waits for nothing else. What the engine itself
writes (`system`) meets no lock. Revision 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.Text(collation="C")

# Each field is preceded by its length, so that no two rows give the same text (domain/audit_chain.py reads it alike).
_FRAMED = """
CREATE FUNCTION audit_framed(VARIADIC parts text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(COALESCE(octet_length(part) || ':' || part, '-'), '' ORDER BY n)
    FROM unnest(parts) WITH ORDINALITY AS t (part, n)
$$
"""
_INSTANT = """
CREATE FUNCTION audit_instant(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$
"""
# With its owner's rights: whoever writes history needs no right to write here.
_APPEND = """
CREATE FUNCTION audit_append(
    actor text, action text, subject_id text, outcome text, history_seq bigint, content text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    last_seq bigint;
    last_hash text;
    at timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(7311846512);
    SELECT a.seq, a.hash INTO last_seq, last_hash FROM audit a ORDER BY a.seq DESC LIMIT 1;
    last_seq := COALESCE(last_seq, 0) + 1;
    last_hash := COALESCE(last_hash, repeat('0', 64));
    at := clock_timestamp();
    INSERT INTO audit VALUES (
        last_seq, at, actor, action, subject_id, outcome, history_seq, content, last_hash,
        encode(sha256(convert_to(audit_framed(
            last_hash, last_seq::text, audit_instant(at), actor, action, subject_id, outcome, history_seq::text,
            content
        ), 'UTF8')), 'hex')
    );
END
$$
"""
# History keeps its own words; the chain binds them by a digest instead of keeping them twice.
_OF_HISTORY = """
CREATE FUNCTION audit_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_append(
        NEW.actor,
        CASE NEW.kind WHEN 'operation' THEN COALESCE(NEW.data->>'do', NEW.kind) ELSE NEW.kind END,
        NEW.subject_id, 'done', NEW.seq,
        jsonb_strip_nulls(jsonb_build_object(
            'request_id', NEW.data->>'request_id',
            'history_sha256', encode(sha256(convert_to(audit_framed(
                NEW.seq::text, NEW.subject_id, NEW.kind, audit_instant(NEW.at), NEW.actor, NEW.comment,
                NEW.number::text, NEW.data::text
            ), 'UTF8')), 'hex')
        ))::text
    );
    RETURN NULL;
END
$$
"""
_OF_DOWNLOADS = """
CREATE FUNCTION audit_download() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_append(NEW.actor, 'download', NEW.export_id, 'done', NULL,
                         jsonb_build_object('source', NEW.source)::text);
    RETURN NULL;
END
$$
"""
_OF_INCIDENTS = """
CREATE FUNCTION audit_incident() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_append(NEW.closed_by, 'close_incident', NEW.id, 'done', NULL,
                         jsonb_build_object('comment', NEW.closing_comment)::text);
    RETURN NULL;
END
$$
"""
_OF_ROLES = """
CREATE FUNCTION audit_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM audit_append(NEW.granted_by, 'grant_role', NEW.operator, 'done', NULL,
                             jsonb_build_object('role', NEW.role, 'comment', NEW.comment)::text);
    ELSE
        -- Anything else than taking it back was done by hand, past the application.
        PERFORM audit_append(
            COALESCE(NEW.revoked_by, 'database:' || session_user),
            CASE WHEN NEW.revoked_at IS NULL THEN 'change_role' ELSE 'revoke_role' END,
            NEW.operator, 'done', NULL,
            jsonb_build_object('role', NEW.role, 'comment', NEW.revoking_comment)::text
        );
    END IF;
    RETURN NULL;
END
$$
"""
_DENIED = """
CREATE FUNCTION audit_denied(actor text, action text, subject_id text, content text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT audit_append(actor, action, subject_id, 'denied', NULL, content)
$$
"""
# A status and points follow from an operation, which stands there by itself. The condition is looked at when the row is
# written, so that what `system` writes is not even queued.
_OPERATION = "NEW.actor <> 'system' AND NEW.kind NOT IN ('status', 'points')"
# What is about somebody stands in history.
_CLOSED = "OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL AND NEW.subject_id IS NULL"
_TRIGGERS = (
    ("history_audited", "INSERT", "history", _OPERATION, "audit_history"),
    ("downloads_audited", "INSERT", "export_downloads", "true", "audit_download"),
    ("incidents_audited", "UPDATE", "incidents", _CLOSED, "audit_incident"),
    ("roles_audited", "INSERT OR UPDATE", "role_grants", "true", "audit_role"),
)
_MADE = (_FRAMED, _INSTANT, _APPEND, _OF_HISTORY, _OF_DOWNLOADS, _OF_INCIDENTS, _OF_ROLES, _DENIED)
_OWN = "REVOKE ALL ON FUNCTION audit_append(text, text, text, text, bigint, text) FROM PUBLIC"
_APPEND_ONLY = """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
# A grant is taken back, never deleted: without any, every operator would be an admin again.
_KEPT = """
CREATE TRIGGER role_grants_kept BEFORE DELETE OR TRUNCATE ON role_grants
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
_GUARDS = (_OWN, _APPEND_ONLY, _KEPT)
_FUNCTIONS = (
    "audit_denied(text, text, text, text)",
    "audit_role()",
    "audit_incident()",
    "audit_download()",
    "audit_history()",
    "audit_append(text, text, text, text, bigint, text)",
    "audit_instant(timestamptz)",
    "audit_framed(text[])",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("history_seq", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("prev_hash", _ID, nullable=False),
        sa.Column("hash", _ID, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
        sa.UniqueConstraint("prev_hash", name="uq_audit_prev_hash"),
        sa.UniqueConstraint("hash", name="uq_audit_hash"),
        sa.CheckConstraint("outcome IN ('done', 'denied')", name=op.f("ck_audit_outcome_known")),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_audit_seq_from_one")),
    )
    op.create_index("ix_audit_actor", "audit", ["actor", "seq"])
    op.create_index("ix_audit_subject", "audit", ["subject_id", "seq"])
    op.create_index(
        "uq_audit_history_seq",
        "audit",
        ["history_seq"],
        unique=True,
        postgresql_where=sa.text("history_seq IS NOT NULL"),
    )
    _role_grants()
    for statement in _MADE:
        op.execute(statement)
    for name, event, table, when, function in _TRIGGERS:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {function}()"
        )
    for statement in _GUARDS:
        op.execute(statement)


def _role_grants() -> None:
    op.create_table(
        "role_grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("operator", _ID, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoking_comment", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grants")),
        sa.CheckConstraint(
            "role IN ('viewer', 'support', 'finance', 'admin')", name=op.f("ck_role_grants_role_known")
        ),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("ck_role_grants_revoked_by_somebody")
        ),
    )
    op.create_index(
        "uq_role_grants_held",
        "role_grants",
        ["operator", "role"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_index(
        "ix_role_grants_admins", "role_grants", ["id"], postgresql_where=sa.text("role = 'admin'")
    )


def downgrade() -> None:
    for name, _, table, _, _ in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.drop_table("role_grants")
    op.drop_table("audit")
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
