"""Playing a scenario: move the clock to the next event, do it, and in the end read the books.

The subscription's own clock is shifted to the scenario's start, so the same code lives in 2023 or 2040. Between events
the server skips from timer to timer; at each event we first wait until everything that was due has been done.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode, TeikiError
from domain.identifiers import subscription_workflow_id
from domain.money import Money
from domain.scenario_clock import ScenarioClock
from starter.simulate.lab import Lab
from starter.simulate.order_words import actor_of
from starter.simulate.report import Report, aside_entry, report
from starter.simulate.rest import Onlooker
from starter.simulate.scenario import Event, Scenario, token_of
from starter.simulate.timers import pending_timers
from starter.teiki import Teiki

_SETTLE_SECONDS_MAX: Final = 120.0
OF_SUBSCRIPTIONS: Final = frozenset(
    {"suspend", "resume", "cancel", "recover", "change_card", "change_amount"}
)
_MOMENT: Final = timedelta(milliseconds=50)
_STRIDE: Final = timedelta(days=14)
_CLEARANCE: Final = timedelta(milliseconds=150)
_TIMERS_PASSED_MAX: Final = 10


class Player:
    """Plays one scenario in a laboratory."""

    def __init__(self, lab: Lab, scenario: Scenario, teiki: Teiki | None = None) -> None:
        self._lab = lab
        self._scenario = scenario
        self._now = scenario.start
        self._onlooker = Onlooker(lab.client)
        self._teiki = teiki or Teiki(lab.client, lab.settings, clock=lambda: self._now)
        self._aside: list[dict[str, Any]] = []
        self._objects: list[str] = []
        """Whose money is played with: ids of subscriptions and orders."""

    async def play(self) -> Report:
        """Run it to `until`.

        Raises:
            TeikiError: when the subscription itself is refused; refused events are part of the report instead.
        """
        async with self._teiki:
            await self.begin()
            for event in self._scenario.in_order:
                await self.let_happen(event)
            return await self.end()

    async def begin(self) -> None:
        """Open what is played, at the scenario's start."""
        self._customer = await self._teiki.customers.put(email="scenario@example.com")
        await self._begin()
        # Taken after the creation, so it is at most some milliseconds late: an event at a due instant comes second.
        self._clock = ScenarioClock.starting(
            self._scenario.start, await self._lab.environment.get_current_time()
        )

    async def let_happen(self, event: Event) -> None:
        """The next event, at its instant."""
        await self._advance(event.at)
        await self._do(event)

    async def end(self) -> Report:
        """Let time pass until the end, and read the books."""
        await self._advance(self._scenario.until)
        try:
            return await self._report()
        finally:
            await self._clear_away()

    # ------------------------------------------------------------------ what is played

    async def _begin(self) -> None:
        product = await self._teiki.products.put(name=self._scenario.name[:200] or "scenario")
        spec = self._scenario.spec(
            customer_id=self._customer,
            product_id=product,
            payment_method_id=await self._card(self._scenario.token),
        )
        self._subscription = await self._teiki.subscriptions.create(
            spec, actor="service:simulate", scenario_start=self._scenario.start
        )
        self._objects = [self._subscription.id]

    def _workflow_ids(self) -> list[str]:
        """Every workflow that may be at work."""
        return [subscription_workflow_id(self._subscription.id)]

    async def _report(self) -> Report:
        totals = await self._gateway_totals()
        return await report(self._scenario, self._subscription, self._teiki, self._aside, totals)

    # ------------------------------------------------------------------ time

    async def _advance(self, to: datetime) -> None:
        """Let time pass until the scenario's clock shows `to`, and everything due by then is done."""
        await self._quiet()
        target = self._clock.engine_time(to)
        while (remaining := target - await self._lab.environment.get_current_time()) > timedelta():
            # A moment more: what is due at this very instant comes before the event, every time. One call may take half
            # a minute of real time, and each timer on the way takes some: not all at once.
            await self._lab.environment.sleep(min(remaining + _MOMENT, _STRIDE))
            await self._quiet()
            await self._keep_clear_of_timers()
        self._now = to

    async def _quiet(self) -> None:
        """Wait until no workflow has anything to do."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS_MAX):
                await self._onlooker.wait_for_rest(self._workflow_ids())
        except TimeoutError as error:
            raise TeikiError(ErrorCode.ENGINE_UNAVAILABLE, "The simulation does not come to rest.") from error

    async def _keep_clear_of_timers(self) -> None:
        """Let timers that are about to fire go first.

        People write whole hours, and our pauses are whole hours. The time-skipping server rejects a workflow that
        cancels a timer in the very millisecond in which it fires, and never recovers.
        """
        environment = self._lab.environment
        for _ in range(_TIMERS_PASSED_MAX):
            now = await environment.get_current_time()
            timers = [await pending_timers(self._lab.client, name) for name in self._workflow_ids()]
            near = [at for of_one in timers for at in of_one if at < now + _CLEARANCE]
            if not near:
                return
            await environment.sleep(max(*near, now) - now + _MOMENT)
            await self._quiet()

    # ------------------------------------------------------------------ events

    async def _do(self, event: Event) -> None:
        try:
            await self._operation(event)
            if event.arguments().get("dry_run"):
                self._aside.append(aside_entry(event, None))
        except TeikiError as error:
            self._aside.append(aside_entry(event, error))
        except ValidationError as error:
            mistake = TeikiError(ErrorCode.INVALID_INPUT, str(error.errors()[0]["msg"]))
            self._aside.append(aside_entry(event, mistake))
        except TypeError as error:
            mistake = TeikiError(
                ErrorCode.INVALID_INPUT, f"{event.do} does not take these arguments: {error}"
            )
            self._aside.append(aside_entry(event, mistake))
        await self._quiet()

    async def _operation(self, event: Event) -> None:
        if event.do not in OF_SUBSCRIPTIONS:
            raise not_supported(event)
        await self._on_the_subscription(event)

    async def _on_the_subscription(self, event: Event) -> None:
        subscription, given = self._subscription, event.arguments()
        given["actor"] = actor_of(given, customer=self._customer, usually="operator")
        if event.do == "change_card":
            named = [given.pop(name, None) for name in ("payment_method", "card", "token")]
            card = await self._card(token_of(next((one for one in named if one), None)))
            await subscription.change_card(card, **given)
        elif event.do == "change_amount":
            await subscription.change_amount(Money.model_validate(given.pop("amount", None)), **given)
        elif event.do == "resume":
            await subscription.resume(at=_next_payment_at(given), **given)
        else:
            await getattr(subscription, event.do)(**given)

    # ------------------------------------------------------------------ the sandbox gateway

    async def _card(self, token: str | None) -> str:
        """A payment method: a named token of the sandbox, or one that follows the scenario's script."""
        if token is None:
            body = {"script": self._scenario.gateway, "script_id": self._customer}
            async with self._lab.http.post("/tokens", json=body) as answer:
                content = await answer.json()
                if answer.status >= 400:
                    raise TeikiError(
                        ErrorCode.SCENARIO_INVALID, f"gateway: {content.get('message', content)}"
                    )
                token = content["token"]
        return await self._teiki.payment_methods.add(customer_id=self._customer, token=token)

    async def _gateway_totals(self) -> dict[str, int]:
        """What the gateway's own book shows as settled for what is played, refunds taken off."""
        async with self._lab.http.get("/_audit/ledger") as answer:
            book = await answer.json()
        totals: dict[str, int] = {}
        for entry in book["charges"]:
            subject = entry["reference"].partition("/")[0]
            if subject in self._objects and entry["state"] == "settled":
                money = entry["amount"]
                left = money["minor"] - entry.get("refunded_minor", 0)
                totals[money["currency"]] = totals.get(money["currency"], 0) + left
        return totals

    async def _clear_away(self) -> None:
        """The server's clock is one for all: what goes on would slow the next scenario down."""
        for workflow_id in self._workflow_ids():
            handle = self._lab.client.get_workflow_handle(workflow_id)
            try:
                if (await handle.describe()).close_time is None:
                    await handle.terminate("the scenario is over")
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise


def not_supported(event: Event) -> TeikiError:
    """The operation is known, but what is played does not have it."""
    return TeikiError(
        ErrorCode.OPERATION_NOT_SUPPORTED, "What is played does not have this operation.", do=event.do
    )


def _next_payment_at(given: dict[str, Any]) -> datetime | None:
    """The instant of `resume at`, taken out of the arguments.

    An event's own `at` says when it happens, so the argument is called `next_payment_at` in a scenario; the notation
    of the specification, `policy: at=2023-10-15T09:00:00+09:00`, is understood too.
    """
    policy = given.get("policy")
    value = given.pop("next_payment_at", None)
    if isinstance(policy, dict) and "at" in policy:
        value = given.pop("policy")["at"]
    elif isinstance(policy, str) and policy.startswith("at="):
        value = given.pop("policy").removeprefix("at=")
    elif policy == "at":
        del given["policy"]
        if value is None:
            raise TeikiError(ErrorCode.INVALID_INPUT, "`policy: at` needs `next_payment_at`.")
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value))
    except ValueError as error:
        raise TeikiError(ErrorCode.INVALID_INSTANT, "That is no instant.", value=str(value)) from error
