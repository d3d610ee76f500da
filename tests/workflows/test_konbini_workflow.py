"""`KonbiniDeposit` under its order, on the time-skipping server: notices lost, a gateway that is down, late money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.contracts.billing import Outcome
from domain.declines import DeclineCode
from tests.workflows.conftest import KEYS
from tests.workflows.order_fakes import UNKNOWN
from tests.workflows.order_stage import OrderStage, by, playing
from workflows import order_messages as messages
from workflows.order import Order

# Placed on August 1st at noon: the slip can be paid until the 4th, 23:59:59, and half an hour more with a kiosk's slip.
BEFORE_THE_DEADLINE = "2023-08-04T23:59:00+09:00"
IN_THE_GRACE = "2023-08-05T00:10:00+09:00"
AFTER_THE_GRACE = "2023-08-05T00:31:00+09:00"
WATCHED_TO_THE_END = "2023-09-06T00:00:00+09:00"


@pytest.fixture
async def stage(server) -> AsyncIterator[OrderStage]:
    async with playing(server, KEYS) as stage:
        yield stage


def statuses(stage) -> list[str]:
    return [move.to.value for written in stage.orders.slips_written for move in written.moves]


@pytest.mark.parametrize("told", [True, False])
async def test_a_paid_slip_completes_the_order_also_when_nobody_tells(stage, told):
    await stage.place()
    await stage.until("2023-08-02T12:00:00+09:00")
    await stage.pay(told=told)
    await stage.until(BEFORE_THE_DEADLINE)
    assert await stage.shown() == ("complete", "payment_completed", "active")
    assert statuses(stage) == ["issued", "paid"]


async def test_paid_within_the_grace_is_paid(stage):
    await stage.place()
    await stage.until(IN_THE_GRACE)
    await stage.pay(told=False)
    await stage.until(AFTER_THE_GRACE)
    assert await stage.shown() == ("complete", "payment_completed", "active")


async def test_never_paid_ends_order_and_slip_right_after_the_grace_and_both_workflows_after_the_watch(stage):
    await stage.place()
    await stage.until(AFTER_THE_GRACE)
    assert stage.orders.changes("payment")[-1][1] == "payment_deadline_expired"
    assert stage.orders.changes()[-1][1:] == ("canceled", "deposit_expired")
    assert not stage.slip().is_open
    await stage.until(WATCHED_TO_THE_END)
    assert await stage.is_over()
    assert await stage.deposit().result() == "expired"


async def test_money_after_the_end_goes_back_and_gives_no_access(stage):
    await stage.place()
    await stage.until(AFTER_THE_GRACE)
    for _ in range(2):
        await stage.pay()
    await stage.until("2023-08-05T02:00:00+09:00")
    assert [(refund.reason, refund.returns is not None) for refund in stage.till.refunds] == [
        ("late_deposit", True),
        ("late_deposit", True),
    ]
    assert stage.orders.changes("permission") == []


async def test_a_notice_gives_access_and_its_recall_takes_it(stage):
    await stage.place()
    stage.slip().preliminary = True
    await stage.notify()
    assert await stage.shown() == ("complete", "payment_completed", "active")
    stage.slip().preliminary = False
    await stage.notify()
    assert await stage.shown() == ("in_process", "payment_pending", "revoked")
    await stage.pay()
    assert await stage.shown() == ("complete", "payment_completed", "active")
    assert statuses(stage) == ["issued", "preliminary", "issued", "paid"]


@pytest.mark.parametrize("is_paid", [True, False])
async def test_a_gateway_that_is_down_over_deadline_and_grace_delays_the_end_and_does_not_change_it(
    stage, is_paid
):
    await stage.place()
    await stage.until(BEFORE_THE_DEADLINE)
    stage.till.is_down = True
    if is_paid:
        await stage.pay(told=False)
    await stage.until("2023-08-05T06:00:00+09:00")
    assert await stage.shown() == ("in_process", "payment_pending", None)
    stage.till.is_down = False
    await stage.until("2023-08-05T07:00:00+09:00")
    expected = ("complete", "payment_completed") if is_paid else ("canceled", "payment_deadline_expired")
    assert (await stage.shown())[:2] == expected


async def test_a_slip_whose_issue_is_unknown_is_asked_about_and_sent_again_after_the_horizon(stage):
    stage.till.slip_script = [UNKNOWN.model_copy(update={"resent": True}), *[UNKNOWN] * 5]
    await stage.place()
    await stage.until("2023-08-01T12:30:00+09:00")
    assert statuses(stage) == ["issued"]
    modes = [charge.mode.value for charge in stage.till.charges]
    assert (modes[0], modes.count("send")) == ("send", 1)
    assert "resend" in modes
    assert all(charge.at - stage.start < timedelta(seconds=2) for charge in stage.till.charges), "one slip"


async def test_a_slip_that_could_never_be_issued_ends_with_its_deadline(stage):
    stage.till.is_down = True
    await stage.place()
    await stage.until("2023-08-07T00:00:00+09:00")
    assert await stage.shown() == ("in_process", "payment_pending", None)
    stage.till.is_down = False
    await stage.until("2023-08-07T07:00:00+09:00")
    assert stage.orders.changes("payment")[-1][1] == "payment_deadline_expired"
    assert stage.till.slips == {}


async def test_a_customer_who_is_blocked_gets_no_slip_and_no_order(stage):
    stage.till.slip_script = [Outcome(outcome="declined", decline=DeclineCode.CUSTOMER_BLOCKED)]
    await stage.place()
    assert (await stage.shown())[:2] == ("canceled", "cancel_before_payment")
    assert statuses(stage) == ["failed"]


async def test_an_order_canceled_while_its_slip_is_being_issued_voids_it(stage):
    is_open, is_asked = asyncio.Event(), asyncio.Event()

    async def gate():
        is_asked.set()
        await is_open.wait()

    stage.till.gate = gate
    placing = asyncio.create_task(stage.place())
    await is_asked.wait()
    cancel = messages.CancelOrder(**by("c-1", "customer:cus_1"))
    answer = await stage.handle.execute_update(Order.cancel_order, cancel)
    assert answer.order.payment_status == "cancel_before_payment"
    is_open.set()
    await placing
    await stage.quiet()
    assert not stage.slip().is_open
    assert statuses(stage)[-1] == "canceled"
    assert stage.orders.changes("permission") == []


async def test_paid_in_the_moment_of_canceling_goes_back(stage):
    await stage.place()
    await stage.pay(told=False)
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1", "customer:cus_1")))
    assert (await stage.shown())[:2] == ("canceled", "cancel_before_payment")
    assert [(refund.number, refund.reason) for refund in stage.till.refunds] == [(1, "settled_after_the_end")]
    assert statuses(stage)[-1] == "paid"


async def test_a_second_slip_follows_the_voided_first_and_late_money_on_that_goes_back(stage):
    await stage.place()
    await stage.do(Order.issue_slip, messages.IssueSlip(**by("i-1")))
    assert (stage.slip(1).is_open, stage.slip(2).is_open) == (False, True)
    await stage.pay(1)
    await stage.pay(2)
    assert await stage.shown() == ("complete", "payment_completed", "active")
    assert [(refund.number, refund.reason) for refund in stage.till.refunds] == [(1, "late_deposit")]
    refused = messages.IssueSlip(**by("i-2"))
    assert await stage.refusal(Order.issue_slip, refused) == "invalid_status"


async def test_a_slip_stopped_in_the_engine_is_voided_and_its_order_is_not_left_waiting(stage):
    await stage.place()
    await stage.deposit().cancel()
    await stage.quiet()
    assert not stage.slip().is_open
    assert statuses(stage)[-1] == "canceled"
    assert (await stage.shown())[:2] == ("canceled", "cancel_before_payment")


async def test_a_refused_remittance_waits_for_a_person_who_asks_again(stage):
    await stage.place()
    await stage.pay()
    stage.till.refund_script = [Outcome(outcome="attention")]
    await stage.do(Order.cancel_order, messages.CancelOrder(bank_account="ba_wrong", **by("c-1")))
    assert await stage.shown() == ("canceled", "payment_completed", "revoked")
    stage.till.refund_script = [Outcome(outcome="declined", decline=DeclineCode.PROCESSING_ERROR)]
    await stage.do(Order.cancel_order, messages.CancelOrder(bank_account="ba_right", **by("c-2")))
    assert await stage.shown() == ("canceled", "refunded", "revoked")
    assert [(refund.attempt, refund.bank_account) for refund in stage.till.refunds] == [
        (1, "ba_wrong"),
        (1, "ba_right"),
        (2, "ba_right"),
    ]
