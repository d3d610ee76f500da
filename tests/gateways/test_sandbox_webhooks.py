"""Webhooks out of the sandbox: signed, at least once, and as broken as somebody wants them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from domain.money import Money
from gateways.sandbox.faults import OF_WEBHOOKS
from gateways.sandbox.launch import start_sandbox
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox.webhooks import secret_bytes, sign
from gateways.sandbox_client import SandboxGateway
from tests.gateways.receiver import SECRET, Receiver

YEN_1000 = Money(minor=1000, currency="JPY")
HASTY = {"retry_seconds": [0.02, 0.02, 0.02]}


@pytest.fixture
async def listening(remote, receiver) -> Receiver:
    """The receiver, registered."""
    await remote.webhooks(receiver.url, SECRET, **HASTY)
    return receiver


def charging(gateway, token="tok_ok", reference=None):
    return gateway.charge(
        token=token,
        amount=YEN_1000,
        reference=reference or f"sub_{uuid4().hex}/1/1",
        idempotency_key=uuid4().hex,
    )


async def sent(remote, **expected: int) -> None:
    """Wait until deliveries are in these states; the session's earlier ones are ended."""
    async with asyncio.timeout(10):
        while True:
            states = await remote.webhooks_sent()
            if all(states.get(state, 0) >= count for state, count in expected.items()):
                return
            await asyncio.sleep(0.01)


def test_the_signature_is_that_of_standard_webhooks():
    # The example of the specification's own reference implementations.
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_every_change_of_a_charge_and_a_refund_is_told_once(gateway, listening):
    settled = await charging(gateway)
    await gateway.refund(
        charge_id=settled.gateway_id,
        amount=Money(minor=400, currency="JPY"),
        reference=f"refund_{uuid4().hex}",
        idempotency_key=uuid4().hex,
    )
    await charging(gateway, "tok_lost")
    asked = await charging(gateway, "tok_pending_then_declined")
    assert await gateway.get(asked.gateway_id) != await gateway.get(asked.gateway_id)
    given_up = await charging(gateway, "tok_pending")
    await gateway.void(charge_id=given_up.gateway_id, reference="v", idempotency_key=uuid4().hex)
    arrived = await listening.has(6)
    await asyncio.sleep(0.05)
    assert sorted(event["type"] for event in arrived) == [
        "charge.declined",
        "charge.declined",
        "charge.refunded",
        "charge.settled",
        "charge.voided",
        "refund.settled",
    ]
    assert all(event["true"] for event in arrived)
    assert len({event["id"] for event in arrived}) == 6
    refunded = next(event for event in arrived if event["type"] == "charge.refunded")["data"]
    assert (refunded["id"], refunded["refunded_minor"]) == (settled.gateway_id, 400)
    assert not any("tok_" in str(event) for event in arrived)


async def test_a_replayed_answer_is_no_new_event(gateway, listening):
    request = {"token": "tok_ok", "amount": YEN_1000, "reference": f"sub_{uuid4().hex}/1/1"}
    for _ in range(2):
        await gateway.charge(**request, idempotency_key=request["reference"])
    await listening.has(1)
    await asyncio.sleep(0.05)
    assert len(listening.arrived) == 1


async def test_what_is_not_answered_with_2xx_is_sent_again_under_the_same_id_and_given_up_in_the_end(
    gateway, remote, listening
):
    listening.answers = [500, 302, 503]
    await charging(gateway)
    arrived = await listening.has(4)
    assert [event["status"] for event in arrived] == [500, 302, 503, 204]
    assert len({event["id"] for event in arrived}) == 1
    given_up = (await remote.webhooks_sent()).get("given_up", 0)
    listening.answers = [500] * 4
    await charging(gateway)
    await sent(remote, given_up=given_up + 1)
    assert len(listening.arrived) == 8


async def test_nothing_is_written_while_nobody_is_registered_and_removing_forgets_what_waits(
    gateway, remote, receiver
):
    before = await remote.webhooks_sent()
    await charging(gateway)
    assert await remote.webhooks_sent() == before
    await remote.webhooks(receiver.url, SECRET)
    await remote.faults({"fault": "webhook_delay:60"})
    await charging(gateway)
    assert (await remote.webhooks_sent())["waiting"] == 1
    await remote.webhooks(None)
    assert "waiting" not in await remote.webhooks_sent()
    assert receiver.arrived == []


