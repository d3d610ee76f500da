"""The callers: services and operators who use the SDK through bad networks and repeat themselves.

A caller whose answer was lost asks again under the same request id until there is an answer; some ask twice at the
same moment. Everything that was answered is kept, because an answer is a promise that the auditor will look for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.terms import SubscriptionSpec
from starter.teiki import Teiki
from tests.chaos.plan import Plan

_REPEATABLE: Final = frozenset({ErrorCode.ENGINE_UNAVAILABLE, ErrorCode.DATABASE_UNAVAILABLE})
_AT_ONCE: Final = 30
_REPEATS: Final = 0.3
_GIVE_UP_SECONDS: Final = 150.0

# Behaviour → weight. What is declined for good makes subscriptions suspended, which is an end, too.
_CARDS: Final = {
    "ok": 62,
    "insufficient_then_ok:1": 12,
    "insufficient_then_ok:2": 4,
    "3ds": 8,
    "pending_then_declined": 3,
    "pending": 2,
    "insufficient_funds": 4,
    "lost": 3,
    "issuer_unavailable": 2,
}

T = TypeVar("T")


@dataclass
class Known:
    """A subscription that its caller knows of."""

    id: str
    customer_id: str
    request_id: str


@dataclass
class Answered:
    """What callers were promised, and how."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Request id of an operation → the subscription's id."""
    created: dict[str, set[str]] = field(default_factory=dict)
    """Request id of a creation → every id it was answered with."""
    refused: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    leaked: Counter[str] = field(default_factory=Counter)
    """Exceptions that are no `TeikiError`: the SDK promises that none gets out."""
    unanswered: list[str] = field(default_factory=list)


class Callers:
    """Opens the plan's subscriptions over some time and operates on them meanwhile."""

    def __init__(self, plan: Plan, teiki: Teiki) -> None:
        self._plan = plan
        self._teiki = teiki
        self._dice = plan.dice("callers")
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.answered = Answered()
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
                    self._open(number, f"tok_{card}{_suffix(card, number)}", product, wait)
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
                made = await teiki.subscriptions.create(spec, request_id=rid)
                self.answered.created.setdefault(rid, set()).add(made.id)
                return made.id

            subscription_id = await self._ask(request_id, create)
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
            await self._command(name, known, lambda rid: handle.resume(policy="catch_up", request_id=rid))
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
            mode = "period_end" if kind == "period_end" else "now"
            await self._command(name, known, lambda rid: handle.cancel(mode=mode, request_id=rid))

    async def _command(self, request_id: str, known: Known, call: Callable[[str], Awaitable[Any]]) -> bool:
        if await self._ask(request_id, call) is None:
            return False
        self.answered.accepted[request_id] = known.id
        return True

    # ------------------------------------------------------------------ asking until there is an answer

    async def _ask(self, request_id: str, call: Callable[[str], Awaitable[T]]) -> T | None:
        """The answer, or None for a refusal. Some ask twice at once; both must hear the same."""
        share = _REPEATS if self._plan.profile is None else self._plan.profile.repeats
        if self._dice.random() >= share:
            return await self._until_answered(request_id, call)
        self.answered.repeated["at once"] += 1
        first, _ = await asyncio.gather(
            self._until_answered(request_id, call), self._until_answered(request_id, call)
        )
        return first

    async def _until_answered(self, request_id: str, call: Callable[[str], Awaitable[T]]) -> T | None:
        deadline = asyncio.get_running_loop().time() + _GIVE_UP_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                return await call(request_id)
            except TeikiError as error:
                if error.code not in _REPEATABLE:
                    self.answered.refused[error.code.value] += 1
                    return None
            except Exception as error:  # noqa: BLE001 - counted by name, reported, and asked again
                self.answered.leaked[f"{type(error).__name__}: {str(error)[:120]}"] += 1
            self.answered.repeated["answer lost"] += 1
            await asyncio.sleep(0.4)
        self.answered.unanswered.append(request_id)
        return None


def _suffix(card: str, number: int) -> str:
    return f":{number}" if ":" not in card else f":n{number}"
