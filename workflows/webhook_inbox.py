"""Every minute: who has not heard yet what the payment company told? (spec: charging.md §4)

The web service passes most webhooks on itself, at once. A schedule starts this (`webhook-inbox`) for the rest: those
that came while Temporal was away, or whose web service died. Nothing about money depends on it.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.webhooks import HandedOver, HandOver, WebhooksContract
    from workflows.options import LONG


@workflow.defn(name="WebhookInbox")
class WebhookInbox:
    """One working off. Workflow id `webhook-inbox/…`."""

    @workflow.run
    async def run(self, order: HandOver) -> HandedOver:
        done = await workflow.execute_activity_method(
            WebhooksContract.hand_over, order, summary="who has not heard yet?", **LONG
        )
        if done.has_old:
            await workflow.execute_activity_method(
                WebhooksContract.clear_out, summary="delete what is old", **LONG
            )
        return done