async def lost(gateway, remote, receiver):
    await charging(gateway)
    await charging(gateway, reference="sub_after/1/1")
    await receiver.has(1)
    assert [event["data"]["reference"] for event in receiver.arrived] == ["sub_after/1/1"]


async def duplicated(gateway, remote, receiver):
    await charging(gateway)
    first, second = await receiver.has(2)
    assert first == second


async def delayed(gateway, remote, receiver):
    await charging(gateway)
    await charging(gateway, reference="sub_after/1/1")
    arrived = await receiver.has(2)
    assert [event["data"]["reference"] == "sub_after/1/1" for event in arrived] == [True, False]


async def forged(gateway, remote, receiver):
    reference = f"sub_{uuid4().hex}/1/1"
    await charging(gateway, "tok_lost", reference)
    await receiver.has(2)
    (lie,), (truth,) = receiver.about(reference, true=False), receiver.about(reference)
    assert (truth["type"], truth["data"]["state"]) == ("charge.declined", "declined")
    assert (lie["type"], lie["data"]["state"], lie["data"]["amount"]["minor"]) == (
        "charge.settled", "settled", 10_000,
    )  # fmt: skip
    await asyncio.sleep(0.1)
    assert len(receiver.arrived) == 2  # refused with 401, and a forger does not try again


FAULTS = {
    "webhook_lose": lost,
    "webhook_duplicate": duplicated,
    "webhook_delay:0.1": delayed,
    "webhook_reorder": delayed,
    "webhook_forge": forged,
}


def test_the_table_above_misses_no_fault():
    assert {fault.partition(":")[0] for fault in FAULTS} == OF_WEBHOOKS


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_plan_breaks_an_event_and_is_logged_once(gateway, remote, listening, fault):
    name = fault.partition(":")[0]
    before = (await remote.fired())["counts"].get(name, 0)
    await remote.faults({"fault": fault, "times": 1}, seed=5)
    await FAULTS[fault](gateway, remote, listening)
    fired = await remote.fired()
    assert fired["counts"][name] == before + 1
    row = fired["fired"][-1]
    assert (row["fault"], row["route"], row["source"], row["seed"]) == (name, "webhook", "plan", 5)


async def test_a_card_and_a_request_ask_for_webhook_faults_too(sandbox, gateway, remote, listening):
    forgetful = await remote.token("ok", fault="webhook_lose")
    await charging(gateway, forgetful)
    reference = f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": YEN_1000.model_dump(), "reference": reference}
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        await session.post("/charges", json=body, headers={"X-Sandbox-Fault": "webhook_duplicate"})
    arrived = await listening.has(2)
    assert {event["data"]["reference"] for event in arrived} == {reference}
    fired = (await remote.fired())["fired"][-2:]
    assert [(row["fault"], row["source"]) for row in fired] == [
        ("webhook_lose", "token"),
        ("webhook_duplicate", "header"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://127.0.0.1/hooks"},
        {"url": 7},
        {"secret": "whsec_c2hvcnQ="},
        {"secret": "no prefix"},
        {"retry_seconds": [-1]},
        {"timeout_seconds": 0},
        {"else": 1},
    ],
)
async def test_a_receiver_nobody_understands_is_refused_and_the_secret_is_never_shown(
    sandbox, remote, receiver, wrong
):
    given = {"url": receiver.url, "secret": SECRET} | wrong
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        answer = await session.put("/_control/webhooks", json=given)
        assert (answer.status, (await answer.json())["error"]["code"]) == (422, "invalid_webhook")
        await remote.webhooks(receiver.url, SECRET)
        assert SECRET not in await (await session.get("/_control/webhooks")).text()


async def test_an_event_written_before_a_power_cut_is_delivered_after_it(tmp_path, receiver):
    database = str(tmp_path / "sandbox.sqlite3")
    first = await start_sandbox(database)
    receiver.answers = [500]
    async with SandboxRemote(first.base_url) as remote:
        await remote.webhooks(receiver.url, SECRET, retry_seconds=[0.3, 0.3])
        gateway = SandboxGateway(first.base_url)
        settled = await charging(gateway)
        await gateway.close()
        await receiver.has(1)
    await first.kill()
    second = await start_sandbox(database)
    arrived = await receiver.has(2)
    assert [event["data"]["id"] for event in arrived] == [settled.gateway_id] * 2
    assert arrived[0]["id"] == arrived[1]["id"]
    assert await second.stop() == 0
