"""Money for a payment that was charged back: written down once, and never more than is owed (spec: customers.md §4)."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from db.repayment_charges import begin_repayment, decline_repayment, settle_repayment
from db.repayments import open_repayment
from domain.errors import ErrorCode
from domain.identifiers import idempotency_key, repayment_reference
from domain.money import Money
from domain.unresolved import Mode
from tests.activities.bank_desk import BankDesk
from tests.activities.conftest import later
from tests.db.house import unique

INTERLEAVINGS = 1000


@pytest.fixture
def bank(db, gateway, remote, house, sandbox) -> BankDesk:
    return BankDesk(db, gateway, remote, house, url=sandbox.base_url)


# ---------------------------------------------------------------------- money that came otherwise


@pytest.mark.parametrize("amount", [("JPY", 1000), ("USD", 1050), ("BHD", 12_345)])
async def test_partial_receipts_add_up_and_the_payment_says_so(bank, amount):
    currency, minor = amount
    order = await bank.charged_back(Money(minor=minor, currency=currency))
    part = bank.manual(order, minor - 1)
    first, second = await bank.same_twice(order, lambda: bank.open(part))
    assert first == second
    assert (first.outcome, first.amount.minor) == ("opened", minor - 1)
    assert await bank.payment_state(order) == "partially_repaid"
    assert (await bank.open(bank.manual(order, 2))).facts == {"balance": {"minor": 1, "currency": currency}}
    rest = await bank.open(bank.manual(order, None))
    assert rest.amount == Money(minor=1, currency=currency), "without an amount it is all that is owed"
    assert await bank.payment_state(order) == "repaid"
    nothing = await bank.open(bank.manual(order, None))
    assert (nothing.outcome, nothing.code) == ("refused", ErrorCode.REPAYMENT_EXCEEDS_BALANCE)
    assert await bank.books_agree(order) == 0, "none of it came through the gateway"
    kinds = await bank.ledger_kinds(order)
    assert kinds[2:] == [("repayment", minor - 1), ("repayment", 1)]
    assert await bank.topics(order, "payment.repaid") == ["payment.repaid", "payment.repaid"]


async def test_a_repetition_is_known_by_its_request_id_and_another_content_is_refused(bank):
    order = await bank.charged_back()
    asked = bank.manual(order, 300)
    await bank.open(asked)
    again = asked.model_copy(update={"repayment_id": unique("rep")})
    assert (await bank.open(again)).repayment_id == asked.repayment_id
    assert (await bank.open(again)).outcome == "duplicate"
    other = again.model_copy(update={"amount": Money(minor=301, currency="JPY")})
    assert (await bank.open(other)).code == ErrorCode.REQUEST_ID_CONFLICT
    assert await bank.ledger_kinds(order) == [("charge", 1000), ("chargeback", 1000), ("repayment", 300)]


async def test_what_is_not_owed_is_refused_by_name(bank):
    order = await bank.paid()
    assert (await bank.open(bank.manual(order, 1))).code == ErrorCode.INVALID_STATUS
    assert (await bank.open(bank.manual(order, 1, number=7))).code == ErrorCode.PAYMENT_NOT_FOUND
    owed = await bank.charged_back()
    euros = bank.manual(owed, None, amount=Money(minor=1, currency="EUR"))
    assert (await bank.open(euros)).code == ErrorCode.CURRENCY_MISMATCH
    assert (await bank.open(bank.manual(owed, 0))).code == ErrorCode.INVALID_MONEY
    assert await bank.payment_state(owed) == "chargeback"


# ---------------------------------------------------------------------- links


async def test_a_links_payment_is_charged_once_and_both_books_have_it(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    first, second = await bank.same_twice(order, lambda: bank.open(link))
    assert first == second
    paid, again = await bank.same_twice(order, lambda: bank.pay(order, link))
    assert paid == again
    assert paid.outcome == "settled"
    assert await bank.payment_state(order) == "repaid"
    assert await bank.books_agree(order) == 1000
    assert (await bank.ledger_kinds(order))[2:] == [("repayment", 1000)]
    assert await bank.topics(order, "payment.repaid") == ["repayment.opened", "payment.repaid"]
    reference = repayment_reference(order.subscription_id, 1, link.repayment_id, 1)
    assert len(await bank.remote.requests(reference)) == 1


async def test_a_declined_card_is_written_down_and_the_next_attempt_pays(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    poor = await bank.house.card(order.spec.customer_id, token="tok_insufficient_funds")
    declined, _ = await bank.same_twice(order, lambda: bank.pay(order, link, card=poor))
    assert (declined.outcome, declined.decline) == ("declined", "insufficient_funds")
    assert (await bank.pay(order, link, attempt=2)).outcome == "settled"
    assert await bank.topics(order, "payment.repaid") == [
        "repayment.opened",
        "repayment.failed",
        "payment.repaid",
    ]
    assert await bank.books_agree(order) == 1000


async def test_an_unknown_outcome_is_resolved_by_asking_and_reserves_what_it_may_have_charged(bank):
    order = await bank.charged_back()
    link = bank.link(order, 700)
    await bank.open(link)
    await bank.remote.faults({"fault": "drop_after", "times": 1}, {"fault": "lookup_lag:0.5", "times": 1})
    assert (await bank.pay(order, link)).outcome == "unknown"
    assert (await bank.open(bank.manual(order, 301))).code == ErrorCode.REPAYMENT_EXCEEDS_BALANCE
    assert (await bank.open(bank.link(order, 300))).code == ErrorCode.LIVE_ATTEMPT_EXISTS
    assert (await bank.open(bank.manual(order, 300))).outcome == "opened"
    await asyncio.sleep(0.6)
    asked, again = await bank.same_twice(order, lambda: bank.pay(order, link, Mode.ASK, turn=1))
    assert asked.outcome == again.outcome == "settled"
    assert await bank.payment_state(order) == "repaid"
    assert await bank.books_agree(order) == 700


async def test_a_second_charge_is_found_and_goes_back(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    await bank.remote.idempotency("off")
    await bank.remote.faults({"fault": "drop_after", "times": 1}, {"fault": "lookup_lag:0.5", "times": 1})
    assert (await bank.pay(order, link)).outcome == "unknown"
    assert (await bank.pay(order, link, Mode.RESEND, turn=1)).outcome == "settled"
    await asyncio.sleep(0.6)
    found, _ = await bank.same_twice(order, lambda: bank.verify(order, link))
    [twin] = found.twins
    returned = bank.billing.refund
    back = bank.pay_of(order, link)
    from activities.contracts.billing import RefundInput  # noqa: PLC0415 - beside its only use

    asked = RefundInput(
        object_id=back.object_id,
        number=1,
        at=later(),
        reason="double_charge",
        returns=twin.gateway_id,
        repayment_id=link.repayment_id,
    )
    first, _ = await bank.same_twice(order, lambda: bank.run(returned, asked))
    assert first.outcome == "settled"
    assert await bank.books_agree(order) == 1000
    assert await bank.payment_state(order) == "repaid"


async def test_a_blocked_customer_is_charged_nothing(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    await bank.house.block(order.spec.customer_id, order.spec.customer_id)
    assert (await bank.pay(order, link)).decline == "customer_blocked"
    reference = repayment_reference(order.subscription_id, 1, link.repayment_id, 1)
    assert await bank.remote.requests(reference) == []


async def test_a_payment_that_could_not_leave_before_the_block_keeps_nothing_reserved(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    await bank.remote.faults({"fault": "rate_limit_429", "reference_prefix": order.subscription_id})
    assert (await bank.pay(order, link)).outcome == "unsent"
    await bank.remote.faults()
    await bank.house.block(order.spec.customer_id, order.spec.customer_id)
    for _ in range(2):
        assert (await bank.pay(order, link)).decline == "customer_blocked"
    assert (await bank.kinds(order))[-1] == "repayment"
    await bank.house.block(order.spec.customer_id, order.spec.customer_id, do="unblock")
    assert (await bank.pay(order, link, attempt=2)).outcome == "settled"
    assert await bank.payment_state(order) == "repaid"


async def test_another_customers_card_is_no_card_of_this_one(bank):
    order, other = await bank.charged_back(), await bank.paid()
    link = bank.link(order)
    await bank.open(link)
    answer = await bank.pay(order, link, card=other.spec.payment_method_id)
    assert answer.decline == "payment_method_blocked"


async def test_a_link_takes_what_is_still_owed_and_nothing_once_it_is_closed(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    await bank.open(bank.manual(order, 400))
    newer = bank.link(order)
    opened = await bank.open(newer)
    assert (opened.amount.minor, opened.closed) == (600, (link.repayment_id,))
    assert (await bank.pay(order, link)).decline == "nothing_owed"
    assert (await bank.pay(order, newer)).outcome == "settled"
    assert await bank.books_agree(order) == 600
    assert await bank.payment_state(order) == "repaid"


async def test_the_last_receipt_closes_the_open_link(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    assert (await bank.open(bank.manual(order, None))).closed == (link.repayment_id,)
    assert (await bank.pay(order, link)).decline == "nothing_owed"


async def test_reminders_and_ends_are_written_once_and_an_ended_link_stays_as_it_is(bank):
    order = await bank.charged_back()
    link = bank.link(order)
    await bank.open(link)
    for what in ({"event_key": unique("k"), "reminder": 1},):
        first, second = await bank.same_twice(order, lambda what=what: bank.record(link, **what))
        assert first == second
    end = {"event_key": unique("k"), "to": "expired", "reason": "not_paid_in_time"}
    first, second = await bank.same_twice(order, lambda: bank.record(link, **end))
    assert (first.status, first.reason) == (second.status, second.reason) == ("expired", "not_paid_in_time")
    late = await bank.record(link, event_key=unique("k"), to="canceled", reason="canceled")
    assert late.status == "expired"
    assert await bank.topics(order, "repayment") == [
        "repayment.opened",
        "repayment.reminder",
        "repayment.expired",
    ]


# ---------------------------------------------------------------------- never more than is owed


async def test_a_thousand_interleavings_never_bring_more_than_is_owed(bank):
    """Receipts and a link's charges of one payment at once, again and again, each time in another mix."""
    order = await bank.charged_back()
    await _many_payments(bank, order)
    dice = random.Random(20261126)
    slots = asyncio.Semaphore(6)

    async def one(number: int, parts: list[tuple[str, int]]) -> None:
        async with slots:
            await asyncio.gather(*(_move(bank, order, number, *part) for part in parts))

    mixes = [
        [(dice.choice(("receipt", "receipt", "link", "declined")), dice.randint(1, 700)) for _ in range(3)]
        for _ in range(INTERLEAVINGS)
    ]
    await asyncio.gather(*(one(number, mix) for number, mix in enumerate(mixes, start=101)))
    rows = await bank.house.rows(
        "SELECT p.number, p.state, coalesce(sum(a.amount_minor), 0)::int AS repaid FROM payments p"
        " LEFT JOIN attempts a ON a.object_id = p.object_id AND a.number = p.number AND a.state = 'settled'"
        " AND a.purpose IN ('repayment', 'receipt')"
        " WHERE p.object_id = %s AND p.number > 100 GROUP BY 1, 2",
        order.subscription_id,
    )
    assert len(rows) == INTERLEAVINGS
    assert max(row["repaid"] for row in rows) <= 1000
    said = {0: "chargeback", 1000: "repaid"}
    assert all(row["state"] == said.get(row["repaid"], "partially_repaid") for row in rows)
    reached = {row["state"] for row in rows}
    assert {"partially_repaid", "repaid"} <= reached
    booked = await bank.house.row(
        "SELECT sum(l.amount_minor)::int AS minor FROM ledger l JOIN attempts a ON a.key = l.attempt_key"
        " WHERE a.object_id = %s AND l.kind = 'repayment'",
        order.subscription_id,
    )
    assert booked["minor"] == sum(row["repaid"] for row in rows)


