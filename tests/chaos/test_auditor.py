"""The auditor bites: a correct small world passes, and each single break in it is found under its own invariant.

Each break is one of SQL, in a copy of the database; those at the gateway are in `test_auditor_of_the_gateway.py`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from runtime.embedded.postgres import EmbeddedPostgres
from tests.chaos.auditor import PROMISES
from tests.chaos.bank_breaks import BANK_BREAKS
from tests.chaos.shop_breaks import SHOP_BREAKS
from tests.chaos.world import OF_PAID, World, a_world, broken

ROOT = Path(__file__).resolve().parents[2]
_names = itertools.count(1)


@pytest.fixture(scope="module")
async def intact(postgres: EmbeddedPostgres) -> AsyncIterator[World]:
    """A world that only gets broken in copies of its database."""
    async with a_world(postgres) as world:
        yield world


@pytest.fixture
async def copy(postgres: EmbeddedPostgres, intact: World) -> World:
    template = intact.database_url.rpartition("/")[2]
    url = await postgres.create_database(f"copy_{next(_names)}", template=template)
    return dataclasses.replace(intact, database_url=url)


def test_a_correct_world_passes_and_everything_in_it_was_looked_at(intact):
    findings = intact.findings()
    assert findings.examples == {name: [] for name in PROMISES}
    assert findings.total == 0
    assert min(findings.checked.values()) > 0, findings.checked


PAID_KEY = f"(SELECT key FROM attempts {OF_PAID})"
RESENT = (
    """
    INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,
                          amount_minor, currency, sent_at, recorded_at)
    SELECT 'second', object_id, 2, 1, 'charge', '{paid}/2/1', 'sent', payment_method_id, amount_minor,
           currency, sent_at, clock_timestamp() - interval '16 minutes' FROM attempts """
    + OF_PAID
)
BREAKS = {
    **BANK_BREAKS,
    **SHOP_BREAKS,
    "one request made two subscriptions": (
        {"I1"},
        (
            "INSERT INTO history (subject_id, kind, at, actor, data) SELECT 'sub_other', kind, at, actor, data"
            " FROM history WHERE subject_id = '{paid}' AND data->>'do' = 'create'"
        ),
    ),
    "a booking is missing": ({"I2", "I3"}, f"DELETE FROM ledger WHERE attempt_key = {PAID_KEY}"),
    "a booking has another amount": (
        {"I2", "I3"},
        f"UPDATE ledger SET amount_minor = 999 WHERE attempt_key = {PAID_KEY}",
    ),
    "a booking is in the wrong account": (
        {"I2"},
        f"UPDATE ledger SET credit_account = 'fees' WHERE attempt_key = {PAID_KEY}",
    ),
    "a refund is booked twice": (
        {"I2", "I3"},
        "ALTER TABLE ledger DROP CONSTRAINT uq_ledger_attempt_kind",
        (
            "INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)"
            " SELECT attempt_key, kind, debit_account, credit_account, amount_minor, currency, at FROM ledger"
            " WHERE kind = 'refund'"
        ),
    ),
    "the attempt of a charge is gone": (
        {"I2", "I3", "I6"},
        f"DELETE FROM attempts {OF_PAID}",
    ),
    "the attempt was written down after the charge": (
        {"I3"},
        f"UPDATE attempts SET recorded_at = clock_timestamp() {OF_PAID}",
    ),
    "an attempt settled with a charge that nobody made": (
        {"I3"},
        f"UPDATE attempts SET gateway_id = 'ch_nobody' {OF_PAID}",
    ),
    "an attempt waits for its outcome beyond the horizon": ({"I4"}, RESENT),
    "a doubt was never looked at again": (
        {"I4"},
        f"UPDATE attempts SET needs_verification = true, recorded_at = now() - interval '16 minutes' {OF_PAID}",
        "UPDATE history SET recorded_at = now() - interval '16 minutes' WHERE subject_id = '{paid}'",
    ),
    "a next step is long overdue": (
        {"I4"},
        "UPDATE subscriptions SET next_at = next_at - interval '6 minutes' WHERE id = '{paid}'",
    ),
    "a card link was used after it expired": (
        {"I5"},
        "UPDATE card_links SET expires_at = used_at - interval '1 second'",
    ),
    "a gateway token stands in history": (
        {"I5"},
        "UPDATE history SET comment = 'charge tok_ok instead' WHERE subject_id = '{paid}'",
    ),
    "an export's file outlived its time": (
        {"I5"},
        """
        INSERT INTO exports (id, kind, filter, requester, language, zone, encrypted, status, reason, requested_at,
                             seen_at, ready_at, expires_at, file_name, rows, size_bytes)
        SELECT 'exp_old', 'payments', '{{}}', 'operator:desk', 'en', 'UTC', false, 'ready', 'written', at, at, at,
               at + interval '4 hours', 'x', 1, 1 FROM (SELECT now() - interval '5 hours' AS at) then_
        """,
    ),
    "an export's password outlived its use": (
        {"I5"},
        "INSERT INTO sealed_secrets VALUES ('exp_gone', 'x', now() - interval '2 hours', now() - interval '1 hour')",
    ),
    "a settlement was announced to nobody": (
        {"I6"},
        "DELETE FROM outbox WHERE topic = 'payment.settled' AND subject_id = '{paid}'",
    ),
    "a settlement was announced twice": (
        {"I6"},
        (
            "INSERT INTO outbox (topic, subject_id, payload) SELECT topic, subject_id, payload FROM outbox"
            " WHERE topic = 'payment.settled'"
        ),
    ),
    "a decline has no event": (
        {"I6"},
        "DELETE FROM history WHERE kind = 'payment' AND data->>'outcome' = 'failed'",
    ),
    "a status changed without an event": (
        {"I6"},
        (
            "UPDATE subscriptions SET status = 'canceled', reason = 'why not', next_at = NULL, next_kind = NULL"
            " WHERE id = '{paid}'"
        ),
    ),
    "a change of status was announced to nobody": (
        {"I6"},
        "DELETE FROM outbox WHERE topic = 'subscription.status' AND payload->>'to' = 'suspended'",
    ),
    "a customer was charged after the block": (
        {"I7"},
        (
            "INSERT INTO history (subject_id, kind, at, recorded_at, actor, data)"
            " SELECT customer_id, 'operation', created_at, '2026-01-01', 'operator:desk', '{{\"do\": \"block\"}}'"
            " FROM subscriptions WHERE id = '{paid}'"
        ),
    ),
    "a card was charged after the block": (
        {"I7"},
        (
            "UPDATE payment_methods SET blocked_at = '2026-01-01'"
            " WHERE id = (SELECT payment_method_id FROM subscriptions WHERE id = '{paid}')"
        ),
    ),
    "an accepted command left no trace": (
        {"I8"},
        "DELETE FROM history WHERE kind = 'operation' AND data->>'do' = 'suspend'",
    ),
    "a command was carried out twice": (
        {"I8"},
        (
            "INSERT INTO history (subject_id, kind, at, actor, data) SELECT subject_id, kind, at, actor, data"
            " FROM history"
            " WHERE kind = 'operation' AND data->>'do' = 'suspend'"
        ),
    ),
    "a command's request id was not kept": ({"I8"}, "DELETE FROM requests WHERE request_id = 'req_suspend'"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_in_our_books_is_found_under_its_own_invariant(copy, name):
    expected, *statements = BREAKS[name]
    await copy.execute(*statements)
    assert broken(copy) == expected


def test_every_invariant_has_a_break_that_it_finds():
    assert {name for expected, *_ in BREAKS.values() for name in expected} == set(PROMISES)


async def test_what_is_in_flight_is_no_violation_until_its_time_is_up(copy):
    await copy.execute(RESENT, "UPDATE attempts SET state = 'unknown' WHERE key = 'second'")
    assert broken(copy, horizon=timedelta(minutes=12)) == set()
    assert broken(copy, horizon=timedelta(minutes=10)) == {"I4"}


async def test_what_waits_for_a_person_is_counted_but_no_violation(copy):
    await copy.execute(RESENT, "UPDATE attempts SET state = 'attention' WHERE key = 'second'")
    findings = copy.findings()
    assert (findings.total, findings.waiting_for_people) == (0, 1)


async def test_a_charge_before_the_block_and_one_after_its_end_are_rightful(copy):
    days = {"block": "2026-01-01", "unblock": "2026-01-02"}
    await copy.execute(
        *(
            "INSERT INTO history (subject_id, kind, at, recorded_at, actor, data)"
            f" SELECT customer_id, 'operation', created_at, '{on}', 'operator:desk', '{{{{\"do\": \"{do}\"}}}}'"
            " FROM subscriptions WHERE id = '{paid}'"
            for do, on in days.items()
        )
    )
    assert broken(copy) == set()


# ---------------------------------------------------------------------- the program


def program(world: World, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.chaos.auditor",
            "--database-url",
            world.database_url,
            "--gateway-url",
            world.gateway_url,
            *more,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_program_prints_one_line_for_machines_and_exits_with_the_verdict(intact):
    passed = program(intact, "--json")
    assert (passed.returncode, passed.stderr) == (0, "")
    (line,) = passed.stdout.splitlines()
    assert json.loads(line)["violations"] == dict.fromkeys(PROMISES, 0)


async def test_the_program_shows_people_what_it_found_and_exits_with_one(copy):
    await copy.execute("DELETE FROM requests WHERE request_id = 'req_suspend'")
    failed = program(copy)
    assert failed.returncode == 1
    assert "suspend of" in failed.stdout
    assert "req_suspend" in failed.stdout


def test_a_gateway_that_cannot_be_read_is_no_clean_bill_of_health(intact):
    nobody = dataclasses.replace(intact, gateway_url="http://127.0.0.1:9")
    failed = program(nobody, "--json")
    assert (failed.returncode, failed.stdout) == (2, "")


def test_the_auditor_shares_no_code_with_what_it_judges():
    listing = "import sys, tests.chaos.auditor; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    rooms = {"domain", "activities", "workflows", "gateways", "db", "exports", "starter", "runtime", "web"}
    assert rooms & {name.partition(".")[0] for name in loaded} == set()
