"""What the sandbox tells its merchant about slips and remittances, and how that breaks."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gateways import sandbox_till
from tests.gateways.deposits import issue, new_order, remit, void
from tests.gateways.receiver import SECRET


@pytest.fixture
async def listening(remote, receiver):
    """The receiver, registered."""
    await remote.webhooks(receiver.url, SECRET, retry_seconds=[0.02, 0.02, 0.02])
    return receiver


@pytest.fixture
def pay(sandbox):
    async def pay(slip, notice="confirmed"):
        return await sandbox_till.pay(sandbox.base_url, slip, notice=notice)

    return pay


def kinds(events):
    return [event["type"] for event in events]


async def test_every_notice_of_the_till_is_one_event_about_the_slips_charge(gateway, pay, listening):
    reference = new_order()
    slip = (await issue(gateway, reference)).gateway_id
    told = []
    for notice in ("preliminary", "preliminary_canceled", "preliminary", "confirmed"):
        await pay(slip, notice)
        arrived = (await listening.has(len(told) + 1))[len(told) :]
        told += arrived
    await asyncio.sleep(0.05)
    assert kinds(listening.arrived) == [
        "konbini.preliminary",
        "konbini.preliminary_canceled",
        "konbini.preliminary",
        "charge.settled",
    ]
    assert [(event["data"]["id"], event["data"]["deposit"]) for event in told] == [
        (slip, "preliminary"),
        (slip, "unpaid"),
        (slip, "preliminary"),
        (slip, None),
    ]
    assert all(event["true"] for event in told)


async def test_late_money_and_a_void_are_told_of(gateway, pay, listening):
    reference = new_order()
    issued = await issue(gateway, reference)
    await void(gateway, issued.gateway_id)
    await listening.has(1)
    late = await pay(issued.gateway_id)
    arrived = await listening.has(2)
    assert [(event["type"], event["data"]["id"], event["data"]["reference"]) for event in arrived] == [
        ("charge.voided", issued.gateway_id, reference),
        ("charge.settled", late["id"], reference),
    ]


async def test_the_same_preliminary_notice_again_and_a_refused_one_tell_nothing(gateway, pay, listening):
    slip = (await issue(gateway)).gateway_id
    await pay(slip, "preliminary")
    await pay(slip, "preliminary")
    await listening.has(1)
    await asyncio.sleep(0.05)
    assert kinds(listening.arrived) == ["konbini.preliminary"]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("tok_bank", ["charge.refunded", "refund.settled"]),
        ("tok_bank_wrong", ["refund.declined"]),
        ("tok_bank_slow", ["charge.refunded", "refund.settled"]),
        ("tok_bank_slow_wrong", ["charge.refunded", "refund.declined"]),
    ],
)
async def test_a_remittance_is_told_of_when_it_is_decided(gateway, pay, listening, account, expected):
    slip = (await issue(gateway)).gateway_id
    await pay(slip)
    await listening.has(1)
    outcome = await remit(gateway, slip, account)
    for _ in range(2):
        await gateway.get(outcome.gateway_id)
    arrived = (await listening.has(1 + len(expected)))[1:]
    await asyncio.sleep(0.05)
    assert sorted(kinds(arrived)) == expected
    assert len(listening.arrived) == 1 + len(expected)
    decided = next(event["data"] for event in arrived if event["type"] == expected[-1])
    assert (decided["id"], decided["fee_minor"]) == (outcome.gateway_id, 250)


async def preliminary(gateway, pay):
    """Two slips; the till announces the first, then the second is paid."""
    first, second = [(await issue(gateway)).gateway_id for _ in range(2)]
    await pay(first, "preliminary")
    await pay(second)
    return first, second


async def lost(receiver, first, second):
    await receiver.has(1)
    assert [event["data"]["id"] for event in receiver.arrived] == [second]


async def duplicated(receiver, first, second):
    arrived = await receiver.has(3)
    assert sorted(event["data"]["id"] for event in arrived) == sorted([first, first, second])


async def late(receiver, first, second):
    arrived = await receiver.has(2)
    assert [event["data"]["id"] for event in arrived] == [second, first]


async def forged(receiver, first, second):
    await receiver.has(3)
    (lie,) = [event for event in receiver.arrived if not event["true"]]
    assert (lie["type"], lie["data"]["id"], lie["data"]["state"], lie["data"]["deposit"]) == (
        "charge.settled", first, "settled", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("webhook_lose", lost),
        ("webhook_duplicate", duplicated),
        ("webhook_delay:0.2", late),
        ("webhook_reorder", late),
        ("webhook_forge", forged),
    ],
)
async def test_every_fault_of_webhooks_strikes_a_preliminary_notice(
    gateway, pay, remote, listening, fault, seen
):
    name = fault.partition(":")[0]
    before = (await remote.fired())["counts"].get(name, 0)
    await remote.faults({"fault": fault, "times": 1})
    await seen(listening, *await preliminary(gateway, pay))
    fired = await remote.fired()
    assert fired["counts"][name] == before + 1
    assert (fired["fired"][-1]["fault"], fired["fired"][-1]["route"]) == (name, "webhook")


async def test_whoever_stands_at_the_till_asks_for_webhook_faults_too(sandbox, gateway, remote, listening):
    slip = (await issue(gateway)).gateway_id
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        answer = await session.post(
            "/_shop/pay", json={"slip": slip}, headers={"X-Sandbox-Fault": "webhook_duplicate"}
        )
        assert answer.status == 200
    assert kinds(await listening.has(2)) == ["charge.settled"] * 2
