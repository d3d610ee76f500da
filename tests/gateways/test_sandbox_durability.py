"""What was acknowledged survives SIGKILL; what was switched survives a restart; nobody else reads it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from uuid import uuid4

import pytest

from domain.money import Money
from gateways.port import GatewayUnavailable, Settled, Unavailable
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox.schema import open_database
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import issue

YEN_1000 = Money(minor=1000, currency="JPY")


async def charge(gateway, reference, key, token="tok_ok"):
    return await gateway.charge(token=token, amount=YEN_1000, reference=reference, idempotency_key=key)


async def test_sigkill_in_the_middle_of_traffic_loses_nothing_acknowledged(tmp_path):
    database = str(tmp_path / "sandbox.db")
    first = await start_sandbox(database)
    gateway = SandboxGateway(first.base_url)
    acknowledged, in_doubt, busy = {}, [], asyncio.Event()

    async def customer(name):
        for number in range(10_000):
            reference = f"sub_{name}/{number}/1"
            outcome = await charge(gateway, reference, reference)
            if not isinstance(outcome, Settled):
                in_doubt.append((reference, outcome.kind))
                return
            acknowledged[reference] = outcome.gateway_id
            if len(acknowledged) == 100:
                busy.set()

    customers = [asyncio.create_task(customer(name)) for name in range(8)]
    await busy.wait()
    await first.kill()
    await asyncio.gather(*customers)
    await gateway.close()
    assert len(in_doubt) == 8
    assert {kind for _, kind in in_doubt} <= {"unknown", "unavailable"}

    second = await start_sandbox(database)
    gateway = SandboxGateway(second.base_url)
    for reference, _ in in_doubt:
        assert isinstance(await charge(gateway, reference, reference), Settled)
    async with SandboxRemote(second.base_url) as remote:
        ledger = await remote.ledger()
    await gateway.close()
    assert await second.stop() == 0
    assert ledger["balanced"]
    by_reference = {record["reference"]: record["id"] for record in ledger["charges"]}
    assert len(by_reference) == len(ledger["charges"]) == len(acknowledged) + 8
    assert acknowledged.items() <= by_reference.items()


async def test_keys_scripts_forms_and_settings_survive_a_restart(tmp_path):
    database = str(tmp_path / "sandbox.db")
    first = await start_sandbox(database)
    gateway = SandboxGateway(first.base_url)
    async with SandboxRemote(first.base_url) as remote:
        token = await remote.script([{"decline": "lost_card"}, {"decline": "expired_card"}])
        key = uuid4().hex
        declined = await charge(gateway, "sub_a/1/1", key, token)
        await remote.faults({"fault": "drop_before", "times": 2, "route": "charge"}, seed=3)
        assert (await charge(gateway, "sub_b/1/1", "b")).kind == "unknown"
        await remote.idempotency("best_effort:0", key_ttl_seconds=1_000)
    form = await gateway.open_card_form(reference="sub_a", return_url="https://shop.example/")
    await gateway.close()
    assert await first.stop() == 0

    second = await start_sandbox(database)
    gateway = SandboxGateway(second.base_url)
    kinds = [(await charge(gateway, "sub_b/1/1", "b")).kind for _ in range(2)]
    assert kinds == ["unknown", "settled"], "one of the plan's two drops was left"
    assert await charge(gateway, "sub_a/1/1", key, token) == declined
    assert (await charge(gateway, "sub_a/1/2", "next", token)).code == "expired_card"
    assert await gateway.card_form_token(form.form_id) is None
    async with SandboxRemote(second.base_url) as remote:
        assert (await remote.fired())["seed"] == 3
        switched = await remote._call("PUT", "/_control/idempotency", {})
        assert switched == {"mode": "best_effort:0", "key_ttl_seconds": 1000}
    await gateway.close()
    assert await second.stop() == 0


async def test_a_file_of_a_sandbox_without_a_till_is_opened_and_learns_of_it(tmp_path):
    database = tmp_path / "sandbox.db"
    with closing(open_database(str(database))) as made:
        for column in ("slip_id", "deposit", "fee_minor"):
            made.execute(f"ALTER TABLE movements DROP COLUMN {column}")
        made.execute("DROP TABLE konbini_slips")
    running = await start_sandbox(str(database))
    gateway = SandboxGateway(running.base_url)
    assert isinstance(await charge(gateway, "sub_a/1/1", "k"), Settled)
    assert (await issue(gateway)).slip is not None
    await gateway.close()
    assert await running.stop() == 0


async def test_nobody_else_can_open_the_books_while_the_server_runs(tmp_path):
    database = tmp_path / "sandbox.db"
    running = await start_sandbox(str(database))
    with (
        closing(sqlite3.connect(database, timeout=0)) as intruder,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        intruder.execute("SELECT * FROM movements")
    with pytest.raises(RuntimeError, match="did not start"):
        await start_sandbox(str(database))
    assert await running.stop() == 0


async def test_a_gateway_that_is_not_there_took_nothing():
    gone = await start_sandbox(":memory:")
    assert await gone.stop() == 0
    gateway = SandboxGateway(gone.base_url)
    assert await charge(gateway, "sub_a/1/1", "k") == Unavailable(hint="no connection")
    with pytest.raises(GatewayUnavailable) as told:
        await gateway.token_details("tok_ok:private")
    assert "private" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__, "the library's error carries the address, and that the token"
    await gateway.close()


async def test_it_stops_when_the_one_who_started_it_is_gone():
    running = await start_sandbox(":memory:")
    running.process.stdin.close()
    assert await asyncio.wait_for(running.process.wait(), 10) == 0
