"""Money of orders, run twice at every interesting point: our ledger is the payment company's, fees included
(spec: orders.md §4, charging.md §2)."""

from __future__ import annotations

import pytest

from db.attempts import claim_resend
from domain.declines import DeclineCode
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import charge_reference
from domain.unresolved import Mode
from gateways.port import Pending
from tests.activities.order_desk import DEADLINE, OrderDesk
from tests.db.house import charge_key
from tests.gateways.deposits import YEN_1000

pytestmark = pytest.mark.xdist_group("activities")
FEE = 250


@pytest.fixture
def shop(desk, sandbox) -> OrderDesk:
    return OrderDesk(desk.db, desk.gateway, desk.remote, desk.house, url=sandbox.base_url)


async def break_slips(shop, order_id: str, *faults: str, route: str = "konbini", **more) -> None:
    rules = [{"fault": fault, "route": route, "reference_prefix": order_id, **more} for fault in faults]
    await shop.remote.faults(*rules)


async def issue_by_hand(shop, order_id: str, key: str) -> str:
    """A slip that goes out beside the books, as after a crash or under a key the gateway forgot."""
    issued = await shop.gateway.create_konbini(
        store="lawson",
        amount=YEN_1000,
        customer_name="Test Customer",
        phone="09000000000",
        deadline_at=DEADLINE,
        reference=charge_reference(order_id, 1, 1),
        idempotency_key=key,
    )
    assert isinstance(issued, Pending)
    return issued.gateway_id


# ---------------------------------------------------------------------- issuing and asking


async def test_a_slip_is_issued_once_and_its_numbers_are_told(shop):
    state = await shop.placed()
    issued = await shop.run(shop.billing.charge, shop.slip(state.id))
    assert (issued.outcome, issued.preliminary) == ("pending", False)
    assert issued.slip is not None
    assert issued.slip.payment_number.isdigit()
    assert (await shop.issue(state.id)).gateway_id == issued.gateway_id
    assert await shop.routes(state.id) == ["konbini"]
    assert await shop.books(state.id) == (0, 0)


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "malformed"])
async def test_a_slip_whose_answer_was_lost_is_found_and_not_issued_again(shop, fault):
    state = await shop.placed()
    await break_slips(shop, state.id, fault)
    issued = await shop.issue(state.id)
    assert issued.outcome == "pending"
    assert await shop.routes(state.id) == ["konbini"]
    again = await shop.issue(state.id, Mode.RESEND, turn=3)
    assert (again.gateway_id, await shop.routes(state.id)) == (issued.gateway_id, ["konbini"])


async def test_a_slip_that_never_arrived_is_sent_again_once_a_turn_under_the_same_key(shop):
    state = await shop.placed()
    await break_slips(shop, state.id, "drop_before", times=1)
    lost = await shop.issue(state.id)
    assert (lost.outcome, lost.horizon_s) == ("unknown", 600)
    assert (await shop.issue(state.id, Mode.ASK, turn=1)).outcome == "unknown"
    assert (await claim_resend(shop.db, key=charge_key(state.id, 1, 1), turn=2)).taken
    assert (await shop.issue(state.id, Mode.RESEND, turn=2)).outcome == "unknown", "another run has it"
    assert (await shop.issue(state.id, Mode.RESEND, turn=3)).outcome == "pending"
    requests = await shop.remote.requests(charge_reference(state.id, 1, 1))
    assert {line["idempotency_key"] for line in requests} == {charge_key(state.id, 1, 1)}
    assert len(requests) == 2


async def test_after_a_crash_between_the_slip_and_the_books_it_is_found(shop):
    state = await shop.placed()
    gateway_id = await issue_by_hand(shop, state.id, charge_key(state.id, 1, 1))
    found = await shop.issue(state.id)
    assert (found.outcome, found.gateway_id) == ("pending", gateway_id)


async def test_a_blocked_customer_gets_no_slip(shop):
    state = await shop.placed()
    await shop.house.block(state.customer_id, state.customer_id)
    refused = await shop.issue(state.id)
    assert (refused.outcome, refused.decline) == ("declined", DeclineCode.CUSTOMER_BLOCKED)
    assert await shop.routes(state.id) == []


