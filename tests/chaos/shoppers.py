"""The shoppers: orders paid by card, some canceled or used, and operators who give parts of payments back.

Who orders is charged at once; an order confirms itself and ends in time lapse like everything else. Credits are of
payments of subscriptions and orders alike, several of one payment on purpose: together they must never exceed it.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from domain.money import Money
from domain.order_terms import OrderSpec
from domain.product import ProductType
from starter.teiki import Teiki
from tests.chaos.asking import Asker
from tests.chaos.books import Books
from tests.chaos.callers import suffix
from tests.chaos.plan import Plan

_CARDS: Final = {
    "ok": 76,
    "3ds": 8,
    "insufficient_funds": 6,
    "pending": 4,
    "pending_then_declined": 3,
    "lost": 3,
}
_PRICE: Final = 3000
_SETTLED: Final = """
SELECT object_id, number, amount_minor FROM attempts WHERE purpose = 'charge' AND state = 'settled'
ORDER BY random() LIMIT 1
"""
_SHARES: Final = (0.25, 0.5, 0.6, None)
"""Of the payment; None: what is left. Two of 0.6 exceed it: the second one must be refused."""


class Shoppers:
    """Places the plan's orders, and asks for the plan's credits."""

    def __init__(self, plan: Plan, teiki: Teiki, asker: Asker, books: Books) -> None:
        self._plan = plan
        self._teiki = teiki
        self._asker = asker
        self._books = books
        self.customers: list[str] = []
        """Who has ordered something."""

    async def shop(self, within_s: float) -> None:
        """Place the orders, spread over `within_s` seconds; what is done to each comes a little later."""
        if not self._plan.orders:
            return
        dice = self._plan.dice("shoppers")
        product = await self._asker.ask(
            dice,
            "membership",
            lambda rid: self._teiki.products.put(
                name="Membership",
                type=ProductType.MEMBERSHIP,
                price=Money(minor=_PRICE, currency="JPY"),
                usage_period="P30D",
                membership_numbers=True,
                request_id=rid,
            ),
        )
        assert product is not None
        async with asyncio.TaskGroup() as all_of_them:
            for number in range(self._plan.orders):
                # Each in its own part of the time, so that there are some before a deploy and some after it.
                wait = within_s * (number + dice.random()) / self._plan.orders
                own = self._plan.dice(f"shopper {number}")
                all_of_them.create_task(self._order(number, own, product, wait))

    async def _order(self, number: int, dice: random.Random, product: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        teiki, ask = self._teiki, self._asker.ask
        card = dice.choices(list(_CARDS), list(_CARDS.values()))[0]
        token = f"tok_{card}{suffix(card, number)}-shop"
        customer = await ask(
            dice,
            f"shopper-{number}",
            lambda rid: teiki.customers.put(name=f"Shopper {number}", request_id=rid),
        )
        assert customer is not None
        method = await ask(
            dice,
            f"shoppers-card-{number}",
            lambda rid: teiki.payment_methods.add(customer_id=customer, token=token, request_id=rid),
        )
        if method is None:
            return
        spec = OrderSpec(customer_id=customer, product_id=product, payment_method_id=method)

        async def place(rid: str) -> str:
            return (await teiki.orders.place(spec, request_id=rid)).id

        order_id = await self._asker.create(dice, f"place-{number}", place)
        if order_id is not None:
            self.customers.append(customer)
            await asyncio.sleep(dice.uniform(0, 2 * self._plan.pace_s))
            await self._afterwards(number, dice, order_id)

    async def _afterwards(self, number: int, dice: random.Random, order_id: str) -> None:
        """A third is canceled, some are used; the others are left to time."""
        order = self._teiki.orders.get(order_id)
        what = dice.choices(["cancel", "use", "nothing"], [35, 15, 50])[0]
        if what == "cancel":
            call: Any = order.cancel
        elif what == "use":
            call = order.use
        else:
            return
        await self._asker.command(dice, f"{what}-{number}", order_id, lambda rid: call(request_id=rid))

    async def give_back(self, over_s: float) -> None:
        """The credits, spread over `over_s` seconds; every fourth is asked for twice, as two operators do."""
        dice = self._plan.dice("credits")
        async with asyncio.TaskGroup() as all_of_them:
            for number in range(self._plan.credits):
                await asyncio.sleep(over_s / self._plan.credits)
                settled = await self._books.rows(_SETTLED)
                if not settled:
                    continue
                for twin in range(2 if number % 4 == 0 else 1):
                    own = self._plan.dice(f"credit {number}/{twin}")
                    share = dice.choice(_SHARES)
                    all_of_them.create_task(self._credit(f"credit-{number}-{twin}", own, settled[0], share))

    async def _credit(
        self, request_id: str, dice: random.Random, payment: dict[str, Any], share: float | None
    ) -> None:
        part = None
        if share is not None:
            part = Money(minor=int(payment["amount_minor"] * share), currency="JPY")

        async def credit(rid: str) -> str:
            name, number = payment["object_id"], payment["number"]
            return (await self._teiki.payments.credit(name, number, part, request_id=rid)).id

        await self._asker.create(dice, request_id, credit)
