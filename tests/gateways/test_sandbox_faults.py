"""Every fault strikes, is logged with its seed, and is read by the adapter as what it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from domain.declines import DeclineCode
from domain.money import Money
from gateways.port import Declined, GatewayUnavailable, Settled, Unavailable, Unknown
from gateways.sandbox.faults import NAMES, OF_WEBHOOKS, FaultPlan
from gateways.sandbox_client import SandboxGateway

YEN_1000 = Money(minor=1000, currency="JPY")

EFFECTS = {
    "drop_before": (Unknown, 0),
    "error_before": (Unknown, 0),
    "in_flight_409": (Unknown, 0),
    "rate_limit_429": (Unavailable, 0),
    "drop_after": (Unknown, 1),
    "error_after": (Unknown, 1),
    "malformed": (Unknown, 1),
    "wrong_amount_echoed": (Unknown, 1),
    "slow:0.05": (Settled, 1),
    "lookup_lag:0": (Settled, 1),
    "decline:lost_card": (Declined, 1),
}


async def charge(gateway, reference, key=None, token="tok_ok"):
    return await gateway.charge(
        token=token, amount=YEN_1000, reference=reference, idempotency_key=key or uuid4().hex
    )


def test_the_tables_here_and_in_the_webhooks_tests_miss_no_fault():
    assert {fault.partition(":")[0] for fault in EFFECTS} | {"key_check_failed"} | OF_WEBHOOKS == NAMES


@pytest.mark.parametrize("fault", EFFECTS)
async def test_a_fault_of_the_plan_strikes_is_logged_and_the_same_key_still_charges_once(
    gateway, remote, fault
):
    outcome_kind, charges_after = EFFECTS[fault]
    reference, key = f"sub_{uuid4().hex}/1/1", uuid4().hex
    await remote.faults({"fault": fault, "times": 1}, seed=7)
    assert isinstance(await charge(gateway, reference, key), outcome_kind)
    assert len(await gateway.lookup(reference)) == charges_after
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["seed"], row["route"], row["source"]) == (
        fault.partition(":")[0], 7, "charge", "plan",
    )  # fmt: skip
    assert isinstance(await charge(gateway, reference, key), Declined if "decline" in fault else Settled)
    assert len(await gateway.lookup(reference)) == 1


async def test_a_request_asks_for_its_fault_in_a_header(sandbox, gateway, remote):
    reference = f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": YEN_1000.model_dump(), "reference": reference}
    headers = {"X-Sandbox-Fault": "lookup_lag:60, drop_after"}
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post("/charges", json=body, headers=headers)
    assert await gateway.lookup(reference) == []
    assert (await remote.ledger())["references"][reference]["settled_charges"] == 1
    fired = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert {(row["fault"], row["source"]) for row in fired} == {
        ("lookup_lag", "header"),
        ("drop_after", "header"),
    }


async def test_a_tokens_fault_strikes_whoever_uses_it(gateway, remote):
    token = await remote.token("ok", fault="error_before")
    for _ in range(2):
        outcome = await charge(gateway, f"sub_{uuid4().hex}/1/1", token=token)
        assert outcome == Unknown(hint="http 500 server_error", outage=True)


async def test_a_charge_the_look_up_cannot_see_yet_appears_later(gateway, remote):
    reference = f"sub_{uuid4().hex}/1/1"
    await remote.faults({"fault": "lookup_lag", "seconds": 0.2, "times": 1})
    settled = await charge(gateway, reference)
    assert await gateway.lookup(reference) == []
    assert await gateway.get(settled.gateway_id) is None
    await remote.faults({"fault": "slow:0.25", "route": "lookup", "times": 1})
    assert [record.gateway_id for record in await gateway.lookup(reference)] == [settled.gateway_id]


async def test_slower_than_the_client_waits_is_unknown_and_the_charge_lands_afterwards(
    sandbox, gateway, remote
):
    reference = f"sub_{uuid4().hex}/1/1"
    await remote.faults({"fault": "slow:0.3", "times": 1})
    hasty = SandboxGateway(sandbox.base_url, timeout=timedelta(seconds=0.1))
    assert await charge(hasty, reference) == Unknown(hint="timeout", outage=True)
    await hasty.close()
    assert await gateway.lookup(reference) == []
    await remote.faults({"fault": "slow:0.4", "route": "lookup", "times": 1})
    assert [record.state for record in await gateway.lookup(reference)] == ["settled"]


async def test_a_plan_replaced_while_a_slow_request_is_at_work_still_counts_its_fault(gateway, remote):
    await remote.faults({"fault": "slow", "seconds": 0.3})
    before = (await remote.fired())["counts"].get("slow", 0)
    charge = asyncio.create_task(
        gateway.charge(token="tok_ok", amount=YEN_1000, reference="sub_slow/1/1", idempotency_key="slow-1")
    )
    await asyncio.sleep(0.1)
    await remote.faults()
    assert (await charge).kind == "settled"
    assert (await remote.fired())["counts"]["slow"] == before + 1


async def test_a_refund_the_look_up_cannot_see_yet_appears_later(gateway, remote):
    settled = await charge(gateway, f"sub_{uuid4().hex}/1/1")
    reference = f"refund_{uuid4().hex}"
    await remote.faults({"fault": "lookup_lag:0.2", "route": "refund", "times": 1})
    refunded = await gateway.refund(
        charge_id=settled.gateway_id, amount=YEN_1000, reference=reference, idempotency_key=uuid4().hex
    )
    assert await gateway.lookup(reference) == []
    await remote.faults({"fault": "slow:0.25", "route": "lookup", "times": 1})
    assert [record.gateway_id for record in await gateway.lookup(reference)] == [refunded.gateway_id]


async def test_a_key_check_that_fails_charges_again_and_says_so(gateway, remote):
    reference, key = f"sub_{uuid4().hex}/1/1", uuid4().hex
    first = await charge(gateway, reference, key)
    await remote.faults({"fault": "key_check_failed", "times": 1}, seed=3)
    second = await charge(gateway, reference, key)
    assert second == Settled(gateway_id=second.gateway_id, amount=YEN_1000, idempotency_check_failed=True)
    assert [record.gateway_id for record in await gateway.lookup(reference)] == [
        first.gateway_id,
        second.gateway_id,
    ]
    assert await charge(gateway, reference, key) == first
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["seed"], row["source"]) == ("key_check_failed", 3, "plan")


async def test_a_key_check_that_fails_by_the_mode_is_logged_too(gateway, remote):
    reference = f"sub_{uuid4().hex}/1/1"
    await remote.idempotency("best_effort:1")
    assert (await charge(gateway, reference)).idempotency_check_failed
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["source"]) == ("key_check_failed", "mode")


async def test_a_key_check_cannot_fail_where_there_is_no_key_and_is_not_logged_then(sandbox, remote):
    reference = f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": YEN_1000.model_dump(), "reference": reference}
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        answer = await session.post("/charges", json=body, headers={"X-Sandbox-Fault": "key_check_failed"})
        assert (answer.status, answer.headers.get("Idempotency-Status")) == (200, None)
    assert reference not in {row["reference"] for row in (await remote.fired())["fired"]}


async def test_a_rule_about_a_card_strikes_refunds_and_reads_of_its_charges_too(gateway, remote):
    mine, other = await remote.token("ok"), await remote.token("ok")
    charged = {token: await charge(gateway, f"sub_{uuid4().hex}/1/1", token=token) for token in (mine, other)}
    await remote.faults({"fault": "error_before", "route": "any", "token": mine})
    assert await gateway.get(charged[other].gateway_id) is not None
    with pytest.raises(GatewayUnavailable):
        await gateway.get(charged[mine].gateway_id)
    refunds = [
        await gateway.refund(
            charge_id=charged[token].gateway_id,
            amount=YEN_1000,
            reference=f"refund_{uuid4().hex}",
            idempotency_key=uuid4().hex,
        )
        for token in (mine, other)
    ]
    assert [type(refund) for refund in refunds] == [Unknown, Settled]


@pytest.mark.parametrize("route", ["lookup", "get", "list"])
@pytest.mark.parametrize("fault", ["drop_before", "error_before", "rate_limit_429", "malformed"])
async def test_each_kind_of_read_breaks_when_its_request_asks_for_it(sandbox, remote, route, fault):
    reference = f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": YEN_1000.model_dump(), "reference": reference}
    headers = {"X-Sandbox-Fault": fault}
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        made = await (await session.post("/charges", json=body)).json()
        path = {
            "lookup": f"/charges?reference={reference}",
            "get": f"/charges/{made['id']}",
            "list": "/charges?since=2000-01-01T00:00:00Z",
        }[route]
        before = (await remote.fired())["counts"].get(fault, 0)

        async def read():
            answer = await session.get(path, headers=headers)
            answer.raise_for_status()
            await answer.json()

        with pytest.raises((aiohttp.ClientError, ValueError)):
            await read()
        assert (await remote.fired())["counts"][fault] > before
        (newest,) = (await remote.fired())["fired"][-1:]
        assert (newest["fault"], newest["route"], newest["source"]) == (fault, route, "header")


@pytest.mark.parametrize("fault", ["drop_before", "error_before", "rate_limit_429", "malformed"])
async def test_a_read_that_breaks_raises_and_the_next_one_answers(gateway, remote, fault):
    reference = f"sub_{uuid4().hex}/1/1"
    await charge(gateway, reference)
    # aiohttp itself sends a dropped GET once more, so the fault strikes twice.
    await remote.faults({"fault": fault, "route": "lookup", "times": 2})
    with pytest.raises(GatewayUnavailable):
        await gateway.lookup(reference)
    await remote.faults()
    assert len(await gateway.lookup(reference)) == 1


async def test_refunds_and_voids_break_like_charges_do(gateway, remote):
    reference = f"sub_{uuid4().hex}/1/1"
    settled = await charge(gateway, reference)
    await remote.faults({"fault": "drop_after", "route": "any", "reference_prefix": "refund_", "times": 1})
    refund = {
        "charge_id": settled.gateway_id,
        "amount": YEN_1000,
        "reference": f"refund_{uuid4().hex}",
        "idempotency_key": uuid4().hex,
    }
    assert isinstance(await gateway.refund(**refund), Unknown)
    (found,) = await gateway.lookup(refund["reference"])
    assert await gateway.refund(**refund) == found.outcome()


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "explode"},
        {"fault": "slow"},
        {"fault": "drop_after:3"},
        {"fault": "decline:nothing"},
        {"fault": "drop_after", "probability": 1.5},
        {"fault": "drop_after", "route": "lookup"},
        {"fault": "drop_after", "route": "moon"},
        {"fault": "drop_after", "times": 0},
        {"fault": "drop_after", "when": "always"},
        {"fault": "drop_after", "route": "webhook"},
        {"fault": "webhook_lose", "route": "charge"},
        {"fault": "webhook_delay"},
        {"fault": "key_check_failed", "route": "list"},
    ],
)
async def test_a_rule_nobody_understands_is_refused(remote, rule):
    with pytest.raises(ValueError, match=r"invalid_(fault|decline)"):
        await remote.faults(rule)


def test_the_same_seed_strikes_the_same_requests():
    def strikes(seed):
        plan = FaultPlan(seed=seed, raw_rules=[{"fault": "drop_after", "probability": 0.3}])
        return [bool(plan.choose("charge", token=None, reference="r")) for _ in range(200)]

    assert strikes(7) == strikes(7) != strikes(8)
    assert 30 <= sum(strikes(7)) <= 90


async def test_a_decline_of_the_plan_is_the_code_it_names(gateway, remote):
    await remote.faults({"fault": "decline:stolen_card"})
    outcome = await charge(gateway, f"sub_{uuid4().hex}/1/1")
    assert outcome.code is DeclineCode.STOLEN_CARD
