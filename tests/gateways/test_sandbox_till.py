"""The Konbini till: who pays what, when, how often, and what the book holds afterwards (spec: orders.md §4)."""

from __future__ import annotations

import re
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.declines import DeclineCode
from domain.errors import ErrorCode, TeikiError
from domain.free_text import holds_card_number
from domain.money import Money
from gateways import sandbox_till
from gateways.port import Declined, Pending, Settled
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.slips import DIGITS, numbers
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import DEADLINE, STORES, YEN_1000, issue, new_order, void


@pytest.fixture
def pay(sandbox):
    async def pay(slip, notice="confirmed"):
        return await sandbox_till.pay(sandbox.base_url, slip, notice=notice)

    return pay


async def states(gateway, reference):
    """Kind of id, state, deposit of everything under a reference."""
    found = await gateway.lookup(reference)
    return [(record.gateway_id.partition("_")[0], record.state, record.deposit) for record in found]


def test_the_sandbox_knows_the_stores_of_the_spec():
    assert tuple(DIGITS) == STORES


@given(st.sampled_from(STORES))
@settings(max_examples=300)
def test_no_slips_numbers_pass_for_a_card_number_alone_or_side_by_side(store):
    payment, confirmation = numbers(store)
    assert (len(payment), len(confirmation)) == DIGITS[store]
    for text in (payment, confirmation, payment + confirmation, f"{payment} {confirmation}"):
        assert not holds_card_number(text)


@pytest.mark.parametrize("store", STORES)
async def test_a_slip_shows_what_its_store_needs_and_is_found_by_its_charge(gateway, store):
    issued = await issue(gateway, store=store)
    slip = issued.slip
    assert re.fullmatch(r"\d{11,13}", slip.payment_number)
    assert (slip.confirmation_number == "") is (store == "seven_eleven")
    assert (slip.gateway_id, slip.store, slip.amount, slip.deadline_at) == (
        issued.gateway_id, store, YEN_1000, DEADLINE,
    )  # fmt: skip
    assert await gateway.konbini_slip(issued.gateway_id) == slip


async def test_nobody_finds_a_slip_that_was_never_issued(gateway, pay):
    assert await gateway.konbini_slip("kb_nobody") is None
    charged = await gateway.charge(
        token="tok_ok", amount=YEN_1000, reference=new_order(), idempotency_key=uuid4().hex
    )
    assert await gateway.konbini_slip(charged.gateway_id) is None
    for name in ("kb_nobody", "123", charged.gateway_id):
        with pytest.raises(TeikiError) as told:
            await pay(name)
        assert told.value.code is ErrorCode.DEPOSIT_NOT_FOUND


@pytest.mark.parametrize("by", ["id", "payment number"])
async def test_paid_at_the_till_the_slips_own_charge_is_settled(gateway, pay, by):
    reference = new_order()
    slip = (await issue(gateway, reference)).slip
    assert await states(gateway, reference) == [("kb", "pending", "unpaid")]
    paid = await pay(slip.gateway_id if by == "id" else slip.payment_number)
    assert (paid["id"], paid["state"]) == (slip.gateway_id, "settled")
    (found,) = await gateway.lookup(reference)
    assert found.outcome() == Settled(gateway_id=slip.gateway_id, amount=YEN_1000)
    assert found.deposit is None


async def test_asking_never_decides_a_slip(gateway):
    issued = await issue(gateway)
    for _ in range(5):
        assert (await gateway.get(issued.gateway_id)).deposit == "unpaid"


async def test_paid_twice_is_a_second_charge_under_the_same_reference(gateway, pay, remote):
    reference = new_order()
    issued = await issue(gateway, reference)
    await pay(issued.gateway_id)
    second = await pay(issued.gateway_id)
    assert second["id"].startswith("ch_")
    assert second["reference"] == reference
    assert await states(gateway, reference) == [("kb", "settled", None), ("ch", "settled", None)]
    book = await remote.ledger()
    assert book["references"][reference] == {
        "charges": 2, "settled_charges": 2, "refunds": 0, "net": {"JPY": 2000},
    }  # fmt: skip
    assert book["balanced"]


async def test_a_voided_slip_never_settles_and_money_that_comes_late_is_another_charge(gateway, pay):
    reference = new_order()
    issued = await issue(gateway, reference)
    voided = await void(gateway, issued.gateway_id)
    assert isinstance(voided, Declined)
    assert voided.code is DeclineCode.PENDING_EXPIRED
    assert await states(gateway, reference) == [("kb", "voided", None)]
    late = await pay(issued.slip.payment_number)
    assert late["id"] != issued.gateway_id
    assert await states(gateway, reference) == [("kb", "voided", None), ("ch", "settled", None)]


async def test_late_money_appears_in_the_list_like_every_charge(gateway, pay):
    issued = await issue(gateway)
    await void(gateway, issued.gateway_id)
    since = (await gateway.get(issued.gateway_id)).created_at
    late = await pay(issued.gateway_id)
    listed = (await gateway.list(since=since)).items
    assert [record.gateway_id for record in listed] == [issued.gateway_id, late["id"]]


