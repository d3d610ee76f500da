"""The auditor bites: a correct small world passes, and each single break in it is found under its own invariant.

Real Postgres, real sandbox, the real activities to make the world; then one break by SQL or at the gateway. A break
in SQL gets a copy of the database, a break at the gateway a world of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.billing import BillingActivities
from activities.contracts.billing import ChargeInput, RefundInput
from activities.contracts.records import CardLink, OpenInput
from db import migrate, subscriptions
from db.engine import Database
from domain.money import Money
from gateways import sandbox_till
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.postgres import EmbeddedPostgres
from tests.activities.bank_desk import BankDesk
from tests.activities.order_desk import OrderDesk
from tests.chaos.audit_books import Terms
from tests.chaos.auditor import PROMISES, audit
from tests.chaos.bank_breaks import BANK_BREAKS, repaid_life
from tests.chaos.shop_breaks import SHOP_BREAKS, sold
from tests.db.house import NOW, House, happening, transition
from tests.gateways.deposits import issue, remit

ROOT = Path(__file__).resolve().parents[2]
_names = itertools.count(1)


@dataclass
class World:
    """`paid`: declined once, then settled; `returned`: settled and refunded; `resting`: suspended by an operator;
    `repaid`: charged back, and repaid by a link and otherwise; `sold`: the id of an order, given back in part.
    """

    database_url: str
    gateway_url: str
    paid: OpenInput
    returned: OpenInput
    resting: OpenInput
    repaid: OpenInput
    sold: str

    def findings(self, **terms: timedelta) -> Any:
        return audit(self.database_url, self.gateway_url, Terms(**terms))

    async def execute(self, *statements: str) -> None:
        """Break our books as no code of ours can: past foreign keys and the triggers that forbid it."""
        names = {name: getattr(self, name) for name in ("paid", "returned", "resting", "repaid")}
        ids = {name: order.subscription_id for name, order in names.items()} | {"sold": self.sold}
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            await connection.execute("SET session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement.format(**ids))  # type: ignore[arg-type]  # a test's own text


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(durable=False) as server:
        await server.create_database("migrated")
        migrate.upgrade(server.url("migrated").replace("postgresql://", "postgresql+psycopg://", 1))
        yield server


@asynccontextmanager
async def a_world(postgres: EmbeddedPostgres) -> AsyncIterator[World]:
    url = await postgres.create_database(f"world_{next(_names)}", template="migrated")
    sandbox = await start_sandbox(":memory:")
    try:
        gateway, remote = SandboxGateway(sandbox.base_url), SandboxRemote(sandbox.base_url)
        db = Database.connect(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=2)
        try:
            orders = await _lived(House(db), BillingActivities(db, gateway), remote)
            repaid = await repaid_life(BankDesk(db, gateway, remote, House(db), url=sandbox.base_url))
            order_id = await sold(OrderDesk(db, gateway, remote, House(db), url=sandbox.base_url))
        finally:
            await db.close()  # a database with connections cannot be copied
            await gateway.close()
            await remote.close()
        yield World(url, sandbox.base_url, *orders, repaid, order_id)
    finally:
        await sandbox.stop()


async def _lived(
    house: House, billing: BillingActivities, remote: SandboxRemote
) -> tuple[OpenInput, OpenInput, OpenInput]:
    async def entered(*script: Any) -> OpenInput:
        return await house.subscription(await house.tenant(token=await remote.script(list(script))))

    paid = await entered({"decline": "insufficient_funds"})
    returned, resting, blocked = [await entered() for _ in range(3)]
    run = ActivityEnvironment().run
    assert (await run(billing.charge, _charge(paid, 1))).outcome == "declined"
    assert (await run(billing.charge, _charge(paid, 2))).outcome == "settled"
    assert (await run(billing.charge, _charge(returned, 1))).outcome == "settled"
    refund = RefundInput(object_id=returned.subscription_id, number=1, at=NOW, reason="asked for")
    assert (await run(billing.refund, refund)).outcome == "settled"
    assert (await run(billing.charge, _charge(resting, 1))).outcome == "settled"
    suspended = happening(
        resting,
        operation="suspend",
        request_id="req_suspend",
        row={"status": "suspended", "reason": "asked for", "next_kind": None, "next_at": None},
        moves=[transition("current", "suspended", "asked for")],
        event_key=resting.subscription_id,
    )
    assert (
        await subscriptions.record(house.db, suspended, event_key=suspended.event_key)
    ).outcome == "recorded"
    link = CardLink(token_hash=f"hash of {paid.subscription_id}", expires_at=NOW + timedelta(days=1))
    opened = happening(paid, operation="open_card_link", request_id="req_link", link=link, event_key="link")
    assert (
        await subscriptions.record(house.db, opened, event_key=paid.subscription_id)
    ).outcome == "recorded"
    await subscriptions.use_card_link(house.db, link.token_hash, NOW)
    await house.block(blocked.spec.customer_id, blocked.spec.customer_id)
    assert (await run(billing.charge, _charge(blocked, 1))).decline == "customer_blocked"
    return paid, returned, resting


def _charge(order: OpenInput, attempt: int) -> ChargeInput:
    return ChargeInput(
        object_id=order.subscription_id,
        number=1,
        attempt=attempt,
        due_at=order.terms.calendar.due(0),
        amount_minor=order.terms.amount_minor,
        currency=order.terms.currency,
        at=NOW,
        row={"status": "current", "reason": "first_payment_succeeded", "charges": 1, "charged_minor": 1000},
        moves=[transition("unverified", "current", "first_payment_succeeded")],
    )


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


def broken(world: World, **terms: timedelta) -> set[str]:
    """The invariants that are violated, each with an example in words."""
    findings = world.findings(**terms)
    names = {name for name, count in findings.violations.items() if count}
    assert names == {name for name, shown in findings.examples.items() if shown}
    return names


def test_a_correct_world_passes_and_everything_in_it_was_looked_at(intact):
    findings = intact.findings()
    assert findings.examples == {name: [] for name in PROMISES}
    assert findings.total == 0
    assert min(findings.checked.values()) > 0, findings.checked


OF_PAID = "WHERE object_id = '{paid}' AND state = 'settled'"
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


# ---------------------------------------------------------------------- breaks at the gateway


async def _charge_again(world: World, gateway: Any, token: str = "tok_ok", attempt: int = 2) -> str:
    outcome = await gateway.charge(
        token=token,
        amount=Money(minor=1000, currency="JPY"),
        reference=f"{world.paid.subscription_id}/1/{attempt}",
        idempotency_key=f"another-{attempt}",
    )
    return str(outcome.gateway_id)


async def test_a_second_charge_counts_until_it_is_given_back_and_booked(postgres):
    async with a_world(postgres) as world:
        gateway = SandboxGateway(world.gateway_url)
        try:
            twin = await _charge_again(world, gateway)
            assert broken(world) == {"I1", "I2", "I3"}
            reference = f"{world.paid.subscription_id}/1/twin/{twin}"
            await world.execute(
                "INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, returns,"
                " payment_method_id, amount_minor, currency, sent_at)"
                f" SELECT 'twin', object_id, number, 1, 'twin', '{reference}', 'sent', '{twin}',"
                " payment_method_id, amount_minor, currency, sent_at"
                f" FROM attempts {OF_PAID}"
            )
            back = await gateway.refund(
                charge_id=twin,
                amount=Money(minor=1000, currency="JPY"),
                reference=reference,
                idempotency_key="back",
            )
            assert broken(world) == set(), "it is in flight now"
            await world.execute(
                f"UPDATE attempts SET state = 'settled', resolved_at = sent_at, gateway_id = '{back.gateway_id}'"
                " WHERE key = 'twin'"
            )
            assert broken(world) == {"I3", "I6"}, "neither booked nor shown to anybody"
            await world.execute(
                "ALTER TABLE ledger DROP CONSTRAINT uq_ledger_attempt_kind",
                *(
                    "INSERT INTO ledger (attempt_key, kind, debit_account, credit_account, amount_minor, currency, at)"
                    f" VALUES ('twin', 'correction', '{debit}', '{credit}', 1000, 'JPY', now())"
                    for debit, credit in (
                        ("gateway_receivable", "customer"),
                        ("customer", "gateway_receivable"),
                    )
                ),
                "INSERT INTO incidents (kind, dedupe_key, subject_id) VALUES ('double_charge', 'one', '{paid}')",
            )
            assert broken(world) == set()
        finally:
            await gateway.close()


async def test_a_second_charge_that_may_settle_yet_counts_until_it_is_given_up(postgres):
    async with a_world(postgres) as world:
        gateway = SandboxGateway(world.gateway_url)
        try:
            for attempt, state in ((1, "declined"), (2, "settled")):
                twin = await _charge_again(world, gateway, "tok_pending", attempt)
                assert broken(world) == {"I3"}
                reference = f"{world.paid.subscription_id}/1/{attempt}"
                told = f"attempt {reference} is {state} while the gateway still works on {twin}"
                assert world.findings().examples["I3"] == [told]
                await gateway.void(charge_id=twin, reference=reference, idempotency_key=f"void-{attempt}")
                assert broken(world) == set()
        finally:
            await gateway.close()


async def test_a_charge_that_we_never_asked_for_is_found(postgres):
    async with a_world(postgres) as world:
        gateway = SandboxGateway(world.gateway_url)
        await gateway.charge(
            token="tok_ok",
            amount=Money(minor=1000, currency="JPY"),
            reference=f"{world.paid.subscription_id}/2/1",
            idempotency_key="unasked",
        )
        await gateway.close()
        assert broken(world) == {"I2", "I3"}


async def test_the_gateways_own_book_balances_with_a_deposit_that_went_back_for_a_fee(postgres):
    async with a_world(postgres) as world:
        gateway = SandboxGateway(world.gateway_url)
        issued = await issue(gateway, "ord_x/1/1")
        await sandbox_till.pay(world.gateway_url, issued.gateway_id)
        await remit(gateway, issued.gateway_id, "tok_bank_wrong", reference="ord_x/1/back/1")
        await remit(gateway, issued.gateway_id, reference="ord_x/1/back/2")
        await gateway.close()
        assert broken(world) == {"I3"}, "nothing of ours asked for it, but the sums are right"


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
