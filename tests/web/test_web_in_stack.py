"""The embedded stack serves the customers' pages where links lead, and hears its payment company's webhooks."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import aiohttp
import pytest

from db.engine import Database
from db.reads.webhooks import WebhookItem, list_webhooks
from runtime.embedded.stack import EmbeddedStack, teiki_services


def _what_pages_need(plan):
    return [service for service in teiki_services(plan) if service.name in {"migrations", "gateway", "web"}]


@pytest.fixture(scope="module")
async def stack():
    with tempfile.TemporaryDirectory(prefix="teiki-test-") as home:
        embedded = EmbeddedStack(Path(home) / ".teiki", services=_what_pages_need, durable=False)
        async with embedded:
            yield embedded


async def test_the_embedded_stack_serves_the_pages_where_links_lead(stack):
    async with aiohttp.ClientSession() as browser:
        assert stack.settings().public_url == stack.plan.url("web")
        async with browser.get(f"{stack.settings().public_url}/card-change/nobody") as answer:
            assert answer.status == 404
            assert "This page does not exist" in await answer.text()


async def test_the_embedded_payment_company_tells_and_is_believed(stack):
    settings = stack.settings()
    charge = {
        "token": "tok_ok",
        "amount": {"minor": 1000, "currency": "JPY"},
        "reference": "sub_nobody/1/1",
    }
    async with aiohttp.ClientSession(settings.gateway_url) as gateway:
        async with gateway.post("/charges", json=charge, headers={"Idempotency-Key": "k"}) as answer:
            made = await answer.json()
        async with gateway.get("/_control/webhooks") as answer:
            assert (await answer.json())["url"] == f"{settings.public_url}/webhooks/sandbox"
    database = Database.connect(settings.database, pool_size=1)
    told = await _handled(database)
    await database.close()
    assert (told.kind, told.gateway_id, told.state) == ("charge.settled", made["id"], "nobody_waits")


async def _handled(database: Database) -> WebhookItem:
    async with asyncio.timeout(10):
        while True:
            for item in await list_webhooks(database, with_handled=True):
                if item.handled_at is not None:
                    return item
            await asyncio.sleep(0.05)


def test_the_secret_of_the_embedded_stack_is_for_its_owner_only(stack):
    file = stack.plan.state.webhook_secrets_file
    assert file.stat().st_mode & 0o077 == 0
    assert file.read_text(encoding="utf-8").startswith("whsec_")
