"""The embedded stack serves the customers' pages, and customers' links lead there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import aiohttp

from runtime.embedded.stack import EmbeddedStack, teiki_services


def _what_pages_need(plan):
    return [service for service in teiki_services(plan) if service.name in {"migrations", "gateway", "web"}]


async def test_the_embedded_stack_serves_the_pages_where_links_lead():
    with tempfile.TemporaryDirectory(prefix="teiki-test-") as home:
        stack = EmbeddedStack(Path(home) / ".teiki", services=_what_pages_need, durable=False)
        async with stack, aiohttp.ClientSession() as browser:
            assert stack.settings().public_url == stack.plan.url("web")
            async with browser.get(f"{stack.settings().public_url}/card-change/nobody") as answer:
                assert answer.status == 404
                assert "This page does not exist" in await answer.text()
