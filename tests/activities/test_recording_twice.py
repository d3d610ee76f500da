"""The activities that write down, each run twice: the same answer, written once (spec: interfaces.md)."""

from __future__ import annotations

import pytest

from activities.contracts.records import AddPaymentMethod, CardLink, PutCustomer, PutProduct
from domain.errors import ErrorCode
from domain.money import Money
from domain.resume import Skipped
from gateways.port import GatewayUnavailable
from gateways.sandbox_client import SandboxGateway
from runtime.embedded.ports import free_ports
from tests.db.house import NOW, happening, transition, unique

pytestmark = pytest.mark.xdist_group("activities")

SUSPENSION = {"operation": "suspend", "row": {"status": "suspended", "reason": "suspended_by_operator"}}


async def test_a_subscription_is_opened_once(desk):
    order = desk.house.opening(await desk.house.tenant())
    opened = await desk.twice(desk.records.open, order)
    assert (opened.outcome, opened.subscription_id) == ("opened", order.subscription_id)
    assert await desk.kinds(order) == []


async def test_a_repeated_request_opens_no_second_subscription(desk):
    tenant, request = await desk.house.tenant(), unique("req")
    first = desk.house.opening(tenant, request_id=request)
    await desk.run(desk.records.open, first)
    repeated = await desk.twice(desk.records.open, desk.house.opening(tenant, request_id=request))
    assert (repeated.outcome, repeated.subscription_id) == ("duplicate", first.subscription_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"customer_id": "cus_nobody"}, ErrorCode.CUSTOMER_NOT_FOUND),
        ({"product_id": "prd_nothing"}, ErrorCode.PRODUCT_NOT_FOUND),
        ({"payment_method_id": "pm_none"}, ErrorCode.PAYMENT_METHOD_NOT_FOUND),
    ],
)
async def test_an_opening_that_is_refused_leaves_nothing_behind(desk, change, code):
    order = desk.house.opening(await desk.house.tenant())
    order = order.model_copy(update={"spec": order.spec.model_copy(update=change)})
    refused = await desk.twice(desk.records.open, order)
    assert (refused.outcome, refused.code) == ("refused", code.value)
    assert not any((await desk.house.everything(order.subscription_id)).values())


async def test_an_operation_is_written_once_however_often_its_activity_runs(desk):
    order = await desk.subscription()
    suspending = happening(
        order,
        **SUSPENSION,
        request_id="s-1",
        moves=[transition("current", "suspended")],
        event_key=unique("run"),
    )
    assert (await desk.twice(desk.records.record, suspending)).outcome == "recorded"
    assert await desk.kinds(order) == ["operation", "status"]


async def test_the_same_request_in_another_write_is_a_duplicate_and_another_content_a_conflict(desk):
    order = await desk.subscription()
    first = happening(order, **SUSPENSION, request_id="s-1", event_key=unique("run"))
    await desk.run(desk.records.record, first)
    repeated = first.model_copy(update={"event_key": "run:2"})
    assert (await desk.twice(desk.records.record, repeated)).outcome == "duplicate"
    other = first.model_copy(update={"event_key": "run:3", "operation": "cancel"})
    conflict = await desk.twice(desk.records.record, other)
    assert (conflict.outcome, conflict.code) == ("refused", "request_id_conflict")
    assert await desk.kinds(order) == ["operation"]


async def test_what_the_subscription_does_by_itself_is_written_once(desk):
    order = await desk.subscription()
    alone = happening(
        order, actor="system", payment=1, decline="lost_card", row={"failing": True}, event_key=unique("run"),
        moves=[transition("unverified", "unconfirmed")],
    )  # fmt: skip
    assert (await desk.twice(desk.records.record, alone)).outcome == "recorded"
    assert await desk.kinds(order) == ["status"]


async def test_skipped_payments_are_skipped_once(desk):
    order = await desk.subscription()
    resuming = happening(
        order,
        operation="resume",
        request_id="r-1",
        skipped=[Skipped(first=2, last=4, reason="policy_next_cycle")],
        event_key=unique("run"),
    )
    assert (await desk.twice(desk.records.record, resuming)).outcome == "recorded"
    assert await desk.kinds(order) == ["operation", "skip", "skip", "skip"]


