"""An attempt is written before the call and resolved once, whatever runs twice or at the same time."""

import asyncio
from datetime import timedelta

import pytest

from db.attempts import (
    abandon_attempt,
    attempt_state,
    begin_attempt,
    decline_attempt,
    note_attempt,
    read_attempt,
    settle_attempt,
)
from domain.errors import ErrorCode, TeikiError
from tests.db.house import NOW, House, charge_key, transition

LATER = NOW + timedelta(seconds=3)


async def settle(house: House, order, number=1, attempt=1, **more):
    key = charge_key(order.subscription_id, number, attempt)
    given = {"gateway_id": f"ch_{key}", "at": LATER, "row": {}, "moves": []} | more
    return await settle_attempt(house.db, key=key, **given)


async def decline(house: House, order, number=1, attempt=1, code="insufficient_funds"):
    key = charge_key(order.subscription_id, number, attempt)
    return await decline_attempt(
        house.db, key=key, decline=code, gateway_code="51", gateway_id=None, at=LATER
    )


async def refusal(awaitable) -> TeikiError:
    with pytest.raises(TeikiError) as caught:
        await awaitable
    return caught.value


async def test_a_new_attempt_is_stored_as_sent_and_returns_the_token(house: House):
    order = await house.subscription()
    begun = await house.begin(order)
    assert (begun.outcome, begun.state, begun.payment_state) == ("new", "sent", "collecting")
    assert begun.token == f"tok_{order.spec.payment_method_id}"
    assert begun.token not in repr(begun)
    stored = await house.row("SELECT * FROM payments WHERE subscription_id = %s", order.subscription_id)
    assert stored["state"] == "collecting"
    assert stored["due_at"] == order.terms.calendar.due(0)
    assert (stored["amount_minor"], stored["currency"]) == (1000, "JPY")


async def test_beginning_twice_changes_nothing_and_says_ask(house: House):
    order = await house.subscription()
    await house.begin(order)
    before = await house.everything(order.subscription_id)
    again = await house.begin(order, at=LATER)
    assert (again.outcome, again.state, again.sent_at) == ("existing", "sent", NOW)
    assert again.token == f"tok_{order.spec.payment_method_id}"
    assert await house.everything(order.subscription_id) == before


async def test_a_second_attempt_waits_for_the_outcome_of_the_first(house: House):
    order = await house.subscription()
    await house.begin(order)
    for state in ("unsent", "unknown", "pending", "attention"):
        await note_attempt(house.db, key=charge_key(order.subscription_id, 1, 1), state=state)
        error = await refusal(house.begin(order, attempt=2))
        assert error.code is ErrorCode.LIVE_ATTEMPT_EXISTS
        assert error.facts["live_key"] == charge_key(order.subscription_id, 1, 1)


async def test_after_a_decline_the_next_attempt_may_go_and_the_payment_keeps_its_amount(house: House):
    order = await house.subscription()
    await house.begin(order)
    assert await decline(house, order)
    assert (await house.begin(order, attempt=2, amount_minor=900)).outcome == "new"
    payment = await house.row("SELECT * FROM payments WHERE subscription_id = %s", order.subscription_id)
    assert payment["amount_minor"] == 1000


async def test_a_settled_payment_is_never_attempted_again(house: House):
    order = await house.subscription()
    await house.settled(order)
    assert (await refusal(house.begin(order, attempt=2))).code is ErrorCode.LIVE_ATTEMPT_EXISTS


async def test_of_two_attempts_begun_at_once_exactly_one_wins(house: House):
    order = await house.subscription()
    for number in range(1, 9):
        results = await asyncio.gather(
            *(house.begin(order, number, attempt) for attempt in range(1, 5)), return_exceptions=True
        )
        winners = [result for result in results if not isinstance(result, BaseException)]
        losers = [result for result in results if isinstance(result, BaseException)]
        assert [winner.outcome for winner in winners] == ["new"]
        assert {error.code for error in losers} == {ErrorCode.LIVE_ATTEMPT_EXISTS}


