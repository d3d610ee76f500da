"""Playing an order: as a subscription is played, with a till for the Konbini slips (spec: interfaces.md §3).

Who pays at the till is the scenario; the payment company then tells of it as its webhooks would, unless the event says
`lost: true`. The order must end the same.
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
from starter.simulate.order_report import order_report
from starter.simulate.player import Player
from starter.simulate.report import Report
from starter.simulate.scenario import Event, Scenario
from starter.simulate.scenario_order import ScenarioOrder

_NOTICES: Final = {
    "deposit_paid": "confirmed",
    "deposit_preliminary": "preliminary",
    "deposit_preliminary_canceled": "preliminary_canceled",
}
_SUBSCRIPTIONS_OWN: Final = frozenset(
    {"suspend", "resume", "cancel", "recover", "change_card", "change_amount"}
)
_ON_THE_ORDER: Final = {"cancel_order": "cancel"}


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

    async def _operation(self, event: Event) -> None:
        if event.do in _NOTICES:
            await self._at_the_till(_NOTICES[event.do], **event.arguments())
            return
        if event.do in _SUBSCRIPTIONS_OWN:
            if self._wanted.way is not Pay.RECURRING:
                raise TeikiError(ErrorCode.NOT_RECURRING, "Only a recurring order has a subscription.")
            await super()._operation(event)
            return
        given = self._acted(event.arguments())
        if event.do == "note":
            await self._order.note(given.pop("text"), **given)
        elif event.do == "identify":
            await self._teiki.orders.identify(self._order.permission_id, given.pop("identification"), **given)
        elif event.do == "change_custom_fields":
            await self._order.change_custom_fields(given.pop("fields"), **given)
        else:
            if given.get("refund_amount") is not None:
                given["refund_amount"] = Money.model_validate(given["refund_amount"])
            await getattr(self._order, _ON_THE_ORDER.get(event.do, event.do))(**given)
            self._slips += event.do == "issue_slip"

    def _acted(self, given: dict[str, Any]) -> dict[str, Any]:
        """`by: customer` is this order's customer; anybody else an operator."""
        by = given.pop("by", None)
        if "actor" not in given:
            given["actor"] = f"customer:{self._customer}" if by == "customer" else "operator:scenario"
        return given

    async def _at_the_till(
        self, notice: str, *, slip: int | None = None, lost: bool = False, times: int = 1
    ) -> None:
        """Pay the slip of this number, or the latest; the workflow hears of it unless the notice is lost."""
        number = slip or self._slips
        gateway_id = await self._gateway_id(number)
        for _ in range(times):
            body = {"slip": gateway_id, "notice": notice}
            async with self._lab.http.post("/_shop/pay", json=body) as answer:
                content = await answer.json()
                if answer.status == 409:
                    raise TeikiError(ErrorCode.INVALID_STATUS, str(content.get("error", {}).get("message")))
                if answer.status >= 400:
                    raise TeikiError(ErrorCode.SCENARIO_INVALID, f"till: {content}")
            if not lost:
                await self._order.notify_slip(number, gateway_id)
                await self._quiet()

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
