"""Migrations go up and down and up again, agree with the models, and may run twice at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from db import migrate
from db.__main__ import main
from db.tables import metadata

_CATALOGUE = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, collation_name, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('n', 't')
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "sequences": "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'",
}


def catalogue(url: str) -> dict[str, set[tuple]]:
    with psycopg.connect(plain(url)) as connection:
        found = {name: set(connection.execute(sql).fetchall()) for name, sql in _CATALOGUE.items()}
    return {name: {row for row in rows if "alembic_version" not in str(row)} for name, rows in found.items()}


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_up_down_and_up_again_leaves_the_same_house(empty_url):
    assert migrate.current(empty_url) is None
    migrate.upgrade(empty_url)
    assert migrate.current(empty_url) == migrate.head()
    first = catalogue(empty_url)
    migrate.downgrade(empty_url, "base")
    assert migrate.current(empty_url) is None
    assert not any(catalogue(empty_url).values())
    migrate.upgrade(empty_url)
    migrate.upgrade(empty_url)
    assert catalogue(empty_url) == first


def test_models_and_migrations_agree_also_where_alembic_does_not_look(empty_url, cluster):
    migrate.upgrade(empty_url)
    assert migrate.differences(empty_url) is None
    by_models = cluster.create()
    engine = create_engine(by_models, poolclass=NullPool)
    metadata.create_all(engine)
    assert catalogue(by_models) == catalogue(empty_url)
    cluster.drop(by_models)


def test_a_difference_is_found(empty_url):
    migrate.upgrade(empty_url)
    with psycopg.connect(plain(empty_url), autocommit=True) as connection:
        connection.execute("ALTER TABLE outbox DROP COLUMN delivered_at")
    assert "delivered_at" in (migrate.differences(empty_url) or "")


def test_two_upgrades_at_once_are_harmless(empty_url):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.upgrade, [empty_url] * 4))
    assert migrate.current(empty_url) == migrate.head()


def test_the_command_upgrades_says_where_it_is_and_checks(empty_url, monkeypatch, capsys):
    monkeypatch.setenv("TEIKI_DATABASE_URL", empty_url)
    assert main(["current"]) == 0
    assert main(["upgrade"]) == 0
    assert main(["check"]) == 0
    assert main(["downgrade", "base"]) == 0
    assert capsys.readouterr().out.split() == ["empty", migrate.head(), migrate.head(), "empty"]
    assert main(["check"]) == 1
    assert "upgrade first" in capsys.readouterr().err


def test_the_command_works_from_any_directory_and_asks_for_its_url(tmp_path):
    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-m", "db", "current"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "TEIKI_DATABASE_URL" in run.stderr


@pytest.mark.parametrize("statement", ["UPDATE {} SET at = at", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("table", ["ledger", "history"])
def test_ledger_and_history_are_append_only(migrated_url, table, statement):
    with (
        psycopg.connect(plain(migrated_url)) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="append-only"),
    ):
        connection.execute(statement.format(table))


def test_addresses_of_before_become_details_and_who_was_blocked_stays_blocked(empty_url):
    migrate.upgrade(empty_url, "0009")
    with psycopg.connect(plain(empty_url), autocommit=True) as connection:
        for name, email, blocked in (
            ("a", "Ann@x.com", "now()"),
            ("b", " ann@X.com", "NULL"),
            ("c", "", "NULL"),
        ):
            connection.execute(
                "INSERT INTO customers (id, email, name, blocked_at, created_at, updated_at)"
                f" VALUES ('cus_{name}', '{email}', '', {blocked}, now(), now())"
            )
    migrate.upgrade(empty_url)
    with psycopg.connect(plain(empty_url)) as connection:
        linked = connection.execute(
            "SELECT l.customer_id, k.kind, k.key FROM customer_contacts l JOIN contacts k ON k.id = l.contact_id"
            " ORDER BY 1"
        ).fetchall()
        assert linked == [("cus_a", "email", "ann@x.com"), ("cus_b", "email", "ann@x.com")]
        still = connection.execute("SELECT id FROM customers WHERE id_blocked_at = blocked_at").fetchall()
        assert still == [("cus_a",)]
