"""The callers: services and operators who open subscriptions with the SDK and operate on them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from domain.money import Money
from domain.terms import SubscriptionSpec
from starter.subscriptions import Subscription
from starter.teiki import Teiki
from tests.chaos.asking import Asker
from tests.chaos.plan import Plan

_AT_ONCE: Final = 30

# Behaviour → weight. What is declined for good makes subscriptions suspended, which is an end, too.
_CARDS: Final = {
    "ok": 54,
    "insufficient_then_ok:1": 14,
    "insufficient_then_ok:2": 10,
    "3ds": 8,
    "pending_then_declined": 3,
    "pending": 2,
    "insufficient_funds": 4,
    "lost": 3,
    "issuer_unavailable": 2,
}


@dataclass
class Known:
    """A subscription that its caller knows of."""

    id: str
    customer_id: str
    request_id: str


class Callers:
    """Opens the plan's subscriptions over some time and operates on them meanwhile."""

    def __init__(self, plan: Plan, teiki: Teiki, asker: Asker) -> None:
        self._plan = plan
        self._teiki = teiki
        self._asker = asker
        self._dice = plan.dice("callers")
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.known: list[Known] = []

    async def open_all(self, within_s: float) -> None:
        """Enter everybody and open the subscriptions, spread over `within_s` seconds."""
        focused = self._plan.profile is not None
        product = await self._ask(
            "product", lambda rid: self._teiki.products.put(name="Club", request_id=rid)
        )
        assert product is not None
        async with asyncio.TaskGroup() as all_of_them:
            for number in range(self._plan.subscriptions):
                names, weights = list(_CARDS), list(_CARDS.values())
                card = "ok" if focused else self._dice.choices(names, weights)[0]
                wait = self._dice.uniform(0, within_s)
                all_of_them.create_task(
                    self._open(number, f"tok_{card}{suffix(card, number)}", product, wait)
                )

    async def _open(self, number: int, token: str, product: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        teiki = self._teiki
        async with self._room:
            customer = await self._ask(
                f"customer-{number}",
                lambda rid: teiki.customers.put(name=f"Customer {number}", request_id=rid),
            )
            if customer is None:
                return
            card = await self._ask(
                f"card-{number}",
                lambda rid: teiki.payment_methods.add(customer_id=customer, token=token, request_id=rid),
            )
            if card is None:
                return
            spec = SubscriptionSpec(
                customer_id=customer,
                product_id=product,
                payment_method_id=card,
                order_id=f"order-{number}",
                amount=Money(minor=1000 + number, currency="JPY"),
                period="monthly",
                total_charges=self._plan.payments,
            )
            request_id = f"open-{number}"

            async def create(rid: str) -> str:
                return (await teiki.subscriptions.create(spec, request_id=rid)).id

            subscription_id = await self._asker.create(self._dice, request_id, create)
            if subscription_id is not None:
                self.known.append(Known(subscription_id, customer, request_id))

    async def operate(self, over_s: float) -> None:
        """The plan's operations, spread over `over_s` seconds, on subscriptions that are known by then."""
        async with asyncio.TaskGroup() as all_of_them:
            for number in range(self._plan.operations):
                await asyncio.sleep(over_s / self._plan.operations)
                if self.known:
                    all_of_them.create_task(
                        self._operate(f"operation-{number}", self._dice.choice(self.known))
                    )

    async def resume_all(self, customer_id: str) -> None:
        """Whoever is not blocked any more pays what was due meanwhile. What the block did not meet refuses."""
        for known in self.known:
            if known.customer_id == customer_id:
                handle = self._teiki.subscriptions.get(known.id)
                resume = functools.partial(_caught_up, handle)
                await self._command(f"unblocked-{known.request_id}", known, resume)

    async def _operate(self, name: str, known: Known) -> None:
        handle = self._teiki.subscriptions.get(known.id)
        kind = self._dice.choices(
            ["suspend", "amount", "card", "period_end", "cancel", "resume"], [30, 20, 20, 10, 10, 10]
        )[0]
        if kind == "suspend":
            if await self._command(name, known, lambda rid: handle.suspend(request_id=rid)):
                await asyncio.sleep(self._dice.uniform(0.5, 3.0))
                await self._command(f"{name}-resume", known, lambda rid: handle.resume(request_id=rid))
        elif kind == "resume":
            await self._command(name, known, functools.partial(_caught_up, handle))
        elif kind == "amount":
            amount = Money(minor=2000 + self._dice.randrange(100), currency="JPY")
            await self._command(name, known, lambda rid: handle.change_amount(amount, request_id=rid))
        elif kind == "card":
            add = self._teiki.payment_methods.add
            token = f"tok_ok:{name}"
            card = await self._ask(
                f"{name}-add", lambda rid: add(customer_id=known.customer_id, token=token, request_id=rid)
            )
            if card is not None:
                await self._command(name, known, lambda rid: handle.change_card(card, request_id=rid))
        else:
            mode: Literal["now", "period_end"] = "period_end" if kind == "period_end" else "now"
            await self._command(name, known, lambda rid: handle.cancel(mode=mode, request_id=rid))

    async def _command(self, request_id: str, known: Known, call: Callable[[str], Awaitable[Any]]) -> bool:
        return await self._asker.command(self._dice, request_id, known.id, call)

    async def _ask(self, request_id: str, call: Callable[[str], Awaitable[str]]) -> str | None:
        return await self._asker.ask(self._dice, request_id, call)


async def _caught_up(handle: Subscription, request_id: str) -> Any:
    return await handle.resume(policy="catch_up", request_id=request_id)


def suffix(card: str, number: int) -> str:
    """Makes the token of a behaviour one customer's own."""
    return f":{number}" if ":" not in card else f":n{number}"
