"""The second look, twins on their way back, and a person's word (spec: charging.md §2)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from activities.contracts.billing import Outcome, Twin, VerifyResult
from domain.declines import DeclineCode
from domain.operations import PAYMENT_ITSELF
from domain.subscription import Status
from workflows import messages
from workflows.subscription import Subscription

DOUBTFUL = Outcome(outcome="settled", verify_in_s=600)
UNKNOWN = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800, resent=True)
NOT_FOUND = Outcome(outcome="unknown", horizon_s=600, key_ttl_s=82_800)
ATTENTION = Outcome(outcome="attention")
TWIN = VerifyResult(is_clear=True, twins=[Twin(gateway_id="ch_twin", amount_minor=1000)])


def by(request_id: str) -> dict[str, str]:
    return {"request_id": request_id, "actor": "operator:test", "comment": "asked at the gateway's desk"}


def after(stage, *, minutes: float) -> datetime:
    return stage.start + timedelta(minutes=minutes)


async def test_what_settled_after_a_doubt_is_looked_at_once_more_one_horizon_later(stage):
    stage.billing.script = [DOUBTFUL]
    await stage.open()
    await stage.until("2023-08-01T07:09:00+09:00")
    assert stage.billing.verifications == []
    await stage.until("2023-08-01T07:11:00+09:00")
    (look,) = stage.billing.verifications
    assert (look.number, look.attempt) == (1, 1)
    assert abs(look.at - after(stage, minutes=10)) < timedelta(seconds=2)
    await stage.until("2023-09-02T00:00:00+09:00")
    assert len(stage.billing.verifications) == 1
    assert [number for number, _, _ in stage.billing.sent()] == [1, 2]


async def test_a_second_look_that_is_not_answered_is_repeated(stage):
    stage.billing.script = [DOUBTFUL]
    stage.billing.twins = [VerifyResult(is_clear=False)] * 3
    await stage.open()
    await stage.until("2023-08-01T08:00:00+09:00")
    assert len(stage.billing.verifications) == 4
    gaps = [
        b.at - a.at
        for a, b in zip(stage.billing.verifications, stage.billing.verifications[1:], strict=False)
    ]
    assert [round(gap.total_seconds() / 60) for gap in gaps] == [1, 2, 4]


async def test_a_twin_goes_back_once_and_the_subscription_goes_on(stage):
    stage.billing.script = [DOUBTFUL]
    stage.billing.twins = [TWIN]
    await stage.open()
    await stage.until("2023-09-02T00:00:00+09:00")
    assert [(r.number, r.returns, r.reason) for r in stage.billing.refunds] == [
        (1, "ch_twin", "double_charge")
    ]
    assert [number for number, _, _ in stage.billing.sent()] == [1, 2]
    assert (await stage.state()).status is Status.CURRENT


async def test_a_subscription_that_ended_lives_until_its_doubts_are_cleared(stage):
    stage.billing.script = [DOUBTFUL]
    stage.billing.twins = [TWIN]
    await stage.open(total_charges=2)
    await stage.do(Subscription.cancel, messages.Cancel(**by("c-1")))
    await stage.until("2023-08-01T07:09:00+09:00")
    assert (await stage.handle.describe()).close_time is None
    await stage.until("2023-08-01T07:12:00+09:00")
    assert [r.returns for r in stage.billing.refunds] == ["ch_twin"]
    assert (await stage.handle.describe()).close_time is not None


async def test_a_declined_attempt_that_was_in_doubt_is_looked_at_too(stage):
    never = Outcome(outcome="declined", decline=DeclineCode.NEVER_ARRIVED, verify_in_s=600)
    stage.billing.script = [Outcome(outcome="settled"), never]
    await stage.open()
    await stage.until("2023-09-01T07:30:00+09:00")
    assert [(v.number, v.attempt) for v in stage.billing.verifications] == [(2, 1)]


async def test_a_doubt_survives_the_cut_of_the_history(stage):
    stage.billing.script = [DOUBTFUL]
    await stage.open(cycles_per_run=1, period="daily")
    await stage.until("2023-08-01T07:11:00+09:00")
    assert len(stage.billing.verifications) == 1


async def test_a_twins_return_that_is_lost_is_asked_about_and_sent_again_only_after_the_horizon(stage):
    stage.billing.script = [DOUBTFUL]
    stage.billing.twins = [TWIN]
    stage.billing.refund_script = [UNKNOWN, *[NOT_FOUND] * 5]
    await stage.open()
    await stage.until("2023-08-01T09:00:00+09:00")
    modes = [refund.mode.value for refund in stage.billing.refunds]
    assert modes == ["send", *["ask"] * 5, "resend"]
    assert len({refund.at for refund in stage.billing.refunds}) == 1, "one refund, asked for once"


# ---------------------------------------------------------------------- a person's word


async def waiting_for_a_person(stage):
    stage.billing.script = [Outcome(outcome="settled"), ATTENTION]
    await stage.open()
    await stage.until("2023-09-01T12:00:00+09:00")


async def test_nothing_more_is_charged_while_one_waits_for_a_person(stage):
    await waiting_for_a_person(stage)
    stage.billing.script = [ATTENTION] * 200
    await stage.until("2023-10-02T00:00:00+09:00")
    assert {charge.number for charge in stage.billing.charges} == {1, 2}
    assert {charge.mode.value for charge in stage.billing.charges[2:]} == {"ask"}


async def test_a_person_settles_it_as_not_charged_and_the_ladder_goes_on(stage):
    await waiting_for_a_person(stage)
    stage.billing.script = [Outcome(outcome="declined", decline=DeclineCode.NEVER_ARRIVED)]
    answer = await stage.do(Subscription.settle_attention, messages.SettleAttention(number=2, **by("s-1")))
    assert answer.subscription.status is Status.UNPAID
    said = stage.billing.charges[-1]
    assert (said.mode.value, said.verdict.moved, said.attempt) == ("ask", False, 1)
    await stage.until("2023-09-09T00:00:00+09:00")
    assert stage.billing.charges[-1].attempt == 2
    operations = [order for order in stage.records.written if order.operation]
    assert [(o.operation, o.actor, o.request_id) for o in operations] == [
        ("settle_attention", "operator:test", "s-1")
    ]


async def test_a_person_settles_it_as_charged_and_says_where(stage):
    await waiting_for_a_person(stage)
    command = messages.SettleAttention(number=2, moved=True, gateway_id="ch_seen", **by("s-1"))
    answer = await stage.do(Subscription.settle_attention, command)
    assert (answer.subscription.status, answer.subscription.charges) == (Status.CURRENT, 2)
    again = await stage.do(Subscription.settle_attention, command)
    assert again.subscription.charges == 2
    assert len([c for c in stage.billing.charges if c.verdict]) == 1


async def test_a_word_the_gateway_does_not_confirm_changes_nothing(stage):
    await waiting_for_a_person(stage)
    stage.billing.script = [Outcome(outcome="attention", hint="no such charge")]
    command = messages.SettleAttention(number=2, moved=True, gateway_id="ch_wrong", **by("s-1"))
    assert await stage.refusal(Subscription.settle_attention, command) == "gateway_disagrees"
    assert (await stage.state()).in_flight.state == "attention"


async def test_only_what_waits_for_a_person_can_be_settled(stage):
    await stage.open()
    for command in (
        messages.SettleAttention(number=1, **by("s-1")),
        messages.SettleAttention(number=1, returns=PAYMENT_ITSELF, **by("s-2")),
    ):
        assert await stage.refusal(Subscription.settle_attention, command) == "nothing_to_settle"


async def test_a_refused_refund_is_asked_for_again_as_another_attempt(stage):
    stage.billing.script = [UNKNOWN]
    stage.billing.refund_script = [ATTENTION]
    await stage.open()
    await stage.do(Subscription.cancel, messages.Cancel(**by("c-1")))
    await stage.until("2023-08-01T08:00:00+09:00")
    assert [r.attempt for r in stage.billing.refunds] == [1]
    stage.billing.refund_script = [Outcome(outcome="declined", decline=DeclineCode.PROCESSING_ERROR)]
    command = messages.SettleAttention(number=1, returns=PAYMENT_ITSELF, again=True, **by("s-1"))
    await stage.do(Subscription.settle_attention, command)
    await stage.until("2023-08-01T08:05:00+09:00")
    assert [(r.attempt, r.verdict is not None) for r in stage.billing.refunds] == [
        (1, False),
        (1, True),
        (2, False),
    ]
    assert (await stage.handle.describe()).close_time is not None


@pytest.mark.parametrize(
    "said", [{"moved": True}, {"again": True}, {"again": True, "moved": True, "gateway_id": "x"}]
)
def test_a_word_that_contradicts_itself_is_refused(said):
    with pytest.raises(ValidationError):
        messages.SettleAttention(number=1, **by("s-1"), **said)
