"""Lets a workflow know that the payment company has news for it; see `domain.notices`.

All of them run already but one: news of a chargeback starts the workflow that looks into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.chargebacks import ChargebackOrder
from domain.notices import GatewayNotice, payment_told_of


@dataclass(frozen=True)
class EngineBell:
    """Signals through Temporal."""

    client: Client
    task_queue: str
    now: Callable[[], datetime]

    async def ring(self, workflow_id: str, notice: GatewayNotice) -> bool:
        """Signal `gateway_notified`; False when no such workflow is running."""
        if (payment := payment_told_of(workflow_id)) is not None:
            object_id, number = payment
            await self.client.start_workflow(
                "Chargeback",
                ChargebackOrder(object_id=object_id, number=number, at=self.now()),
                id=workflow_id,
                task_queue=self.task_queue,
                start_signal="gateway_notified",
                start_signal_args=[notice],
                static_summary=f"was payment {number} charged back?",
            )
            return True
        try:
            await self.client.get_workflow_handle(workflow_id).signal("gateway_notified", notice)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True
