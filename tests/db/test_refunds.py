"""A refund returns exactly what was settled, once."""

import asyncio
from datetime import timedelta

import pytest

from db.attempts import begin_refund, decline_refund, note_attempt, settle_refund
from db.reads.ledger import account_balances, settled_totals
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import refund_reference
from tests.db.house import NOW, House, refund_key

LATER = NOW + timedelta(hours=1)


async def begin(house: House, order, number=1, **more):
    return await begin_refund(
        house.db,
        key=refund_key(order.subscription_id, number),
        reference=refund_reference(order.subscription_id, number),
        object_id=order.subscription_id,
        number=number,
        at=LATER,
        **more,
    )


async def settle(house: House, order, number=1):
    key = refund_key(order.subscription_id, number)
    return await settle_refund(
        house.db, key=key, gateway_id=f"re_{key}", at=LATER, reason="canceled_meanwhile"
    )


async def test_a_refund_knows_its_charge_and_its_amount(house: House):
    order = await house.subscription()
    key = await house.settled(order)
    begun = await begin(house, order)
    assert (begun.outcome, begun.charge_id) == ("new", f"ch_{key}")
    assert (begun.amount_minor, begun.currency) == (1000, "JPY")
    again = await begin(house, order)
    assert (again.outcome, again.state, again.charge_id) == ("existing", "sent", f"ch_{key}")


async def test_nothing_is_refunded_that_was_not_settled(house: House):
    order = await house.subscription()
    await house.begin(order)
    with pytest.raises(TeikiError) as caught:
        await begin(house, order)
    assert caught.value.code is ErrorCode.PAYMENT_NOT_FOUND


async def test_a_settled_refund_moves_everything_once(house: House):
    order = await house.subscription()
    await house.settled(order)
    await begin(house, order)
    assert await settle(house, order)
    stored = await house.everything(order.subscription_id)
    assert stored["payments"][0]["state"] == "refunded"
    transfer = stored["ledger"][-1]
    assert (transfer["debit_account"], transfer["credit_account"]) == ("refunds", "gateway_receivable")
    assert (stored["history"][-1]["kind"], stored["history"][-1]["data"]["reason"]) == (
        "refund",
        "canceled_meanwhile",
    )
    assert stored["outbox"][-1]["topic"] == "payment.refunded"
    assert not await settle(house, order)
    assert await house.everything(order.subscription_id) == stored
    assert (await begin(house, order)).state == "settled"


async def test_of_many_refunds_begun_at_once_one_is_new(house: House):
    order = await house.subscription()
    await house.settled(order)
    begun = await asyncio.gather(*(begin(house, order) for _ in range(6)))
    assert sorted(b.outcome for b in begun) == ["existing"] * 5 + ["new"]


async def test_an_unsent_refund_is_sent_again_and_a_declined_one_stays_declined(house: House):
    order = await house.subscription()
    await house.settled(order)
    key = refund_key(order.subscription_id, 1)
    await begin(house, order)
    await note_attempt(house.db, key=key, state="unsent", hint="429")
    assert (await begin(house, order)).state == "unsent"
    assert (await begin(house, order, resend_unsent=True)).outcome == "new"
    assert await decline_refund(house.db, key=key, decline="card_declined", at=LATER)
    assert not await decline_refund(house.db, key=key, decline="card_declined", at=LATER)
    assert (await begin(house, order, resend_unsent=True)).state == "declined"
    stored = await house.everything(order.subscription_id)
    assert stored["payments"][0]["state"] == "settled"
    assert stored["outbox"][-1]["topic"] == "refund.failed"


async def test_the_ledger_adds_up_per_currency(fresh_db):
    house = House(fresh_db)
    tenant = await house.tenant()
    yen = await house.subscription(tenant)
    dollars = await house.subscription(tenant, amount={"minor": 250, "currency": "USD"})
    for number in (1, 2, 3):
        await house.settled(yen, number)
    await house.settled(dollars)
    await begin(house, yen, 2)
    await settle(house, yen, 2)
    assert await settled_totals(fresh_db) == {"JPY": 2000, "USD": 250}
    assert await settled_totals(fresh_db, object_id=dollars.subscription_id) == {"USD": 250}
    balances = await account_balances(fresh_db)
    assert balances == {
        "gateway_receivable": {"JPY": 2000, "USD": 250},
        "revenue": {"JPY": -3000, "USD": -250},
        "refunds": {"JPY": 1000},
    }
