"""The `Subscription` workflow: what it asks for, when, and what it never does."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from activities.contracts.billing import Outcome
from activities.contracts.records import OpenResult
from domain.declines import DeclineCode
from domain.money import Money
from domain.subscription import Status
from domain.terms import ResumePolicy
from domain.unresolved import Mode
from workflows import messages
from workflows.subscription import Subscription

DECLINED = Outcome(outcome="declined", decline=DeclineCode.INSUFFICIENT_FUNDS)
UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)
PENDING = Outcome(outcome="pending")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text + "+09:00")


def by(request_id: str) -> dict[str, str]:
    return {"request_id": request_id, "actor": "operator:test"}


def close_to(instant: datetime, wanted: str) -> bool:
    return abs(instant - local(wanted)) < timedelta(seconds=2)


async def test_a_year_is_charged_on_the_first_of_each_month_across_history_cuts(stage):
    await stage.open(cycles_per_run=3)
    first_run = stage.handle.first_execution_run_id
    await stage.until("2024-07-15T00:00:00+09:00")
    months = [(2023, m) for m in range(8, 13)] + [(2024, m) for m in range(1, 8)]
    assert [number for number, _, _ in stage.billing.sent()] == list(range(1, 13))
    for (_, attempt, at), (year, month) in zip(stage.billing.sent(), months, strict=True):
        assert attempt == 1
        assert close_to(at, f"{year}-{month:02}-01T07:00:00")
    described = await stage.handle.describe()
    assert described.run_id != first_run, "history was cut"


async def test_a_refused_creation_ends_without_a_trace(stage):
    stage.records.refuse = OpenResult(
        outcome="refused", subscription_id="sub_x", code="customer_not_found", message="No such customer."
    )
    opened = await stage.open()
    assert (opened.outcome, opened.code) == ("refused", "customer_not_found")
    assert await stage.handle.result() is not None
    assert stage.billing.charges == []


async def test_terms_that_cannot_be_are_refused_by_the_workflow_too(stage):
    opened = await stage.open(retry={"attempts": 2, "interval": "P31D"})
    assert (opened.outcome, opened.code) == ("refused", "retry_exceeds_cycle")


async def test_a_failed_payment_is_retried_by_its_ladder_and_then_suspended(stage):
    stage.billing.script = [DECLINED] * 4
    await stage.open()
    await stage.until("2023-09-15T00:00:00+09:00")
    assert [at.day for _, _, at in stage.billing.sent()] == [31, 7, 14, 21]  # 07:00 in Tokyo is 22:00 UTC
    assert [attempt for _, attempt, _ in stage.billing.sent()] == [1, 2, 3, 4]
    assert stage.records.moves() == [
        ("unverified", "unconfirmed", "first_payment_failed"),
        ("unconfirmed", "suspended", "attempts_exhausted"),
    ]


async def test_the_catch_up_plan_is_promised_and_kept(stage):
    await stage.open()
    await stage.until("2023-08-15T12:00:00+09:00")
    await stage.do(Subscription.suspend, messages.Suspend(**by("s-1")))
    await stage.until("2023-10-02T10:00:00+09:00")
    answer = await stage.do(Subscription.resume, messages.Resume(policy=ResumePolicy.CATCH_UP, **by("r-1")))
    assert answer.subscription.status is Status.UNPAID
    promised = [(p.number, p.at) for p in answer.plan.payments]
    await stage.until("2024-01-02T00:00:00+09:00")
    kept = [(number, at) for number, _, at in stage.billing.sent()][1:]
    assert [number for number, _ in kept] == [2, 3, 4, 5, 6]
    for (_, planned), (_, sent) in zip(promised, kept, strict=True):
        assert abs(planned - sent) < timedelta(seconds=2)
    assert [move.reason for charge in stage.billing.charges for move in charge.moves][-1] == "caught_up"


async def test_a_repeated_request_changes_nothing_and_other_content_is_refused(stage):
    await stage.open(cycles_per_run=1)
    await stage.do(Subscription.cancel, messages.Cancel(mode="period_end", **by("c-1")))
    again = await stage.do(Subscription.cancel, messages.Cancel(mode="period_end", **by("c-1")))
    assert again.subscription.cancel_at is not None
    assert len([order for order in stage.records.written if order.operation == "cancel"]) == 1
    conflict = await stage.refusal(Subscription.cancel, messages.Cancel(mode="now", **by("c-1")))
    assert conflict == "request_id_conflict"


async def test_a_repetition_is_recognised_after_the_history_was_cut(stage):
    await stage.open(cycles_per_run=1)
    change = messages.ChangeAmount(amount=Money(minor=1200, currency="JPY"), **by("a-1"))
    await stage.do(Subscription.change_amount, change)
    await stage.until("2023-10-15T00:00:00+09:00")
    await stage.do(Subscription.change_amount, change)
    assert len([order for order in stage.records.written if order.operation == "change_amount"]) == 1
    assert [charge.amount_minor for charge in stage.billing.charges] == [1000, 1200, 1200]


async def test_what_is_not_allowed_is_refused_by_name_and_leaves_no_trace(stage):
    await stage.open()
    await stage.quiet()
    before = await stage.state()
    assert (
        await stage.refusal(Subscription.recover, messages.Recover(**by("x")))
        == "not_scheduled_for_cancellation"
    )
    assert await stage.refusal(Subscription.resume, messages.Resume(**by("x"))) == "invalid_status"
    wrong = messages.ChangeAmount(amount=Money(minor=-5, currency="JPY"), **by("x"))
    assert await stage.refusal(Subscription.change_amount, wrong) == "invalid_money"
    other = messages.ChangeAmount(amount=Money(minor=5, currency="USD"), **by("x"))
    assert await stage.refusal(Subscription.change_amount, other) == "currency_mismatch"
    assert await stage.state() == before
    assert stage.records.written == []


async def test_a_scheduled_cancellation_wins_over_the_charge_of_that_instant(stage):
    await stage.open()
    await stage.until("2023-08-20T12:00:00+09:00")
    answer = await stage.do(Subscription.cancel, messages.Cancel(mode="period_end", **by("c")))
    assert answer.subscription.cancel_at == local("2023-09-01T07:00:00")
    await stage.until("2023-09-02T00:00:00+09:00")
    assert len(stage.billing.charges) == 1
    assert stage.records.moves() == [("current", "canceled", "period_ended")]
    assert (await stage.handle.describe()).close_time is not None


async def test_an_unknown_outcome_is_asked_about_until_the_horizon_and_sent_again_under_its_number(stage):
    stage.billing.script = [UNKNOWN] * 7
    await stage.open()
    await stage.until("2023-08-01T08:00:00+09:00")
    modes = [charge.mode for charge in stage.billing.charges]
    assert modes[0] is Mode.SEND
    assert set(modes[1:-2]) == {Mode.ASK}
    assert Mode.RESEND in modes
    assert {charge.attempt for charge in stage.billing.charges} == {1}, "no attempt was used up"
    resend_at = modes.index(Mode.RESEND)
    assert all(mode is Mode.ASK for mode in modes[1:resend_at])
    assert stage.billing.charges[resend_at].turn == resend_at


async def test_an_unknown_outcome_older_than_its_key_waits_for_a_person_and_is_never_sent_again(stage):
    stage.billing.script = [UNKNOWN.model_copy(update={"resent": False})] * 500
    await stage.open()
    await stage.until("2023-08-03T07:00:00+09:00")
    assert (await stage.state()).in_flight.state == "attention"
    last_resend = max(
        (i for i, charge in enumerate(stage.billing.charges) if charge.mode is Mode.RESEND), default=-1
    )
    stage.billing.charges.clear()
    await stage.until("2023-08-05T07:00:00+09:00")
    assert last_resend >= 0
    assert {charge.mode for charge in stage.billing.charges} == {Mode.ASK}


async def test_a_pending_first_payment_is_given_up_after_a_day(stage):
    stage.billing.script = [PENDING] * 100
    await stage.open()
    await stage.until("2023-08-02T06:59:00+09:00")
    assert {charge.mode for charge in stage.billing.charges[1:]} == {Mode.ASK}
    stage.billing.script = [Outcome(outcome="declined", decline=DeclineCode.PENDING_EXPIRED)]
    await stage.until("2023-08-02T07:01:00+09:00")
    assert stage.billing.charges[-1].mode is Mode.GIVE_UP
    assert stage.records.moves() == [("unverified", "unconfirmed", "first_payment_failed")]


async def test_a_success_learned_after_the_cancellation_is_returned(stage):
    stage.billing.script = [UNKNOWN]
    await stage.open()
    await stage.quiet()
    await stage.do(Subscription.cancel, messages.Cancel(**by("c")))
    await stage.until("2023-08-01T07:10:00+09:00")
    assert [refund.number for refund in stage.billing.refunds] == [1]
    assert (await stage.handle.describe()).close_time is not None


async def test_an_operation_waits_for_the_charge_under_way(stage):
    release, reached = asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        reached.set()
        await release.wait()

    stage.billing.gate = gate
    await stage.open()
    await reached.wait()
    suspending = asyncio.create_task(
        stage.handle.execute_update(Subscription.change_amount, _amount(1500, "a-1"))
    )
    await asyncio.sleep(0.2)
    assert not suspending.done()
    release.set()
    stage.billing.gate = None
    await suspending
    await stage.until("2023-09-02T00:00:00+09:00")
    assert [charge.amount_minor for charge in stage.billing.charges] == [1000, 1500]


async def test_cancellation_in_the_web_ui_cancels_the_subscription_in_the_books_too(stage):
    await stage.open()
    await stage.quiet()
    await stage.handle.cancel()
    answer = await stage.handle.result()
    assert answer.subscription.status == "canceled"
    assert stage.records.moves() == [("current", "canceled", "canceled_in_the_engine")]
    assert stage.records.written[-1].actor == "operator:engine"


async def test_cancellation_in_the_web_ui_never_tears_a_charge_apart(stage):
    release, reached = asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        reached.set()
        await release.wait()

    stage.billing.gate = gate
    await stage.open()
    await reached.wait()
    await stage.handle.cancel()
    await asyncio.sleep(0.2)
    assert stage.records.moves() == []
    release.set()
    answer = await stage.handle.result()
    assert (answer.subscription.charges, answer.subscription.status) == (1, "canceled")


async def test_many_operations_around_history_cuts_are_all_kept(stage):
    await stage.open(period="daily", cycles_per_run=1)
    for day in range(2, 8):
        changes = [
            stage.handle.execute_update(
                Subscription.change_amount, _amount(1000 + day * 10 + n, f"{day}-{n}")
            )
            for n in range(4)
        ]
        await asyncio.gather(*changes)
        await stage.until(f"2023-08-{day:02}T12:00:00+09:00")
    written = [order.request_id for order in stage.records.written if order.operation == "change_amount"]
    assert sorted(written) == sorted(f"{day}-{n}" for day in range(2, 8) for n in range(4))


def _amount(minor: int, request_id: str) -> messages.ChangeAmount:
    return messages.ChangeAmount(amount=Money(minor=minor, currency="JPY"), **by(request_id))


@pytest.mark.parametrize("actor", ["", "root", "operator:", "operator:a b", "customer"])
def test_an_actor_has_a_kind_and_a_name(actor):
    with pytest.raises(ValueError, match="actor"):
        messages.Suspend(request_id="x", actor=actor)
