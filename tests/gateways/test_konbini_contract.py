"""What every payment adapter that can do Konbini must do, whoever is behind it (spec: charging.md §1, orders.md §4)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from domain.declines import DeclineCode
from domain.free_text import holds_card_number
from domain.money import Money
from gateways.port import Declined, Pending, Settled
from tests.gateways.deposits import DEADLINE, STORES, YEN_1000, issue, new_order, remit, void


@pytest.fixture
def gateway(candidate):
    if not candidate.gateway.capabilities.konbini:
        pytest.skip("this gateway does no Konbini")
    return candidate.gateway


@pytest.mark.parametrize("store", STORES)
async def test_an_issued_slip_is_a_pending_charge_with_numbers_for_its_store(gateway, store):
    reference = new_order()
    issued = await issue(gateway, reference, store=store)
    assert isinstance(issued, Pending)
    assert not issued.preliminary
    assert (issued.slip.gateway_id, issued.slip.store) == (issued.gateway_id, store)
    assert (issued.slip.amount, issued.slip.deadline_at) == (YEN_1000, DEADLINE)
    assert not holds_card_number(f"{issued.slip.payment_number} {issued.slip.confirmation_number}")
    assert await gateway.konbini_slip(issued.gateway_id) == issued.slip
    (found,) = await gateway.lookup(reference)
    assert (found.gateway_id, found.kind, found.deposit) == (issued.gateway_id, "charge", "unpaid")
    assert found.outcome() == Pending(gateway_id=issued.gateway_id)


async def test_the_same_key_issues_one_slip_and_gives_the_same_answer(gateway):
    reference, key = new_order(), uuid4().hex
    first = await issue(gateway, reference, key=key)
    assert await issue(gateway, reference, key=key) == first
    assert len(await gateway.lookup(reference)) == 1


@pytest.mark.parametrize("amount", [Money(minor=1000, currency="USD"), "below", "above"])
async def test_what_no_till_takes_is_a_definite_no(gateway, amount):
    declared = gateway.capabilities
    minor = {"below": declared.konbini_amount_min_minor - 1, "above": declared.konbini_amount_max_minor + 1}
    wanted = amount if isinstance(amount, Money) else Money(minor=minor[amount], currency="JPY")
    assert isinstance(await issue(gateway, amount=wanted), Declined)


async def test_a_paid_slip_is_settled_and_voiding_it_is_too_late(gateway, candidate):
    issued = await issue(gateway)
    await candidate.till(issued.gateway_id)
    settled = Settled(gateway_id=issued.gateway_id, amount=YEN_1000)
    assert (await gateway.get(issued.gateway_id)).outcome() == settled
    assert await void(gateway, issued.gateway_id) == settled


async def test_a_preliminary_notice_is_pending_until_the_money_is_confirmed(gateway, candidate):
    issued = await issue(gateway)
    seen = []
    for notice in ("preliminary", "preliminary_canceled", "preliminary", "confirmed"):
        await candidate.till(issued.gateway_id, notice)
        record = await gateway.get(issued.gateway_id)
        seen.append((record.state, record.deposit))
    assert seen == [
        ("pending", "preliminary"),
        ("pending", "unpaid"),
        ("pending", "preliminary"),
        ("settled", None),
    ]


@pytest.mark.parametrize("before", [(), ("preliminary",)])
async def test_a_voided_slip_never_settles_and_what_is_paid_on_it_is_another_charge(
    gateway, candidate, before
):
    reference = new_order()
    issued = await issue(gateway, reference)
    for notice in before:
        await candidate.till(issued.gateway_id, notice)
    for _ in range(2):
        voided = await void(gateway, issued.gateway_id)
        assert isinstance(voided, Declined)
        assert voided.code is DeclineCode.PENDING_EXPIRED
    await candidate.till(issued.gateway_id)
    voided, late = await gateway.lookup(reference)
    assert (voided.gateway_id, voided.state) == (issued.gateway_id, "voided")
    assert (late.kind, late.state, late.amount) == ("charge", "settled", YEN_1000)


async def test_a_slip_paid_twice_is_two_settled_charges_under_one_reference(gateway, candidate):
    reference = new_order()
    issued = await issue(gateway, reference)
    for _ in range(2):
        await candidate.till(issued.gateway_id)
    found = await gateway.lookup(reference)
    assert [record.state for record in found] == ["settled", "settled"]
    assert len({record.gateway_id for record in found}) == 2


async def test_a_deposit_goes_back_whole_or_not_at_all_and_never_twice(gateway, candidate):
    if gateway.capabilities.konbini_refund == "none":
        pytest.skip("this gateway returns no deposits")
    issued = await issue(gateway)
    await candidate.till(issued.gateway_id)
    partial = await remit(gateway, issued.gateway_id, minor=400)
    assert isinstance(partial, Declined)
    assert partial.code is DeclineCode.PARTIAL_REFUND_NOT_SUPPORTED
    key, reference = uuid4().hex, f"refund_{uuid4().hex}"
    first = await remit(gateway, issued.gateway_id, key=key, reference=reference)
    assert isinstance(first, Settled | Pending)
    assert await remit(gateway, issued.gateway_id, key=key, reference=reference) == first
    assert isinstance(await remit(gateway, issued.gateway_id), Declined)
    (record,) = await gateway.lookup(reference)
    fee = gateway.capabilities.remittance_fee
    assert record.fee_minor == (fee.minor if fee else 0)


async def test_nobody_finds_the_slip_of_a_charge_that_has_none(gateway, candidate):
    charged = await gateway.charge(
        token=await candidate.script(), amount=YEN_1000, reference=new_order(), idempotency_key=uuid4().hex
    )
    assert await gateway.konbini_slip(charged.gateway_id) is None
    assert await gateway.konbini_slip("kb_nobody") is None
