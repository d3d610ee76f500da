"""A chargeback is booked once, whoever tells of it how often; the books stay the gateway's (spec: customers.md §4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from activities.billing import BillingActivities
from db import attempts
from domain.errors import ErrorCode
from domain.identifiers import idempotency_key, refund_reference
from domain.money import Money
from gateways.port import GatewayUnavailable
from gateways.sandbox_client import SandboxGateway
from tests.activities.bank_desk import BankDesk
from tests.activities.conftest import later, refund_of
from tests.activities.order_desk import OrderDesk
from tests.db.house import unique


@pytest.fixture
def bank(db, gateway, remote, house, sandbox) -> BankDesk:
    return BankDesk(db, gateway, remote, house, url=sandbox.base_url)


@pytest.mark.parametrize("amount", [("JPY", 1000), ("USD", 1050), ("BHD", 12_345)])
async def test_a_chargeback_that_the_gateway_shows_is_booked_once(bank, amount):
    currency, minor = amount
    order = await bank.paid(Money(minor=minor, currency=currency))
    await bank.at_the_bank(order)
    first, second = await bank.same_twice(order, lambda: bank.take(order))
    assert (first.outcome, second.outcome) == ("booked", "known")
    assert first.amount == second.amount == Money(minor=minor, currency=currency)
    assert await bank.payment_state(order) == "chargeback"
    assert await bank.ledger_kinds(order) == [("charge", minor), ("chargeback", minor)]
    assert await bank.topics(order, "payment.chargeback") == ["payment.chargeback"]
    assert await bank.books_agree(order) == 0
    assert (await bank.kinds(order)).count("chargeback") == 1


async def test_told_and_entered_at_the_same_moment_it_is_booked_once(bank):
    order = await bank.paid()
    await bank.at_the_bank(order)
    outcomes = await asyncio.gather(
        *(bank.take(order, entered=entered) for entered in (True, False, True, False))
    )
    assert sorted(taken.outcome for taken in outcomes) == ["booked", "known", "known", "known"]
    assert await bank.ledger_kinds(order) == [("charge", 1000), ("chargeback", 1000)]
    assert await bank.topics(order, "payment.chargeback") == ["payment.chargeback"]


async def test_a_hint_with_nothing_behind_it_changes_nothing_until_the_book_shows_it(bank):
    order = await bank.paid()
    before = await bank.snapshot(order)
    assert (await bank.take(order)).outcome == "not_shown"
    await bank.at_the_bank(order, lag_seconds=0.3)
    assert (await bank.take(order)).outcome == "not_shown", "a notice may be faster than the book"
    assert await bank.snapshot(order) == before
    await asyncio.sleep(0.35)
    assert (await bank.take(order)).outcome == "booked"


async def test_an_operators_word_stands_and_the_ledger_follows_the_gateways_book(bank):
    order = await bank.paid()
    first, second = await bank.same_twice(order, lambda: bank.take(order, entered=True))
    assert (first.outcome, second.outcome) == ("entered", "known")
    assert await bank.payment_state(order) == "chargeback"
    assert await bank.books_agree(order) == 1000, "no money moved yet"
    assert await bank.ledger_kinds(order) == [("charge", 1000)]
    await bank.at_the_bank(order)
    first, second = await bank.same_twice(order, lambda: bank.take(order))
    assert (first.outcome, second.outcome) == ("booked", "known")
    assert await bank.books_agree(order) == 0
    assert await bank.topics(order, "payment.chargeback") == ["payment.chargeback"], "told once"
    assert (await bank.kinds(order)).count("chargeback") == 1


async def test_a_gateway_that_cannot_be_asked_is_asked_again_but_does_not_stop_an_operator(bank, house):
    order = await bank.paid()
    away = SandboxGateway("http://127.0.0.1:9", timeout=timedelta(seconds=1))
    bank.gateway = away
    with pytest.raises(GatewayUnavailable):
        await bank.take(order)
    assert (await bank.take(order, entered=True)).outcome == "entered"
    await away.close()


async def test_what_was_not_paid_or_went_back_cannot_be_charged_back(bank):
    unpaid = await bank.subscription({"decline": "insufficient_funds"})
    assert (await bank.charge(unpaid)).outcome == "declined"
    assert (await bank.take(unpaid, entered=True)).code == ErrorCode.INVALID_STATUS
    returned = await bank.paid()
    assert (await bank.refund(returned)).outcome == "settled"
    assert (await bank.take(returned, entered=True)).code == ErrorCode.INVALID_STATUS
    nobody = returned.model_copy(update={"subscription_id": unique("sub")})
    assert (await bank.take(nobody, entered=True)).code == ErrorCode.PAYMENT_NOT_FOUND
    assert await bank.payment_state(returned) == "refunded"


async def test_a_refund_that_comes_too_late_waits_for_a_person_and_the_books_are_right(bank):
    order = await bank.paid()
    await bank.remote.faults({"fault": "drop_before", "route": "refund", "times": 1})
    assert (await bank.refund(order)).outcome == "unknown"
    await bank.at_the_bank(order)
    assert (await bank.take(order)).outcome == "booked"
    again = refund_of(order, mode="resend", turn=1)
    assert (await bank.run(bank.billing.refund, again)).outcome == "attention"
    assert await bank.payment_state(order) == "chargeback"
    assert await bank.books_agree(order) == 0


async def begun_refund(bank, order):
    """A refund on its way, which the gateway carries out beside a chargeback: no sandbox does, others do."""
    reference = refund_reference(order.subscription_id, 1)
    key = idempotency_key("refund", reference)
    begun = await attempts.begin_refund(
        bank.db, key=key, reference=reference, object_id=order.subscription_id, number=1, at=later()
    )
    return begun.outcome, key


async def settled(bank, key):
    return await attempts.settle_refund(bank.db, key=key, gateway_id=unique("rf"), at=later())


async def test_what_the_bank_took_back_is_not_refunded_too(bank):
    assert (await begun_refund(bank, await bank.charged_back()))[0] == "nothing_left"


async def incidents(bank, order):
    rows = await bank.house.rows(
        "SELECT kind, facts FROM incidents WHERE subject_id = %s", order.subscription_id
    )
    return [(row["kind"], row["facts"]) for row in rows]


async def test_refunded_and_charged_back_is_an_incident_whichever_came_first(bank):
    both = {"charged_minor": 1000, "returned_minor": 2000}
    late_refund = await bank.paid()
    _, key = await begun_refund(bank, late_refund)
    await bank.at_the_bank(late_refund)
    assert (await bank.take(late_refund)).outcome == "booked"
    assert await settled(bank, key)
    assert await bank.payment_state(late_refund) == "chargeback", "it stays one"
    assert await incidents(bank, late_refund) == [("returned_twice", both)]
    assert not await settled(bank, key)
    late_chargeback = await bank.paid()
    await bank.at_the_bank(late_chargeback)
    assert await settled(bank, (await begun_refund(bank, late_chargeback))[1])
    assert (await bank.take(late_chargeback)).outcome == "booked"
    assert await bank.payment_state(late_chargeback) == "chargeback"
    assert await incidents(bank, late_chargeback) == [("returned_twice", both)]
    for order in (late_refund, late_chargeback):
        assert await bank.topics(order, "incident") == ["incident.opened"]


async def test_access_ends_by_setting_under_one_request_id(bank):
    order = await bank.charged_back()
    assert (await bank.end_access(order.subscription_id)).outcome == "suspended"
    assert (await bank.end_access(order.subscription_id)).outcome == "suspended"
    assert len(set(bank.commands.told)) == 1
    bank.policy, bank.commands.told = "leave", []
    assert (await bank.end_access(order.subscription_id)).outcome == "left"
    assert bank.commands.told == []


async def test_the_permission_of_an_order_is_revoked_by_its_workflow_or_directly_when_that_has_ended(
    bank, db, gateway, remote, house, sandbox
):
    shop = OrderDesk(db, gateway, remote, house, url=sandbox.base_url)
    state = await shop.placed("none")
    await shop.run(shop.orders.record, shop.completed(state))
    assert (await bank.end_access(state.id)).outcome == "revoked"
    permission = "SELECT status, reason FROM permissions WHERE order_id = %s"
    assert (await house.row(permission, state.id))["status"] == "active", "its workflow does it"
    bank.commands.running = False
    assert (await bank.end_access(state.id)).outcome == "revoked"
    assert await house.row(permission, state.id) == {"status": "revoked", "reason": "chargeback"}
    assert (await bank.end_access(state.id)).outcome == "ended", "once"
    told = "SELECT count(*)::int AS n FROM outbox WHERE subject_id = %s AND topic = 'permission.status'"
    revoked = await house.row(told + " AND payload->>'to' = 'revoked'", state.id)
    assert revoked["n"] == 1


def test_the_desk_uses_the_real_activities(bank):
    assert type(bank.billing) is BillingActivities
