"""Orders, money apart: every activity run twice leaves what one run leaves (spec: orders.md §§1, 6, 8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.contracts.orders import AddNote, Identify, RecordOrderInput, StopSubscription
from activities.contracts.records import RecordResult
from domain import order_operations as operations
from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.order_projection import changes, row_of
from domain.permission import PermissionStatus
from tests.activities.order_desk import KONBINI, OrderDesk, a_deposit
from tests.db.house import NOW, unique

pytestmark = pytest.mark.xdist_group("activities")


@pytest.fixture
def shop(desk, sandbox) -> OrderDesk:
    return OrderDesk(desk.db, desk.gateway, desk.remote, desk.house, url=sandbox.base_url)


# ---------------------------------------------------------------------- placing


@pytest.mark.parametrize("pay", ["card", "konbini", "recurring", "none"])
async def test_an_order_is_entered_once_and_gets_one_number(shop, pay):
    asked = await shop.asked(pay, price=None if pay == "none" else Money(minor=1000, currency="JPY"))
    opened = await shop.twice(shop.orders.open, asked)
    assert (opened.outcome, opened.order_id) == ("opened", asked.order_id)
    row = await shop.house.row("SELECT * FROM orders WHERE id = %s", asked.order_id)
    assert (row["number"], row["status"]) == (opened.number, "in_process")
    assert await shop.kinds_of(asked.order_id) == ["operation", "status", "status"]


async def test_a_callers_repetition_is_answered_with_the_first_order_and_other_content_is_refused(shop):
    asked = await shop.asked()
    await shop.open(asked)
    again = asked.model_copy(update={"order_id": unique("ord")})
    assert (await shop.twice(shop.orders.open, again)).model_dump(include={"outcome", "order_id"}) == {
        "outcome": "duplicate",
        "order_id": asked.order_id,
    }
    other = again.model_copy(update={"spec": asked.spec.model_copy(update={"metadata": {"a": "b"}})})
    assert (await shop.twice(shop.orders.open, other)).code == "request_id_conflict"


@pytest.mark.parametrize(
    ("pay", "more", "code"),
    [
        ("konbini", {"price": Money(minor=119, currency="JPY")}, "konbini_amount_out_of_range"),
        ("konbini", {"price": Money(minor=300_001, currency="JPY")}, "konbini_amount_out_of_range"),
        ("konbini", {"price": Money(minor=5000, currency="USD")}, "konbini_amount_out_of_range"),
        ("card", {"price": None}, "price_missing"),
        ("card", {"spec_options": ("Balcony",)}, "invalid_option"),
        ("card", {"sales_method": "token_auth"}, "sales_method_mismatch"),
        ("card", {"custom_fields": [{"name": "meal", "required": True}]}, "invalid_custom_field"),
        ("card", {"spec_identification": {"shoe size": "27"}}, "invalid_identification"),
    ],
)
async def test_what_is_refused_leaves_no_trace(shop, pay, more, code):
    product = {name: value for name, value in more.items() if not name.startswith("spec_")}
    of_spec = {name: value for name, value in more.items() if name.startswith("spec_")}
    product_id = await shop.product(**({"sales_method": "one_time"} | product))
    asked = await shop.asked(pay, product_id=product_id, **of_spec)
    before = await shop.stored()
    refused = await shop.twice(shop.orders.open, asked)
    assert (refused.outcome, refused.code) == ("refused", code)
    assert await shop.stored() == before


async def test_a_blocked_customer_and_a_missing_product_are_refused_by_name(shop):
    asked = await shop.asked()
    missing = asked.model_copy(update={"spec": asked.spec.model_copy(update={"product_id": "prd_none"})})
    assert (await shop.twice(shop.orders.open, missing)).code == "product_not_found"
    await shop.house.block(asked.spec.customer_id, asked.spec.customer_id)
    assert (await shop.twice(shop.orders.open, asked)).code == "customer_blocked"


# ---------------------------------------------------------------------- what happens to it


async def test_a_payment_grants_one_permission_with_one_number_and_nothing_twice(shop):
    state = await shop.placed("card", type="membership", membership_numbers=True)
    recorded = await shop.twice(shop.orders.record, shop.completed(state))
    assert recorded == RecordResult(outcome="recorded")
    permission = await shop.house.row("SELECT * FROM permissions WHERE order_id = %s", state.id)
    assert (permission["status"], permission["membership_number"]) == ("active", 1)
    row = await shop.house.row(
        "SELECT status, payment_status, paid_minor FROM orders WHERE id = %s", state.id
    )
    assert row == {"status": "complete", "payment_status": "payment_completed", "paid_minor": 1000}


async def test_a_permission_that_is_granted_again_keeps_its_number(shop):
    state = await shop.placed("card", type="membership", membership_numbers=True)
    first = shop.completed(state)
    await shop.run(shop.orders.record, first)
    assert first.permission is not None
    for status in ("revoked", "active"):
        permission = first.permission.model_copy(update={"status": PermissionStatus(status)})
        order = first.model_copy(update={"permission": permission, "row": {}, "event_key": unique("key")})
        assert (await shop.twice(shop.orders.record, order)).outcome == "recorded"
    row = await shop.house.row("SELECT * FROM permissions WHERE order_id = %s", state.id)
    assert (row["status"], row["membership_number"]) == ("active", 1)


async def test_an_operation_is_recognised_by_its_request_id_whatever_run_writes_it(shop):
    state = await shop.placed("card")
    await shop.run(shop.orders.record, shop.completed(state))
    before = row_of(state, NOW)
    events = operations.cancel(state, NOW, "operator:desk")
    order = RecordOrderInput.model_validate(
        {
            "order_id": state.id,
            "at": NOW,
            "actor": "operator:desk",
            "row": changes(before, row_of(state, NOW)),
            "events": tuple(events),
            "permission": state.permission,
            "operation": "cancel_order",
            "request_id": "req_cancel",
            "arguments": {"refund_amount": 1000},
            "event_key": unique("key"),
        }
    )
    assert (await shop.twice(shop.orders.record, order)).outcome == "recorded"
    again = order.model_copy(update={"event_key": unique("key")})
    assert (await shop.twice(shop.orders.record, again)).outcome == "duplicate"
    other = again.model_copy(update={"arguments": {}, "event_key": unique("key")})
    assert (await shop.twice(shop.orders.record, other)).code == "request_id_conflict"
    row = await shop.house.row("SELECT status FROM orders WHERE id = %s", state.id)
    assert row == {"status": "canceled"}


async def test_an_order_that_is_not_there_and_a_column_that_is_not_there_are_refused(shop):
    state = await shop.placed("card")
    order = shop.completed(state)
    strange = order.model_copy(update={"order_id": "ord_none"})
    assert (await shop.twice(shop.orders.record, strange)).code == "order_not_found"
    with pytest.raises(TeikiError) as refused:
        await shop.run(shop.orders.record, order.model_copy(update={"row": {"notes": 7}}))
    assert refused.value.code is ErrorCode.INVALID_INPUT


async def test_a_slip_is_written_down_as_it_stands_and_keeps_its_numbers(shop):
    state = await shop.placed()
    numbers = {"payment_number": "1234567890123", "confirmation_number": "987654"}
    await shop.twice(shop.orders.record_deposit, a_deposit(state.id, slip=numbers, gateway_id="kb_1"))
    paid = a_deposit(state.id, "paid", event_key="2", paid_at=NOW + timedelta(hours=1))
    await shop.twice(shop.orders.record_deposit, paid)
    row = await shop.house.row("SELECT * FROM deposits WHERE order_id = %s", state.id)
    assert (row["status"], row["payment_number"], row["gateway_id"]) == ("paid", "1234567890123", "kb_1")
    assert (row["paid_at"], row["customer_name"]) == (NOW + timedelta(hours=1), KONBINI.customer_name)
    sql = "SELECT data FROM history WHERE subject_id = %s AND data->>'object' = 'deposit' ORDER BY seq"
    assert [line["data"]["to"] for line in await shop.house.rows(sql, state.id)] == ["issued", "paid"]


async def test_a_subscription_is_stopped_once(shop):
    order = StopSubscription(subscription_id="sub_1", request_id="ord_1-stop", actor="operator:desk")
    assert (await shop.twice(shop.orders.stop_subscription, order)).outcome == "stopped"
    assert shop.commands.told == [("sub_1", "ord_1-stop")]


# ---------------------------------------------------------------------- notes and identification


async def test_a_note_is_left_once_and_the_order_shows_the_latest(shop):
    state = await shop.placed()
    note = AddNote(order_id=state.id, request_id="n-1", actor="operator:desk", text="called back", at=NOW)
    outcomes = [(await shop.run(shop.orders.add_note, note)).outcome for _ in range(2)]
    assert outcomes == ["recorded", "duplicate"]
    second = note.model_copy(update={"request_id": "n-2", "text": "all well"})
    await shop.run(shop.orders.add_note, second)
    row = await shop.house.row("SELECT notes, latest_note FROM orders WHERE id = %s", state.id)
    assert row == {"notes": 2, "latest_note": "all well"}
    missing = note.model_copy(update={"order_id": "ord_none", "request_id": "n-3"})
    assert (await shop.run(shop.orders.add_note, missing)).code == "order_not_found"
    texts = await shop.house.rows("SELECT data::text AS t FROM history WHERE subject_id = %s", state.id)
    assert all("called back" not in line["t"] for line in texts), "history says that there is one, not what"


async def test_a_customer_identifies_themselves_once_and_an_admin_as_often_as_needed(shop):
    state = await shop.placed("card", identification_fields=("passport",))
    await shop.run(shop.orders.record, shop.completed(state))
    customer = Identify(
        permission_id=state.permission_id,
        request_id="i-1",
        actor=f"customer:{state.customer_id}",
        identification={"passport": "A-1"},
        at=NOW,
    )
    await shop.run(shop.orders.identify, customer)
    assert (await shop.run(shop.orders.identify, customer)).outcome == "duplicate"
    said = {
        "stranger": {"actor": "customer:cus_other", "request_id": "i-2"},
        "again": {"request_id": "i-3"},
        "unasked": {"actor": "operator:desk", "request_id": "i-4", "identification": {"shoe": "27"}},
        "nobody": {"permission_id": "per_none", "request_id": "i-5"},
    }
    codes = {
        name: (await shop.run(shop.orders.identify, customer.model_copy(update=given))).code
        for name, given in said.items()
    }
    assert codes == {
        "stranger": "forbidden",
        "again": "identification_already_given",
        "unasked": "invalid_identification",
        "nobody": "permission_not_found",
    }
    admin = customer.model_copy(
        update={"actor": "operator:desk", "request_id": "i-6", "identification": {"passport": "B-2"}}
    )
    await shop.run(shop.orders.identify, admin)
    sql = "SELECT actor, data FROM history WHERE subject_id = %s AND kind = 'identification' ORDER BY seq"
    changes_kept = await shop.house.rows(sql, state.id)
    assert [(line["data"]["before"], line["data"]["after"]) for line in changes_kept] == [
        ({}, {"passport": "A-1"}),
        ({"passport": "A-1"}, {"passport": "B-2"}),
    ]


async def test_what_a_customer_told_while_placing_counts_as_told(shop):
    state = await shop.placed(
        "card", identification_fields=("passport",), spec_identification={"passport": "A-1"}
    )
    await shop.run(shop.orders.record, shop.completed(state, identification={"passport": "A-1"}))
    order = Identify(
        permission_id=state.permission_id,
        request_id="i-1",
        actor=f"customer:{state.customer_id}",
        identification={"passport": "A-2"},
        at=NOW,
    )
    assert (await shop.run(shop.orders.identify, order)).code == "identification_already_given"
