"""A payment that was charged back and repaid, for the auditor's world, and the breaks in its books."""

from __future__ import annotations

from activities.contracts.records import OpenInput
from tests.activities.bank_desk import BankDesk


async def repaid_life(bank: BankDesk) -> OpenInput:
    """Charged back, paid in part otherwise, and for the rest by a link."""
    order = await bank.charged_back()
    # Its bank works an hour later than everybody else here: nothing is due to it by then.
    done = "UPDATE subscriptions SET next_kind = NULL, next_at = NULL WHERE id = %s RETURNING id"
    await bank.house.rows(done, order.subscription_id)
    assert (await bank.open(bank.manual(order, 300))).outcome == "opened"
    link = bank.link(order)
    assert (await bank.open(link)).outcome == "opened"
    assert (await bank.pay(order, link)).outcome == "settled"
    return order


BANK_BREAKS = {
    "a chargeback is not booked": ({"I2", "I3"}, "DELETE FROM ledger WHERE kind = 'chargeback'"),
    "a chargeback is in the wrong account": (
        {"I2"},
        "UPDATE ledger SET debit_account = 'refunds' WHERE kind = 'chargeback'",
    ),
    "more was repaid than charged back": (
        {"I2", "I3"},
        "UPDATE attempts SET amount_minor = 301 WHERE purpose = 'receipt'",
    ),
    "a repayment is booked where the gateway has it not": (
        {"I2"},
        "UPDATE ledger SET debit_account = 'gateway_receivable' WHERE debit_account = 'cash'",
    ),
    "a chargeback was announced to nobody": ({"I6"}, "DELETE FROM outbox WHERE topic = 'payment.chargeback'"),
    "a repayment has no event": ({"I6"}, "DELETE FROM history WHERE kind = 'repayment'"),
    "a payment says chargeback and nothing was charged back": (
        {"I6"},
        "UPDATE payments SET state = 'chargeback' WHERE object_id = '{paid}'",
    ),
}
