"""Record the histories of orders and slips: `python -m tests.replay.record_orders [story …]`.

As `record.py` does for subscriptions; read there when to do it, and when not. An order's children are recorded beside
it: `<story>.<run>.json` is the order, `<story>_slip_<n>.<run>.json` its slips, `<story>_subscription.<run>.json`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.contracts.billing import Outcome, Twin, VerifyResult
from domain.credit import CreditFact, CreditStatus
from domain.declines import DeclineCode
from domain.deposit import DepositStatus
from domain.operations import PAYMENT_ITSELF
from domain.order_state import DepositFact
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.lifecycle import run_cli
from tests.replay.record import DECLINED, HISTORIES, UNKNOWN, save
from tests.workflows.order_stage import OrderStage, by, playing
from workflows import order_messages as messages
from workflows.messages import GatewayNotice, SettleAttention
from workflows.order import FACTS_PER_RUN, Order

REFUSED: Final = Outcome(outcome="declined", decline=DeclineCode.PROCESSING_ERROR)


async def order_by_card(stage: OrderStage) -> None:
    """Paid, answers corrected, confirmed after seven days, expired with its period."""
    await stage.place("card", usage_period="P30D", custom_fields=[{"name": "meal"}])
    command = messages.ChangeCustomFields(fields={"meal": "rice"}, **by("f-1"))
    await stage.do(Order.change_custom_fields, command)
    await stage.until("2023-09-01T12:00:00+09:00")


async def order_declined(stage: OrderStage) -> None:
    stage.till.script = [DECLINED]
    await stage.place("card")


async def order_ticket(stage: OrderStage) -> None:
    """By token; used at the door."""
    await stage.place("none", type="ticket", usage_period="P10D")
    await stage.do(Order.process_access, messages.ProcessAccess(**by("p-1")))
    await stage.until("2023-08-12T12:00:00+09:00")


async def order_in_doubt(stage: OrderStage) -> None:
    """No answer; told of it, sent again, looked at once more, a second charge goes back; used, then canceled."""
    stage.till.script = [UNKNOWN] * 5 + [Outcome(outcome="settled", verify_in_s=660)]
    stage.till.twins = [VerifyResult(is_clear=True, twins=[Twin(gateway_id="ch_twin", amount_minor=1000)])]
    await stage.place("card")
    await stage.handle.signal(Order.gateway_notified, GatewayNotice(gateway_id="ch_1", reference="x"))
    await stage.until("2023-08-01T14:00:00+09:00")
    await stage.do(Order.use, messages.Use(**by("u-1", "customer:cus_1")))
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))


async def order_canceled_in_doubt(stage: OrderStage) -> None:
    stage.till.script = [UNKNOWN]
    await stage.place("card")
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1", "customer:cus_1")))
    await stage.until("2023-08-01T14:00:00+09:00")


async def order_settled_by_a_person(stage: OrderStage) -> None:
    """The payment, and then its return, wait for a person."""
    stage.till.script = [Outcome(outcome="attention")]
    await stage.place("card")
    await stage.do(
        Order.settle_attention, SettleAttention(number=1, moved=True, gateway_id="ch_1", **by("s-1"))
    )
    stage.till.refund_script = [Outcome(outcome="attention"), REFUSED]
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))
    command = SettleAttention(number=1, returns=PAYMENT_ITSELF, again=True, **by("s-2"))
    await stage.do(Order.settle_attention, command)


async def order_at_the_till(stage: OrderStage) -> None:
    """A slip announced, taken back, paid, paid again; canceled, the remittance refused once; watched to the end."""
    await stage.place()
    for preliminary in (True, False):
        stage.slip().preliminary = preliminary
        await stage.notify()
    await stage.pay()
    await stage.pay()
    stage.till.refund_script = [Outcome(outcome="attention")]
    await stage.until("2023-08-02T12:00:00+09:00")
    await stage.do(Order.cancel_order, messages.CancelOrder(bank_account="ba_1", **by("c-1")))
    stage.till.refund_script = [REFUSED]
    await stage.do(Order.cancel_order, messages.CancelOrder(bank_account="ba_2", **by("c-2")))
    await stage.until("2023-09-15T12:00:00+09:00")


async def order_with_two_slips(stage: OrderStage) -> None:
    """The first slip's issue is unknown for a while, it is replaced, and paid all the same."""
    stage.till.slip_script = [UNKNOWN] * 4
    await stage.place()
    await stage.until("2023-08-01T13:00:00+09:00")
    await stage.do(Order.issue_slip, messages.IssueSlip(**by("i-1")))
    await stage.pay(1)
    await stage.pay(2)
    await stage.until("2023-08-10T12:00:00+09:00")