async def test_voiding_a_paid_slip_says_that_it_is_too_late(gateway, pay):
    issued = await issue(gateway)
    await pay(issued.gateway_id)
    assert await void(gateway, issued.gateway_id) == Settled(gateway_id=issued.gateway_id, amount=YEN_1000)


async def test_a_preliminary_notice_announces_money_that_is_not_there_yet(gateway, pay, remote):
    reference = new_order()
    issued = await issue(gateway, reference)
    await pay(issued.gateway_id, "preliminary")
    found = await gateway.get(issued.gateway_id)
    assert found.outcome() == Pending(gateway_id=issued.gateway_id, preliminary=True)
    assert (await remote.ledger())["references"][reference]["net"] == {}
    await pay(issued.gateway_id, "preliminary")
    await pay(issued.gateway_id)
    assert await states(gateway, reference) == [("kb", "settled", None)]


async def test_a_preliminary_notice_that_is_canceled_leaves_an_unpaid_slip_that_can_be_paid(gateway, pay):
    reference = new_order()
    issued = await issue(gateway, reference)
    await pay(issued.gateway_id, "preliminary")
    await pay(issued.gateway_id, "preliminary_canceled")
    assert (await gateway.get(issued.gateway_id)).outcome() == Pending(gateway_id=issued.gateway_id)
    await pay(issued.gateway_id)
    assert await states(gateway, reference) == [("kb", "settled", None)]


async def test_voided_between_the_preliminary_notice_and_the_money_the_money_is_late(gateway, pay):
    reference = new_order()
    issued = await issue(gateway, reference)
    await pay(issued.gateway_id, "preliminary")
    assert isinstance(await void(gateway, issued.gateway_id), Declined)
    await pay(issued.gateway_id)
    assert await states(gateway, reference) == [("kb", "voided", None), ("ch", "settled", None)]


async def test_a_notice_that_cannot_be_about_the_slip_is_refused_by_name_and_changes_nothing(gateway, pay):
    issued = await issue(gateway)
    for notice, code in [
        ("preliminary_canceled", ErrorCode.INVALID_STATUS),
        ("refunded", ErrorCode.INVALID_INPUT),
    ]:
        with pytest.raises(TeikiError) as told:
            await pay(issued.gateway_id, notice)
        assert told.value.code is code
    assert (await gateway.get(issued.gateway_id)).deposit == "unpaid"
    await pay(issued.gateway_id)
    for notice in ("preliminary", "preliminary_canceled"):
        with pytest.raises(TeikiError):
            await pay(issued.gateway_id, notice)


async def test_a_till_that_is_not_there_says_so():
    gone = await start_sandbox(":memory:")
    assert await gone.stop() == 0
    with pytest.raises(TeikiError) as told:
        await sandbox_till.pay(gone.base_url, "kb_x")
    assert told.value.code is ErrorCode.GATEWAY_UNAVAILABLE


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"amount": Money(minor=119, currency="JPY")}, "konbini_amount_out_of_range"),
        ({"amount": Money(minor=300_001, currency="JPY")}, "konbini_amount_out_of_range"),
        ({"amount": Money(minor=1000, currency="USD")}, "currency_not_supported"),
        ({"store": "corner_shop"}, "store_not_supported"),
        ({"phone": "12"}, "invalid_customer"),
        ({"customer_name": " "}, "invalid_customer"),
    ],
)
async def test_a_slip_nobody_could_pay_is_refused_by_name(gateway, wrong, word):
    reference = new_order()
    refused = await issue(gateway, reference, **wrong)
    assert refused == Declined(code=DeclineCode.SLIP_REFUSED, gateway_code=word)
    assert await gateway.lookup(reference) == []


@pytest.mark.parametrize("minor", [120, 300_000])
async def test_the_limits_themselves_are_accepted_and_are_those_the_gateway_declares(gateway, minor):
    assert isinstance(await issue(gateway, amount=Money(minor=minor, currency="JPY")), Pending)
    declared = gateway.capabilities
    assert (declared.konbini_amount_min_minor, declared.konbini_amount_max_minor) == (120, 300_000)


async def test_neither_the_customers_name_nor_phone_is_shown_anywhere(sandbox, gateway, remote):
    reference = new_order()
    issued = await issue(gateway, reference, customer_name="Somebody Private", phone="080-1234-5678")
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        shown = await (await session.get(f"/konbini/{issued.gateway_id}")).text()
    everything = shown + str(await remote.ledger()) + str(await remote.requests(reference))
    assert "Private" not in everything
    assert "080-1234-5678" not in everything


async def test_slips_and_notices_survive_a_power_cut(tmp_path):
    database = str(tmp_path / "sandbox.db")
    first = await start_sandbox(database)
    gateway = SandboxGateway(first.base_url)
    issued = await issue(gateway)
    await sandbox_till.pay(first.base_url, issued.gateway_id, notice="preliminary")
    await gateway.close()
    await first.kill()
    second = await start_sandbox(database)
    gateway = SandboxGateway(second.base_url)
    assert await gateway.konbini_slip(issued.gateway_id) == issued.slip
    assert (await gateway.get(issued.gateway_id)).deposit == "preliminary"
    assert (await sandbox_till.pay(second.base_url, issued.gateway_id))["state"] == "settled"
    await gateway.close()
    assert await second.stop() == 0
