"""The auditor sees what the gateway did and our books do not say: each break at the gateway, in a world of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.money import Money
from gateways import sandbox_till
from gateways.sandbox_client import SandboxGateway
from tests.chaos.world import OF_PAID, World, broken
from tests.gateways.deposits import issue, remit


@pytest.fixture
async def gateway(world: World) -> AsyncIterator[SandboxGateway]:
    client = SandboxGateway(world.gateway_url)
    yield client
    await client.close()


async def _charge_again(
    world: World, gateway: SandboxGateway, token: str = "tok_ok", attempt: int = 2
) -> str:
    outcome = await gateway.charge(
        token=token,
        amount=Money(minor=1000, currency="JPY"),
        reference=f"{world.paid.subscription_id}/1/{attempt}",
        idempotency_key=f"another-{attempt}",
    )
    return str(outcome.gateway_id)


async def test_a_second_charge_counts_until_it_is_given_back_and_booked(world, gateway):
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


async def test_a_second_charge_that_may_settle_yet_counts_until_it_is_given_up(world, gateway):
    for attempt, state in ((1, "declined"), (2, "settled")):
        twin = await _charge_again(world, gateway, "tok_pending", attempt)
        assert broken(world) == {"I3"}
        reference = f"{world.paid.subscription_id}/1/{attempt}"
        told = f"attempt {reference} is {state} while the gateway still works on {twin}"
        assert world.findings().examples["I3"] == [told]
        await gateway.void(charge_id=twin, reference=reference, idempotency_key=f"void-{attempt}")
        assert broken(world) == set()


async def test_a_charge_that_we_never_asked_for_is_found(world, gateway):
    await gateway.charge(
        token="tok_ok",
        amount=Money(minor=1000, currency="JPY"),
        reference=f"{world.paid.subscription_id}/2/1",
        idempotency_key="unasked",
    )
    assert broken(world) == {"I2", "I3"}


async def test_the_gateways_own_book_balances_with_a_deposit_that_went_back_for_a_fee(world, gateway):
    issued = await issue(gateway, "ord_x/1/1")
    await sandbox_till.pay(world.gateway_url, issued.gateway_id)
    await remit(gateway, issued.gateway_id, "tok_bank_wrong", reference="ord_x/1/back/1")
    await remit(gateway, issued.gateway_id, reference="ord_x/1/back/2")
    assert broken(world) == {"I3"}, "nothing of ours asked for it, but the sums are right"
