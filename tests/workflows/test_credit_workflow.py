"""`Credit` on the time-skipping server: doubts, refusals, a person's word, the order concerned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.contracts.billing import Outcome, VerifyResult
from activities.contracts.credits import OpenCreditResult
from domain.credit import accepted, verify_later
from domain.declines import DeclineCode
from domain.money import Money
from domain.operations import PAYMENT_ITSELF
from domain.unresolved import Mode, unresolved
from tests.workflows.conftest import KEYS
from tests.workflows.credit_stage import CreditStage, crediting
from tests.workflows.told_order import ToldOrder
from workflows.credit import Credit
from workflows.messages import GatewayNotice, SettleAttention

UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)
STILL_UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800)
ATTENTION = Outcome(outcome="attention")
DECLINED = Outcome(outcome="declined", decline=DeclineCode.PROCESSING_ERROR)


@pytest.fixture
async def stage(server) -> AsyncIterator[CreditStage]:
    async with crediting(server, KEYS) as stage:
        yield stage


def word(number: str = "s-1", **more) -> SettleAttention:
    return SettleAttention(
        number=1, returns=PAYMENT_ITSELF, request_id=number, actor="operator:test", comment="seen", **more
    )


def modes(stage) -> list[str]:
    return [order.mode.value for order in stage.billing.refunds]


async def test_it_is_accepted_returned_and_over(stage):
    assert (await stage.ask()).outcome == "opened"
    assert await stage.is_over()
    (refund,) = stage.billing.refunds
    assert (refund.object_id, refund.number, refund.mode) == ("sub_1", 1, Mode.SEND)
    assert refund.credit_id == stage.credits.opened[0].credit_id
    assert stage.credits.counted == []


@pytest.mark.usefixtures("deployed_meanwhile")
async def test_a_credit_asked_for_while_another_version_becomes_current_goes_out_first_and_is_then_cut(stage):
    stage.billing.refund_script = [UNKNOWN, Outcome(outcome="settled")]
    async with asyncio.timeout(30):
        assert (await stage.ask()).outcome == "opened"
    assert (await stage.handle.describe()).run_id != stage.handle.first_execution_run_id
    await stage.until("2023-08-01T12:09:00+09:00")
    assert await stage.is_over()
    assert modes(stage) == ["send", "ask"]


async def test_what_is_refused_ends_without_a_trace(stage):
    stage.credits.refuse = OpenCreditResult(
        outcome="refused", credit_id="crd_x", code="credit_exceeds_balance", message="Less is left."
    )
    refused = await stage.ask()
    assert (refused.outcome, refused.code) == ("refused", "credit_exceeds_balance")
    assert await stage.is_over()
    assert stage.billing.refunds == []


async def test_an_unknown_outcome_is_asked_about_and_sent_again_only_after_the_horizon(stage):
    stage.billing.refund_script = [UNKNOWN, *[STILL_UNKNOWN] * 6]
    await stage.ask()
    await stage.until("2023-08-01T12:09:00+09:00")
    assert set(modes(stage)) == {"send", "ask"}
    stage.billing.refund_script = [Outcome(outcome="settled", verify_in_s=660)]
    await stage.until("2023-08-01T12:11:00+09:00")
    assert modes(stage)[-1] == "resend"
    assert not await stage.is_over(), "it is looked at once more"
    await stage.until("2023-08-01T12:30:00+09:00")
    assert [order.credit_id for order in stage.billing.verifications] == [stage.credits.opened[0].credit_id]
    assert await stage.is_over()


async def test_the_second_look_is_repeated_while_the_gateway_cannot_be_asked(stage):
    stage.billing.refund_script = [Outcome(outcome="settled", verify_in_s=660)]
    stage.billing.twins = [VerifyResult(is_clear=False)] * 2
    await stage.ask()
    await stage.until("2023-08-01T13:00:00+09:00")
    assert len(stage.billing.verifications) == 3
    assert await stage.is_over()


async def test_news_of_the_payment_company_bring_the_next_question_forward(stage):
    stage.billing.refund_script = [Outcome(outcome="pending")]
    await stage.ask()
    assert len(stage.billing.refunds) == 1
    await stage.handle.signal(Credit.gateway_notified, GatewayNotice(gateway_id="rf_1", reference="x"))
    await stage.quiet()
    assert modes(stage) == ["send", "ask"]
    assert await stage.is_over()


async def test_a_key_that_is_too_old_is_never_used_again(stage):
    stage.billing.refund_script = [UNKNOWN, *[STILL_UNKNOWN] * 500]
    await stage.ask()
    await stage.until("2023-08-02T12:00:00+09:00")
    asked = len(modes(stage))
    await stage.until("2023-08-03T12:00:00+09:00")
    assert set(modes(stage)[asked:]) == {"ask"}


async def test_a_person_asks_again_under_a_new_key_and_then_lets_it_go(stage):
    stage.billing.refund_script = [ATTENTION]
    await stage.ask()
    stage.billing.refund_script = [DECLINED, ATTENTION]
    assert await stage.do(Credit.settle_attention, word("s-1", again=True)) == "open"
    assert [order.attempt for order in stage.billing.refunds] == [1, 1, 2]
    stage.billing.refund_script = [DECLINED]
    assert await stage.do(Credit.settle_attention, word("s-2")) == "failed"
    assert await stage.is_over()
    assert [(said.status.value, said.reason) for said in stage.credits.said] == [
        ("open", "asked"),
        ("failed", "not_returned"),
    ]


async def test_a_persons_word_against_the_gateway_changes_nothing(stage):
    stage.billing.refund_script = [ATTENTION, Outcome(outcome="attention", hint="no such movement")]
    await stage.ask()
    moved = word(moved=True, gateway_id="rf_1")
    assert await stage.refusal(Credit.settle_attention, moved) == "gateway_disagrees"
    assert stage.credits.said == []
    assert not await stage.is_over()
    await stage.do(Credit.settle_attention, word("s-2", moved=True, gateway_id="rf_1"))
    assert await stage.is_over()


async def test_a_word_on_what_waits_for_nobody_is_refused(stage):
    stage.billing.refund_script = [UNKNOWN]
    await stage.ask()
    assert await stage.refusal(Credit.settle_attention, word()) == "nothing_to_settle"


async def test_an_order_that_runs_hears_that_it_is_under_way_and_that_it_is_back(stage):
    order = await stage.order_runs()
    await stage.ask()
    assert await stage.is_over()
    await order.signal(ToldOrder.end)
    assert await order.result() == ["open", "returned"]
    assert stage.credits.counted == []


async def test_an_order_that_runs_hears_that_it_failed(stage):
    order = await stage.order_runs()
    stage.billing.refund_script = [ATTENTION, DECLINED]
    await stage.ask()
    await stage.do(Credit.settle_attention, word())
    assert await stage.is_over()
    await order.signal(ToldOrder.end)
    assert await order.result() == ["open", "failed"]


async def test_an_order_that_has_ended_is_counted_in_the_books(stage):
    stage.credits.order_id = "ord_gone"
    await stage.ask()
    assert await stage.is_over()
    assert [order.credit_id for order in stage.credits.counted] == [stage.credits.opened[0].credit_id]


async def test_the_customer_is_blocked_before_anything_is_sent(stage):
    stage.billing.refund_script = [UNKNOWN]
    await stage.ask(block_all=True)
    assert [(block.customer_id, block.do, block.actor) for block in stage.blocking.changes] == [
        ("cus_1", "block_all", "operator:test")
    ]


async def test_a_later_run_goes_on_with_what_the_first_one_remembered(stage):
    now = await stage.environment.get_current_time()
    state = accepted(
        "crd_cut",
        object_id="sub_1",
        number=1,
        amount=Money(minor=300, currency="JPY"),
        order_id=None,
        customer_id="cus_1",
        bank_account="tok_bank",
        blocks=None,
        now=now,
    )
    assert state.due is not None
    unresolved(state.due.flight, "attention", now)
    verify_later(state, 1, now, in_s=660)
    stage.billing.refund_script = [DECLINED, ATTENTION, DECLINED]
    await stage.go_on(state)
    assert await stage.do(Credit.settle_attention, word("s-1", again=True)) == "open"
    assert await stage.do(Credit.settle_attention, word("s-2")) == "failed"
    assert [(order.attempt, order.turn, order.bank_account) for order in stage.billing.refunds] == [
        (1, 1, "tok_bank"),
        (2, 0, "tok_bank"),
        (2, 1, "tok_bank"),
    ]
    await stage.environment.sleep(timedelta(minutes=12))
    await stage.quiet()
    assert [order.attempt for order in stage.billing.verifications] == [1]
    assert await stage.is_over()


async def test_a_request_to_stop_it_in_the_engine_changes_nothing(stage):
    stage.billing.refund_script = [UNKNOWN]
    await stage.ask()
    await stage.handle.cancel()
    await stage.until("2023-08-01T12:30:00+09:00")
    assert await stage.is_over()
    assert modes(stage)[-1] in ("ask", "resend")
