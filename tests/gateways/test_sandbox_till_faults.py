"""Every fault on the routes of the till: how the adapter reads it, what is logged, and that nothing happens twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from gateways import sandbox_till
from gateways.port import Declined, GatewayUnavailable, Pending, Settled, Unavailable, Unknown
from gateways.sandbox_client import SandboxGateway
from tests.gateways.deposits import YEN_1000, issue, new_order, remit

EFFECTS = {
    "drop_before": (Unknown, 0),
    "error_before": (Unknown, 0),
    "in_flight_409": (Unknown, 0),
    "rate_limit_429": (Unavailable, 0),
    "drop_after": (Unknown, 1),
    "error_after": (Unknown, 1),
    "malformed": (Unknown, 1),
    "slow:0.05": (None, 1),
}
"""Fault → what the adapter answers (None: as if nothing had struck), and whether the work was done."""


async def issuing(gateway, sandbox):
    reference, key = new_order(), uuid4().hex

    async def done():
        return len(await gateway.lookup(reference))

    return reference, Pending, lambda: issue(gateway, reference, key=key), done


async def voiding(gateway, sandbox):
    issued, key = await issue(gateway), uuid4().hex
    reference = f"void_{issued.gateway_id}"

    async def call():
        return await gateway.void_konbini(
            charge_id=issued.gateway_id, reference=reference, idempotency_key=key
        )

    async def done():
        return int((await gateway.get(issued.gateway_id)).state == "voided")

    return reference, Declined, call, done


async def remitting(gateway, sandbox):
    issued, key, reference = await issue(gateway), uuid4().hex, f"refund_{uuid4().hex}"
    await sandbox_till.pay(sandbox.base_url, issued.gateway_id)

    async def done():
        return len(await gateway.lookup(reference))

    return (
        reference,
        Settled,
        lambda: remit(gateway, issued.gateway_id, "tok_bank", key=key, reference=reference),
        done,
    )


ROUTES = {"konbini": issuing, "void": voiding, "refund": remitting}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("fault", [*EFFECTS, "wrong_amount_echoed"])
async def test_a_fault_strikes_is_logged_and_the_same_key_does_it_once(
    sandbox, gateway, remote, route, fault
):
    expected, times_done = EFFECTS.get(fault, (None if route == "void" else Unknown, 1))
    reference, usual, call, done = await ROUTES[route](gateway, sandbox)
    fees = (await remote.ledger())["fees"].get("JPY", 0)
    await remote.faults({"fault": fault, "route": route, "times": 1}, seed=7)
    first = await call()
    assert isinstance(first, expected or usual)
    assert await done() == times_done
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["seed"], row["route"], row["source"]) == (
        fault.partition(":")[0], 7, route, "plan",
    )  # fmt: skip
    again = await call()
    assert isinstance(again, usual)
    assert again == await call()
    assert await done() == 1
    book = await remote.ledger()
    assert book["balanced"]
    assert book["fees"].get("JPY", 0) - fees == (250 if route == "refund" else 0)
    assert {line["route"] for line in await remote.requests(reference)} == {route}
    assert len(await remote.requests(reference)) == 3


@pytest.mark.parametrize("route", ["konbini", "refund"])
async def test_what_look_ups_cannot_see_yet_appears_later(sandbox, gateway, remote, route):
    reference, usual, call, done = await ROUTES[route](gateway, sandbox)
    await remote.faults({"fault": "lookup_lag:0.2", "route": route, "times": 1})
    outcome = await call()
    assert isinstance(outcome, usual)
    assert await gateway.lookup(reference) == []
    assert await gateway.get(outcome.gateway_id) is None
    assert await gateway.konbini_slip(outcome.gateway_id) is None
    await asyncio.sleep(0.25)
    assert await done() == 1


async def test_a_slip_no_look_up_sees_yet_can_be_paid(sandbox, gateway, remote):
    await remote.faults({"fault": "lookup_lag:60", "route": "konbini", "times": 1})
    issued = await issue(gateway)
    paid = await sandbox_till.pay(sandbox.base_url, issued.slip.payment_number)
    assert (paid["id"], paid["state"]) == (issued.gateway_id, "settled")


async def test_a_key_check_that_fails_issues_a_second_slip_which_the_reference_finds(gateway, remote):
    reference, key = new_order(), uuid4().hex
    first = await issue(gateway, reference, key=key)
    await remote.faults({"fault": "key_check_failed", "route": "konbini", "times": 1}, seed=3)
    second = await issue(gateway, reference, key=key)
    assert second.slip.payment_number != first.slip.payment_number
    assert [found.gateway_id for found in await gateway.lookup(reference)] == [
        first.gateway_id,
        second.gateway_id,
    ]
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["seed"]) == ("key_check_failed", 3)


async def test_a_key_check_that_fails_cannot_return_the_money_twice_nor_take_two_fees(
    sandbox, gateway, remote
):
    _, _, call, done = await remitting(gateway, sandbox)
    fees = (await remote.ledger())["fees"].get("JPY", 0)
    await call()
    await remote.faults({"fault": "key_check_failed", "route": "refund", "times": 1})
    assert isinstance(await call(), Declined)
    assert await done() == 1
    assert (await remote.ledger())["fees"]["JPY"] == fees + 250


async def test_a_slip_slower_than_the_client_waits_is_unknown_and_is_found_afterwards(
    sandbox, gateway, remote
):
    reference = new_order()
    await remote.faults({"fault": "slow:0.3", "route": "konbini", "times": 1})
    hasty = SandboxGateway(sandbox.base_url, timeout=timedelta(seconds=0.1))
    assert await issue(hasty, reference) == Unknown(hint="timeout", outage=True)
    await hasty.close()
    assert await gateway.lookup(reference) == []
    await asyncio.sleep(0.35)
    (found,) = await gateway.lookup(reference)
    assert found.deposit == "unpaid"
    assert (await gateway.konbini_slip(found.gateway_id)).amount == YEN_1000


@pytest.mark.parametrize("fault", ["drop_before", "error_before", "rate_limit_429", "malformed"])
async def test_reading_a_slip_breaks_like_any_read_and_the_next_one_answers(gateway, remote, fault):
    issued = await issue(gateway)
    # aiohttp itself sends a dropped GET once more, so the fault strikes twice.
    await remote.faults({"fault": fault, "route": "get", "times": 2})
    with pytest.raises(GatewayUnavailable):
        await gateway.konbini_slip(issued.gateway_id)
    await remote.faults()
    assert await gateway.konbini_slip(issued.gateway_id) == issued.slip


async def test_a_slip_is_broken_by_the_header_of_its_own_request(sandbox, gateway, remote):
    reference = new_order()
    body = {
        "store": "ministop",
        "amount": YEN_1000.model_dump(),
        "customer_name": "Test Customer",
        "phone": "+81 90 0000 0000",
        "deadline_at": "2026-04-03T23:59:59+09:00",
        "reference": reference,
    }
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        answer = await session.post("/konbini", json=body, headers={"X-Sandbox-Fault": "error_after"})
        assert answer.status == 500
        wrong = [
            {"deadline_at": when} for when in ("tomorrow", "2026-04-03T23:59:59", None, "0001-01-01T00:00Z")
        ]
        for change in [*wrong, {"store": 7}, {"customer_name": "a\nb"}]:
            answer = await session.post("/konbini", json=body | change)
            assert answer.status == 422
    assert len(await gateway.lookup(reference)) == 1
    (row,) = [row for row in (await remote.fired())["fired"] if row["reference"] == reference]
    assert (row["fault"], row["route"], row["source"]) == ("error_after", "konbini", "header")