async def _move(bank, order, number, what, minor):
    """A receipt, or a link that is opened and charged at once; both may be refused."""
    if what == "receipt":
        await open_repayment(bank.db, bank.manual(order, minor, number=number))
        return
    link = bank.link(order, minor, number=number)
    if (await open_repayment(bank.db, link)).outcome != "opened":
        return
    reference = repayment_reference(order.subscription_id, number, link.repayment_id, 1)
    key = idempotency_key("repayment", reference)
    begun = await begin_repayment(
        bank.db,
        key=key,
        reference=reference,
        repayment_id=link.repayment_id,
        attempt=1,
        payment_method_id=order.spec.payment_method_id,
        at=later(),
    )
    if begun.outcome != "new":
        return
    asked = {"key": key, "repayment_id": link.repayment_id, "at": later() + timedelta(seconds=1)}
    if what == "link":
        await settle_repayment(bank.db, gateway_id=unique("ch"), **asked)
    else:
        await decline_repayment(bank.db, decline="insufficient_funds", **asked)


async def _many_payments(bank, order):
    """Payments 101 and on, each charged back like the first: its rows again under another number."""
    copies = f"FROM generate_series(101, {100 + INTERLEAVINGS}) n"
    await bank.house.rows(
        "INSERT INTO payments (object_id, number, due_at, amount_minor, currency, state, settled_at)"
        f" SELECT object_id, n, due_at, amount_minor, currency, state, settled_at {copies},"
        " payments WHERE object_id = %s AND number = 1 RETURNING number",
        order.subscription_id,
    )
    await bank.house.rows(
        "INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,"
        " amount_minor, currency, sent_at, resolved_at, gateway_id, returns)"
        " SELECT key || n, object_id, n, attempt, purpose, reference || n, state, payment_method_id,"
        f" amount_minor, currency, sent_at, resolved_at, gateway_id || n, returns || n {copies}, attempts"
        " WHERE object_id = %s AND number = 1 RETURNING key",
        order.subscription_id,
    )
