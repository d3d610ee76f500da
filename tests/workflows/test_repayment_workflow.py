"""The lives of chargebacks and repayment links, on the time-skipping server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from activities.contracts.billing import Outcome, Twin, VerifyResult
from domain.declines import DeclineCode
from domain.money import Money
from domain.repayment import RepaymentStatus
from domain.unresolved import Mode
from runtime.temporal import teiki_plugin
from tests.workflows.conftest import KEYS
from tests.workflows.fake_repayments import BankStage, bank_at_work, by
from workflows.chargeback import WAITS, Chargeback
from workflows.messages import GatewayNotice, SettleAttention
from workflows.repayment import Repayment
from workflows.repayment_messages import CancelRepayment, Pay, Received

UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)


@pytest.fixture
async def bank(server: WorkflowEnvironment) -> AsyncIterator[BankStage]:
    async with bank_at_work(server) as stage:
        yield stage
        history = await stage.handle.fetch_history()
        replayer = Replayer(workflows=[Chargeback, Repayment], plugins=[teiki_plugin(KEYS)])
        await replayer.replay_workflow(history)


def pay(request_id="p-1", card="pm_1"):
    return Pay(payment_method_id=card, **by(request_id))


async def test_a_chargeback_is_taken_and_access_ends(bank):
    taken = await (await bank.tell()).result()
    assert taken.outcome == "booked"
    assert [order.number for order in bank.chargebacks.ended] == [1]


async def test_a_hint_that_nothing_confirms_is_asked_about_for_a_day_and_changes_nothing(bank):
    bank.chargebacks.script = ["not_shown"] * 99
    taken = await (await bank.tell()).result()
    assert taken.outcome == "not_shown"
    assert len(bank.chargebacks.asked) == len(WAITS) + 1
    assert timedelta(hours=20) < sum(WAITS, timedelta()) < timedelta(hours=24)
    assert bank.chargebacks.ended == []


async def test_a_link_reminds_then_runs_out(bank):
    await bank.add(remind_after=(timedelta(days=3), timedelta(days=7), timedelta(days=20)))
    view = await bank.handle.result()
    assert (view.status, view.reason) == (RepaymentStatus.EXPIRED, "not_paid_in_time")
    told = [(order.reminder, order.to) for order in bank.repayments.written]
    assert told == [(1, None), (2, None), (None, RepaymentStatus.EXPIRED)], "none after the end"
    since = [order.at - bank.repayments.opened[0].at for order in bank.repayments.written]
    assert [round(waited / timedelta(days=1)) for waited in since] == [3, 7, 10]
    assert len({order.event_key for order in bank.repayments.written}) == 3


async def test_a_declined_card_leaves_it_open_and_the_next_has_a_number_of_its_own(bank):
    bank.billing.script = [Outcome(outcome="declined", decline=DeclineCode.EXPIRED_CARD)]
    await bank.add()
    first = await bank.do(Repayment.pay, pay())
    assert (first.status, first.decline, first.is_being_paid) == ("open", "expired_card", False)
    second = await bank.do(Repayment.pay, pay("p-2", "pm_2"))
    assert (second.status, second.decline) == ("paid", None)
    asked = [(order.attempt, order.repayment.payment_method_id) for order in bank.billing.charges]
    assert asked == [(1, "pm_1"), (2, "pm_2")]


async def test_a_repeated_payment_is_one_and_another_one_waits_for_its_outcome(bank):
    bank.billing.script = [UNKNOWN]
    await bank.add()
    first = await bank.do(Repayment.pay, pay())
    assert first.is_being_paid
    assert (await bank.do(Repayment.pay, pay())).is_being_paid, "the same request: nothing more"
    assert await bank.refusal(Repayment.pay, pay("p-2")) == "live_attempt_exists"
    assert await bank.refusal(Repayment.cancel, CancelRepayment(**by("c-1"))) == "live_attempt_exists"
    notice = GatewayNotice(gateway_id="ch_1", reference="sub_1/1/repayment/rep_1/1")
    await bank.handle.signal(Repayment.gateway_notified, notice)
    assert (await bank.handle.result()).status == "paid"
    assert [order.mode for order in bank.billing.charges] == [Mode.SEND, Mode.ASK]


async def test_what_stays_unknown_is_sent_again_under_the_same_attempt_after_the_horizon(bank):
    bank.billing.script = [UNKNOWN, *[UNKNOWN.model_copy(update={"resent": False})] * 5]
    await bank.add()
    await bank.do(Repayment.pay, pay())
    assert (await bank.handle.result()).status == "paid"
    assert Mode.RESEND in [order.mode for order in bank.billing.charges]
    assert {order.attempt for order in bank.billing.charges} == {1}


async def test_a_link_does_not_run_out_while_money_is_under_way(bank):
    bank.billing.script = [Outcome(outcome="pending")] * 400
    await bank.add(life=timedelta(hours=1), remind_after=())
    await bank.do(Repayment.pay, pay())
    await bank.later(hours=3)
    assert bank.repayments.written == []
    bank.billing.script = []
    assert (await bank.handle.result()).status == "paid"


async def test_a_second_charge_goes_back_also_after_the_end(bank):
    bank.billing.script = [Outcome(outcome="settled", verify_in_s=660)]
    bank.billing.twins = [VerifyResult(is_clear=True, twins=[Twin(gateway_id="ch_2", amount_minor=1000)])]
    await bank.add()
    await bank.do(Repayment.pay, pay())
    assert (await bank.handle.result()).status == "paid"
    [back] = bank.billing.refunds
    assert (back.returns, back.repayment_id) == ("ch_2", bank.handle.id.removeprefix("repayment/"))


async def test_a_person_settles_what_nobody_could_find_out(bank):
    bank.billing.script = [Outcome(outcome="attention"), Outcome(outcome="attention", hint="no such charge")]
    await bank.add()
    await bank.do(Repayment.pay, pay())
    word = SettleAttention(number=1, moved=True, gateway_id="ch_9", **by("s-1"))
    assert await bank.refusal(Repayment.settle_attention, word) == "gateway_disagrees"
    said = await bank.do(
        Repayment.settle_attention, SettleAttention(number=1, moved=True, gateway_id="ch_1", **by("s-2"))
    )
    assert said.status == "paid"


async def test_what_has_ended_or_never_was_open_takes_no_command(bank):
    await bank.add()
    canceled = await bank.do(Repayment.cancel, CancelRepayment(**by("c-1")))
    assert canceled.status == "canceled"
    [written] = bank.repayments.written
    assert (written.actor, written.comment) == ("operator:recorder", "for the record")
    assert (await bank.handle.result()).reason == "canceled"


async def test_a_link_that_the_books_have_closed_ends_as_they_say(bank):
    bank.repayments.ended = (RepaymentStatus.CANCELED, "newer_link")
    await bank.add()
    await bank.handle.signal(Repayment.closed, "newer_link")
    view = await bank.handle.result()
    assert (view.status, view.reason) == ("canceled", "newer_link")


async def test_stopped_in_the_engine_it_can_be_paid_no_more(bank):
    await bank.add()
    await bank.handle.cancel()
    assert (await bank.handle.result()).reason == "canceled_in_the_engine"


async def test_a_receipt_is_written_down_and_that_is_all(bank):
    came = Received(amount=Money(minor=400, currency="JPY"), method="cash", on=date(2023, 8, 1))
    added = await bank.add(received=came)
    assert (added.outcome, added.repayment.status) == ("opened", "paid")
    await bank.handle.result()
    [opened] = bank.repayments.opened
    assert (opened.kind, opened.method, opened.token_hash) == ("manual", "cash", None)
