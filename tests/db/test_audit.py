"""The audit in a real Postgres: every write by somebody is in it or did not happen, and no row is touched unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from activities.contracts.records import PutCustomer
from db.audit import note_denied
from db.catalogue import put_customer
from db.engine import Database
from db.export_downloads import log_download
from db.incidents import close_incident, open_incident
from db.reads.audit import head, list_audit, whole_chain
from db.role_grants import grant_role
from domain.audit_chain import Entry, Head, entry_hash
from domain.errors import TeikiError
from domain.roles import Role
from starter.audit import verify_chain
from tests.db.house import NOW, House, unique


def plain(db: Database) -> str:
    return db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def url_of(db: Database) -> str:
    return db.engine.url.render_as_string(hide_password=False)


def entry(name: str = "Ann") -> PutCustomer:
    return PutCustomer(id=unique("cus"), request_id=unique("req"), actor="operator:desk", name=name, at=NOW)


async def verified(db: Database, kept: Head | None = None):
    return await asyncio.to_thread(verify_chain, url_of(db), kept=kept)


def entries(db: Database) -> list[Entry]:
    with whole_chain(url_of(db)) as chain:
        return list(chain.entries)


@contextlib.contextmanager
def tampering(db: Database) -> Iterator[psycopg.Connection]:
    """A superuser who switches the triggers off."""
    with psycopg.connect(plain(db)) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


@pytest.fixture
async def five(fresh_db: Database) -> Database:
    """A database whose audit has five rows."""
    for _ in range(5):
        await put_customer(fresh_db, entry())
    return fresh_db


async def test_every_write_by_somebody_is_told_of_and_the_engines_own_is_not(fresh_db):
    house = House(fresh_db)
    order = await house.subscription()
    before = (await verified(fresh_db)).rows
    await house.settled(order)
    assert (await verified(fresh_db)).rows == before, "a charge is the engine's own"
    told = await list_audit(fresh_db, subject_id=order.subscription_id)
    assert [(item.action, item.actor, item.request_id) for item in told.items] == [
        ("create", "operator:desk", order.request_id)
    ]
    kinds = await house.rows("SELECT DISTINCT kind FROM history WHERE actor <> 'system' ORDER BY kind")
    assert [row["kind"] for row in kinds] == ["operation", "status"]
    await house.block(order.spec.customer_id, order.spec.customer_id, actor="operator:boss", comment="fraud")
    [blocked, *_] = (await list_audit(fresh_db, actor="operator:boss")).items
    assert (blocked.action, blocked.subject_id, blocked.comment) == (
        "block",
        order.spec.customer_id,
        "fraud",
    )
    assert (await verified(fresh_db)).broken is None


async def test_downloads_incidents_about_nobody_roles_and_refusals_are_told_of(fresh_db):
    house = House(fresh_db)
    await house.rows(
        "INSERT INTO exports (id, kind, filter, requester, comment, language, zone, encrypted, status, reason,"
        " requested_at, seen_at) VALUES ('exp_1', 'orders', '{}', 'operator:ann', '', 'ja', 'UTC', false,"
        " 'requested', 'requested', now(), now()) RETURNING id"
    )
    await log_download(fresh_db, "exp_1", at=NOW, actor="operator:ann", source="terminal")
    await open_incident(fresh_db, kind="charge_without_attempt", dedupe_key="k", gateway_id="ch_1")
    incident = (await house.row("SELECT id FROM incidents"))["id"]
    await close_incident(fresh_db, incident, actor="operator:ann", comment="a test charge")
    given = {"request_id": "r1", "actor": "operator:boss", "comment": "new", "at": NOW}
    assert await grant_role(fresh_db, "operator:ann", Role.FINANCE, **given)
    await note_denied(
        fresh_db, actor="operator:eve", operation="order.note", subject_id="ord_1", facts={"role": "support"}
    )
    found = [
        (item.actor, item.action, item.subject_id, item.outcome)
        for item in (await list_audit(fresh_db)).items
    ]
    assert found == [
        ("operator:eve", "order.note", "ord_1", "denied"),
        ("operator:boss", "grant_role", "operator:ann", "done"),
        ("operator:ann", "close_incident", incident, "done"),
        ("operator:ann", "download", "exp_1", "done"),
    ]
    assert (await verified(fresh_db)).broken is None


async def test_a_write_that_is_undone_leaves_no_row_and_one_that_cannot_be_told_of_is_undone(five):
    before = await verified(five)

    async def crash() -> None:
        async with five.transaction() as cursor:
            await cursor.execute(
                "INSERT INTO history (subject_id, kind, at, actor) VALUES ('x_1', 'note', now(), 'operator:a')"
            )
            raise RuntimeError("before the commit")

    with pytest.raises(RuntimeError):
        await crash()
    assert (await verified(five)).rows == before.rows
    with psycopg.connect(plain(five), autocommit=True) as admin:
        admin.execute("ALTER TABLE audit ADD CONSTRAINT full_up CHECK (seq <= 5)")
    with pytest.raises(psycopg.errors.CheckViolation):
        await put_customer(five, refused := entry())
    rows = await House(five).rows("SELECT 1 FROM customers WHERE id = %s", refused.id)
    assert rows == [], "no customer without its row in the audit"
    assert (await verified(five)).broken is None


async def test_fifty_writers_at_once_make_one_chain(cluster, template):
    url = cluster.create(template=template)
    db = Database.connect(url, pool_size=50)
    try:

        async def write(number: int) -> None:
            for _ in range(4):
                if number % 5:
                    await put_customer(db, entry())
                else:
                    await note_denied(db, actor="operator:x", operation="read", subject_id="", facts={})

        await asyncio.gather(*(write(number) for number in range(50)))
        verdict = await verified(db)
        assert (verdict.rows, verdict.broken) == (200, None)
    finally:
        await db.close()
        cluster.drop(url)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_the_audit_refuses_to_be_changed(five, statement):
    for table in ("audit", "role_grants"):
        if statement.startswith("UPDATE") and table == "role_grants":
            continue
        with pytest.raises(psycopg.errors.RestrictViolation):
            await House(five).rows(statement.replace("audit", table))


@pytest.mark.parametrize("seq", range(1, 6))
@pytest.mark.parametrize(
    "change",
    [
        "recorded_at = recorded_at + interval '1 microsecond'",
        "actor = 'operator:other'",
        "action = 'other'",
        "subject_id = 'cus_other'",
        "outcome = 'denied'",
        "history_seq = NULL",
        "content = '{}'",
        "content = 'no JSON'",
    ],
)
async def test_any_changed_row_is_noticed(five, seq, change):
    with tampering(five) as admin:
        admin.execute(f"UPDATE audit SET {change} WHERE seq = %s", (seq,))
    assert (broken := (await verified(five)).broken) is not None
    assert broken.seq == seq


async def test_a_row_taken_out_or_exchanged_is_noticed(five):
    with tampering(five) as admin:
        admin.execute("DELETE FROM audit WHERE seq = 3")
    assert (broken := (await verified(five)).broken) is not None
    assert broken.seq == 3
    with tampering(five) as admin:
        # The gap closed by hand: the row after it still follows from the one that is gone.
        admin.execute("UPDATE audit SET seq = seq - 1 WHERE seq > 3")
    assert (broken := (await verified(five)).broken) is not None
    assert broken.seq == 3


async def test_two_rows_that_changed_places_are_noticed(five):
    with tampering(five) as admin:
        admin.execute("UPDATE audit SET seq = 100 WHERE seq = 2")
        admin.execute("UPDATE audit SET seq = 2 WHERE seq = 4")
        admin.execute("UPDATE audit SET seq = 4 WHERE seq = 100")
    assert (broken := (await verified(five)).broken) is not None
    assert broken.seq == 2


async def test_a_tail_cut_off_is_noticed_by_a_kept_head_and_by_history(five):
    kept = await head(five)
    await note_denied(five, actor="operator:x", operation="read", subject_id="", facts={})
    later = await head(five)
    with tampering(five) as admin:
        admin.execute("DELETE FROM audit WHERE seq = 6")
    assert (await verified(five)).broken is None, "a refusal stands nowhere else"
    assert (await verified(five, kept)).broken is None
    assert (await verified(five, later)).broken is not None
    with tampering(five) as admin:
        admin.execute("DELETE FROM audit WHERE seq >= 4")
    assert (broken := (await verified(five)).broken) is not None
    assert "not told of" in broken.why
    assert (broken := (await verified(five, kept)).broken) is not None
    assert broken.seq == 4


async def test_a_whole_chain_forged_anew_differs_from_the_kept_head(five):
    kept = await head(five)
    rows = entries(five)
    with tampering(five) as admin:
        admin.execute("DELETE FROM audit")
        before = rows[0].prev_hash
        for row in rows:
            forged = row._replace(actor="operator:innocent", prev_hash=before)
            forged = forged._replace(hash=entry_hash(forged))
            before = forged.hash
            admin.execute("INSERT INTO audit VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", forged[:10])
    assert (await verified(five)).broken is None, "nothing inside tells"
    assert (broken := (await verified(five, kept)).broken) is not None
    assert broken.seq == 5


async def test_history_changed_behind_the_audits_back_is_noticed(five):
    third = entries(five)[2]
    with tampering(five) as admin:
        admin.execute("UPDATE history SET data = '{}' WHERE seq = %s", (third.history_seq,))
    assert (broken := (await verified(five)).broken) is not None
    assert (broken.seq, "was changed" in broken.why) == (3, True)
    with tampering(five) as admin:
        admin.execute("DELETE FROM history WHERE seq = %s", (third.history_seq,))
    assert (broken := (await verified(five)).broken) is not None
    assert (broken.seq, "is gone" in broken.why) == (3, True)


async def test_the_applications_own_role_can_neither_change_nor_forge_it(five):
    """As docs/roles.md sets it up."""
    app = f"teiki_app_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(plain(five), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {app}")  # type: ignore[arg-type]
        try:
            for statement in (
                "GRANT USAGE ON SCHEMA public TO {app}",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app}",
                "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app}",
                "REVOKE INSERT, UPDATE, DELETE ON audit FROM {app}",
                "REVOKE UPDATE, DELETE ON history, ledger FROM {app}",
                "REVOKE DELETE ON role_grants FROM {app}",
            ):
                admin.execute(statement.format(app=app))  # type: ignore[arg-type]
            with psycopg.connect(plain(five), autocommit=True) as session:
                session.execute(f"SET ROLE {app}")  # type: ignore[arg-type]
                session.execute(
                    "INSERT INTO history (subject_id, kind, at, actor)"
                    " VALUES ('cus_1', 'note', now(), 'operator:a')"
                )
                session.execute("SELECT audit_denied('operator:a', 'read', '', '{}')")
                for statement in (
                    "INSERT INTO audit VALUES (9, now(), 'a', 'b', 'c', 'done', NULL, '{}', 'x', 'y')",
                    "UPDATE audit SET actor = 'x'",
                    "DELETE FROM audit",
                    "TRUNCATE audit",
                    "SELECT audit_append('operator:innocent', 'block', 'cus_1', 'done', NULL, '{}')",
                    "ALTER TABLE history DISABLE TRIGGER history_audited",
                    "SET session_replication_role = replica",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute(statement)
        finally:
            admin.execute(f"DROP OWNED BY {app}")  # type: ignore[arg-type]
            admin.execute(f"DROP ROLE {app}")  # type: ignore[arg-type]
    verdict = await verified(five)
    assert (verdict.rows, verdict.broken) == (7, None)


async def test_the_list_filters_and_pages(five):
    for number in range(3):
        await note_denied(
            five, actor="operator:eve", operation="order.note", subject_id=f"ord_{number}", facts={}
        )
    first = await list_audit(five, limit=2)
    assert [item.seq for item in first.items] == [8, 7]
    rest = await list_audit(five, limit=200, cursor=first.next_cursor)
    assert ([item.seq for item in rest.items], rest.next_cursor) == ([6, 5, 4, 3, 2, 1], None)
    assert [i.seq for i in (await list_audit(five, actor="operator:eve", subject_id="ord_1")).items] == [7]
    assert len((await list_audit(five, denied=True)).items) == 3
    assert (await list_audit(five, since=datetime.now(UTC) + timedelta(hours=1))).items == []
    for wrong in ("", "x", "-1", "9" * 30):
        with pytest.raises(TeikiError, match="invalid_cursor"):
            await list_audit(five, cursor=wrong)
