"""Record the histories of chargebacks and repayments: `python -m tests.replay.record_repayments [story …]`.

As `record`, with the stand-ins of `tests/workflows/fake_repayments.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Final

from activities.contracts.billing import Outcome, Twin, VerifyResult
from activities.contracts.repayments import RepaymentOpened
from domain.money import Money
from runtime.embedded.temporal_servers import TimeSkippingServer
from runtime.lifecycle import run_cli
from tests.replay.record import DECLINED, HISTORIES, UNKNOWN, save
from tests.workflows.fake_repayments import BankStage, bank_at_work, by
from workflows.messages import GatewayNotice, SettleAttention
from workflows.repayment import Repayment
from workflows.repayment_messages import CancelRepayment, Pay, Received


async def a_chargeback(stage: BankStage) -> None:
    await (await stage.tell()).result()


async def a_chargeback_not_shown_at_first(stage: BankStage) -> None:
    """The notice was faster than the book; told again on the way."""
    stage.chargebacks.script = ["not_shown"] * 4
    handle = await stage.tell()
    await stage.later(minutes=1)
    notice = GatewayNotice(gateway_id="cb_1", reference="sub_1/1/1/chargeback")
    await handle.signal("gateway_notified", notice)
    await handle.result()


async def a_receipt(stage: BankStage) -> None:
    """Money that came otherwise; it closes a link whose workflow has ended."""
    stage.repayments.closed = ("rep_ended",)
    came = Received(amount=Money(minor=1000, currency="JPY"), method="bank_transfer", on=date(2023, 8, 1))
    await stage.add(received=came)
    await stage.handle.result()


async def a_repayment_refused(stage: BankStage) -> None:
    stage.repayments.refuse = RepaymentOpened(
        outcome="refused", repayment_id="rep_x", code="repayment_exceeds_balance", message="Too much."
    )
    await stage.add()
    await stage.handle.result()


async def a_repayment_by_the_second_card(stage: BankStage) -> None:
    """A reminder, a card that is declined, another whose answer is lost, told of by the payment company."""
    stage.billing.script = [DECLINED, UNKNOWN]
    await stage.add()
    await stage.later(days=4)
    await stage.do(Repayment.pay, Pay(payment_method_id="pm_1", **by("p-1")))
    await stage.do(Repayment.pay, Pay(payment_method_id="pm_2", **by("p-2")))
    notice = GatewayNotice(gateway_id="ch_1", reference="sub_1/1/repayment/rep_1/2")
    await stage.handle.signal(Repayment.gateway_notified, notice)
    await stage.handle.result()


async def a_repayment_charged_twice(stage: BankStage) -> None:
    """Settled after a doubt; the second look finds a second charge, which goes back at the second try."""
    stage.billing.script = [Outcome(outcome="settled", verify_in_s=660)]
    stage.billing.twins = [
        VerifyResult(is_clear=False, twins=[Twin(gateway_id="ch_twin", amount_minor=1000)]),
        VerifyResult(is_clear=True),
    ]
    stage.billing.refund_script = [UNKNOWN]
    await stage.add()
    await stage.do(Repayment.pay, Pay(payment_method_id="pm_1", **by("p-1")))
    await stage.later(hours=2)
    await stage.handle.result()


async def a_repayment_settled_by_a_person(stage: BankStage) -> None:
    stage.billing.script = [Outcome(outcome="attention"), Outcome(outcome="settled")]
    await stage.add()
    await stage.do(Repayment.pay, Pay(payment_method_id="pm_1", **by("p-1")))
    word = SettleAttention(number=1, moved=True, gateway_id="ch_1", **by("s-1"))
    await stage.do(Repayment.settle_attention, word)
    await stage.handle.result()


async def a_repayment_that_ran_out(stage: BankStage) -> None:
    await stage.add(remind_after=(timedelta(days=1), timedelta(days=2)))
    await stage.handle.result()


async def a_repayment_canceled(stage: BankStage) -> None:
    await stage.add()
    await stage.do(Repayment.cancel, CancelRepayment(**by("c-1")))
    await stage.handle.result()


async def a_repayment_replaced(stage: BankStage) -> None:
    """A newer link took its place in the books."""
    await stage.add()
    await stage.handle.signal(Repayment.closed, "newer_link")
    await stage.handle.result()


STORIES: Final[dict[str, Callable[[BankStage], Awaitable[None]]]] = {
    story.__name__: story
    for story in (
        a_chargeback,
        a_chargeback_not_shown_at_first,
        a_receipt,
        a_repayment_refused,
        a_repayment_by_the_second_card,
        a_repayment_charged_twice,
        a_repayment_settled_by_a_person,
        a_repayment_that_ran_out,
        a_repayment_canceled,
        a_repayment_replaced,
    )
}


async def record(names: list[str]) -> None:
    async with TimeSkippingServer(None) as environment:
        for name in names:
            async with bank_at_work(environment, queue=f"recording-{name}") as stage:
                await STORIES[name](stage)
                await save(environment.client, stage.handle, name)


if __name__ == "__main__":
    HISTORIES.mkdir(exist_ok=True)
    run_cli(record(sys.argv[1:] or list(STORIES)))
