"""A customer's bank takes money back: the sandbox's book, its look-ups and what it tells."""

from __future__ import annotations

import itertools
from uuid import uuid4

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from gateways.port import Settled
from gateways.sandbox_bank import charge_back
from tests.gateways.deposits import issue
from tests.gateways.receiver import SECRET

_numbers = itertools.count(1)


async def charged(gateway, minor=1000, currency="JPY"):
    reference = f"sub_{uuid4().hex[:12]}/1/1"
    amount = Money(minor=minor, currency=currency)
    outcome = await gateway.charge(
        token="tok_ok", amount=amount, reference=reference, idempotency_key=uuid4().hex
    )
    assert isinstance(outcome, Settled)
    return outcome.gateway_id, reference


async def refund(gateway, charge_id, minor, currency="JPY"):
    return await gateway.refund(
        charge_id=charge_id,
        amount=Money(minor=minor, currency=currency),
        reference=f"refund-{next(_numbers)}-{uuid4().hex[:8]}",
        idempotency_key=uuid4().hex,
    )


@pytest.mark.parametrize(("minor", "currency"), [(1000, "JPY"), (1050, "USD"), (12_345, "BHD")])
async def test_a_chargeback_takes_the_whole_charge_and_the_book_balances(
    gateway, sandbox, remote, minor, currency
):
    charge_id, reference = await charged(gateway, minor, currency)
    before = await remote.ledger()
    made = await charge_back(sandbox.base_url, charge_id)
    after = await remote.ledger()
    assert after["balanced"]
    assert after["net"][currency] == before["net"][currency] - minor
    shown = await gateway.chargeback_of(charge_id)
    assert (shown.gateway_id, shown.kind, shown.state) == (made["id"], "chargeback", "settled")
    assert (shown.charge_id, shown.amount.minor) == (charge_id, minor)
    assert shown.reference == f"{reference}/chargeback"
    assert [entry.kind for entry in await gateway.lookup(reference)] == ["charge"]


async def test_it_happens_once_however_often_it_is_asked_for(gateway, sandbox, remote):
    charge_id, _ = await charged(gateway)
    made = [await charge_back(sandbox.base_url, charge_id) for _ in range(3)]
    assert len({one["id"] for one in made}) == 1
    assert (await remote.ledger())["balanced"]


async def test_only_what_was_not_returned_can_be_charged_back_and_nothing_can_be_returned_after_it(
    gateway, sandbox, remote
):
    charge_id, _ = await charged(gateway)
    assert isinstance(await refund(gateway, charge_id, 300), Settled)
    made = await charge_back(sandbox.base_url, charge_id)
    assert made["amount"]["minor"] == 700
    refused = await refund(gateway, charge_id, 1)
    assert (refused.kind, refused.gateway_code) == ("declined", "refund_exceeds_charge")
    assert (await remote.ledger())["balanced"]


async def test_what_cannot_be_charged_back_is_refused(gateway, sandbox):
    charge_id, _ = await charged(gateway)
    await refund(gateway, charge_id, 1000)
    slip = await issue(gateway)
    for name, code in (
        (charge_id, ErrorCode.INVALID_STATUS),
        (slip.gateway_id, ErrorCode.INVALID_STATUS),
        ("ch_nobody", ErrorCode.PAYMENT_NOT_FOUND),
    ):
        with pytest.raises(TeikiError) as refused:
            await charge_back(sandbox.base_url, name)
        assert refused.value.code is code
    assert await gateway.chargeback_of(charge_id) is None
    assert await gateway.chargeback_of("ch_nobody") is None


async def test_one_event_tells_of_it_also_before_look_ups_see_it(gateway, sandbox, remote, receiver):
    charge_id, reference = await charged(gateway)
    await remote.webhooks(receiver.url, SECRET)
    made = await charge_back(sandbox.base_url, charge_id, lag_seconds=600)
    [event] = await receiver.has(1)
    assert event["type"] == "chargeback.settled"
    assert (event["data"]["id"], event["data"]["reference"]) == (made["id"], f"{reference}/chargeback")
    assert await gateway.chargeback_of(charge_id) is None
    assert await gateway.get(made["id"]) is None


async def test_a_form_with_an_amount_says_what_is_paid(gateway, sandbox):
    import aiohttp  # noqa: PLC0415 - a browser, for this test only

    amount = Money(minor=12_345, currency="BHD")
    form = await gateway.open_card_form(
        reference="rep_1", return_url="http://127.0.0.1:1/back", amount=amount
    )
    async with aiohttp.ClientSession() as browser, browser.get(form.url) as page:
        text = await page.text()
    assert f"Pay {amount}" in text
    assert "12.345" in text
