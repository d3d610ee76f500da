"""The customers' pages over everything real: Postgres, worker, sandbox gateway, time-skipping server.

The web's own clock can be put ahead of the operator's, so that links grow old without waiting.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from pydantic import SecretStr

from gateways.factory import gateway_of, hosted_form_origin
from runtime.embedded.ports import free_ports
from runtime.settings import Settings
from starter import Money, Subscription, SubscriptionSpec, Teiki
from starter.simulate.lab import Lab, laboratory
from web.server import application, listening
from web.webhooks import Webhooks

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Site:
    """The pages as they are served, and the operator's view of what they did."""

    lab: Lab
    settings: Settings
    teiki: Teiki
    browser: aiohttp.ClientSession
    ahead: timedelta = timedelta()

    @property
    def url(self) -> str:
        return self.settings.public_url

    async def subscribe(self, token: str = "tok_ok", *, product: str = "Coffee club") -> Subscription:
        customer = await self.teiki.customers.put(email="customer@example.com")
        spec = SubscriptionSpec(
            customer_id=customer,
            product_id=await self.teiki.products.put(name=product),
            payment_method_id=await self.teiki.payment_methods.add(customer_id=customer, token=token),
            amount=Money(minor=1000, currency="JPY"),
            period="monthly",
        )
        subscription = await self.teiki.subscriptions.create(spec)
        await until(subscription, lambda detail: any(payment.attempts for payment in detail.payments))
        return subscription

    async def press(self, link: str) -> str:
        """Press the page's button; answers where it leads."""
        async with self.browser.post(link, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return answer.headers["Location"]

    async def choose(self, form: str, card: str = "tok_ok") -> str:
        """Choose a card on the payment company's form; answers where that leads."""
        async with self.browser.post(form, data={"card": card}, allow_redirects=False) as answer:
            assert answer.status == 303
            return answer.headers["Location"]

    async def look(self, url: str, **given) -> tuple[int, str]:
        async with self.browser.get(url, allow_redirects=False, **given) as answer:
            return answer.status, await answer.text()


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with laboratory() as running:
        yield running


@pytest.fixture
async def site(lab: Lab) -> AsyncIterator[Site]:
    async with serving(lab) as running:
        yield running


@asynccontextmanager
async def serving(
    lab: Lab,
    *,
    gateway_url: str | None = None,
    database_url: str | None = None,
    secrets: Sequence[str] = (SECRET,),
) -> AsyncIterator[Site]:
    port = free_ports(1)[0]
    settings = lab.settings.model_copy(update={"public_url": f"http://127.0.0.1:{port}"})
    gateway = gateway_of(settings.gateway, gateway_url or settings.gateway_url, webhook_secrets=secrets)
    async with Teiki(lab.client, settings) as teiki, aiohttp.ClientSession() as browser:
        site = Site(lab, settings, teiki, browser)
        behind = settings
        if database_url is not None:
            behind = settings.model_copy(update={"database_url": SecretStr(database_url)})
        async with (
            Teiki(lab.client, behind, clock=lambda: datetime.now(UTC) + site.ahead) as behind_it,
            Webhooks(behind_it, gateway) as webhooks,
        ):
            app = application(
                behind_it,
                gateway,
                public_url=settings.public_url,
                form_origin=hosted_form_origin(settings.gateway, settings.gateway_url),
                webhooks=webhooks,
            )
            async with listening(app, host="127.0.0.1", port=port):
                yield site
    await gateway.close()


async def until(subscription: Subscription, condition: Callable[..., bool], seconds: float = 20):
    """The subscription as shown, once the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition(detail := await subscription.show()):
        assert time.monotonic() < deadline, f"did not happen: {detail.status} {detail.payments}"
        await asyncio.sleep(0.05)
    return detail