async def test_the_same_attempt_begun_by_many_at_once_is_new_for_exactly_one(house: House):
    order = await house.subscription()
    for number in range(1, 9):
        begun = await asyncio.gather(*(house.begin(order, number) for _ in range(6)))
        assert sorted(b.outcome for b in begun) == ["existing"] * 5 + ["new"]


async def test_an_unsent_attempt_is_sent_again_only_when_asked(house: House):
    order = await house.subscription()
    key = charge_key(order.subscription_id, 1, 1)
    await house.begin(order)
    assert await note_attempt(house.db, key=key, state="unsent", hint="429")
    assert (await house.begin(order)).outcome == "existing"
    assert (await house.begin(order)).state == "unsent"
    again = await house.begin(order, at=LATER, resend_unsent=True)
    assert (again.outcome, again.state, again.sent_at) == ("new", "sent", LATER)
    assert await attempt_state(house.db, key) == "sent"
    # `sent` may have arrived: asking to send again is not enough.
    assert (await house.begin(order, resend_unsent=True)).outcome == "existing"


@pytest.mark.parametrize("kind", ["customer", "payment_method"])
async def test_nothing_begins_for_the_blocked(house: House, kind):
    order = await house.subscription()
    blocked_id = order.spec.customer_id if kind == "customer" else order.spec.payment_method_id
    await house.begin(order)
    await note_attempt(house.db, key=charge_key(order.subscription_id, 1, 1), state="unsent")
    assert (await house.block(order.spec.customer_id, blocked_id)).changed == [blocked_id]
    before = await house.everything(order.subscription_id)

    fresh = await house.begin(order, number=2)
    assert (fresh.outcome, fresh.state, fresh.decline) == ("blocked", None, f"{kind}_blocked")
    resend = await house.begin(order, resend_unsent=True)
    assert (resend.outcome, resend.state) == ("blocked", "unsent")
    assert (await house.begin(order)).outcome == "existing"
    assert await house.everything(order.subscription_id) == before

    await house.block(order.spec.customer_id, blocked_id, do="unblock")
    assert (await house.begin(order, number=2)).outcome == "new"


async def test_a_block_that_is_being_written_holds_the_charge_back_until_it_is_decided(house: House):
    order = await house.subscription()
    async with house.db.transaction() as cursor:
        await cursor.execute(
            "UPDATE customers SET blocked_at = now() WHERE id = %s", (order.spec.customer_id,)
        )
        waiting = asyncio.create_task(house.begin(order))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).outcome == "blocked"


async def test_an_unknown_subscription_is_refused_by_name(house: House):
    order = await house.subscription()
    ghost = order.model_copy(update={"subscription_id": "sub_ghost"})
    assert (await refusal(house.begin(ghost))).code is ErrorCode.SUBSCRIPTION_NOT_FOUND


async def test_settling_moves_everything_at_once(house: House):
    order = await house.subscription()
    await house.begin(order)
    row = {
        "status": "current",
        "reason": "first_payment_succeeded",
        "next_kind": "payment",
        "next_at": "2026-02-28T22:00:00Z",
        "charges": 1,
        "charged_minor": 1000,
    }
    moves = [
        transition("unverified", "current", "first_payment_succeeded"),
        transition("current", "completed"),
    ]
    assert await settle(house, order, row=row, moves=moves)

    stored = await house.everything(order.subscription_id)
    (subscription,), (payment,), (attempt,) = stored["subscription"], stored["payments"], stored["attempts"]
    assert {name: subscription[name] for name in ("status", "charges", "charged_minor")} == {
        "status": "current",
        "charges": 1,
        "charged_minor": 1000,
    }
    assert subscription["next_at"].isoformat() == "2026-02-28T22:00:00+00:00"
    assert subscription["amount_minor"] == 1000
    assert (payment["state"], payment["settled_at"]) == ("settled", LATER)
    assert (attempt["state"], attempt["resolved_at"], attempt["needs_verification"]) == (
        "settled",
        LATER,
        False,
    )
    (transfer,) = stored["ledger"]
    assert (transfer["debit_account"], transfer["credit_account"]) == ("gateway_receivable", "revenue")
    assert (transfer["amount_minor"], transfer["currency"], transfer["kind"]) == (1000, "JPY", "charge")
    events = stored["history"][2:]  # after the creation's two
    assert [event["kind"] for event in events] == ["payment", "status", "status"]
    assert events[0]["data"]["outcome"] == "succeeded"
    assert events[1]["data"] == {"from": "unverified", "to": "current", "reason": "first_payment_succeeded"}
    assert {(event["actor"], event["number"]) for event in events} == {("system", 1)}
    topics = [notice["topic"] for notice in stored["outbox"]]
    assert topics[-3:] == ["payment.settled", "subscription.status", "subscription.status"]


