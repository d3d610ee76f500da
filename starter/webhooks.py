"""The inbox of webhooks, for the web service that fills it and for people who look into it.

Handing over needs no webhook's content: the workflow concerned gets names and asks the payment company itself
(spec: charging.md §4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.contracts.chargebacks import ChargebackOrder
from activities.contracts.webhooks import HandedOver, HandOver
from db import webhook_inbox
from db.reads import webhooks
from db.reads.webhooks import WebhookItem
from domain.notices import GatewayNotice, payment_told_of
from starter.engine import NotRunning
from workflows.chargeback import Chargeback
from workflows.webhook_inbox import WebhookInbox

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Webhooks:
    """`teiki.webhooks`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def store(
        self, *, gateway: str, event_id: str, kind: str, reference: str, gateway_id: str, body: bytes
    ) -> int | None:
        """Put a verified webhook into the inbox (`db.webhook_inbox.store`): its id there, None for a repetition.

        Raises:
            TeikiError: `database_unavailable`.
        """
        await self._teiki.gate.admit("webhook.take_in")
        return await webhook_inbox.store(
            await self._teiki.database(),
            gateway=gateway,
            event_id=event_id,
            kind=kind,
            reference=reference,
            gateway_id=gateway_id,
            body=body,
        )

    async def hand_over(self, inbox_id: int) -> bool:
        """Let the workflow concerned hear of it now, unless somebody does already.

        Returns:
            False: not now; the schedule `webhook-inbox` tries again.

        Raises:
            TeikiError: `database_unavailable`; the schedule tries again.
        """
        await self._teiki.gate.admit("webhook.take_in")
        database = await self._teiki.database()
        claimed = await webhook_inbox.claim(database, limit=1, only=inbox_id)
        return all([await webhook_inbox.hand_over(database, row, self._tell) for row in claimed])

    async def list(
        self, *, with_handled: bool = False, limit: int = webhooks.LIMIT_DEFAULT
    ) -> list[WebhookItem]:
        """The newest first: those that are not handed over yet, or all."""
        return await webhooks.list_webhooks(
            await self._teiki.database(), with_handled=with_handled, limit=limit
        )

    async def work_off(self, *, parked_too: bool = False) -> dict[str, int]:
        """Hand over now what is due, as the schedule does every minute.

        Args:
            parked_too: those that were given up are tried anew.

        Returns:
            how many are `handled` now, `waiting` for another try, and `parked` for people.

        Raises:
            TeikiError: `engine_unavailable`.
        """
        name = f"webhook-inbox/{self._teiki.new_id('run')}"
        done: HandedOver = await self._teiki.engine.run(
            WebhookInbox, HandOver(parked_too=parked_too), workflow_id=name
        )
        return {"handled": done.handled, "waiting": done.waiting, "parked": done.parked}

    async def _tell(self, workflow_id: str, notice: GatewayNotice) -> bool:
        if (payment := payment_told_of(workflow_id)) is not None:
            object_id, number = payment
            await self._teiki.engine.start_and_signal(
                Chargeback,
                ChargebackOrder(object_id=object_id, number=number, at=self._teiki.now()),
                "gateway_notified",
                notice,
                workflow_id=workflow_id,
                summary=f"was payment {number} charged back?",
            )
            return True
        try:
            await self._teiki.engine.signal(workflow_id, "gateway_notified", notice)
        except NotRunning:
            return False
        return True
