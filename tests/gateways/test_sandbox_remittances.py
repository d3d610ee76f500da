"""Money paid at a till goes back as a bank remittance: whole, able to fail, and with a fee for each request."""

from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest

from domain.declines import DeclineCode
from domain.money import Money
from gateways import sandbox_till
from gateways.port import Declined, Pending, Settled, Unknown
from gateways.sandbox.audit import audit
from gateways.sandbox.book import Book
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox.schema import open_database, transaction
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import YEN_1000, issue, new_order, remit, void

FEE = 250


@pytest.fixture
async def paid(sandbox, gateway):
    """Pays a new slip; answers its charge's id."""

    async def paid():
        issued = await issue(gateway)
        await sandbox_till.pay(sandbox.base_url, issued.gateway_id)
        return issued.gateway_id

    return paid


@pytest.fixture
async def fees(remote):
    """What the sandbox kept in fees since the test began; its book balances whenever somebody asks."""

    async def sum_now():
        book = await remote.ledger()
        assert book["balanced"]
        kept = book["fees"].get("JPY", 0)
        assert book["accounts"].get("JPY", {}).get("fees", 0) == kept
        return kept

    before = await sum_now()

    async def fees():
        return await sum_now() - before

    return fees


def test_the_gateway_declares_what_a_remittance_costs(gateway):
    declared = gateway.capabilities
    assert (declared.konbini, declared.konbini_refund) == (True, "bank_remittance")
    assert declared.remittance_fee == Money(minor=FEE, currency="JPY")


@pytest.mark.parametrize("account", [None, "tok_bank", "tok_bank:anybody"])
async def test_a_remittance_settles_at_once_and_takes_its_fee(gateway, paid, fees, account):
    charge_id = await paid()
    refunded = await remit(gateway, charge_id, account)
    assert isinstance(refunded, Settled)
    record = await gateway.get(refunded.gateway_id)
    assert (record.kind, record.state, record.amount, record.fee_minor) == (
        "refund", "settled", YEN_1000, FEE,
    )  # fmt: skip
    assert (await gateway.get(charge_id)).refunded_minor == 1000
    assert await fees() == FEE


async def test_a_remittance_to_a_wrong_account_fails_keeps_its_fee_and_can_be_asked_for_again(
    gateway, paid, fees
):
    charge_id = await paid()
    failed = await remit(gateway, charge_id, "tok_bank_wrong")
    assert isinstance(failed, Declined)
    assert failed.code is DeclineCode.REMITTANCE_FAILED
    assert (await gateway.get(charge_id)).refunded_minor == 0
    assert (await gateway.get(failed.gateway_id)).fee_minor == FEE
    assert await fees() == FEE
    assert isinstance(await remit(gateway, charge_id, "tok_bank"), Settled)
    assert await fees() == 2 * FEE, "asked twice, applied twice"


async def test_a_slow_remittance_settles_at_the_second_ask(gateway, paid, fees):
    charge_id = await paid()
    slow = await remit(gateway, charge_id, "tok_bank_slow")
    assert isinstance(slow, Pending)
    assert (await gateway.get(charge_id)).refunded_minor == 1000, "nothing is left to return twice"
    assert [(await gateway.get(slow.gateway_id)).state for _ in range(3)] == ["pending", "settled", "settled"]
    assert await fees() == FEE


async def test_a_slow_remittance_that_fails_gives_the_amount_back_to_its_charge(gateway, paid, fees):
    charge_id = await paid()
    slow = await remit(gateway, charge_id, "tok_bank_slow_wrong")
    assert isinstance(slow, Pending)
    states = [(await gateway.get(slow.gateway_id)).state for _ in range(3)]
    assert states == ["pending", "declined", "declined"]
    record = await gateway.get(slow.gateway_id)
    assert (record.decline, record.fee_minor) == (DeclineCode.REMITTANCE_FAILED, FEE)
    assert (await gateway.get(charge_id)).refunded_minor == 0
    assert await fees() == FEE


async def test_a_remittance_under_way_cannot_be_called_back(gateway, paid):
    slow = await remit(gateway, await paid(), "tok_bank_slow")
    assert await void(gateway, slow.gateway_id) == Pending(gateway_id=slow.gateway_id)
    assert [(await gateway.get(slow.gateway_id)).state for _ in range(2)] == ["pending", "settled"]


@pytest.mark.parametrize("account", ["tok_bank", "tok_bank_wrong", "tok_bank_slow"])
async def test_the_same_request_sent_again_takes_no_second_fee(gateway, paid, fees, account):
    charge_id, key, reference = await paid(), uuid4().hex, f"refund_{uuid4().hex}"
    first = await remit(gateway, charge_id, account, key=key, reference=reference)
    assert await remit(gateway, charge_id, account, key=key, reference=reference) == first
    assert len(await gateway.lookup(reference)) == 1
    assert await fees() == FEE


