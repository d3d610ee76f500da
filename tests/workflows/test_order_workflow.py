"""`Order` on the time-skipping server: its life, its children, its cuts, and what goes wrong on the way (orders.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.contracts.billing import Outcome
from activities.contracts.orders import OpenOrderResult
from domain.declines import DeclineCode
from domain.deposit import DepositStatus
from domain.money import Money
from domain.order_state import DepositFact
from domain.unresolved import Mode
from tests.workflows.conftest import KEYS
from tests.workflows.order_stage import OrderStage, by, playing
from workflows import order_messages as messages
from workflows.order import FACTS_PER_RUN, Order

UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)


@pytest.fixture
async def stage(server) -> AsyncIterator[OrderStage]:
    async with playing(server, KEYS) as stage:
        yield stage


# ---------------------------------------------------------------------- a card


async def test_a_card_order_is_complete_at_once_confirmed_after_seven_days_and_expired_with_its_period(stage):
    opened = await stage.place("card", usage_period="P30D")
    assert (opened.outcome, opened.order.status) == ("opened", "complete")
    await stage.until("2023-08-08T11:59:00+09:00")
    assert await stage.shown() == ("complete", "payment_completed", "active")
    await stage.until("2023-08-08T12:01:00+09:00")
    assert await stage.shown() == ("purchase_confirmed", "payment_completed", "active")
    await stage.until("2023-08-31T12:01:00+09:00")
    assert await stage.is_over()
    assert [change[1:] for change in stage.orders.changes()] == [
        ("complete", "paid"),
        ("purchase_confirmed", "seven_days_passed"),
        ("expired", "usage_period_ended"),
    ]


@pytest.mark.usefixtures("deployed_meanwhile")
async def test_an_order_placed_while_another_version_becomes_current_is_charged_first_and_then_cut(stage):
    async with asyncio.timeout(30):
        opened = await stage.place("card", usage_period="P30D")
    assert (opened.outcome, opened.order.status) == ("opened", "complete")
    await stage.until("2023-08-31T12:01:00+09:00")
    assert await stage.is_over()
    assert (await stage.handle.describe()).run_id != stage.handle.first_execution_run_id
    assert [charge.mode for charge in stage.till.charges] == [Mode.SEND]


async def test_a_declined_card_ends_the_order(stage):
    stage.till.script = [Outcome(outcome="declined", decline=DeclineCode.INSUFFICIENT_FUNDS)]
    opened = await stage.place("card")
    assert (opened.order.status, opened.order.payment_status) == ("canceled", "cancel_before_payment")
    assert await stage.is_over()


async def test_an_order_that_is_refused_at_placing_ends_without_a_trace(stage):
    stage.orders.refuse = OpenOrderResult(
        outcome="refused", order_id="x", code="product_not_found", message="None."
    )
    opened = await stage.place("card")
    assert (opened.outcome, opened.code) == ("refused", "product_not_found")
    assert await stage.is_over()
    assert stage.orders.written == []


async def test_an_unknown_card_payment_is_asked_about_and_sent_again_only_after_the_horizon(stage):
    stage.till.script = [UNKNOWN, *[UNKNOWN.model_copy(update={"resent": False})] * 5]
    opened = await stage.place("card")
    assert opened.order.status == "in_process"
    await stage.until("2023-08-01T12:30:00+09:00")
    assert await stage.shown() == ("complete", "payment_completed", "active")
    modes = [charge.mode.value for charge in stage.till.charges]
    assert modes[0] == "send"
    assert modes[-1] == "resend"
    assert set(modes[1:-1]) == {"ask"}
    assert len({charge.at for charge in stage.till.charges}) == 1


async def test_money_that_settles_after_the_cancellation_goes_back_and_gives_no_access(stage):
    stage.till.script = [UNKNOWN]
    await stage.place("card")
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1", "customer:cus_1")))
    await stage.until("2023-08-01T14:00:00+09:00")
    assert [(refund.number, refund.reason) for refund in stage.till.refunds] == [(1, "settled_after_the_end")]
    assert stage.orders.changes("permission") == []
    assert await stage.is_over()


async def test_a_doubtful_payment_is_looked_at_again_and_a_canceled_order_lives_until_then(stage):
    stage.till.script = [Outcome(outcome="settled", verify_in_s=660)]
    await stage.place("card")
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))
    assert not await stage.is_over()
    await stage.until("2023-08-01T12:20:00+09:00")
    assert len(stage.till.verifications) == 1
    assert await stage.is_over()


# ---------------------------------------------------------------------- operations


async def test_use_confirms_and_the_customer_can_cancel_no_more_but_an_admin_can(stage):
    await stage.place("card")
    answer = await stage.do(Order.use, messages.Use(**by("u-1", "customer:cus_1")))
    assert (answer.order.status, answer.order.points_earned) == ("purchase_confirmed", 10)
    cancel = messages.CancelOrder(**by("c-1", "customer:cus_1"))
    assert await stage.refusal(Order.cancel_order, cancel) == "not_cancelable"
    wrong = messages.CancelOrder(refund_amount=Money(minor=999, currency="JPY"), **by("c-2"))
    assert await stage.refusal(Order.cancel_order, wrong) == "refund_amount_mismatch"
    right = messages.CancelOrder(refund_amount=Money(minor=1000, currency="JPY"), **by("c-3"))
    await stage.do(Order.cancel_order, right)
    assert await stage.is_over()
    assert stage.orders.changes("payment")[-1] == ("payment_completed", "refunded", "order_canceled")
    assert sum(written.operation is not None for written in stage.orders.written) == 2


async def test_the_same_command_twice_is_answered_twice_and_done_once(stage):
    await stage.place("card", type="ticket")
    command = messages.ProcessAccess(**by("p-1"))
    first = await stage.do(Order.process_access, command)
    second = await stage.do(Order.process_access, command)
    assert first.order.permission == second.order.permission
    other = messages.ProcessAccess(**by("p-2", "service:door"))
    assert await stage.refusal(Order.process_access, other) == "already_processed"
    reused = messages.Use(**by("p-1"))
    assert await stage.refusal(Order.use, reused) == "request_id_conflict"


async def test_a_token_order_gives_access_without_any_payment(stage):
    opened = await stage.place("none")
    assert (opened.order.status, opened.order.payment_status) == ("complete", "no_payment")
    assert stage.till.charges == []


# ---------------------------------------------------------------------- recurring


async def test_a_recurring_order_follows_its_subscription_and_is_canceled_with_it(stage):
    await stage.place("recurring")
    assert await stage.shown() == ("complete", "recurring_payment", "active")
    await stage.until("2023-10-02T00:00:00+09:00")
    state = await stage.state()
    assert (state.payments, state.paid_minor) == (3, 3000)
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))
    await stage.quiet()
    assert [(refund.object_id, refund.number) for refund in stage.till.refunds] == [
        (state.subscription_id, 3)
    ]
    assert await stage.is_over()
    subscription = stage.client.get_workflow_handle(f"subscription/{state.subscription_id}")
    assert (await subscription.describe()).close_time is not None


async def test_a_stopped_subscription_lets_the_permission_run_out(stage):
    await stage.place("recurring")
    await stage.do(Order.cancel_subscription, messages.CancelSubscription(**by("s-1")))
    assert await stage.shown() == ("complete", "recurring_payment_canceled", "active")
    again = messages.CancelSubscription(**by("s-2"))
    assert await stage.refusal(Order.cancel_subscription, again) == "invalid_status"
    await stage.until("2023-09-02T00:00:00+09:00")
    assert await stage.is_over()
    assert stage.orders.changes()[-1] == ("purchase_confirmed", "expired", "usage_period_ended")
    assert stage.till.refunds == []


async def test_a_card_that_never_pays_ends_the_recurring_order_with_its_subscription(stage):
    stage.till.script = [Outcome(outcome="declined", decline=DeclineCode.INSUFFICIENT_FUNDS)] * 9
    await stage.place("recurring")
    await stage.until("2023-10-15T00:00:00+09:00")
    assert await stage.shown() == ("in_process", "payment_pending", None)
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1", "customer:cus_1")))
    assert await stage.is_over()
    assert stage.orders.changes("payment")[-1][1] == "cancel_before_payment"


# ---------------------------------------------------------------------- the cut, and being stopped


async def test_history_is_cut_after_many_facts_and_nothing_is_lost(stage):
    await stage.place()
    first_run = (await stage.handle.describe()).run_id
    fact = DepositFact(
        deposit_id="kon_x", number=9, status=DepositStatus.ISSUED, reason="issued", at=stage.start
    )
    await asyncio.gather(
        *(stage.handle.signal(Order.deposit_changed, fact) for _ in range(FACTS_PER_RUN + 5))
    )
    async with asyncio.timeout(60):
        while (await stage.handle.describe()).run_id == first_run:
            await stage.quiet()
    assert await stage.shown() == ("in_process", "payment_pending", None)
    await stage.pay()
    assert await stage.shown() == ("complete", "payment_completed", "active")
    repeated = messages.PlaceOrder.model_validate(
        {"spec": stage.orders.opened[0].spec} | by("place-1", "customer:cus_1")
    )
    assert repeated.fingerprint()
    await stage.do(Order.cancel_order, messages.CancelOrder(**by("c-1")))
    await stage.until("2023-08-03T00:00:00+09:00")
    assert [refund.number for refund in stage.till.refunds] == [1]


async def test_the_engines_request_to_stop_cancels_an_order_and_its_slip(stage):
    await stage.place()
    await stage.handle.cancel()
    await stage.quiet()
    assert stage.orders.changes()[-1] == ("in_process", "canceled", "canceled_by_admin")
    assert not stage.slip().is_open
    await stage.until("2023-09-05T00:00:00+09:00")
    assert await stage.is_over()


async def test_the_engines_request_to_stop_leaves_an_order_alone_that_cannot_be_returned(stage):
    stage.orders.is_konbini_refundable = False
    await stage.place(usage_period="P30D")
    await stage.pay()
    await stage.handle.cancel()
    await stage.quiet()
    assert await stage.shown() == ("complete", "payment_completed", "active")
    await stage.until("2023-08-09T00:00:00+09:00")
    assert await stage.shown() == ("purchase_confirmed", "payment_completed", "active")
    assert timedelta() < stage.orders.written[-1].at - stage.start