async def test_notices_are_seen_when_asked_for_and_the_money_is_booked_once(shop):
    state = await shop.placed()
    issued = await shop.issue(state.id)
    seen = []
    for notice in ("preliminary", "preliminary_canceled", "preliminary", "confirmed"):
        await shop.pay(issued.gateway_id, notice)
        answer = await shop.issue(state.id, Mode.ASK, turn=1)
        seen.append((answer.outcome, answer.preliminary))
    assert seen == [("pending", True), ("pending", False), ("pending", True), ("settled", False)]
    assert await shop.books(state.id) == (1000, 1000)


async def test_a_slip_that_is_voided_is_closed_in_both_books(shop):
    state = await shop.placed()
    await shop.issue(state.id)
    voided = await shop.issue(state.id, Mode.GIVE_UP, turn=1)
    assert (voided.outcome, voided.decline) == ("declined", DeclineCode.PENDING_EXPIRED)
    assert await shop.books(state.id) == (0, 0)
    payment = await shop.house.row("SELECT state FROM payments WHERE order_id = %s", state.id)
    assert payment == {"state": "failed"}


async def test_voiding_a_slip_that_was_paid_in_the_same_moment_books_the_money(shop):
    state = await shop.placed()
    issued = await shop.issue(state.id)
    await shop.pay(issued.gateway_id)
    assert (await shop.issue(state.id, Mode.GIVE_UP, turn=1)).outcome == "settled"
    assert await shop.books(state.id) == (1000, 1000)


async def test_nothing_is_voided_while_the_gateway_cannot_be_asked(shop):
    state = await shop.placed()
    await shop.issue(state.id)
    await shop.remote.faults(
        *({"fault": "error_before", "route": route} for route in ("get", "lookup", "void"))
    )
    assert (await shop.issue(state.id, Mode.GIVE_UP, turn=1)).outcome == "pending"
    await shop.remote.faults()
    assert (await shop.issue(state.id, Mode.GIVE_UP, turn=2)).outcome == "declined"


async def test_a_second_slip_is_begun_only_after_the_first_is_closed(shop):
    state = await shop.placed()
    await shop.issue(state.id)
    with pytest.raises(TeikiError) as refused:
        await shop.run(shop.billing.charge, shop.slip(state.id, number=2))
    assert refused.value.code is ErrorCode.LIVE_ATTEMPT_EXISTS
    assert await shop.routes(state.id, number=2) == []
    await shop.issue(state.id, Mode.GIVE_UP, turn=1)
    assert (await shop.issue(state.id, number=2)).outcome == "pending"


# ---------------------------------------------------------------------- late, double, mistaken


async def test_a_second_payment_of_a_slip_is_booked_and_goes_back_and_nobody_is_troubled(shop):
    order_id, gateway_id = await shop.paid_slip()
    await shop.pay(gateway_id)
    assert await shop.books(order_id) == (2000, 1000)
    looked = await shop.look(order_id)
    (twin,) = looked.twins
    assert (looked.is_clear, twin.amount_minor) == (True, 1000)
    assert await shop.books(order_id) == (2000, 2000)
    back = await shop.give_back(order_id, returns=twin.gateway_id, reason="late_deposit")
    assert back.outcome == "settled"
    assert await shop.books(order_id) == (1000, 1000)
    assert await shop.fees(order_id) == FEE
    assert await shop.house.rows("SELECT 1 AS n FROM incidents WHERE subject_id = %s", order_id) == []


async def test_money_on_a_voided_slip_is_booked_and_goes_back(shop):
    state = await shop.placed()
    issued = await shop.issue(state.id)
    await shop.issue(state.id, Mode.GIVE_UP, turn=1)
    for _ in range(2):
        await shop.pay(issued.gateway_id)
    looked = await shop.look(state.id)
    assert len(looked.twins) == 2
    for twin in looked.twins:
        await shop.give_back(state.id, returns=twin.gateway_id, reason="late_deposit")
    assert await shop.books(state.id) == (0, 0)
    assert await shop.fees(state.id) == 2 * FEE


