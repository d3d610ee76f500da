"""What a credit changes in the order whose payment it returns (spec: customers.md §3, orders.md §3).

The order is told of a credit when its money is reserved, and when it is back or has failed. A cancellation then returns
what is left. A credit alone ends nothing: the order and its access stay as they are.
"""

from __future__ import annotations

from domain.credit import CreditFact, CreditStatus, is_returned_whole, remembered
from domain.order_changes import change_payment
from domain.order_state import Event, PaymentStatus, State
from domain.order_terms import Pay


def credit_changed(state: State, fact: CreditFact) -> None:
    """Remember how a credit stands; what is told twice or too late changes nothing."""
    state.credits = remembered(state.credits, fact)


def count_credits(state: State) -> tuple[list[Event], tuple[str, ...]]:
    """Count what credits returned as refunded, each once; answers with their ids, too.

    A subscription tells its order of a payment later than it is in the books: its credit is counted when the order has
    heard of the money.
    """
    counted: list[str] = []
    for credit in state.credits:
        due = credit.status is CreditStatus.RETURNED and not credit.is_counted
        if due and state.refunded_minor + credit.amount_minor <= state.paid_minor:
            state.refunded_minor += credit.amount_minor
            counted.append(credit.credit_id)
    if not counted:
        return [], ()
    state.credits = tuple(
        credit.model_copy(update={"is_counted": True}) if credit.credit_id in counted else credit
        for credit in state.credits
    )
    whole = is_returned_whole(
        pay_is_recurring=state.terms.pay is Pay.RECURRING,
        paid_minor=state.paid_minor,
        refunded_minor=state.refunded_minor,
    )
    return (change_payment(state, PaymentStatus.REFUNDED, "credited") if whole else []), tuple(counted)
