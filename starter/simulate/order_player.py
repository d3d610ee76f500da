"""Playing an order: as a subscription is played, with a till for the Konbini slips (spec: interfaces.md §3).

Who pays at the till is the scenario; the payment company then tells of it as its webhooks would, unless the event says
`lost: true`; a notice that comes late, or again, is `do: deposit_notice`. The order must end the same.
"""

from __future__ import annotations

from typing import Any, Final

from domain.errors import ErrorCode, TeikiError
from domain.identifiers import (
    deposit_id,
    deposit_workflow_id,
    order_workflow_id,
    subscription_of_order,
    subscription_workflow_id,
)
from domain.money import Money
from domain.order_terms import Pay
from starter.simulate.lab import Lab
from starter.simulate.order_report import last_written, order_report
from starter.simulate.order_words import actor_of
from starter.simulate.player import OF_SUBSCRIPTIONS, Player, not_supported
from starter.simulate.report import Report
from starter.simulate.scenario import Event, Scenario
from starter.simulate.scenario_order import ScenarioOrder
from starter.simulate.till import NOTICES, AtTheTill

_ON_THE_ORDER: Final = {
    "use": ("use", "customer"),
    "process_access": ("process_access", "operator"),
    "cancel_order": ("cancel", "operator"),
    "cancel_subscription": ("cancel_subscription", "operator"),
    "issue_slip": ("issue_slip", "customer"),
}
"""What the SDK calls it, and who does it when nobody is named."""


def player_of(lab: Lab, scenario: Scenario) -> Player:
    """Whoever can play it."""
    return Player(lab, scenario) if scenario.order is None else OrderPlayer(lab, scenario)


class OrderPlayer(Player):
    """Plays the scenario of an order."""

    @property
    def _wanted(self) -> ScenarioOrder:
        assert self._scenario.order is not None
        return self._scenario.order

    async def _begin(self) -> None:
        wanted = self._wanted
        product = await self._teiki.products.put_terms(name=wanted.name, terms=wanted.terms)
        by_card = wanted.way in (Pay.CARD, Pay.RECURRING)
        card = await self._card(self._scenario.token) if by_card else ""
        spec = wanted.spec(customer_id=self._customer, product_id=product, payment_method_id=card)
        self._order = await self._teiki.orders.place(spec, scenario_start=self._scenario.start)
        self._slips = 1 if wanted.way is Pay.KONBINI else 0
        self._objects = [self._order.id]
        if wanted.way is Pay.RECURRING:
            self._objects.append(subscription_of_order(self._order.id))
            self._subscription = self._teiki.subscriptions.get(self._objects[1])

    def _workflow_ids(self) -> list[str]:
        slips = [
            deposit_workflow_id(deposit_id(self._order.id, number)) for number in range(1, self._slips + 1)
        ]
        subscriptions = [subscription_workflow_id(name) for name in self._objects[1:]]
        return [order_workflow_id(self._order.id), *slips, *subscriptions]

    # ------------------------------------------------------------------ events

    async def _operation(self, event: Event) -> None:
        if event.do in NOTICES:
            await self._at_the_till(event)
        elif event.do in OF_SUBSCRIPTIONS and self._wanted.way is Pay.RECURRING:
            await self._on_the_subscription(event)
        elif event.do == "cancel":
            # Without a subscription there is one thing to cancel: the order, as the SDK's `order.cancel` does.
            await self._on_the_order(event.model_copy(update={"do": "cancel_order"}))
        elif event.do in OF_SUBSCRIPTIONS:
            raise TeikiError(ErrorCode.NOT_RECURRING, "Only a recurring order has a subscription.")
        elif event.do in _ON_THE_ORDER:
            await self._on_the_order(event)
        else:
            await self._beside_its_course(event)

    async def _on_the_order(self, event: Event) -> None:
        name, usually = _ON_THE_ORDER[event.do]
        given = event.arguments()
        given["actor"] = actor_of(given, customer=self._customer, usually=usually)
        if given.get("refund_amount") is not None:
            given["refund_amount"] = self._money(given["refund_amount"])
        await getattr(self._order, name)(**given)
        self._slips += name == "issue_slip"

    async def _beside_its_course(self, event: Event) -> None:
        """Notes, answers and who holds the permission."""
        given = event.arguments()
        given["actor"] = actor_of(given, customer=self._customer, usually="operator")
        told_after = await last_written(await self._teiki.database(), self._objects)
        if event.do == "note":
            await self._order.note(_taken(given, "text", "note", "comment"), **given)
            self._accepted(event, told_after)
        elif event.do == "identify":
            told = _taken(given, "identification", "information", "fields")
            await self._teiki.orders.identify(self._order.permission_id, told, **given)
            self._accepted(event, told_after)
        elif event.do == "change_custom_fields":
            await self._order.change_custom_fields(
                _taken(given, "fields", "custom_fields", "answers"), **given
            )
        else:
            raise not_supported(event)

    def _money(self, given: Any) -> Money:
        """As money is written everywhere, or the minor units alone of the price's currency."""
        price = self._wanted.terms.price
        if type(given) is int and price is not None:
            return Money(minor=given, currency=price.currency)
        return Money.model_validate(given)

    # ------------------------------------------------------------------ the till

    async def _at_the_till(self, event: Event) -> None:
        """Somebody pays a slip, or a store says so; the workflow hears of it when the notice comes, if it comes."""
        if self._wanted.way is not Pay.KONBINI:
            raise TeikiError(
                ErrorCode.NOT_KONBINI, "Only a Konbini order has slips.", pay=self._wanted.way.value
            )
        visit = AtTheTill.model_validate({"do": event.do, **event.arguments()})
        visit.require_amount(self._wanted.terms.price)
        number = visit.slip_number(self._slips)
        gateway_id = await self._gateway_id(number)
        told_after = await last_written(await self._teiki.database(), self._objects)
        # All paid before the first notice is passed on: what the first look finds hangs on nobody's speed.
        for _ in range(visit.times):
            await visit.pay(self._lab.http, gateway_id, at=event.at)
        for _ in range(0 if visit.lost else visit.times):
            await self._order.notify_slip(number, gateway_id)
            await self._quiet()
        self._accepted(event, told_after)

    def _accepted(self, event: Event, told_after: int) -> None:
        """What our own history does not tell as an operation stands behind what was written before it."""
        entry = {"at": event.at, "type": "operation", "do": event.do, "result": "accepted"}
        self._aside.append({**entry, "seq": told_after})

    async def _gateway_id(self, number: int) -> str:
        slip = await self._teiki.deposits.find(deposit_id(self._order.id, number))
        if slip is None or slip.gateway_id is None:
            raise TeikiError(ErrorCode.DEPOSIT_NOT_FOUND, "The order has no such slip.", slip=number)
        return slip.gateway_id

    async def _report(self) -> Report:
        totals = await self._gateway_totals()
        return await order_report(
            self._scenario, self._order.id, self._objects, self._teiki, self._aside, totals
        )


def _taken(given: dict[str, Any], *names: str) -> Any:
    """The argument under one of its names, taken out.

    Raises:
        TeikiError: `invalid_input` when it is missing.
    """
    for name in names:
        if name in given:
            return given.pop(name)
    raise TeikiError(ErrorCode.INVALID_INPUT, f"`{names[0]}` is missing.")
