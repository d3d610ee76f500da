"""Record the histories of credits: `python -m tests.replay.record_credits [story …]`.

As `record.py` does for subscriptions; read there when to do it, and when not.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Final

from temporalio.testing import WorkflowEnvironment

from activities.contracts.billing import Outcome
from activities.contracts.credits import OpenCreditResult
from domain.operations import PAYMENT_ITSELF
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.lifecycle import run_cli
from tests.replay.record import HISTORIES, UNKNOWN, save
from tests.replay.record_orders import REFUSED
from tests.workflows.credit_stage import CreditStage, crediting
from tests.workflows.order_stage import by
from workflows.credit import Credit
from workflows.messages import GatewayNotice, SettleAttention


async def credit_returned(stage: CreditStage) -> None:
    """The customer is blocked; the order concerned has ended."""
    stage.credits.order_id = "ord_ended"
    await stage.ask(None, block_all=True)


async def credit_refused(stage: CreditStage) -> None:
    stage.credits.refuse = OpenCreditResult(
        outcome="refused", credit_id="crd_1", code="credit_exceeds_balance", message="Less is left."
    )
    await stage.ask()


async def credit_in_doubt(stage: CreditStage) -> None:
    """No answer; told of it; sent again after the horizon; looked at once more. Its order hears of it."""
    await stage.order_runs()
    stage.billing.refund_script = [UNKNOWN, UNKNOWN, *[UNKNOWN.model_copy(update={"resent": False})] * 6]
    await stage.ask()
    await stage.handle.signal(Credit.gateway_notified, GatewayNotice(gateway_id="rf_1", reference="x"))
    await stage.quiet()
    await stage.until("2023-08-01T12:09:30+09:00")
    stage.billing.refund_script = [Outcome(outcome="settled", verify_in_s=660)]
    await stage.until("2023-08-01T13:00:00+09:00")


async def credit_settled_by_a_person(stage: CreditStage) -> None:
    """Refused, asked for again, refused, let go."""
    stage.billing.refund_script = [Outcome(outcome="attention")] * 9
    await stage.ask()
    await stage.until("2023-08-02T12:00:00+09:00")
    stage.billing.refund_script = [REFUSED, Outcome(outcome="attention"), REFUSED]
    again = SettleAttention(number=1, returns=PAYMENT_ITSELF, again=True, **by("s-1"))
    await stage.do(Credit.settle_attention, again)
    await stage.do(Credit.settle_attention, SettleAttention(number=1, returns=PAYMENT_ITSELF, **by("s-2")))


STORIES: Final[dict[str, Callable[[CreditStage], Awaitable[None]]]] = {
    story.__name__: story
    for story in (credit_returned, credit_refused, credit_in_doubt, credit_settled_by_a_person)
}


async def play(environment: WorkflowEnvironment, name: str) -> None:
    stage = CreditStage(environment, queue=f"recording-{name}")
    async with crediting(environment, None, stage):
        await STORIES[name](stage)
        await stage.quiet()
        await save(environment.client, stage.handle, name)


async def record(names: list[str]) -> None:
    async with TimeSkippingServer(None) as environment:
        for name in names:
            await play(environment, name)


if __name__ == "__main__":
    HISTORIES.mkdir(exist_ok=True)
    run_cli(record(sys.argv[1:] or list(STORIES)))
