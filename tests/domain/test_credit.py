"""What may be credited, what an order makes of it, and what a credit does next (spec: customers.md §3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import credit as rules
from domain.credit import Creditable, CreditFact, CreditStatus, agreed_amount
from domain.errors import TeikiError
from domain.identifiers import credit_of_reference, credit_reference, workflow_id_of
from domain.money import Money
from domain.notices import workflow_concerned
from domain.order_credits import count_credits, credit_changed
from domain.unresolved import unresolved
from tests.domain.order_world import World, an_order

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def payment(**more) -> Creditable:
    given = {
        "settled_minor": 1000,
        "balance_minor": 1000,
        "currency": "JPY",
        "method": "card",
        "partial": True,
        "konbini": True,
    }
    return Creditable(**(given | more))


def yen(minor: int) -> Money:
    return Money(minor=minor, currency="JPY")


@pytest.mark.parametrize(
    ("of", "amount", "accept_risk", "code"),
    [
        ({}, None, False, None),
        ({}, 1000, False, None),
        ({}, 1, False, None),
        ({}, 1001, False, "credit_exceeds_balance"),
        ({}, 0, False, "credit_exceeds_balance"),
        ({"balance_minor": 0}, None, False, "credit_exceeds_balance"),
        ({"balance_minor": -5}, None, False, "credit_exceeds_balance"),
        ({"balance_minor": 400}, None, False, None),
        ({"balance_minor": 400}, 401, False, "credit_exceeds_balance"),
        ({"currency": "USD"}, 5, False, "currency_mismatch"),
        ({"method": "konbini"}, None, False, None),
        ({"method": "konbini"}, 999, False, "partial_refund_not_supported"),
        ({"method": "konbini", "konbini": False}, None, False, "refund_not_supported"),
        ({"partial": False}, None, False, None),
        ({"partial": False}, 1, False, "partial_refund_not_supported"),
        ({"method": "sepa_debit"}, None, False, None),
        ({"method": "sepa_debit"}, 1, False, "risk_not_accepted"),
        ({"method": "sepa_debit"}, 1, True, None),
        ({"method": "sepa_debit", "balance_minor": 400}, None, False, "risk_not_accepted"),
        ({"method": "bank_transfer"}, 1, False, "risk_not_accepted"),
        ({"method": "sepa_debit"}, 1001, True, "credit_exceeds_balance"),
    ],
)
def test_what_may_be_credited(of, amount, accept_risk, code):
    asked = None if amount is None else yen(amount)
    if code is None:
        expected = of.get("balance_minor", 1000) if amount is None else amount
        assert agreed_amount(payment(**of), asked, accept_risk=accept_risk).minor == expected
        return
    with pytest.raises(TeikiError) as refused:
        agreed_amount(payment(**of), asked, accept_risk=accept_risk)
    assert refused.value.code == code


@given(
    settled=st.integers(1, 10**12),
    parts=st.lists(st.one_of(st.none(), st.integers(-5, 10**12)), max_size=20),
    currency=st.sampled_from(["JPY", "USD", "KWD"]),
)
def test_credits_one_after_another_never_return_more_than_was_paid(settled, parts, currency):
    left = settled
    for part in parts:
        asked = None if part is None or part < 0 else Money(minor=part, currency=currency)
        try:
            amount = agreed_amount(
                payment(settled_minor=settled, balance_minor=left, currency=currency),
                asked,
                accept_risk=False,
            )
        except TeikiError as error:
            assert error.facts["balance"] == {"minor": left, "currency": currency}  # noqa: PT017 - the balance is told
            continue
        left -= amount.minor
        assert 0 <= left < settled


# ---------------------------------------------------------------------- the order concerned


def fact(credit_id: str, minor: int, status: CreditStatus, *, number: int = 1) -> CreditFact:
    return CreditFact(
        credit_id=credit_id, object_id="ord_1", number=number, amount_minor=minor, status=status
    )


def paid_order(minor: int = 1000):
    return World.begun(an_order("card", minor=minor)).state


def test_an_open_credit_is_not_counted_but_no_cancellation_returns_it():
    state = paid_order()
    credit_changed(state, fact("crd_1", 300, CreditStatus.OPEN))
    assert count_credits(state) == ([], ())
    assert (state.refunded_minor, state.refundable_minor) == (0, 700)
    credit_changed(state, fact("crd_1", 300, CreditStatus.FAILED))
    assert state.refundable_minor == 1000


def test_returned_credits_are_counted_once_each_and_the_last_one_refunds_the_payment():
    state = paid_order()
    credit_changed(state, fact("crd_1", 300, CreditStatus.RETURNED))
    assert count_credits(state) == ([], ("crd_1",))
    credit_changed(state, fact("crd_1", 300, CreditStatus.RETURNED))
    credit_changed(state, fact("crd_1", 300, CreditStatus.OPEN))
    assert count_credits(state) == ([], ())
    credit_changed(state, fact("crd_2", 700, CreditStatus.RETURNED))
    (event,), counted = count_credits(state)
    assert (event.data["to"], event.data["reason"], counted) == ("refunded", "credited", ("crd_2",))
    assert (state.refunded_minor, state.refundable_minor) == (1000, 0)


def test_a_credit_that_is_heard_of_before_its_payment_is_counted_with_it():
    state = paid_order()
    state.paid_minor = 0
    credit_changed(state, fact("crd_1", 300, CreditStatus.RETURNED))
    assert count_credits(state) == ([], ())
    state.paid_minor = 1000
    assert count_credits(state) == ([], ("crd_1",))


@given(
    told=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(list(CreditStatus)), st.booleans()), max_size=30
    )
)
def test_whatever_is_told_in_whatever_order_sums_stay_within_what_was_paid(told):
    state = paid_order()
    for number, status, counts in told:
        credit_changed(state, fact(f"crd_{number}", 190, status))
        if counts:
            count_credits(state)
        assert 0 <= state.refunded_minor <= state.paid_minor
        assert 0 <= state.refundable_minor <= state.paid_minor - state.refunded_minor
    count_credits(state)
    returned = [credit for credit in state.credits if credit.status is CreditStatus.RETURNED]
    assert state.refunded_minor == 190 * len(returned)
    assert all(credit.is_counted for credit in returned)


# ---------------------------------------------------------------------- what a credit does next


def a_credit(*, order_id: str | None = None, blocks: str | None = None) -> rules.CreditState:
    return rules.accepted(
        "crd_1",
        object_id="sub_1",
        number=1,
        amount=yen(300),
        order_id=order_id,
        customer_id="cus_1",
        bank_account=None,
        blocks=blocks,
        now=NOW,
    )


def test_the_block_comes_first_then_the_order_then_the_money():
    state = a_credit(order_id="ord_1", blocks="operator:desk")
    seen = []
    while (step := rules.next_step(state)) is not None:
        seen.append(step.kind)
        if step.kind == "block":
            state.blocks = None
        elif step.kind == "tell":
            state.told = state.status
        else:
            rules.close(state, CreditStatus.RETURNED, "returned")
    assert seen == ["block", "tell", "refund", "tell"]


def test_of_a_second_look_and_a_new_attempt_the_earlier_one_comes_first():
    state = a_credit()
    assert state.due is not None
    unresolved(state.due.flight, "attention", NOW)
    rules.verify_later(state, 1, NOW, in_s=660)
    step = rules.next_step(state)
    assert step == ("verify", NOW + timedelta(seconds=660))


def test_a_webhook_moves_the_next_question_to_now_and_nothing_else_does():
    state = a_credit()
    assert not rules.hurry(state, NOW), "nothing was sent yet"
    assert state.due is not None
    unresolved(state.due.flight, "pending", NOW)
    assert rules.hurry(state, NOW)
    assert state.due.flight.next_at == NOW
    rules.close(state, CreditStatus.RETURNED, "returned")
    assert not rules.hurry(state, NOW)


def test_the_reference_of_a_credit_leads_to_its_workflow():
    for object_id in ("sub_1", "ord_1"):
        for attempt in (1, 2):
            reference = credit_reference(object_id, 3, "crd_1", attempt=attempt)
            assert credit_of_reference(reference) == "crd_1"
            assert workflow_concerned(reference) == "credit/crd_1"
    assert workflow_concerned("ord_1/1/credit/crd_1", deposit_id="kon_11") == "credit/crd_1"
    assert workflow_concerned("ord_1/1/credit/../evil") is None
    assert credit_of_reference("sub_1/3/refund") is None
    assert workflow_id_of("crd_1") == "credit/crd_1"
