"""What every payment adapter must do, whoever is behind it (spec: charging.md §1, §2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.declines import DeclineCode
from domain.money import Money
from gateways.port import Declined, Pending, Settled, Unavailable, Unknown

YEN_1000 = Money(minor=1000, currency="JPY")


def new_reference() -> str:
    return f"sub_{uuid4().hex}/1/1"


async def charge(candidate, token, reference, key=None, amount=YEN_1000):
    return await candidate.gateway.charge(
        token=token, amount=amount, reference=reference, idempotency_key=key or uuid4().hex
    )


async def test_an_approved_charge_is_settled_and_found_under_its_reference(candidate):
    reference = new_reference()
    outcome = await charge(candidate, await candidate.script("approve"), reference)
    assert isinstance(outcome, Settled)
    assert outcome.amount == YEN_1000
    (found,) = await candidate.gateway.lookup(reference)
    assert found.outcome() == outcome
    assert found.kind == "charge"
    assert await candidate.gateway.get(outcome.gateway_id) == found


async def test_the_parts_in_which_a_customer_pays_are_in_the_gateways_book(candidate):
    reference, key = new_reference(), uuid4().hex
    order = {"token": await candidate.script(), "amount": YEN_1000, "reference": reference}
    outcome = await candidate.gateway.charge(**order, idempotency_key=key, installments=3)
    assert isinstance(outcome, Settled)
    assert outcome.amount == YEN_1000, "the merchant is paid at once"
    (found,) = await candidate.gateway.lookup(reference)
    assert found.installments == 3
    assert await candidate.gateway.charge(**order, idempotency_key=key, installments=3) == outcome
    assert len(await candidate.gateway.lookup(reference)) == 1
    refused = await candidate.gateway.charge(**order, idempotency_key=uuid4().hex, installments=61)
    assert isinstance(refused, Declined)


@pytest.mark.parametrize(
    "amount",
    [Money(minor=1, currency="JPY"), Money(minor=1050, currency="USD"), Money(minor=1001, currency="BHD")],
)
async def test_an_amount_of_any_currency_arrives_as_it_was_sent(candidate, amount):
    reference = new_reference()
    outcome = await charge(candidate, await candidate.script(), reference, amount=amount)
    assert isinstance(outcome, Settled)
    assert [found.amount for found in await candidate.gateway.lookup(reference)] == [amount]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("insufficient_funds", DeclineCode.INSUFFICIENT_FUNDS),
        ("issuer_unavailable", DeclineCode.ISSUER_UNAVAILABLE),
        ("expired_card", DeclineCode.EXPIRED_CARD),
        ("lost_card", DeclineCode.LOST_CARD),
        ("stolen_card", DeclineCode.STOLEN_CARD),
    ],
)
async def test_a_decline_is_definite_and_says_why(candidate, word, code):
    reference = new_reference()
    outcome = await charge(candidate, await candidate.script({"decline": word}), reference)
    assert isinstance(outcome, Declined)
    assert outcome.code is code
    assert [found.state for found in await candidate.gateway.lookup(reference)] == ["declined"]


async def test_the_same_key_charges_once_and_gives_the_same_answer(candidate):
    token, reference, key = await candidate.script(), new_reference(), uuid4().hex
    first = await charge(candidate, token, reference, key)
    assert await charge(candidate, token, reference, key) == first
    assert len(await candidate.gateway.lookup(reference)) == 1


async def test_a_decline_is_replayed_under_its_key_and_a_new_key_tries_anew(candidate):
    token, reference, key = await candidate.script({"decline": "lost_card"}), new_reference(), uuid4().hex
    first = await charge(candidate, token, reference, key)
    assert await charge(candidate, token, reference, key) == first
    assert isinstance(first, Declined)
    assert isinstance(await charge(candidate, token, reference), Settled)


async def test_an_answer_lost_after_the_commit_is_unknown_and_the_charge_is_found(candidate):
    token, reference, key = await candidate.script("timeout_then_approved"), new_reference(), uuid4().hex
    assert isinstance(await charge(candidate, token, reference, key), Unknown)
    (found,) = await candidate.gateway.lookup(reference)
    assert found.outcome() == await charge(candidate, token, reference, key)
    assert len(await candidate.gateway.lookup(reference)) == 1


async def test_a_request_lost_before_the_work_is_unknown_and_sending_again_settles_once(candidate):
    token, reference, key = await candidate.script("timeout"), new_reference(), uuid4().hex
    assert isinstance(await charge(candidate, token, reference, key), Unknown)
    assert await candidate.gateway.lookup(reference) == []
    assert isinstance(await charge(candidate, token, reference, key), Settled)
    assert len(await candidate.gateway.lookup(reference)) == 1


@pytest.mark.parametrize("item", ["server_error_then_approved", "malformed_then_approved", "server_error"])
async def test_an_answer_that_cannot_be_trusted_is_unknown_and_the_same_key_settles_once(candidate, item):
    token, reference, key = await candidate.script(item), new_reference(), uuid4().hex
    assert isinstance(await charge(candidate, token, reference, key), Unknown)
    assert isinstance(await charge(candidate, token, reference, key), Settled)
    assert len(await candidate.gateway.lookup(reference)) == 1


async def test_being_told_to_slow_down_is_unavailable_and_uses_up_nothing(candidate):
    token, reference, key = await candidate.script("rate_limited"), new_reference(), uuid4().hex
    outcome = await charge(candidate, token, reference, key)
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after is not None
    assert await candidate.gateway.lookup(reference) == []
    assert isinstance(await charge(candidate, token, reference, key), Settled)


async def test_a_pending_charge_is_decided_later_by_asking(candidate):
    outcome = await charge(candidate, await candidate.script("pending_then_approved"), new_reference())
    assert isinstance(outcome, Pending)
    states = [(await candidate.gateway.get(outcome.gateway_id)).state for _ in range(3)]
    assert states == ["pending", "settled", "settled"]


async def test_a_pending_charge_may_be_decided_against(candidate):
    item = {"pending_then_declined": "insufficient_funds"}
    reference = new_reference()
    assert isinstance(await charge(candidate, await candidate.script(item), reference), Pending)
    await candidate.gateway.lookup(reference)
    (found,) = await candidate.gateway.lookup(reference)
    assert found.outcome().kind == "declined"
    assert found.decline is DeclineCode.INSUFFICIENT_FUNDS


async def test_a_voided_charge_never_settles(candidate):
    reference = new_reference()
    outcome = await charge(candidate, await candidate.script("pending_then_approved"), reference)
    voided = await candidate.gateway.void(
        charge_id=outcome.gateway_id, reference=reference, idempotency_key=uuid4().hex
    )
    assert isinstance(voided, Declined)
    assert voided.code is DeclineCode.PENDING_EXPIRED
    assert [(await candidate.gateway.get(outcome.gateway_id)).state for _ in range(3)] == ["voided"] * 3


async def test_voiding_a_settled_charge_says_that_it_is_too_late(candidate):
    reference = new_reference()
    outcome = await charge(candidate, await candidate.script(), reference)
    assert outcome == await candidate.gateway.void(
        charge_id=outcome.gateway_id, reference=reference, idempotency_key=uuid4().hex
    )


async def test_a_charge_is_refunded_in_parts_and_never_beyond_what_is_left(candidate):
    reference = new_reference()
    settled = await charge(candidate, await candidate.script(), reference)

    async def refund(minor, key):
        return await candidate.gateway.refund(
            charge_id=settled.gateway_id,
            amount=Money(minor=minor, currency="JPY"),
            reference=f"{reference}/refund",
            idempotency_key=key,
        )

    key = uuid4().hex
    first = await refund(600, key)
    assert isinstance(first, Settled)
    assert await refund(600, key) == first
    too_much = await refund(401, uuid4().hex)
    assert isinstance(too_much, Declined)
    assert too_much.gateway_code == "refund_exceeds_charge"
    assert isinstance(await refund(400, uuid4().hex), Settled)
    assert (await candidate.gateway.get(settled.gateway_id)).refunded_minor == 1000
    refunds = await candidate.gateway.lookup(f"{reference}/refund")
    assert [(record.kind, record.amount.minor) for record in refunds] == [("refund", 600), ("refund", 400)]


async def test_a_refund_of_a_charge_nobody_knows_is_a_definite_no(candidate):
    outcome = await candidate.gateway.refund(
        charge_id="ch_nobody", amount=YEN_1000, reference=new_reference(), idempotency_key=uuid4().hex
    )
    assert isinstance(outcome, Declined)


async def test_what_nobody_made_is_not_found(candidate):
    assert await candidate.gateway.get("ch_nobody") is None
    assert await candidate.gateway.lookup(new_reference()) == []
    assert await candidate.gateway.token_details("tok_nobody_made_this") is None


async def test_the_list_shows_every_charge_and_refund_once_over_all_its_pages(candidate):
    since = datetime.now(UTC) - timedelta(milliseconds=1)
    token = await candidate.script()
    made = [(await charge(candidate, token, new_reference())).gateway_id for _ in range(120)]
    listed, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await candidate.gateway.list(since=since, cursor=cursor)
        listed += [record.gateway_id for record in page.items]
        cursor, pages = page.next_cursor, pages + 1
    assert pages >= 2
    assert listed == made


async def test_a_tokens_details_show_the_last_four_digits_and_no_more(candidate):
    details = await candidate.gateway.token_details(await candidate.script())
    assert details.kind == "card"
    assert details.brand
    assert len(details.last_four) == 4


async def test_the_hosted_form_has_no_token_until_somebody_completes_it(candidate):
    form = await candidate.gateway.open_card_form(reference="sub_x", return_url="https://shop.example/back")
    assert form.url.startswith("http")
    assert await candidate.gateway.card_form_token(form.form_id) is None