async def test_a_card_link_is_issued_once_and_a_card_of_somebody_else_is_refused(desk):
    order = await desk.subscription()
    link = CardLink(token_hash="ab" * 32, expires_at=NOW.replace(year=2030))
    linking = happening(order, operation="card_link", request_id="l-1", link=link, event_key=unique("run"))
    assert (await desk.twice(desk.records.record, linking)).outcome == "recorded"
    assert len((await desk.house.everything(order.subscription_id))["links"]) == 1
    stranger = (await desk.house.tenant()).card_id
    changing = happening(
        order, operation="change_card", request_id="k-1", payment_method_id=stranger, event_key=unique("run")
    )
    refused = await desk.twice(desk.records.record, changing)
    assert (refused.outcome, refused.code) == ("refused", "payment_method_of_other_customer")


# ---------------------------------------------------------------------- the catalogue


async def entered_twice(desk, activity, order):
    """Two runs name the same entry; the second says that it is a repetition."""
    first, second = await desk.run(activity, order), await desk.run(activity, order)
    assert first.id == second.id
    assert (first.outcome, second.outcome) == ("recorded", "duplicate")
    notes = await desk.house.rows("SELECT 1 FROM history WHERE subject_id = %s", first.id)
    assert len(notes) == 1
    return first


async def test_a_customer_and_a_product_are_entered_once(desk):
    customer = PutCustomer(
        id=unique("cus"), request_id=unique("req"), actor="operator:desk", name="One", at=NOW
    )
    await entered_twice(desk, desk.records.put_customer, customer)
    again = customer.model_copy(update={"name": "Another"})
    assert (await desk.run(desk.records.put_customer, again)).code == "request_id_conflict"
    price = Money(minor=12_345, currency="BHD")
    product = PutProduct(
        id=unique("prd"), request_id=unique("req"), actor="operator:desk", name="One", price=price, at=NOW
    )
    await entered_twice(desk, desk.records.put_product, product)


async def test_a_change_of_a_product_is_written_once_with_before_and_after(desk):
    by = {"id": unique("prd"), "actor": "operator:desk", "name": "Gate", "at": NOW}
    ticket = {"type": "ticket", "price": {"minor": 3500, "currency": "JPY"}, "usage_period": "P1D"}
    first = PutProduct.model_validate({**by, "request_id": unique("req"), "terms": ticket})
    await entered_twice(desk, desk.records.put_product, first)
    dearer = ticket | {"price": {"minor": 4000, "currency": "JPY"}}
    change = PutProduct.model_validate({**by, "request_id": unique("req"), "terms": dearer})
    outcomes = [(await desk.run(desk.records.put_product, change)).outcome for _ in range(2)]
    assert outcomes == ["recorded", "duplicate"]
    data = [
        row["data"]
        for row in await desk.house.rows(
            "SELECT data FROM history WHERE subject_id = %s ORDER BY seq", first.id
        )
    ]
    assert len(data) == 2
    assert (data[1]["before"], data[1]["after"]) == ({"price": ticket["price"]}, {"price": dearer["price"]})


async def test_a_payment_method_keeps_what_the_gateway_shows_of_its_token_and_nothing_more(desk):
    tenant = await desk.house.tenant()
    order = AddPaymentMethod(
        id=unique("pm"),
        request_id=unique("req"),
        actor="operator:desk",
        customer_id=tenant.customer_id,
        token=await desk.remote.token("ok"),
        at=NOW,
    )
    await entered_twice(desk, desk.records.add_payment_method, order)
    row = await desk.house.row(
        "SELECT kind, last_four, expires_year FROM payment_methods WHERE id = %s", order.id
    )
    assert (row["kind"], len(row["last_four"]), row["expires_year"]) == ("card", 4, 2049)


async def test_an_unknown_token_is_refused_and_a_silent_gateway_is_asked_again_later(desk):
    tenant = await desk.house.tenant()
    order = AddPaymentMethod(
        id=unique("pm"),
        request_id=unique("req"),
        actor="operator:desk",
        customer_id=tenant.customer_id,
        token="tok_nobody_knows",
        at=NOW,
    )
    for _ in range(2):
        refused = await desk.run(desk.records.add_payment_method, order)
        assert (refused.outcome, refused.code) == ("refused", "token_refused")
    real, desk.gateway = desk.gateway, SandboxGateway(f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(GatewayUnavailable):
        await desk.run(desk.records.add_payment_method, order)
    await desk.gateway.close()
    desk.gateway = real
    assert await desk.house.rows("SELECT 1 FROM payment_methods WHERE id = %s", order.id) == []
