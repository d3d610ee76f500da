"""Idempotency keys in each mode a real gateway may be in."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from domain.money import Money
from gateways.port import Settled, Unknown

YEN_1000 = Money(minor=1000, currency="JPY")


async def charge(gateway, key, reference, token="tok_ok", minor=1000):
    return await gateway.charge(
        token=token, amount=Money(minor=minor, currency="JPY"), reference=reference, idempotency_key=key
    )


async def test_another_body_under_the_same_key_is_a_conflict_and_charges_nothing(gateway):
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    await charge(gateway, key, reference)
    outcome = await charge(gateway, key, reference, minor=2000)
    assert isinstance(outcome, Unknown)
    assert "idempotency_conflict" in outcome.hint
    assert len(await gateway.lookup(reference)) == 1


async def test_a_key_at_work_is_in_flight_for_everybody_else(sandbox, gateway):
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": YEN_1000.model_dump(), "reference": reference}
    async with aiohttp.ClientSession(sandbox.base_url) as session:

        async def send(**headers):
            async with session.post(
                "/charges", json=body, headers={"Idempotency-Key": key, **headers}
            ) as response:
                return response.status, await response.json()

        slow = asyncio.create_task(send(**{"X-Sandbox-Fault": "slow:0.3"}))
        await asyncio.sleep(0.1)
        twin = await charge(gateway, key, reference)
        assert twin == Unknown(hint="http 409 request_in_flight")
        status, first = await slow
        assert status == 200
        assert await send() == (200, first)
    assert len(await gateway.lookup(reference)) == 1


async def test_best_effort_processes_again_when_its_check_fails_and_says_so(gateway, remote):
    await remote.idempotency("best_effort:1")
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    outcomes = [await charge(gateway, key, reference) for _ in range(2)]
    assert all(isinstance(outcome, Settled) and outcome.idempotency_check_failed for outcome in outcomes)
    assert len(await gateway.lookup(reference)) == 2


async def test_best_effort_fails_about_as_often_as_it_says(gateway, remote):
    await remote.idempotency("best_effort:0.3")
    failed = 0
    for _ in range(100):
        outcome = await charge(gateway, uuid4().hex, f"sub_{uuid4().hex}/1/1")
        failed += outcome.idempotency_check_failed
    assert 10 <= failed <= 50


async def test_switched_off_the_key_means_nothing(gateway, remote):
    await remote.idempotency("off")
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    outcomes = [await charge(gateway, key, reference) for _ in range(2)]
    assert outcomes[0].gateway_id != outcomes[1].gateway_id
    assert not outcomes[1].idempotency_check_failed


async def test_a_key_older_than_its_life_is_a_new_request(gateway, remote):
    await remote.idempotency("strict", key_ttl_seconds=0)
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    await charge(gateway, key, reference)
    await charge(gateway, key, reference)
    assert len(await gateway.lookup(reference)) == 2


@pytest.mark.parametrize("mode", ["sometimes", "best_effort:2", "best_effort:x", "best_effort:nan"])
async def test_a_mode_nobody_knows_is_refused(remote, mode):
    with pytest.raises(ValueError, match="invalid_idempotency_mode"):
        await remote.idempotency(mode)


async def test_a_request_the_gateway_cannot_read_leaves_the_key_free(sandbox, gateway):
    key, reference = uuid4().hex, f"sub_{uuid4().hex}/1/1"
    body = {"token": "tok_ok", "amount": {"minor": 10.5, "currency": "JPY"}, "reference": reference}
    async with (
        aiohttp.ClientSession(sandbox.base_url) as session,
        session.post("/charges", json=body, headers={"Idempotency-Key": key}) as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (422, "invalid_money")
    assert isinstance(await charge(gateway, key, reference), Settled)
