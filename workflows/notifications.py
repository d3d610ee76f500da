"""A watch for what merchants are to hear of (spec: customers.md §5).

A schedule starts one after another (`notifications`): while one watches, the next waits behind it. Nothing about money
depends on it, and what is to be told is in the database: a watch that is lost delays notifications by seconds.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.notifications import Deliver, Delivered, NotificationsContract
    from workflows.options import WATCH


@workflow.defn(name="Notifications")
class Notifications:
    """One watch. Workflow id `notifications-…`."""

    @workflow.run
    async def run(self, order: Deliver) -> Delivered:
        return await workflow.execute_activity_method(
            NotificationsContract.deliver, order, summary="who is to hear of what happened?", **WATCH
        )
