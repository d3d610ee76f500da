"""Chargebacks: the gateway is asked, its book decides, and the customer's access ends if the setting says so.

What a webhook or an operator says is a hint (spec: customers.md §4, charging.md §4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from temporalio import activity

from activities.contracts.chargebacks import (
    END_ACCESS,
    TAKE,
    AccessEnded,
    ChargebackOrder,
    ChargebacksContract,
    ChargebackTaken,
    EndAccess,
)
from activities.engine_commands import EngineCommands
from db import chargebacks
from db.chargebacks import Shown
from db.engine import Database
from db.permissions import revoke_permission
from db.reads.order_names import order_paid_by
from gateways.port import GatewayUnavailable, PaymentGateway

AccessPolicy = Literal["revoke", "leave"]
_COMMENT = "The payment was charged back."


@dataclass(frozen=True)
class ChargebacksActivities(ChargebacksContract):
    """`policy`: the setting `chargeback_access`."""

    db: Database
    gateway: PaymentGateway
    engine: EngineCommands
    policy: AccessPolicy = "revoke"

    @activity.defn(name=TAKE)
    async def take(self, order: ChargebackOrder) -> ChargebackTaken:
        shown = await self._shown(order)
        taken = await chargebacks.take_chargeback(
            self.db,
            object_id=order.object_id,
            number=order.number,
            shown=shown,
            entered=order.entered,
            at=order.at,
            actor=order.actor,
            comment=order.comment,
        )
        if taken.outcome == "booked":
            meter = activity.metric_meter()
            meter.create_counter("teiki_chargebacks", "Payments that were charged back").add(1)
        return ChargebackTaken(**taken._asdict())

    async def _shown(self, order: ChargebackOrder) -> Shown | None:
        """What the gateway's book shows. A gateway that cannot be asked is asked again, unless a person's word stands
        without it.
        """
        charge_id = await chargebacks.charge_id_of(self.db, order.object_id, order.number)
        if charge_id is None:
            return None
        try:
            entry = await self.gateway.chargeback_of(charge_id)
        except GatewayUnavailable:
            if order.entered:
                return None
            raise
        if entry is None or entry.state != "settled":
            return None
        return Shown(entry.gateway_id, entry.amount)

    @activity.defn(name=END_ACCESS)
    async def end_access(self, order: EndAccess) -> AccessEnded:
        if self.policy == "leave":
            return AccessEnded(outcome="left")
        request_id = f"chargeback-{order.object_id}-{order.number}"
        suspended = False
        if order.object_id.startswith("sub_"):
            suspended = await self.engine.suspend_subscription(
                order.object_id, request_id=request_id, comment=_COMMENT
            )
        order_id: str | None = order.object_id
        if order.object_id.startswith("sub_"):
            order_id = await order_paid_by(self.db, order.object_id)
        revoked = order_id is not None and await self._revoke(order_id, request_id, order)
        return AccessEnded(outcome="suspended" if suspended else "revoked" if revoked else "ended")

    async def _revoke(self, order_id: str, request_id: str, order: EndAccess) -> bool:
        told = await self.engine.revoke_access(order_id, request_id=request_id, comment=_COMMENT)
        if told is not None:
            return told
        # Its workflow has ended: nobody else writes to its permission any more.
        return await revoke_permission(self.db, order_id, at=order.at)
