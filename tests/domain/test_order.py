"""The tables of orders.md §§2–8, line by line: what an order becomes, by whom and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import deposit as deposits
from domain import order as orders
from domain.deposit import DepositStatus
from domain.money import Money
from domain.order_state import DepositFact, SubscriptionFact
from domain.order_steps import StepKind, next_step
from domain.subscription import Status
from domain.unresolved import unresolved
from tests.domain.order_world import START, World, an_order

DAY = timedelta(days=1)
CUSTOMER, ADMIN, STRANGER_SLIP = "customer:cus_1", "operator:desk", 7


def paid_card(**more) -> World:
    return World.begun(an_order("card", **more))


def slip_paid(**more) -> World:
    world = World.begun(an_order(**more))
    assert world.at_the_till(1, "pays")
    world.notify()
    return world


def announced(**more) -> World:
    world = World.begun(an_order(**more))
    assert world.at_the_till(1, "announces")
    world.notify()
    return world


def shown(world: World) -> tuple[str, str, str | None]:
    """Order, payment, permission."""
    state = world.state
    permission = state.permission.status.value if state.permission else None
    return state.status.value, state.payment_status.value, permission


# ---------------------------------------------------------------------- §2, §3: status and payment status


@pytest.mark.parametrize(
    ("pay", "now", "later"),
    [
        ("card", ("complete", "payment_completed", "active"), ("purchase_confirmed", "payment_completed", "active")),
        ("none", ("complete", "no_payment", "active"), ("purchase_confirmed", "no_payment", "active")),
        ("konbini", ("in_process", "payment_pending", None), ("canceled", "payment_deadline_expired", None)),
        ("recurring", ("in_process", "payment_pending", None), ("in_process", "payment_pending", None)),
    ],
)  # fmt: skip
def test_an_order_as_it_begins_and_when_nobody_does_anything(pay, now, later):
    world = World.begun(an_order(pay))
    assert shown(world) == now
    world.pass_time(8 * DAY)
    assert shown(world) == later


def test_a_purchase_is_confirmed_exactly_seven_days_after_completion():
    world = paid_card()
    world.pass_time(7 * DAY - timedelta(seconds=1))
    assert world.state.status == "complete"
    world.pass_time(timedelta(seconds=1))
    assert (world.state.status, world.state.confirmed_at) == ("purchase_confirmed", START + 7 * DAY)


@pytest.mark.parametrize(
    ("period", "confirmed_after", "expired_after"),
    [
        ("PT36H", timedelta(hours=36), timedelta(hours=36)),
        ("P10D", 7 * DAY, 10 * DAY),
        ("P7D", 7 * DAY, 7 * DAY),
    ],
)
def test_a_usage_period_ends_the_order_and_one_that_is_shorter_confirms_it_at_that_instant(
    period, confirmed_after, expired_after
):
    world = paid_card(usage_period=period)
    world.pass_time(expired_after - timedelta(seconds=1))
    assert world.state.status != "expired"
    world.pass_time(timedelta(seconds=1))
    assert shown(world) == ("expired", "payment_completed", "expired")
    assert world.state.confirmed_at == START + confirmed_after
    assert world.state.points_earned == 35


def test_a_card_that_says_no_ends_the_order_and_gives_no_access():
    world = World.begun(an_order("card"), card=["no"])
    assert shown(world) == ("canceled", "cancel_before_payment", None)
    assert world.state.reason == "payment_failed"


@pytest.mark.parametrize("paid_days_ago", [0, 20, 40])
def test_a_recurring_order_is_complete_with_the_first_payment_and_runs_while_it_is_paid(paid_days_ago):
    world = World.begun(an_order("recurring"))
    world.subscription_goes("pays")
    assert shown(world) == ("complete", "recurring_payment", "active")
    assert world.state.payments == 1
    world.pass_time(paid_days_ago * DAY)
    world.subscription_goes("fails")
    world.pass_time(timedelta())
    # Paid for thirty days: a failed payment takes the access away only after them, and the next one gives it back.
    assert world.state.permission.status == ("active" if paid_days_ago < 30 else "expired")
    world.subscription_goes("pays")
    assert (world.state.permission.status, world.state.payments) == ("active", 2)


def test_a_stopped_subscription_leaves_the_payments_and_shows_the_day_the_membership_ends():
    world = World.begun(an_order("recurring"))
    world.subscription_goes("pays")
    assert world.do("cancel_subscription") == "done"
    world.pass_time(timedelta())
    assert shown(world) == ("complete", "recurring_payment_canceled", "active")
    assert str(world.state.expires_on) == "2026-05-01"
    assert (world.returned, world.state.refunds) == (0, ())
    world.pass_time(30 * DAY)
    assert shown(world) == ("expired", "recurring_payment_canceled", "expired")


def test_a_subscription_that_ends_before_its_first_payment_ends_the_order():
    world = World.begun(an_order("recurring"))
    world.subscription_goes("ends")
    assert shown(world) == ("canceled", "cancel_before_payment", None)


def test_what_a_subscription_charges_between_the_cancellation_and_its_end_goes_back():
    world = World.begun(an_order("recurring"))
    assert world.do("cancel", CUSTOMER) == "done"
    world.subscription_goes("pays")  # the command to stop had not arrived yet
    world.pass_time(timedelta())
    assert (world.settled, world.returned) == (3500, 3500)
    assert shown(world)[0] == "canceled"


def test_older_news_of_a_subscription_changes_nothing():
    world = World.begun(an_order("recurring"))
    world.subscription_goes("pays")
    before = world.state.model_dump()
    old = SubscriptionFact(status=Status.UNVERIFIED, charges=0)
    assert orders.subscription_changed(world.state, old, world.now) == []
    assert world.state.model_dump() == before
    world.subscription_goes("ends")
    ended = world.state.model_dump()
    assert orders.subscription_changed(world.state, world.subscription, world.now + DAY) == []
    assert world.state.model_dump() == ended


# ---------------------------------------------------------------------- §4: what a slip does to its order


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (["issued"], ("in_process", "payment_pending", None)),
        (["issued", "paid"], ("complete", "payment_completed", "active")),
        (["paid"], ("complete", "payment_completed", "active")),
        (["issued", "preliminary"], ("complete", "payment_completed", "active")),
        (["issued", "preliminary", "paid"], ("complete", "payment_completed", "active")),
        (["issued", "preliminary", "issued"], ("in_process", "payment_pending", "revoked")),
        (["issued", "preliminary", "issued", "paid"], ("complete", "payment_completed", "active")),
        (["issued", "preliminary", "issued", "expired"], ("canceled", "payment_deadline_expired", "revoked")),
        (["issued", "preliminary", "expired"], ("canceled", "payment_deadline_expired", "revoked")),
        (["issued", "expired"], ("canceled", "payment_deadline_expired", None)),
        (["failed"], ("canceled", "cancel_before_payment", None)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("telling", ["once", "twice", "late"])
def test_the_news_of_a_slip_lead_to_the_same_end_also_when_told_twice_or_too_late(facts, expected, telling):
    world = World.begun(an_order())
    told = [a_fact(status, minute) for minute, status in enumerate(facts, start=1)]
    order = {"once": told, "twice": [fact for fact in told for _ in range(2)], "late": [*told, *told[:-1]]}
    for fact in order[telling]:
        world._did(orders.deposit_changed(world.state, fact, fact.at))
    assert shown(world) == expected
    assert sum(1 for event in world.events if event.data.get("to") == "complete") == (
        facts.count("paid") + facts.count("preliminary") - (1 if facts[-2:] == ["preliminary", "paid"] else 0)
    )


def a_fact(status: str, minute: int, number: int = 1) -> DepositFact:
    at = START + timedelta(minutes=minute)
    return DepositFact(deposit_id="kon_11", number=number, status=DepositStatus(status), reason=status, at=at)


def test_a_merchant_who_waits_for_the_money_hears_of_the_notice_and_does_nothing():
    world = announced(preliminary_completes=False)
    assert shown(world) == ("in_process", "payment_pending", None)
    world.at_the_till(1, "pays")
    world.notify()
    assert shown(world) == ("complete", "payment_completed", "active")


def test_an_accepted_notice_that_is_taken_back_takes_access_and_points_and_waits_again():
    world = announced()
    assert world.do("use", CUSTOMER) == "done"
    assert (world.state.status, world.state.points_earned) == ("purchase_confirmed", 35)
    world.at_the_till(1, "takes_back")
    world.notify()
    assert shown(world) == ("in_process", "payment_pending", "revoked")
    assert (world.state.points_earned, world.state.points_expected) == (0, 35)
    world.pass_time(4 * DAY)
    assert shown(world) == ("canceled", "payment_deadline_expired", "revoked")


def test_a_period_that_ends_before_the_announced_money_comes_does_not_send_it_back():
    world = announced(usage_period="PT36H")
    world.pass_time(2 * DAY)
    assert world.do("use", CUSTOMER) == "outside_usage_period"
    world.at_the_till(1, "pays")
    world.notify()
    assert shown(world) == ("expired", "payment_completed", "expired")
    assert (world.settled, world.returned) == (3500, 0)


def test_a_period_that_was_revoked_does_not_end_an_order_that_waits_for_its_money():
    world = announced(usage_period="PT36H")
    world.at_the_till(1, "takes_back")
    world.notify()
    world.pass_time(2 * DAY)
    assert shown(world) == ("in_process", "payment_pending", "revoked")
    world.at_the_till(1, "pays")
    world.notify()
    assert shown(world) == ("complete", "payment_completed", "active")
    assert world.state.permission.ends_at == world.now + timedelta(hours=36), "from the payment on"


def test_a_ticket_used_on_a_notice_stays_used_when_it_is_paid_after_all():
    world = announced(type="ticket")
    assert world.do("process_access", "service:door") == "done"
    used_at = world.state.permission.used_at
    world.at_the_till(1, "takes_back")
    world.notify()
    assert shown(world) == ("in_process", "payment_pending", "revoked")
    world.at_the_till(1, "pays")
    world.notify()
    assert shown(world) == ("purchase_confirmed", "payment_completed", "used")
    assert (world.state.permission.used_at, world.state.permission.used_by) == (used_at, "service:door")
    assert world.do("process_access", "service:door") == "already_processed"
    assert world.state.points_earned == 35


def test_a_slip_paid_after_the_cancellation_brings_money_back_and_no_access():
    world = World.begun(an_order())
    assert world.do("cancel", CUSTOMER) == "done"
    assert world.at_the_till(1, "pays")
    world.notify()
    assert shown(world) == ("canceled", "cancel_before_payment", None)
    assert (world.settled, world.returned) == (3500, 3500)


def test_a_second_slip_waits_for_the_first_to_be_voided_and_what_comes_on_that_one_pays_the_order():
    world = World.begun(an_order())
    assert world.do("issue_slip") == "done"
    assert world.do("issue_slip") == "invalid_status", "the first is not voided yet"
    world.at_the_till(1, "pays")
    world.notify()
    assert (world.state.status, world.state.paid_number) == ("complete", 1)
    assert 2 not in world.till, "the second one was never issued"


def test_late_money_on_a_voided_slip_goes_back_and_the_second_slip_pays():
    world = World.begun(an_order())
    world.do("issue_slip")
    world.pass_time(timedelta(minutes=1))
    assert not world.till[1].is_open
    for number in (1, 2):
        assert world.at_the_till(number, "pays")
    world.notify()
    assert (world.state.status, world.state.paid_number) == ("complete", 2)
    assert (world.settled, world.returned) == (7000, 3500)


def test_a_second_slip_that_was_never_started_needs_no_voiding():
    state = an_order()
    world = World(state)
    assert world.do("issue_slip") == "done"
    world.pass_time(timedelta(minutes=1))
    assert (list(world.till), world.state.earlier_slip) == ([2], None)


def test_money_on_its_way_back_is_not_promised_a_second_time():
    world = slip_paid()
    late = a_fact("paid", 5, number=STRANGER_SLIP)
    world.state.paid_slips = (1,)
    orders.deposit_changed(world.state, late, world.now)
    assert (world.state.paid_minor, world.state.refundable_minor) == (7000, 3500)
    orders.deposit_changed(world.state, late, world.now)
    assert len(world.state.refunds) == 1


# ---------------------------------------------------------------------- §5: cancelling


@pytest.mark.parametrize(
    ("days", "actor", "said"),
    [
        (0, CUSTOMER, "done"),
        (6, CUSTOMER, "done"),
        (7, CUSTOMER, "not_cancelable"),
        (7, ADMIN, "done"),
        (40, CUSTOMER, "invalid_status"),
        (40, ADMIN, "invalid_status"),
    ],
)
def test_who_may_cancel_when(days, actor, said):
    world = paid_card(usage_period="P30D")
    world.pass_time(days * DAY)
    assert world.do("cancel", actor) == said
    assert (world.state.status == "canceled") is (said == "done")


@pytest.mark.parametrize(("currency", "minor"), [("JPY", 3500), ("USD", 1999), ("BHD", 12_345)])
@pytest.mark.parametrize("pay", ["card", "recurring"])
def test_a_cancellation_returns_what_was_paid_in_every_currency(pay, currency, minor):
    world = World.begun(an_order(pay, currency=currency, minor=minor))
    if pay == "recurring":
        for _ in range(3):
            world.subscription_goes("pays")
    agreed = Money(minor=minor, currency=currency)
    wrong = Money(minor=minor - 1, currency=currency)
    assert world.do("cancel", refund_amount=wrong) == "refund_amount_mismatch"
    assert world.do("cancel", refund_amount=agreed) == "done"
    (refund,) = world.state.refunds
    assert refund.amount_minor == minor
    assert refund.object_id == ("ord_1" if pay == "card" else world.state.subscription_id)
    assert refund.number == (1 if pay == "card" else 3)
    world.pass_time(timedelta())
    assert shown(world) == ("canceled", "refunded", "revoked")
    assert world.returned == minor


@pytest.mark.parametrize(
    ("agreed", "said"),
    [
        (None, "done"),
        (Money(minor=3500, currency="JPY"), "done"),
        (Money(minor=1, currency="JPY"), "partial_refund_not_supported"),
        (Money(minor=3499, currency="JPY"), "partial_refund_not_supported"),
        (Money(minor=3501, currency="JPY"), "refund_amount_mismatch"),
        (Money(minor=0, currency="JPY"), "refund_amount_mismatch"),
        (Money(minor=3500, currency="USD"), "refund_amount_mismatch"),
    ],
)
def test_a_deposit_is_returned_whole_or_not_at_all(agreed, said):
    world = slip_paid()
    assert world.do("cancel", refund_amount=agreed) == said
    assert world.state.status == ("canceled" if said == "done" else "complete")


def test_a_deposit_that_the_payment_company_cannot_return_is_not_canceled():
    assert slip_paid(refundable=False).do("cancel") == "refund_not_supported"
    assert World.begun(an_order(refundable=False)).do("cancel") == "done", "nothing was paid yet"


def test_a_refused_remittance_is_asked_for_again_as_a_request_of_its_own():
    world = slip_paid()
    world.refuses_refunds = True
    assert world.do("cancel", bank_account="ba_wrong") == "done"
    world.pass_time(timedelta(minutes=1))
    assert world.state.payment_status == "payment_completed"
    assert world.do("cancel", bank_account="ba_right") == "done"
    assert world.do("cancel", bank_account="ba_right") == "invalid_status", "one question at a time"
    world.refuses_refunds = False
    world.pass_time(timedelta(minutes=1))
    assert shown(world) == ("canceled", "refunded", "revoked")
    assert (world.remittance_requests, world.state.refund_requests, world.returned) == (2, 2, 3500)


def test_a_card_payment_whose_outcome_is_unknown_when_the_order_is_canceled_goes_back_when_it_settles():
    world = World.begun(an_order("card"), card=["lost>ok"])
    assert world.do("cancel", CUSTOMER) == "done"
    world.pass_time(DAY)
    assert shown(world) == ("canceled", "cancel_before_payment", None)
    assert (world.settled, world.returned) == (3500, 3500)


# ---------------------------------------------------------------------- §7, §8: tickets, points, answers


def test_a_ticket_is_used_once_and_the_second_hears_who_and_when():
    world = paid_card(type="ticket")
    assert world.do("process_access", "service:door_1") == "done"
    assert shown(world) == ("purchase_confirmed", "payment_completed", "used")
    for name in ("process_access", "use"):
        assert world.do(name, "service:door_2") == "already_processed"
    assert world.state.permission.used_by == "service:door_1"
    assert world.do("cancel", CUSTOMER) == "not_cancelable"


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (World.begun(an_order("card", type="ticket"), card=["no"]), "permission_not_active"),
        (World.begun(an_order(type="ticket")), "permission_not_active"),
        (paid_card(), "not_a_ticket"),
        (
            paid_card(
                type="ticket",
                usage_period={"starts_at": "2026-05-01T00:00:00+09:00", "ends_at": "2026-05-02T00:00:00+09:00"},
            ),
            "outside_usage_period",
        ),
    ],
)  # fmt: skip
def test_what_is_no_valid_ticket_opens_no_door(world, said):
    assert world.do("process_access") == said


def test_points_are_expected_then_earned_once_then_taken_back():
    world = paid_card()
    assert (world.state.points_expected, world.state.points_earned) == (35, 0)
    world.do("use", CUSTOMER)
    assert (world.state.points_expected, world.state.points_earned) == (0, 35)
    world.do("use", CUSTOMER)
    world.do("cancel", ADMIN)
    points = [event.data["points"] for event in world.events if event.kind == "points"]
    assert (points, world.state.points_earned, world.state.points_expected) == ([35, -35], 0, 0)


@pytest.mark.parametrize(
    ("minor", "currency", "points"),
    [(3599, "JPY", 35), (1999, "USD", 0), (19_999, "USD", 1), (12_345, "BHD", 0)],
)
def test_points_are_rounded_down_in_the_currencys_own_unit(minor, currency, points):
    assert paid_card(minor=minor, currency=currency).state.points_expected == points


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "done"), (6, "done"), (8, "order_already_confirmed"), (20, "order_already_confirmed")],
)
def test_answers_can_be_changed_until_the_purchase_is_confirmed(days, said):
    world = paid_card(usage_period="P15D", custom_fields=[{"name": "meal"}])
    world.pass_time(days * DAY)
    assert world.do("change_custom_fields", meal="rice") == said
    changes = [event.data for event in world.events if event.kind == "custom_fields"]
    assert changes == ([{"before": {}, "after": {"meal": "rice"}}] if said == "done" else [])


def test_the_answers_of_a_canceled_order_are_not_changed():
    world = paid_card(custom_fields=[{"name": "meal"}])
    world.do("cancel")
    assert world.do("change_custom_fields", meal="rice") == "invalid_status"


# ---------------------------------------------------------------------- what it does next


def test_a_second_look_is_a_step_of_its_own_and_not_shown_to_people():
    world = paid_card(usage_period=None)
    orders.verify_later(world.state, 1, 1, world.now, in_s=660)
    step = next_step(world.state, world.now)
    assert (step.kind, step.at) == (StepKind.VERIFY, world.now + timedelta(seconds=660))


def test_a_refund_that_waits_for_a_person_keeps_the_order_from_resting():
    world = slip_paid()
    world.do("cancel")
    unresolved(world.state.refunds[0].flight, "attention", world.now)
    assert not world.state.is_at_rest
    assert deposits.next_step(world.slips[1]).name == "watch"