async def order_never_paid(stage: OrderStage) -> None:
    """The payment company cannot be asked at the deadline; money comes late."""
    await stage.place()
    await stage.until("2023-08-04T23:59:00+09:00")
    stage.till.is_down = True
    await stage.until("2023-08-05T02:00:00+09:00")
    stage.till.is_down = False
    await stage.until("2023-08-05T06:00:00+09:00")
    await stage.pay()
    await stage.until("2023-08-10T12:00:00+09:00")


async def order_canceled_before_payment(stage: OrderStage) -> None:
    await stage.place()
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1", "customer:cus_1")))
    await stage.until("2023-08-02T12:00:00+09:00")


async def order_stopped_in_the_engine(stage: OrderStage) -> None:
    await stage.place()
    await stage.handle.cancel()
    await stage.until("2023-08-02T12:00:00+09:00")


async def order_cut(stage: OrderStage) -> None:
    """Very much news: the history is cut, and the order is paid in its second run."""
    await stage.place()
    first = (await stage.handle.describe()).run_id
    fact = DepositFact(
        deposit_id="kon_x", number=9, status=DepositStatus.ISSUED, reason="issued", at=stage.start
    )
    await asyncio.gather(*(stage.handle.signal(Order.deposit_changed, fact) for _ in range(FACTS_PER_RUN)))
    async with asyncio.timeout(30):
        while (await stage.handle.describe()).run_id == first:
            await stage.quiet()
    await stage.pay()


async def order_recurring(stage: OrderStage) -> None:
    """Two payments, the third fails and access lapses, paid again, stopped, expired with the paid period."""
    stage.till.script = [Outcome(outcome="settled"), Outcome(outcome="settled"), DECLINED, DECLINED]
    await stage.place("recurring")
    await stage.until("2023-11-02T12:00:00+09:00")
    await stage.do(Order.cancel_subscription, messages.CancelSubscription(**by("s-1")))
    await stage.until("2023-12-15T12:00:00+09:00")


async def order_recurring_canceled(stage: OrderStage) -> None:
    await stage.place("recurring")
    await stage.until("2023-09-02T12:00:00+09:00")
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))


async def order_credited(stage: OrderStage) -> None:
    """A part goes back; then the order is canceled, and what is left goes back too."""
    await stage.place("card")
    for status in (CreditStatus.OPEN, CreditStatus.RETURNED):
        fact = CreditFact(credit_id="crd_1", object_id=stage.id, number=1, amount_minor=300, status=status)
        await stage.handle.signal(Order.credit_changed, fact)
        await stage.quiet()
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))


STORIES: Final[dict[str, Callable[[OrderStage], Awaitable[None]]]] = {
    story.__name__: story
    for story in (
        order_by_card,
        order_declined,
        order_ticket,
        order_in_doubt,
        order_canceled_in_doubt,
        order_settled_by_a_person,
        order_at_the_till,
        order_with_two_slips,
        order_never_paid,
        order_canceled_before_payment,
        order_stopped_in_the_engine,
        order_cut,
        order_recurring,
        order_recurring_canceled,
        order_credited,
    )
}


def cast(stage: OrderStage, story: str) -> dict[str, WorkflowHandle[Any, Any]]:
    """The name of a history → its workflow."""
    order, *slips, subscription = stage.handles()
    named = {story: order, f"{story}_subscription": subscription}
    return named | {f"{story}_slip_{number}": slip for number, slip in enumerate(slips, start=1)}


async def exists(handle: WorkflowHandle[Any, Any]) -> bool:
    try:
        await handle.describe()
    except RPCError:
        return False
    return True


async def play(environment: WorkflowEnvironment, name: str) -> None:
    stage = OrderStage(environment, queue=f"recording-{name}")
    async with playing(environment, None, stage):
        await STORIES[name](stage)
        await stage.quiet()
        for file, handle in cast(stage, name).items():
            if await exists(handle):
                await save(environment.client, handle, file)


async def record(names: list[str]) -> None:
    async with TimeSkippingServer(None) as environment:
        for name in names:
            await play(environment, name)


if __name__ == "__main__":
    HISTORIES.mkdir(exist_ok=True)
    run_cli(record(sys.argv[1:] or list(STORIES)))