async def test_settling_twice_changes_nothing(house: House):
    order = await house.subscription()
    await house.settled(order)
    before = await house.everything(order.subscription_id)
    assert not await settle(house, order, row={"charges": 9}, moves=[transition("unverified", "current")])
    assert await house.everything(order.subscription_id) == before


async def test_of_many_that_settle_at_once_one_does(house: House):
    order = await house.subscription()
    await house.begin(order)
    done = await asyncio.gather(*(settle(house, order) for _ in range(6)))
    assert sorted(done) == [False] * 5 + [True]
    assert len((await house.everything(order.subscription_id))["ledger"]) == 1


async def test_columns_that_can_be_emptied_are_emptied_and_others_kept(house: House):
    order = await house.subscription()
    await house.settled(order, 1, row={"cancel_at": "2026-05-01T00:00:00+09:00", "next_amount_minor": 5})
    await house.settled(order, 2, row={"cancel_at": None, "next_amount_minor": None, "failing": True})
    row = await house.row("SELECT * FROM subscriptions WHERE id = %s", order.subscription_id)
    assert (row["cancel_at"], row["next_amount_minor"], row["failing"]) == (None, None, True)
    assert row["next_at"] == order.row.next_at


async def test_a_column_that_is_not_the_rows_is_refused(house: House):
    order = await house.subscription()
    await house.begin(order)
    error = await refusal(settle(house, order, row={"customer_id": "cus_other"}))
    assert error.facts["columns"] == ["customer_id"]
    assert await attempt_state(house.db, charge_key(order.subscription_id, 1, 1)) == "sent"


@pytest.mark.parametrize(("noted", "failed", "verify"), [(None, True, True), ("unknown", False, True)])
async def test_a_doubtful_settlement_is_marked_for_verification(house: House, noted, failed, verify):
    order = await house.subscription()
    key = charge_key(order.subscription_id, 1, 1)
    await house.begin(order)
    if noted:
        await note_attempt(house.db, key=key, state=noted, hint="timeout")
    await settle(house, order, idempotency_check_failed=failed)
    attempt = await read_attempt(house.db, key)
    assert attempt is not None
    assert (attempt.needs_verification, attempt.idempotency_check_failed) == (verify, failed)


async def test_money_for_a_declined_or_unknown_attempt_is_an_error_not_a_booking(house: House):
    order = await house.subscription()
    assert (await refusal(settle(house, order))).code is ErrorCode.PAYMENT_NOT_FOUND
    await house.begin(order)
    await decline(house, order)
    error = await refusal(settle(house, order))
    assert (error.code, error.facts["status"]) == (ErrorCode.INVALID_STATUS, "declined")
    assert (await house.everything(order.subscription_id))["ledger"] == []