async def test_a_request_that_is_refused_takes_no_fee(gateway, paid, fees):
    charge_id = await paid()
    partial = await remit(gateway, charge_id, minor=400)
    assert isinstance(partial, Declined)
    assert partial.code is DeclineCode.PARTIAL_REFUND_NOT_SUPPORTED
    await remit(gateway, charge_id)
    again = await remit(gateway, charge_id)
    assert isinstance(again, Declined)
    assert again.gateway_code == "refund_exceeds_charge"
    unpaid = await remit(gateway, (await issue(gateway)).gateway_id)
    assert isinstance(unpaid, Declined)
    assert unpaid.gateway_code == "charge_not_settled"
    assert await fees() == FEE


async def test_late_money_and_double_money_go_back_like_any_other(sandbox, gateway, fees):
    issued = await issue(gateway)
    await void(gateway, issued.gateway_id)
    late = await sandbox_till.pay(sandbox.base_url, issued.gateway_id)
    assert isinstance(await remit(gateway, late["id"], minor=999), Declined)
    assert isinstance(await remit(gateway, late["id"]), Settled)
    assert await fees() == FEE


async def test_a_cards_refund_costs_nothing_and_may_be_partial(gateway, fees):
    charged = await gateway.charge(
        token="tok_ok", amount=YEN_1000, reference=new_order(), idempotency_key=uuid4().hex
    )
    refunded = await remit(gateway, charged.gateway_id, minor=400)
    assert (await gateway.get(refunded.gateway_id)).fee_minor == 0
    assert await fees() == 0


@pytest.mark.parametrize("account", ["1234567", "tok_bank1234567", "tok_ok", "tok_bank:", ""])
async def test_an_account_number_is_no_token_and_is_not_repeated(gateway, paid, fees, account):
    refused = await remit(gateway, await paid(), account)
    assert refused == Declined(code=DeclineCode.PROCESSING_ERROR, gateway_code="invalid_bank_account")
    assert await fees() == 0


async def test_a_company_that_makes_no_remittances_refuses_by_name(sandbox, gateway, remote, paid, fees):
    charge_id = await paid()
    await remote.remittances("none")
    refused = await remit(gateway, charge_id)
    assert isinstance(refused, Declined)
    assert refused.code is DeclineCode.REFUND_NOT_SUPPORTED
    honest = SandboxGateway(sandbox.base_url, konbini_refund="none")
    assert (honest.capabilities.konbini_refund, honest.capabilities.remittance_fee) == ("none", None)
    assert await fees() == 0


async def test_another_fee_holds_from_the_next_request_on_and_none_is_no_line_in_the_ledger(
    gateway, remote, paid, fees
):
    await remote.remittances(fee_minor=300)
    await remit(gateway, await paid())
    await remote.remittances(fee_minor=0)
    await remit(gateway, await paid())
    assert await fees() == 300


@pytest.mark.parametrize(
    "terms", [{"refund": "cash"}, {"remittance_fee_minor": -1}, {"remittance_fee_minor": 2.5}, {"else": 1}]
)
async def test_terms_nobody_understands_are_refused(remote, terms):
    with pytest.raises(ValueError, match="invalid_remittances"):
        await remote._call("PUT", "/_control/remittances", terms)


async def test_a_fee_taken_before_a_power_cut_is_taken_once_and_the_terms_survive(tmp_path):
    database = str(tmp_path / "sandbox.db")
    first = await start_sandbox(database)
    gateway = SandboxGateway(first.base_url)
    issued = await issue(gateway)
    await sandbox_till.pay(first.base_url, issued.gateway_id)
    async with SandboxRemote(first.base_url) as remote:
        await remote.remittances(fee_minor=600)
        await remote.faults({"fault": "drop_after", "route": "refund", "times": 1})
    request = {"key": uuid4().hex, "reference": "refund_x"}
    assert isinstance(await remit(gateway, issued.gateway_id, **request), Unknown)
    await gateway.close()
    await first.kill()
    second = await start_sandbox(database)
    gateway = SandboxGateway(second.base_url)
    assert isinstance(await remit(gateway, issued.gateway_id, **request), Settled)
    async with SandboxRemote(second.base_url) as remote:
        book = await remote.ledger()
        assert (book["balanced"], book["fees"], book["net"]) == (True, {"JPY": 600}, {"JPY": 0})
        assert book["accounts"]["JPY"] == {"fees": 600, "konbini_float": 0, "merchant_receivable": -600}
        assert (await remote._call("PUT", "/_control/remittances", {}))["remittance_fee_minor"] == 600
    await gateway.close()
    assert await second.stop() == 0


@pytest.mark.parametrize("paid_by", ["merchant_receivable", "konbini_float"])
def test_the_audit_notices_a_fee_that_no_refund_explains(paid_by):
    with closing(open_database(":memory:")) as db:
        book = Book(db)
        with transaction(db):
            book.paid(book.deposit(amount=YEN_1000, reference="r", attempt_key="k")["id"])
        assert audit(db)["balanced"]
        with transaction(db):
            db.execute(
                "INSERT INTO ledger (movement, account, minor, currency) VALUES"
                " (1, ?, -250, 'JPY'), (1, 'fees', 250, 'JPY')",
                (paid_by,),
            )
        assert audit(db)["balanced"] is False