async def test_a_second_slip_issued_by_mistake_is_voided_when_it_is_found(shop):
    state = await shop.placed()
    first = await shop.issue(state.id)
    mistake = await issue_by_hand(shop, state.id, "another-key-entirely")
    assert mistake != first.gateway_id
    await shop.pay(first.gateway_id)
    assert (await shop.issue(state.id, Mode.ASK, turn=1)).outcome == "settled"
    looked = await shop.look(state.id)
    assert (looked.is_clear, looked.twins) == (True, [])
    (entry,) = [
        e for e in await shop.gateway.lookup(charge_reference(state.id, 1, 1)) if e.gateway_id == mistake
    ]
    assert entry.state in ("voided", "declined")
    assert await shop.books(state.id) == (1000, 1000)


async def test_a_mistaken_slip_that_was_paid_meanwhile_goes_back(shop):
    order_id, _ = await shop.paid_slip()
    mistake = await issue_by_hand(shop, order_id, "a-key-of-its-own")
    await shop.pay(mistake)
    looked = await shop.look(order_id)
    assert [twin.gateway_id for twin in looked.twins] == [mistake]
    await shop.give_back(order_id, returns=mistake, reason="late_deposit")
    assert await shop.books(order_id) == (1000, 1000)


async def test_a_look_at_a_gateway_that_cannot_be_asked_clears_nothing(shop):
    order_id, gateway_id = await shop.paid_slip()
    await shop.pay(gateway_id)
    await shop.remote.faults({"fault": "error_before", "route": "lookup"})
    looked = await shop.look(order_id)
    assert (looked.is_clear, looked.twins) == (False, [])
    await shop.remote.faults()
    assert len((await shop.look(order_id, minutes=30)).twins) == 1


# ---------------------------------------------------------------------- remittances and their fees


@pytest.mark.parametrize("account", [None, "tok_bank"])
async def test_a_remittance_settles_once_and_its_fee_is_in_both_books(shop, account):
    order_id, _ = await shop.paid_slip()
    fees = await shop.fees_at_the_gateway()
    assert (await shop.give_back(order_id, account=account)).outcome == "settled"
    assert await shop.books(order_id) == (0, 0)
    assert await shop.fees(order_id) == await shop.fees_at_the_gateway() - fees == FEE
    assert "fee" in await shop.kinds_of(order_id)


async def test_a_refused_remittance_costs_its_fee_and_the_next_one_another(shop):
    order_id, _ = await shop.paid_slip()
    fees = await shop.fees_at_the_gateway()
    assert (await shop.give_back(order_id, account="tok_bank_wrong")).outcome == "attention"
    assert (await shop.give_back(order_id, account="tok_bank_wrong")).outcome == "attention"
    assert await shop.fees(order_id) == FEE
    assert await shop.books(order_id) == (1000, 1000)
    closed = await shop.give_back(order_id, Mode.ASK, verdict={"moved": False})
    assert closed.outcome == "declined"
    assert (await shop.give_back(order_id, account="tok_bank", attempt=2)).outcome == "settled"
    assert await shop.books(order_id) == (0, 0)
    assert await shop.fees(order_id) == await shop.fees_at_the_gateway() - fees == 2 * FEE
    assert [await shop.remittances(order_id, attempt) for attempt in (1, 2)] == [1, 1]


@pytest.mark.parametrize("fault", ["drop_after", "error_after"])
async def test_a_remittance_whose_answer_was_lost_is_found_with_its_fee(shop, fault):
    order_id, _ = await shop.paid_slip()
    await break_slips(shop, order_id, fault, route="refund")
    assert (await shop.give_back(order_id)).outcome == "settled"
    assert await shop.books(order_id) == (0, 0)
    assert await shop.fees(order_id) == FEE
    assert await shop.remittances(order_id) == 1


async def test_a_deposit_that_was_not_paid_is_not_returned(shop):
    state = await shop.placed()
    await shop.issue(state.id)
    with pytest.raises(TeikiError) as refused:
        await shop.give_back(state.id)
    assert refused.value.code is ErrorCode.PAYMENT_NOT_FOUND