async def test_a_decline_is_recorded_once_and_the_payment_goes_on_being_collected(house: House):
    order = await house.subscription()
    await house.begin(order)
    assert await decline(house, order)
    stored = await house.everything(order.subscription_id)
    assert stored["payments"][0]["state"] == "collecting"
    assert stored["history"][-1]["data"]["decline"] == "insufficient_funds"
    assert stored["history"][-1]["data"]["outcome"] == "failed"
    assert stored["outbox"][-1]["topic"] == "payment.failed"
    assert not await decline(house, order)
    assert await house.everything(order.subscription_id) == stored
    await house.begin(order, attempt=2)
    await settle(house, order, attempt=2)
    assert (await refusal(decline(house, order, attempt=2))).facts["status"] == "settled"


async def test_the_decline_of_an_ended_subscription_fails_its_payment(house: House):
    order = await house.subscription()
    await house.begin(order)
    await house.settled(order, 2, row={"status": "canceled"})
    await decline(house, order)
    payments = (await house.everything(order.subscription_id))["payments"]
    assert [payment["state"] for payment in payments] == ["failed", "settled"]


async def test_what_is_noted_never_undoes_an_outcome_and_unknown_never_becomes_unsent(house: House):
    order = await house.subscription()
    key = charge_key(order.subscription_id, 1, 1)
    await house.begin(order)
    assert await note_attempt(house.db, key=key, state="unknown", hint="timeout")
    assert await note_attempt(house.db, key=key, state="unknown", hint="timeout")
    assert not await note_attempt(house.db, key=key, state="unsent", hint="429")
    assert await note_attempt(house.db, key=key, state="pending", gateway_id="ch_1")
    attempt = await read_attempt(house.db, key)
    assert attempt is not None
    assert (attempt.state, attempt.gateway_id, attempt.hint) == ("pending", "ch_1", "timeout")
    await settle(house, order)
    assert not await note_attempt(house.db, key=key, state="unknown")
    assert await attempt_state(house.db, key) == "settled"
    assert await attempt_state(house.db, "no such key") is None


async def test_an_abandoned_attempt_makes_room_and_is_explained(house: House):
    order = await house.subscription()
    key = charge_key(order.subscription_id, 1, 1)
    await house.begin(order)
    with pytest.raises(TeikiError) as refused:
        await abandon_attempt(house.db, key=key, at=LATER, decline="customer_blocked")
    assert refused.value.code is ErrorCode.INVALID_STATUS, "it may be on its way"
    await note_attempt(house.db, key=key, state="unsent")
    assert await abandon_attempt(house.db, key=key, at=LATER, decline="customer_blocked")
    assert not await abandon_attempt(house.db, key=key, at=LATER, decline="customer_blocked")
    event = (await house.everything(order.subscription_id))["history"][-1]
    assert event["data"] == {"attempt": 1, "outcome": "abandoned", "decline": "customer_blocked"}
    assert (await house.begin(order, attempt=2)).outcome == "new"


async def test_a_new_card_pays_the_next_attempt_but_not_the_one_already_sent(house: House):
    order = await house.subscription()
    new_card = await house.card(order.spec.customer_id)
    await house.begin(order)
    await house.rows(
        "UPDATE subscriptions SET payment_method_id = %s WHERE id = %s RETURNING id",
        new_card,
        order.subscription_id,
    )
    assert (await house.begin(order)).token == f"tok_{order.spec.payment_method_id}"
    await decline(house, order)
    assert (await house.begin(order, attempt=2)).token == f"tok_{new_card}"


async def test_a_lost_database_is_an_error_with_a_code_and_the_pool_recovers(house: House):
    order = await house.subscription()
    async with house.db.connection() as doomed:
        pid = doomed.info.backend_pid
        await house.rows("SELECT pg_terminate_backend(%s)", pid)
        error = await refusal(_use(house, doomed))
    assert error.code is ErrorCode.DATABASE_UNAVAILABLE
    assert (await house.begin(order)).outcome == "new"


async def _use(house: House, doomed):
    # Through a nested lending, as a caller would meet it.
    async with house.db.connection():
        await doomed.execute("SELECT 1")


def test_begin_attempt_takes_keywords_only():
    with pytest.raises(TypeError):
        begin_attempt(None, "key")  # type: ignore[misc, arg-type]
