"""Lets a running workflow know that the payment company has news for it; see `domain.notices`."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.notices import GatewayNotice


@dataclass(frozen=True)
class EngineBell:
    """Signals through Temporal."""

    client: Client

    async def ring(self, workflow_id: str, notice: GatewayNotice) -> bool:
        """Signal `gateway_notified`; False when no such workflow is running."""
        try:
            await self.client.get_workflow_handle(workflow_id).signal("gateway_notified", notice)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True
