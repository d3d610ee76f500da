"""Accepting credits at the same moment, against real transactions (spec: customers.md §3)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from activities.contracts.credits import OpenCredit, RecordCredit
from db.attempts import begin_refund, decline_refund, note_attempt, settle_refund
from db.credit_rows import count_on_ended_order, open_credit, record_credit
from db.credit_shapes import CreditGateway
from db.reads.credits import CreditFilter, find_credit, list_credits
from db.reads.payments import PaymentFilter, list_payments
from domain.credit import CreditStatus
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import credit_reference, idempotency_key, refund_reference
from domain.money import Money
from tests.db.house import NOW, House, unique

ALL = CreditGateway(partial=True, konbini=True)
INTERLEAVINGS = 1_000
AT_ONCE = 6


def asked(object_id: str, number: int = 1, minor: int | None = None, **more) -> OpenCredit:
    given = {"currency": "JPY", "request_id": unique("req"), "credit_id": unique("crd")} | more
    amount = None if minor is None else Money(minor=minor, currency=given.pop("currency"))
    given.pop("currency", None)
    return OpenCredit(
        object_id=object_id, number=number, amount=amount, actor="operator:desk", at=NOW, **given
    )


async def paid(house: House, **more) -> str:
    order = await house.subscription(**more)
    await house.settled(order)
    return order.subscription_id


async def balance(house: House, object_id: str, number: int = 1) -> int:
    sql = "SELECT balance_minor FROM payment_balances WHERE object_id = %s AND number = %s"
    return (await house.row(sql, object_id, number))["balance_minor"]


class Refund:
    """The refund of a credit, by hand."""

    def __init__(self, db, credit: OpenCredit, attempt: int = 1) -> None:
        self.db, self.credit, self.attempt = db, credit, attempt
        self.reference = credit_reference(credit.object_id, credit.number, credit.credit_id, attempt=attempt)
        self.key = idempotency_key("refund", self.reference)

    async def begin(self):
        return await begin_refund(
            self.db,
            key=self.key,
            reference=self.reference,
            object_id=self.credit.object_id,
            number=self.credit.number,
            attempt=self.attempt,
            credit_id=self.credit.credit_id,
            at=NOW,
        )

    async def settle(self) -> bool:
        return await settle_refund(
            self.db, key=self.key, gateway_id=f"rf_{self.key}", at=NOW, reason="credit"
        )

    async def decline(self) -> bool:
        return await decline_refund(self.db, key=self.key, decline="processing_error", at=NOW)


async def whole_refund(db, object_id: str, number: int):
    reference = refund_reference(object_id, number)
    key = idempotency_key("refund", reference)
    begun = await begin_refund(db, key=key, reference=reference, object_id=object_id, number=number, at=NOW)
    return begun, key


# ---------------------------------------------------------------------- one after another


async def test_a_credit_reserves_its_part_at_once_and_keeps_it_while_nobody_knows_its_outcome(db, house):
    object_id = await paid(house)
    credit = asked(object_id, minor=600)
    assert (await open_credit(db, credit, ALL)).amount == Money(minor=600, currency="JPY")
    assert await balance(house, object_id) == 400
    refund = Refund(db, credit)
    assert (await refund.begin()).amount_minor == 600
    await note_attempt(db, key=refund.key, state="unknown", hint="timeout")
    refused = await open_credit(db, asked(object_id, minor=401), ALL)
    assert (refused.outcome, refused.code) == ("refused", "credit_exceeds_balance")
    assert refused.facts["balance"] == {"minor": 400, "currency": "JPY"}
    assert (await open_credit(db, asked(object_id, minor=400), ALL)).outcome == "opened"


async def test_a_second_run_and_a_repetition_find_the_same_credit(db, house):
    object_id = await paid(house)
    credit = asked(object_id, minor=600)
    first = await open_credit(db, credit, ALL)
    before = await house.everything(object_id)
    assert await open_credit(db, credit, ALL) == first
    again = await open_credit(db, credit.model_copy(update={"credit_id": unique("crd")}), ALL)
    assert (again.outcome, again.credit_id) == ("duplicate", credit.credit_id)
    other = credit.model_copy(update={"credit_id": unique("crd"), "amount": Money(minor=1, currency="JPY")})
    assert (await open_credit(db, other, ALL)).code == "request_id_conflict"
    assert await house.everything(object_id) == before


async def test_a_refused_credit_can_be_asked_for_again_under_its_request_id(db, house):
    object_id = await paid(house)
    credit = asked(object_id, minor=1001)
    assert (await open_credit(db, credit, ALL)).code == "credit_exceeds_balance"
    assert await house.rows("SELECT 1 AS n FROM credits WHERE object_id = %s", object_id) == []
    smaller = credit.model_copy(update={"amount": Money(minor=1000, currency="JPY")})
    assert (await open_credit(db, smaller, ALL)).outcome == "opened"


async def test_a_payment_is_partially_refunded_and_then_refunded(db, house):
    object_id = await paid(house)
    for minor, state in ((1, "partially_refunded"), (998, "partially_refunded"), (1, "refunded")):
        credit = asked(object_id, minor=minor)
        assert (await open_credit(db, credit, ALL)).outcome == "opened"
        refund = Refund(db, credit)
        await refund.begin()
        assert await refund.settle()
        assert not await refund.settle(), "a second run changes nothing"
        (item,) = (await list_payments(db, PaymentFilter(object_id=object_id))).items
        assert item.state == state
        assert item.settled_at is not None
        shown = await find_credit(db, credit.credit_id)
        assert (shown.status, shown.attempt_state) == (CreditStatus.RETURNED, "settled")
    found = await list_payments(db, PaymentFilter(object_id=object_id, state={"partially_refunded"}))
    assert found.items == []
    page = await list_credits(db, CreditFilter(object_id=object_id), limit=2)
    rest = await list_credits(db, CreditFilter(object_id=object_id), limit=2, cursor=page.next_cursor)
    assert [len(page.items), len(rest.items), rest.next_cursor] == [2, 1, None]


async def test_a_refund_of_the_payment_returns_what_credits_have_left_of_it(db, house):
    object_id = await paid(house)
    credit = asked(object_id, minor=300)
    await open_credit(db, credit, ALL)
    begun, key = await whole_refund(db, object_id, 1)
    assert (begun.outcome, begun.amount_minor) == ("new", 700)
    assert await settle_refund(db, key=key, gateway_id=unique("rf"), at=NOW)
    assert (await house.row("SELECT state FROM payments WHERE object_id = %s", object_id))[
        "state"
    ] == "partially_refunded"
    refund = Refund(db, credit)
    await refund.begin()
    await refund.settle()
    assert (await house.row("SELECT state FROM payments WHERE object_id = %s", object_id))[
        "state"
    ] == "refunded"


async def test_when_credits_have_taken_all_of_it_a_refund_finds_nothing_left(db, house):
    object_id = await paid(house)
    await open_credit(db, asked(object_id), ALL)
    begun, key = await whole_refund(db, object_id, 1)
    assert begun.outcome == "nothing_left"
    assert await house.rows("SELECT 1 AS n FROM attempts WHERE key = %s", key) == []


async def test_a_refused_credit_keeps_its_part_for_the_next_attempt_and_a_failed_one_gives_it_free(db, house):
    object_id = await paid(house)
    credit = asked(object_id, minor=900)
    await open_credit(db, credit, ALL)
    first = Refund(db, credit)
    await first.begin()
    await first.decline()
    assert await balance(house, object_id) == 100, "a person decides what becomes of it"
    again = Refund(db, credit, attempt=2)
    assert (await again.begin()).outcome == "new"
    await again.decline()
    said = RecordCredit(
        credit_id=credit.credit_id,
        object_id=object_id,
        number=1,
        status=CreditStatus.FAILED,
        reason="not_returned",
        request_id=unique("req"),
        actor="operator:desk",
        at=NOW,
    )
    assert await record_credit(db, said)
    before = await house.everything(object_id)
    assert not await record_credit(db, said)
    assert await house.everything(object_id) == before
    assert await balance(house, object_id) == 1000
    with pytest.raises(TeikiError) as refused:
        await Refund(db, credit, attempt=3).begin()
    assert refused.value.code is ErrorCode.CREDIT_NOT_FOUND


@pytest.mark.parametrize(("currency", "paid_minor"), [("JPY", 1000), ("USD", 1050), ("KWD", 10_500)])
async def test_each_currency_is_counted_in_its_own_minor_units(db, house, currency, paid_minor):
    object_id = await paid(house, amount=Money(minor=paid_minor, currency=currency))
    part = await open_credit(db, asked(object_id, minor=1, currency=currency), ALL)
    assert part.amount == Money(minor=1, currency=currency)
    rest = await open_credit(db, asked(object_id), ALL)
    assert rest.amount == Money(minor=paid_minor - 1, currency=currency)
    other = "EUR" if currency != "EUR" else "JPY"
    wrong = await open_credit(db, asked(object_id, minor=1, currency=other), ALL)
    assert wrong.code == "currency_mismatch"


async def test_a_part_of_a_wire_payment_needs_the_risk_to_be_accepted(db, house):
    tenant = await house.tenant(kind="sepa_debit", brand="sepa", last_four="1234")
    object_id = await paid(house, tenant=tenant)
    refused = await open_credit(db, asked(object_id, minor=10), ALL)
    assert refused.code == "risk_not_accepted"
    assert (await open_credit(db, asked(object_id, minor=10, accept_risk=True), ALL)).outcome == "opened"
    rest = await open_credit(db, asked(object_id), ALL)
    assert rest.code == "risk_not_accepted", "the rest of a payment is a part of it"


async def test_the_whole_of_a_wire_payment_needs_no_word_about_risk(db, house):
    tenant = await house.tenant(kind="sepa_debit", brand="sepa", last_four="1234")
    object_id = await paid(house, tenant=tenant)
    assert (await open_credit(db, asked(object_id), ALL)).outcome == "opened"


async def test_what_a_gateway_cannot_return_is_refused_by_name(db, house):
    object_id = await paid(house)
    whole_only = CreditGateway(partial=False, konbini=False)
    assert (
        await open_credit(db, asked(object_id, minor=1), whole_only)
    ).code == "partial_refund_not_supported"
    assert (await open_credit(db, asked(object_id), whole_only)).outcome == "opened"


async def test_nothing_was_paid_so_nothing_is_credited(db, house):
    order = await house.subscription()
    await house.begin(order)
    unpaid = await open_credit(db, asked(order.subscription_id), ALL)
    assert (unpaid.code, unpaid.facts["status"]) == ("invalid_status", "collecting")
    assert (await open_credit(db, asked(order.subscription_id, 2), ALL)).code == "payment_not_found"


async def test_counting_on_an_order_that_is_not_there_changes_nothing(db, house):
    object_id = await paid(house)
    credit = asked(object_id)
    await open_credit(db, credit, ALL)
    assert not await count_on_ended_order(db, credit.credit_id, at=NOW)


# ---------------------------------------------------------------------- at the same moment


async def test_in_a_thousand_random_interleavings_never_more_goes_back_than_was_paid(db, house):
    """Credits, refunds of the whole, repetitions, refusals and outcomes of one payment, side by side."""
    order = await house.subscription()
    gate = asyncio.Semaphore(3)
    outcomes: Counter[str] = Counter()

    async def interleaving(number: int) -> None:
        async with gate:
            await house.settled(order, number, at=NOW + timedelta(days=number))
            outcomes.update(await _interleave(db, house, order.subscription_id, number))

    await asyncio.gather(*(interleaving(number) for number in range(1, INTERLEAVINGS + 1)))
    assert outcomes["opened"] > INTERLEAVINGS
    assert outcomes["credit_exceeds_balance"] > INTERLEAVINGS
    assert min(outcomes["nothing_left"], outcomes["new"], outcomes["failed"]) > 0, outcomes


async def _interleave(db, house: House, object_id: str, number: int) -> Counter[str]:
    chance = random.Random(number)
    seen: Counter[str] = Counter()

    async def credit() -> None:
        wanted = asked(object_id, number, chance.choice([None, 1, 200, 334, 500, 999, 1000]))
        fate, repeated = chance.random(), chance.random() < 0.2
        await asyncio.sleep(chance.random() / 500)
        runs = [open_credit(db, wanted, ALL) for _ in range(2 if repeated else 1)]
        opened = (await asyncio.gather(*runs))[0]
        seen[opened.code or opened.outcome] += 1
        if opened.outcome != "opened" or fate < 0.2:
            return  # refused; or accepted, and its worker died
        refund = Refund(db, wanted)
        await refund.begin()
        if fate < 0.4:
            await note_attempt(db, key=refund.key, state="unknown")
        elif fate < 0.8:
            assert await refund.settle()
        else:
            await refund.decline()
            seen["failed"] += 1

    async def whole() -> None:
        await asyncio.sleep(chance.random() / 250)
        begun, key = await whole_refund(db, object_id, number)
        seen[begun.outcome] += 1
        if begun.outcome == "new" and chance.random() < 0.5:
            await settle_refund(db, key=key, gateway_id=unique("rf"), at=NOW)

    tasks = [credit() for _ in range(AT_ONCE - 1)] + ([whole()] if chance.random() < 0.4 else [])
    await asyncio.gather(*tasks)
    await _never_more_than_paid(house, object_id, number)
    return seen


async def _never_more_than_paid(house: House, object_id: str, number: int) -> None:
    left = await balance(house, object_id, number)
    sums = await house.row(
        "SELECT coalesce(sum(amount_minor), 0)::int AS live,"
        " coalesce(sum(amount_minor) FILTER (WHERE state = 'settled'), 0)::int AS returned"
        " FROM attempts WHERE object_id = %s AND number = %s AND purpose = 'refund'"
        " AND state NOT IN ('declined', 'abandoned')",
        object_id,
        number,
    )
    assert left >= 0
    assert sums["live"] <= 1000 - left, "what is on its way back is reserved"
    state = (
        await house.row("SELECT state FROM payments WHERE object_id = %s AND number = %s", object_id, number)
    )["state"]
    returned = sums["returned"]
    assert state == ("settled" if not returned else "refunded" if returned == 1000 else "partially_refunded")
