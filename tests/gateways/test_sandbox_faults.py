"""Every fault strikes, is logged with its seed, and is read by the adapter as what it is."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from domain.declines import DeclineCode
from domain.money import Money
from gateways.port import Declined, GatewayUnavailable, Settled, Unavailable, Unknown
from gateways.sandbox.faults import NAMES, FaultPlan
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


def test_the_table_below_misses_no_fault():
    assert {fault.partition(":")[0] for fault in EFFECTS} == NAMES


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
        assert outcome == Unknown(hint="http 500 server_error")


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
    assert await charge(hasty, reference) == Unknown(hint="timeout")
    await hasty.close()
    assert await gateway.lookup(reference) == []
    await remote.faults({"fault": "slow:0.4", "route": "lookup", "times": 1})
    assert [record.state for record in await gateway.lookup(reference)] == ["settled"]


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
