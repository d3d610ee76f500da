"""`billing.verify` and the return of twins, run twice: one payment costs its customer one charge (charging.md §2.5)."""

from __future__ import annotations

import pytest

from activities.contracts.billing import Twin, Verdict
from db.reads.ledger import account_balances
from domain.declines import DeclineCode
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import charge_reference
from domain.money import Money
from domain.unresolved import Mode

pytestmark = pytest.mark.xdist_group("activities")

PRICE = Money(minor=1000, currency="JPY")


async def charge_again(desk, order, *, attempt: int = 1, amount: Money = PRICE, kind: str = "settled") -> str:
    """What a request comes to that everybody had given up, at a gateway that forgot its key."""
    token = await desk.house.row(
        "SELECT token FROM payment_methods WHERE id = %s", order.spec.payment_method_id
    )
    twin = await desk.gateway.charge(
        token=token["token"],
        amount=amount,
        reference=charge_reference(order.subscription_id, 1, attempt),
        idempotency_key=f"late-{order.subscription_id}",
    )
    assert twin.kind == kind
    return str(twin.gateway_id)


async def charged_twice(desk, then: str = "approve", kind: str = "settled"):
    """Settled in our books after a doubt, and charged once more at the gateway."""
    order = await desk.subscription("approve", then)
    assert (await desk.charge(order)).outcome == "settled"
    return order, await charge_again(desk, order, kind=kind)


async def state_of(desk, gateway_id) -> str:
    return str((await desk.gateway.get(gateway_id)).state)


async def incidents(desk, order):
    sql = "SELECT kind, gateway_id, amount_minor, closed_at FROM incidents WHERE subject_id = %s"
    return await desk.house.rows(sql, order.subscription_id)


# ---------------------------------------------------------------------- which attempts are looked at again


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "malformed", "wrong_amount_echoed"])
async def test_an_ambiguous_answer_before_it_settled_is_looked_at_again_after_the_horizon(desk, fault):
    order = await desk.subscription("approve")
    await desk.remote.faults({"fault": fault, "reference_prefix": order.subscription_id})
    settled = await desk.charge_twice(order)
    assert (settled.outcome, settled.verify_in_s) == ("settled", 660)
    assert (await desk.attempt(order))["needs_verification"]


async def test_a_failed_idempotency_check_is_looked_at_again(desk):
    await desk.remote.idempotency("best_effort:1")
    order = await desk.subscription("approve")
    assert (await desk.charge_twice(order)).verify_in_s == 660


@pytest.mark.parametrize("token", [{"decline": "insufficient_funds"}, "pending_then_approved"])
async def test_a_failed_idempotency_check_of_what_is_not_settled_yet_is_not_forgotten(desk, token):
    await desk.remote.idempotency("best_effort:1")
    order = await desk.subscription(token)
    await desk.charge(order)
    await desk.charge(order, Mode.ASK, turn=1)
    concluded = await desk.charge_twice(order, Mode.ASK, turn=2)
    assert (concluded.outcome in ("settled", "declined"), concluded.verify_in_s) == (True, 660)
    assert (await desk.attempt(order))["needs_verification"]


async def test_a_plain_success_is_not_looked_at_again(desk):
    order = await desk.subscription("approve")
    assert (await desk.charge_twice(order)).verify_in_s is None
    assert not (await desk.attempt(order))["needs_verification"]


async def test_what_is_given_up_as_never_arrived_is_looked_at_again(desk):
    order = await desk.subscription("timeout")
    await desk.charge(order)
    given_up = await desk.charge_twice(order, Mode.GIVE_UP, turn=1)
    assert (given_up.decline, given_up.verify_in_s) == (DeclineCode.NEVER_ARRIVED, 660)


