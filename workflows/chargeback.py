"""A payment was charged back, somebody says: look, write it down, and end the customer's access (customers.md §4).

Told by the payment company, found by a reconciliation, or entered by an operator: all start this, under one id per
payment, and the books know a second time. A hint that nothing in the payment company's book confirms is asked about for
a day, for notices may be faster than books.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.chargebacks import (
        ChargebackOrder,
        ChargebacksContract,
        ChargebackTaken,
        EndAccess,
    )
    from domain.notices import GatewayNotice
    from workflows.options import MONEY, RECORD

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600, 21_600, 57_600))
"""After these it was a false hint, or a reconciliation finds it: each day's does."""


@workflow.defn(name="Chargeback")
class Chargeback:
    """One look at one payment. Workflow id `chargeback/<object>/<number>`."""

    @workflow.init
    def __init__(self, order: ChargebackOrder) -> None:
        self._told_again = False

    @workflow.signal(description="The payment company has told of it (again): look now.")
    def gateway_notified(self, notice: GatewayNotice) -> None:
        self._told_again = True

    @workflow.run
    async def run(self, order: ChargebackOrder) -> ChargebackTaken:
        taken = await self._take(order)
        for wait in WAITS:
            if taken.outcome != "not_shown":
                break
            await self._wait(wait)
            taken = await self._take(order)
        if taken.is_charged_back:
            await workflow.execute_activity_method(
                ChargebacksContract.end_access,
                EndAccess(object_id=order.object_id, number=order.number, at=workflow.now()),
                summary="end the customer's access",
                **RECORD,
            )
        return taken

    async def _take(self, order: ChargebackOrder) -> ChargebackTaken:
        self._told_again = False
        return await workflow.execute_activity_method(
            ChargebacksContract.take,
            order,
            summary=f"was payment {order.number} charged back?",
            **MONEY,
        )

    async def _wait(self, wait: timedelta) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._told_again,
                timeout=wait,
                timeout_summary="the payment company's book does not show it yet",
            )
        except TimeoutError:
            return
