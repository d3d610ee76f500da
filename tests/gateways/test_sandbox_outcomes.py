"""Tokens and scripts: the sandbox does what its cards' names and scripts say."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.declines import DeclineCategory, DeclineCode, category_of
from domain.money import Money
from gateways.sandbox.outcomes import Plan, parse_item
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.tokens import read_token

YEN_1000 = Money(minor=1000, currency="JPY")


async def charge(gateway, token, reference=None, key=None):
    return await gateway.charge(
        token=token,
        amount=YEN_1000,
        reference=reference or f"sub_{uuid4().hex}/1/1",
        idempotency_key=key or uuid4().hex,
    )


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_insufficient_funds", DeclineCode.INSUFFICIENT_FUNDS),
        ("tok_issuer_unavailable", DeclineCode.ISSUER_UNAVAILABLE),
        ("tok_do_not_honor", DeclineCode.DO_NOT_HONOR),
        ("tok_expired", DeclineCode.EXPIRED_CARD),
        ("tok_lost", DeclineCode.LOST_CARD),
        ("tok_stolen", DeclineCode.STOLEN_CARD),
        ("tok_closed", DeclineCode.CLOSED_ACCOUNT),
        ("tok_seized", DeclineCode.SEIZED_CARD),
        ("tok_fraud", DeclineCode.FRAUD_SUSPECTED),
        ("tok_lost:another_card", DeclineCode.LOST_CARD),
        ("tok_unheard_of", DeclineCode.INVALID_CARD),
        ("tok_script_never_made", DeclineCode.INVALID_CARD),
        ("tok_konbini", DeclineCode.INVALID_CARD),
    ],
)
async def test_a_token_declines_as_its_name_says(gateway, token, code):
    outcome = await charge(gateway, token)
    assert (outcome.kind, outcome.code) == ("declined", code)


async def test_3ds_settles_at_the_third_question_and_pending_never_by_itself(gateway):
    secure, slow = await charge(gateway, "tok_3ds"), await charge(gateway, "tok_pending")
    assert [(await gateway.get(secure.gateway_id)).state for _ in range(3)] == [
        "pending",
        "pending",
        "settled",
    ]
    assert [(await gateway.get(slow.gateway_id)).state for _ in range(5)] == ["pending"] * 5


async def test_insufficient_then_ok_counts_for_each_subscription_by_itself(gateway):
    token = "tok_insufficient_then_ok:2"
    low, middle, high = sorted(f"sub_{uuid4().hex}" for _ in range(3))
    for name in (middle, low, high):
        outcomes = [await charge(gateway, token, f"{name}/1/{attempt}") for attempt in (1, 2, 3, 4)]
        assert [outcome.kind for outcome in outcomes] == ["declined", "declined", "settled", "settled"]


async def test_each_new_attempt_takes_the_next_item_and_a_resend_takes_none(gateway, remote):
    token = await remote.script([{"decline": "lost_card"}, "timeout", {"decline": "expired"}])
    first, second = uuid4().hex, uuid4().hex
    reference = f"sub_{uuid4().hex}/1/1"
    answers = [await charge(gateway, token, reference, key) for key in (first, first, second, second, second)]
    assert [answer.kind for answer in answers] == ["declined", "declined", "unknown", "settled", "settled"]
    assert (await charge(gateway, token)).code is DeclineCode.EXPIRED_CARD
    assert (await charge(gateway, token)).kind == "settled"
    assert [row["outcome"] for row in await remote.requests(reference)] == [
        "declined", "declined", "http_503", "settled", "settled",
    ]  # fmt: skip


async def test_timeout_then_declined_is_found_declined(gateway, remote):
    token = await remote.script([{"timeout_then_declined": "insufficient_funds"}])
    reference = f"sub_{uuid4().hex}/1/1"
    assert (await charge(gateway, token, reference)).kind == "unknown"
    (found,) = await gateway.lookup(reference)
    assert found.decline is DeclineCode.INSUFFICIENT_FUNDS


async def test_cards_of_one_script_share_its_queue_and_are_different_cards(gateway, remote):
    script_id = f"s{uuid4().hex}"
    items = [{"decline": "lost_card"}, {"decline": "stolen_card"}]
    old, new = [await remote.script(items, script_id=script_id) for _ in range(2)]
    assert old != new
    assert old == f"tok_script_{script_id}"
    codes = [(await charge(gateway, token)).code for token in (old, new)]
    assert codes == [DeclineCode.LOST_CARD, DeclineCode.STOLEN_CARD]
    assert (await charge(gateway, old)).kind == "settled"
    with pytest.raises(ValueError, match="script_exists"):
        await remote.script(["approve"], script_id=script_id)


@pytest.mark.parametrize(
    "script", [["aprove"], [{"decline": "customer_blocked"}], [{"decline": 3}], [{}], [None], "approve", [[]]]
)
async def test_a_script_nobody_understands_is_refused(remote, script):
    with pytest.raises(ValueError, match=r"invalid_(script|decline)"):
        await remote._call("POST", "/tokens", {"script": script})


async def test_a_behaviour_nobody_knows_is_refused(remote):
    with pytest.raises(ValueError, match="invalid_behaviour"):
        await remote.token("generous")


async def test_token_details_tell_cards_from_konbini_and_bank(gateway):
    kinds = [(await gateway.token_details(token)).kind for token in ("tok_ok", "tok_konbini", "tok_bank")]
    assert kinds == ["card", "konbini", "bank_transfer"]
    cards = [await gateway.token_details(f"tok_ok:{name}") for name in ("a", "b", "a")]
    assert cards[0] == cards[2] != cards[1]
    assert (await gateway.token_details("tok_expired")).expires_year == 2020


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["approve", "decline", "lost"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=6,
)


@given(_json)
def test_any_script_item_is_either_understood_or_refused(item):
    try:
        understood = isinstance(parse_item(item), Plan)
    except Refusal as refusal:
        understood = refusal.status == 422
    assert understood


@given(st.sampled_from(list(DeclineCode)))
def test_every_decline_a_gateway_can_give_can_be_scripted(code):
    if category_of(code) is DeclineCategory.BLOCKED:
        with pytest.raises(Refusal):
            parse_item({"decline": code.value})
    else:
        assert parse_item({"decline": code.value}).decline is code


@given(st.text(max_size=40) | st.from_regex(r"\Atok_[a-z_]{1,20}(:[0-9a-z:]{0,9})?\Z"))
def test_any_text_is_a_token_with_one_meaning_or_none(text):
    token = read_token(text)
    if token is not None and token.kind == "card":
        assert (token.plan is None) != (token.script_id is None)
        assert len(token.details()["last_four"]) == 4