async def test_a_charge_whose_answer_was_lost_is_never_sent_again_when_it_can_be_found(desk):
    """The answer was lost and could not be looked up; another request would be declined."""
    order = await desk.subscription("approve", {"decline": "insufficient_funds"})
    of_ours = {"reference_prefix": order.subscription_id}
    await desk.remote.faults(
        {"fault": "drop_after", "times": 1} | of_ours,
        {"fault": "error_before", "route": "lookup", "times": 1} | of_ours,
    )
    await desk.remote.idempotency("off")
    assert (await desk.charge(order)).outcome == "unknown"
    await desk.remote.faults({"fault": "error_before", "route": "lookup", "times": 1} | of_ours)
    # The look-up before sending fails once, so that the second request really goes out.
    assert (await desk.charge(order, Mode.RESEND, turn=1)).outcome == "unknown"
    assert (await desk.charge_twice(order, Mode.RESEND, turn=2)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_no_to_a_resend_that_hides_a_yes_is_found_out_in_the_same_run(desk):
    order = await desk.subscription("approve")
    of_ours = {"reference_prefix": order.subscription_id}
    await desk.remote.faults(
        {"fault": "drop_after"} | of_ours, {"fault": "lookup_lag", "seconds": 1.0} | of_ours
    )
    await desk.remote.idempotency("off")
    assert (await desk.charge(order)).outcome == "unknown"
    # The resend's own look-up sees nothing yet; the gateway says no a second later; then the first one shows.
    await desk.remote.faults(
        {"fault": "decline:insufficient_funds"} | of_ours, {"fault": "slow", "seconds": 1.2} | of_ours
    )
    resent = await desk.charge(order, Mode.RESEND, turn=1)
    assert (resent.outcome, resent.verify_in_s) == ("settled", 660)
    assert await desk.sent(order) == ["charge", "charge"]
    assert await desk.settled(order) == (1000, 1000)


# ---------------------------------------------------------------------- the second look


async def test_a_clean_book_ends_the_doubt(desk):
    order = await desk.subscription("approve")
    await desk.remote.faults({"fault": "drop_after", "reference_prefix": order.subscription_id})
    await desk.charge(order)
    await desk.remote.faults()
    found = await desk.verify_twice(order)
    assert (found.is_clear, found.twins) == (True, [])
    row = await desk.attempt(order)
    assert not row["needs_verification"]
    assert row["verified_at"] is not None
    assert await incidents(desk, order) == []


async def test_a_second_charge_is_booked_shown_and_told_once(desk):
    order, twin = await charged_twice(desk)
    before = await account_balances(desk.db)
    found = await desk.verify_twice(order)
    assert found.twins == [Twin(gateway_id=twin, amount_minor=1000)]
    assert await desk.settled(order) == (2000, 2000), "until it is back, our books say what is true"
    after = await account_balances(desk.db)
    assert after["customer"]["JPY"] - before.get("customer", {}).get("JPY", 0) == -1000, "we owe it to them"
    shown = await incidents(desk, order)
    assert [(i["kind"], i["gateway_id"], i["amount_minor"]) for i in shown] == [("double_charge", twin, 1000)]
    topics = await desk.house.rows("SELECT topic FROM outbox WHERE subject_id = %s", order.subscription_id)
    assert [row["topic"] for row in topics].count("incident.opened") == 1
    assert (await desk.kinds(order))[-1] == "incident"


async def test_the_second_charge_goes_back_once_and_the_books_agree(desk):
    order, twin = await charged_twice(desk)
    await desk.verify_twice(order)
    assert (await desk.refund_twice(order, returns=twin)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)
    ours = await desk.house.row(
        "SELECT sum(CASE debit_account WHEN 'customer' THEN l.amount_minor ELSE -l.amount_minor END)::int AS owed"
        " FROM ledger l JOIN attempts a ON a.key = l.attempt_key"
        " WHERE a.object_id = %s AND 'customer' IN (debit_account, credit_account)",
        order.subscription_id,
    )
    assert ours["owed"] == 0, "booked once and given back once"
    again = await desk.verify_twice(order)
    assert [t.gateway_id for t in again.twins] == [twin]
    assert (await desk.refund_twice(order, returns=twin)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)
    payment = await desk.house.row(
        "SELECT state FROM payments WHERE subscription_id = %s", order.subscription_id
    )
    assert payment["state"] == "settled", "the payment itself stays paid"


async def test_a_lost_answer_to_the_return_does_not_send_it_twice(desk):
    order, twin = await charged_twice(desk)
    await desk.verify_twice(order)
    of_ours = {"reference_prefix": order.subscription_id}
    await desk.remote.faults(
        {"fault": "drop_after", "route": "refund"} | of_ours,
        {"fault": "error_before", "route": "lookup"} | of_ours,
    )
    assert (await desk.refund(order, returns=twin)).outcome == "unknown"
    await desk.remote.faults()
    assert (await desk.refund_twice(order, Mode.ASK, turn=1, returns=twin)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_what_was_given_up_and_arrives_after_all_goes_back(desk):
    order = await desk.subscription("timeout", "approve")
    await desk.charge(order)
    await desk.charge(order, Mode.GIVE_UP, turn=1)
    late = await charge_again(desk, order)
    found = await desk.verify_twice(order)
    assert [t.gateway_id for t in found.twins] == [late]
    assert (await desk.refund_twice(order, returns=late)).outcome == "settled"
    assert await desk.settled(order) == (0, 0)


async def test_a_second_charge_that_is_pending_is_given_up(desk):
    order, twin = await charged_twice(desk, "pending", kind="pending")
    found = await desk.verify_twice(order)
    assert (found.is_clear, found.twins) == (True, [])
    assert await state_of(desk, twin) == "voided"
    assert not (await desk.attempt(order))["needs_verification"]
    assert await desk.settled(order) == (1000, 1000)
    assert await incidents(desk, order) == [], "nobody was charged"


async def test_a_pending_charge_of_what_was_given_up_is_given_up_too(desk):
    order = await desk.subscription("timeout", "pending")
    await desk.charge(order)
    await desk.charge(order, Mode.GIVE_UP, turn=1)
    late = await charge_again(desk, order, kind="pending")
    assert (await desk.verify_twice(order)).is_clear
    assert await state_of(desk, late) == "voided"


async def test_the_charge_that_counts_is_not_given_up_by_a_second_look(desk):
    order = await desk.subscription("pending")
    await desk.charge(order)
    assert (await desk.verify_twice(order)).is_clear
    assert await state_of(desk, (await desk.attempt(order))["gateway_id"]) == "pending"


async def test_a_second_charge_that_cannot_be_given_up_is_not_clear_until_it_is(desk):
    order, twin = await charged_twice(desk, "pending", kind="pending")
    for fault in ("error_before", "rate_limit_429"):
        await desk.remote.faults({"fault": fault, "route": "void", "reference_prefix": order.subscription_id})
        assert not (await desk.verify_twice(order)).is_clear
    assert await state_of(desk, twin) == "pending"
    await desk.remote.faults()
    assert (await desk.verify_twice(order)).is_clear
    assert await state_of(desk, twin) == "voided"


async def test_a_second_charge_that_settles_before_it_is_given_up_goes_back(desk, monkeypatch):
    order, twin = await charged_twice(desk, "pending_then_approved", kind="pending")
    look_up = desk.gateway.lookup

    async def overtaken(reference):
        seen = await look_up(reference)
        assert await state_of(desk, twin) == "settled", "the second question decides it"
        return seen

    monkeypatch.setattr(desk.gateway, "lookup", overtaken)
    found = await desk.verify_twice(order)
    monkeypatch.undo()
    assert (found.is_clear, found.twins) == (True, [Twin(gateway_id=twin, amount_minor=1000)])
    assert (await desk.refund_twice(order, returns=twin)).outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)
    assert [i["kind"] for i in await incidents(desk, order)] == ["double_charge"]


async def test_nothing_is_clear_while_the_gateway_cannot_be_asked(desk):
    order, _ = await charged_twice(desk)
    await desk.remote.faults(
        {"fault": "error_before", "route": "lookup", "reference_prefix": order.subscription_id}
    )
    found = await desk.verify_twice(order)
    assert (found.is_clear, found.twins) == (False, [])


async def test_a_twin_that_nobody_found_cannot_be_returned(desk):
    order, _ = await charged_twice(desk)
    with pytest.raises(TeikiError) as refused:
        await desk.refund(order, returns="ch_unheard_of")
    assert refused.value.code is ErrorCode.PAYMENT_NOT_FOUND


# ---------------------------------------------------------------------- contradictions wait for a person


async def test_another_amount_under_our_reference_waits_for_a_person(desk):
    order = await desk.subscription("approve")
    await desk.house.begin(order)
    await charge_again(desk, order, amount=Money(minor=1001, currency="JPY"))
    assert (await desk.charge_twice(order)).outcome == "attention"
    assert (await desk.attempt(order))["state"] == "attention"
    assert await desk.sent(order) == ["charge"]


async def test_a_pending_charge_the_gateway_later_denies_waits_for_a_person(desk):
    order = await desk.subscription("pending")
    await desk.charge(order)
    await desk.house.rows(
        "UPDATE attempts SET gateway_id = 'ch_forgotten' WHERE object_id = %s RETURNING key",
        order.subscription_id,
    )
    for mode in (Mode.RESEND, Mode.GIVE_UP):
        assert (await desk.charge_twice(order, mode, turn=1)).outcome == "attention"
    assert await desk.sent(order) == ["charge"]


async def in_attention(desk, *script):
    order = await desk.subscription(*script)
    await desk.charge(order)
    await desk.house.rows(
        "UPDATE attempts SET state = 'attention' WHERE object_id = %s RETURNING key",
        order.subscription_id,
    )
    return order


async def test_a_person_says_that_it_was_not_charged(desk):
    order = await in_attention(desk, "timeout")
    said = await desk.charge_twice(order, Mode.ASK, verdict=Verdict(moved=False))
    assert (said.outcome, said.decline) == ("declined", DeclineCode.NEVER_ARRIVED)
    assert await desk.settled(order) == (0, 0)


async def test_the_gateways_book_knows_better_than_a_person(desk):
    order = await desk.subscription("approve")
    await desk.house.begin(order)
    await charge_again(desk, order)
    said = await desk.charge_twice(order, Mode.ASK, verdict=Verdict(moved=False))
    assert said.outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_person_says_where_the_charge_is_and_the_gateway_confirms_it(desk):
    order = await in_attention(desk, "timeout", "approve")
    token = await desk.house.row(
        "SELECT token FROM payment_methods WHERE id = %s", order.spec.payment_method_id
    )
    elsewhere = await desk.gateway.charge(
        token=token["token"],
        amount=PRICE,
        reference=f"{order.subscription_id}/lost-reference",
        idempotency_key=f"elsewhere-{order.subscription_id}",
    )
    wrong = await desk.charge(order, Mode.ASK, verdict=Verdict(moved=True, gateway_id="ch_wrong"))
    assert wrong.outcome == "attention"
    said = await desk.charge_twice(
        order, Mode.ASK, verdict=Verdict(moved=True, gateway_id=elsewhere.gateway_id)
    )
    assert said.outcome == "settled"
    assert await desk.settled(order) == (1000, 1000)


async def test_a_refused_refund_is_asked_for_again_under_a_new_key_when_a_person_says_so(desk):
    order = await desk.subscription("approve")
    await desk.charge(order)
    await desk.remote.faults(
        {"fault": "wrong_amount_echoed", "route": "refund", "reference_prefix": "nobody"}
    )
    charge_id = (await desk.attempt(order))["gateway_id"]
    part = Money(minor=1, currency="JPY")
    by_hand = await desk.gateway.refund(
        charge_id=charge_id, amount=part, reference=f"{order.subscription_id}/by-hand", idempotency_key="h"
    )
    assert by_hand.kind == "settled"
    assert (await desk.refund(order)).outcome == "attention"
    said = await desk.refund_twice(order, Mode.ASK, verdict=Verdict(moved=False))
    assert said.outcome == "declined"
    assert (await desk.refund(order, attempt=2)).outcome == "attention"
    assert [
        row["state"]
        for row in await desk.house.rows(
            "SELECT state FROM attempts WHERE object_id = %s AND purpose = 'refund' ORDER BY attempt",
            order.subscription_id,
        )
    ] == ["declined", "attention"]
