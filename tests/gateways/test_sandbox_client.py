"""The adapter before answers no sandbox gives: whatever comes back, money is never guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from domain.declines import DeclineCode
from domain.money import Money
from gateways.port import Declined, GatewayUnavailable, Pending, Settled, Unavailable, Unknown
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import issue

YEN_1000 = Money(minor=1000, currency="JPY")
RECORD = {
    "id": "ch_1",
    "kind": "charge",
    "reference": "sub_a/1/1",
    "amount": {"minor": 1000, "currency": "JPY"},
    "state": "settled",
    "decline": None,
    "refunded_minor": 0,
    "created_at": "2026-01-01T00:00:00+00:00",
}


@pytest.fixture
async def parrot():
    """A real server that says what it is told to, and the adapter before it."""
    said = {"status": 200, "body": b"", "headers": {}}

    async def say(request: web.Request) -> web.Response:
        if request.method == "GET" and "to_get" in said:
            return web.Response(body=said["to_get"])
        return web.Response(status=said["status"], body=said["body"], headers=said["headers"])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", say)
    async with TestServer(app) as server:
        gateway = SandboxGateway(str(server.make_url("")), timeout=timedelta(seconds=5))
        yield gateway, said
        await gateway.close()


async def answer_to_a_charge(parrot, status, body, **headers):
    gateway, said = parrot
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said.update(status=status, body=raw, headers=headers)
    return await gateway.charge(token="tok_ok", amount=YEN_1000, reference="sub_a/1/1", idempotency_key="k")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        {},
        {**RECORD, "state": "excellent"},
        {**RECORD, "amount": {"minor": 1000.0, "currency": "JPY"}},
        {**RECORD, "amount": 1000},
        {**RECORD, "amount": {"minor": 1001, "currency": "JPY"}},
        {**RECORD, "amount": {"minor": 1000, "currency": "USD"}},
        {**RECORD, "reference": "sub_b/1/1"},
        {**RECORD, "created_at": "yesterday"},
        {key: value for key, value in RECORD.items() if key != "id"},
    ],
)
async def test_a_200_that_is_not_about_this_charge_is_unknown(parrot, body):
    assert isinstance(await answer_to_a_charge(parrot, 200, body), Unknown)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 409, 500, 502, 503, 504])
async def test_a_status_without_the_gateways_own_word_is_unknown(parrot, status):
    assert isinstance(await answer_to_a_charge(parrot, status, b"<html>", Location="/charges"), Unknown)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "request_in_flight", Unknown),
        (409, "idempotency_conflict", Unknown),
        (500, "server_error", Unknown),
        (429, "rate_limited", Unavailable),
        (422, "invalid_request", Declined),
        (404, "charge_not_found", Declined),
    ],
)
async def test_a_refusal_is_read_by_its_word(parrot, status, code, expected):
    assert isinstance(await answer_to_a_charge(parrot, status, {"error": {"code": code}}), expected)


async def test_a_redirect_is_not_followed_because_a_get_would_look_like_an_answer(parrot):
    gateway, said = parrot
    said["to_get"] = json.dumps(RECORD).encode()
    assert isinstance(await answer_to_a_charge(parrot, 302, b"", Location="/charges"), Unknown)
    (record,) = [await gateway.get("ch_1")]
    assert record.outcome() == Settled(gateway_id="ch_1", amount=YEN_1000), "the trap was set"


async def test_slow_down_says_for_how_long_when_the_gateway_does(parrot):
    told = await answer_to_a_charge(parrot, 429, {}, **{"Retry-After": "30"})
    assert told.retry_after == timedelta(seconds=30)
    assert (await answer_to_a_charge(parrot, 429, {}, **{"Retry-After": "soon"})).retry_after is None


async def test_records_become_outcomes(parrot):
    assert await answer_to_a_charge(parrot, 200, RECORD) == Settled(gateway_id="ch_1", amount=YEN_1000)
    checked = await answer_to_a_charge(parrot, 200, RECORD, **{"Idempotency-Status": "error"})
    assert checked.idempotency_check_failed
    for state in ("pending", "declined"):
        record = {**RECORD, "state": state}
        checked = await answer_to_a_charge(parrot, 200, record, **{"Idempotency-Status": "error"})
        assert checked.idempotency_check_failed, state
        assert not (await answer_to_a_charge(parrot, 200, record)).idempotency_check_failed
    assert await answer_to_a_charge(parrot, 200, {**RECORD, "state": "pending"}) == Pending(gateway_id="ch_1")
    strange = {**RECORD, "state": "declined", "decline": "moon_phase"}
    assert await answer_to_a_charge(parrot, 200, strange) == Declined(
        gateway_id="ch_1", code=DeclineCode.CARD_DECLINED, gateway_code="moon_phase"
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"items": 3}', b'{"items": [3]}', b'{"items": [{}]}'])
async def test_a_list_that_cannot_be_read_raises_rather_than_looking_empty(parrot, body):
    gateway, said = parrot
    said["body"] = body
    with pytest.raises(GatewayUnavailable):
        await gateway.lookup("sub_a/1/1")
    with pytest.raises(GatewayUnavailable):
        await gateway.list(since=datetime.now(UTC))


async def test_token_details_that_are_too_talkative_are_refused_without_repeating_them(parrot):
    gateway, said = parrot
    said["body"] = json.dumps({"token": "tok_private", "kind": "card", "last_four": "42424242"}).encode()
    with pytest.raises(GatewayUnavailable) as told:
        await gateway.token_details("tok_private")
    assert "tok_private" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


SLIP = {
    "store": "seven_eleven",
    "payment_number": "1000000000001",
    "confirmation_number": "",
    "deadline_at": "2026-04-03T23:59:59+09:00",
}
ISSUED = {**RECORD, "id": "kb_1", "state": "pending", "deposit": "unpaid", "slip": SLIP}


@pytest.mark.parametrize(
    "body",
    [
        {key: value for key, value in ISSUED.items() if key != "slip"},
        {**ISSUED, "slip": None},
        {**ISSUED, "slip": [SLIP]},
        {**ISSUED, "slip": {**SLIP, "payment_number": 7}},
        {**ISSUED, "slip": {**SLIP, "deadline_at": "2026-04-03T23:59:59"}},
        {**ISSUED, "slip": {**SLIP, "gateway_id": "kb_2"}},
        {**ISSUED, "slip": {key: value for key, value in SLIP.items() if key != "store"}},
        {**ISSUED, "deposit": "perhaps"},
        {**ISSUED, "amount": {"minor": 1001, "currency": "JPY"}},
    ],
)
async def test_a_slip_whose_numbers_cannot_be_read_may_have_been_issued(parrot, body):
    gateway, said = parrot
    said["body"] = json.dumps(body).encode()
    assert isinstance(await issue(gateway, "sub_a/1/1"), Unknown)
    if body.get("amount") == RECORD["amount"] and body["deposit"] == "unpaid":
        with pytest.raises(GatewayUnavailable):
            await gateway.konbini_slip("kb_1")


async def test_a_slip_that_was_paid_before_its_answer_was_read_is_settled(parrot):
    gateway, said = parrot
    said["body"] = json.dumps(ISSUED).encode()
    assert (await issue(gateway, "sub_a/1/1")).slip.payment_number == "1000000000001"
    said["body"] = json.dumps({**ISSUED, "state": "settled", "deposit": None}).encode()
    assert await issue(gateway, "sub_a/1/1") == Settled(gateway_id="kb_1", amount=YEN_1000)


async def test_a_404_on_the_list_is_an_answer_nobody_understands(parrot):
    gateway, said = parrot
    said["status"] = 404
    with pytest.raises(GatewayUnavailable):
        await gateway.lookup("sub_a/1/1")
