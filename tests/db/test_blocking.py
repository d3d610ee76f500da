"""Blocking details: what is blocked is charged by nobody from the commit on, in whatever order things happen (I7)."""

from __future__ import annotations

import asyncio

import pytest

from activities.contracts.records import AddPaymentMethod, CardLink, PutCustomer
from db.attempts import claim_resend, note_attempt
from db.blocking import next_concerned
from db.card_links import find_card_link
from db.catalogue import add_payment_method, put_customer
from db.reads.customer import show_customer
from db.subscriptions import open_subscription, record
from domain.errors import ErrorCode, TeikiError
from gateways.port import TokenDetails
from tests.db.house import NOW, House, Tenant, charge_key, happening, transition, unique


def address() -> str:
    return f"{unique('ann')}@Example.com"


async def details(house: House, customer_id: str) -> dict[str, tuple[str, str]]:
    """Id → what it shows and its state."""
    page = await show_customer(house.db, customer_id, tabs=("info",))
    assert page.info is not None
    return {detail.id: (detail.shown, detail.state) for detail in page.info.details}


async def email_of(house: House, tenant: Tenant) -> str:
    (found,) = (name for name in await details(house, tenant.customer_id) if name.startswith("eml_"))
    return found


async def test_every_kind_of_detail_holds_back_the_next_charge_and_lets_it_go_again(house: House):
    for kind in ("customer", "card", "email", "email as written"):
        mail = address()
        tenant = await house.tenant(email=mail)
        order = await house.subscription(tenant)
        named = {
            "customer": tenant.customer_id,
            "card": tenant.card_id,
            "email": await email_of(house, tenant),
            "email as written": mail.upper(),
        }[kind]
        await house.block(tenant.customer_id, named)
        blocked = await house.begin(order)
        code = "payment_method_blocked" if kind == "card" else "customer_blocked"
        assert (blocked.outcome, blocked.decline) == ("blocked", code), kind
        await house.block(tenant.customer_id, named, do="unblock")
        assert (await house.begin(order)).outcome == "new", kind


async def test_all_blocks_every_detail_and_one_that_is_left_blocked_still_holds(house: House):
    tenant = await house.tenant(email=address())
    second = await house.card(tenant.customer_id, token=unique("tok"))
    change = await house.block(tenant.customer_id, do="block_all", comment="chargeback")
    email = await email_of(house, tenant)
    assert set(change.named) == set(change.changed) == {tenant.customer_id, tenant.card_id, second, email}
    assert {state for _, state in (await details(house, tenant.customer_id)).values()} == {"blocked"}
    await house.block(tenant.customer_id, tenant.customer_id, tenant.card_id, do="unblock")
    order = house.opening(tenant)
    assert (await open_subscription(house.db, order)).code == "customer_blocked"
    assert (await house.block(tenant.customer_id, do="unblock_all")).changed == [email, second]
    assert (await open_subscription(house.db, order)).outcome == "opened"


async def test_an_address_is_blocked_with_everybody_who_has_it_today_or_later(house: House):
    mail = address()
    tenant, neighbour = await house.tenant(email=mail), await house.tenant(email=mail.lower())
    order = await house.subscription(neighbour)
    await house.block(tenant.customer_id, mail, comment="fraud")
    assert (await house.begin(order)).decline == "customer_blocked"
    later = await house.tenant(email=address())
    moved = PutCustomer(id=later.customer_id, request_id=unique("req"), actor="test", at=NOW, email=mail)
    await put_customer(house.db, moved)
    assert (await open_subscription(house.db, house.opening(later))).code == "customer_blocked"
    # An earlier address stays a detail: another one does not free anybody.
    await put_customer(house.db, moved.model_copy(update={"email": address(), "request_id": unique("req")}))
    assert (await open_subscription(house.db, house.opening(later))).code == "customer_blocked"
    await house.block(neighbour.customer_id, mail, do="unblock")
    assert (await open_subscription(house.db, house.opening(later))).outcome == "opened"
    log = (await show_customer(house.db, neighbour.customer_id, tabs=("info",))).info
    assert log is not None
    assert [(entry.do, entry.comment, entry.customer_id == neighbour.customer_id) for entry in log.log] == [
        ("unblock", "", True),
        ("block", "fraud", False),
    ]


async def test_a_blocked_card_is_blocked_however_often_it_is_entered(house: House):
    tenant = await house.tenant(token="tok_twice", email=address())
    await house.block(tenant.customer_id, tenant.card_id)
    again = await house.card(tenant.customer_id, token="tok_twice")
    other = await house.card(tenant.customer_id, token="tok_other")
    states = await details(house, tenant.customer_id)
    assert [states[card][1] for card in (tenant.card_id, again, other)] == ["blocked", "blocked", "active"]
    assert (await house.block(tenant.customer_id, again, do="unblock")).changed == sorted(
        [tenant.card_id, again]
    )


async def test_who_is_blocked_gets_no_card_no_new_card_and_no_link_and_open_links_are_void(house: House):
    tenant = await house.tenant(email=address())
    other_card = await house.card(tenant.customer_id, token="tok_other")
    order = await house.subscription(tenant)
    link = CardLink(token_hash=unique("hash"), expires_at=NOW.replace(year=2030))
    opened = happening(order, operation="open_card_link", request_id="r-1", link=link, event_key=unique("k"))
    await record(house.db, opened, event_key=opened.event_key)
    await house.block(tenant.customer_id, tenant.card_id)
    standing = await find_card_link(house.db, link.token_hash)
    assert standing is not None
    assert standing.why_unusable(NOW) is None, "who lost a card may give another one"
    assert (await house.block(tenant.customer_id, do="block_all")).card_links == 1
    standing = await find_card_link(house.db, link.token_hash)
    assert standing is not None
    assert standing.why_unusable(NOW) == "revoked"
    for more in ({"payment_method_id": other_card}, {"link": link.model_copy(update={"token_hash": "h"})}):
        change = happening(order, operation="x", request_id=unique("r"), event_key=unique("k"), **more)
        assert (await record(house.db, change, event_key=change.event_key)).code == "customer_blocked"
    entry = AddPaymentMethod(
        id=unique("pm"), request_id=unique("r"), actor="t", customer_id=tenant.customer_id, token="t", at=NOW
    )
    shown = TokenDetails(token="t", kind="card", brand="visa", last_four="4242")
    assert (await add_payment_method(house.db, entry, shown)).code == "customer_blocked"


async def test_what_was_in_flight_when_the_block_came_is_never_sent_again(house: House):
    tenant = await house.tenant(email=address())
    order = await house.subscription(tenant)
    await house.begin(order)
    key = charge_key(order.subscription_id, 1, 1)
    await note_attempt(house.db, key=key, state="unknown")
    await house.block(tenant.customer_id, tenant.customer_id)
    claim = await claim_resend(house.db, key=key, turn=1)
    assert (claim.taken, claim.blocked) == (False, "customer_blocked")
    await house.block(tenant.customer_id, tenant.customer_id, do="unblock")
    # By the card it was sent with, whichever the subscription has now.
    other = await house.card(tenant.customer_id, token="tok_other")
    change = happening(order, operation="change_card", payment_method_id=other, event_key=unique("k"))
    assert (await record(house.db, change, event_key=change.event_key)).outcome == "recorded"
    await house.block(tenant.customer_id, tenant.card_id)
    assert (await claim_resend(house.db, key=key, turn=1)).blocked == "payment_method_blocked"
    await house.block(tenant.customer_id, tenant.card_id, do="unblock")
    assert (await claim_resend(house.db, key=key, turn=1)).taken
    assert not (await claim_resend(house.db, key=key, turn=1)).taken


@pytest.mark.parametrize("resend", [False, True])
async def test_a_block_that_is_being_written_is_waited_for(house: House, resend: bool):
    tenant = await house.tenant(email=address())
    order = await house.subscription(tenant)
    key = charge_key(order.subscription_id, 1, 1)
    if resend:
        await house.begin(order)
        await note_attempt(house.db, key=key, state="unknown")
    async with house.db.transaction() as cursor:
        await cursor.execute("UPDATE customers SET blocked_at = now() WHERE id = %s", (tenant.customer_id,))
        waiting = asyncio.create_task(
            claim_resend(house.db, key=key, turn=1) if resend else house.begin(order)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0.1)
        assert not waiting.done()
    done = await waiting
    assert (getattr(done, "blocked", None) or getattr(done, "decline", None)) == "customer_blocked"


async def test_a_subscription_is_suspended_by_a_block_that_stands_and_put_back_when_none_does(house: House):
    tenant = await house.tenant(email=address())
    order = await house.subscription(tenant)

    async def outcome(do: str, old: str, new: str) -> str | None:
        told = happening(
            order,
            operation=do,
            request_id=unique("r"),
            row={"status": new, "reason": "blocked"},
            moves=[transition(old, new, "blocked")],
            event_key=unique("k"),
        )
        return (await record(house.db, told, event_key=told.event_key)).code

    assert await outcome("block_all", "unverified", "suspended") == "not_blocked"
    await house.block(tenant.customer_id, tenant.card_id)
    assert await outcome("unblock_all", "suspended", "unverified") == "payment_method_blocked"
    assert await outcome("block_all", "unverified", "suspended") is None
    await house.block(tenant.customer_id, tenant.card_id, do="unblock")
    assert await outcome("unblock", "suspended", "unverified") is None


async def test_who_has_to_hear_of_it_page_by_page(house: House):
    tenant = await house.tenant(email=address())
    orders = sorted([(await house.subscription(tenant)).subscription_id for _ in range(5)])

    async def concerned(do, after="", **row) -> list[str]:
        return await next_concerned(
            house.db, do=do, customer_id=tenant.customer_id, details=[], at=NOW, after=after, limit=3
        )

    assert await concerned("block_all") == orders[:3]
    assert await concerned("block_all", after=orders[2]) == orders[3:]
    await house.rows("UPDATE subscriptions SET next_at = NULL, next_kind = NULL RETURNING id")
    assert await concerned("unblock_all") == []
    changed = "UPDATE subscriptions SET status = 'suspended', reason = %s WHERE id = %s RETURNING id"
    await house.rows(changed, "blocked", orders[0])
    await house.rows(changed, "suspended_by_operator", orders[1])
    assert await concerned("unblock_all") == orders[:1]
    await house.block(tenant.customer_id, tenant.card_id)
    assert await concerned("unblock_all") == [], "the card is still blocked"


async def test_a_second_run_and_a_repeated_request_change_nothing_more(house: House):
    tenant = await house.tenant(email=address())
    given = {"run_id": "run-1", "request_id": unique("req"), "comment": "chargeback"}
    first = await house.block(tenant.customer_id, do="block_all", **given)
    assert await house.block(tenant.customer_id, do="block_all", **given) == first
    other_run = await house.block(tenant.customer_id, do="block_all", **{**given, "run_id": "run-2"})
    assert (other_run.outcome, other_run.changed) == ("duplicate", first.changed)
    conflict = await house.block(tenant.customer_id, do="unblock_all", **given)
    assert (conflict.outcome, conflict.code) == ("refused", "request_id_conflict")
    events = await house.rows(
        "SELECT actor, comment, data->>'do' AS what FROM history WHERE subject_id = %s ORDER BY seq",
        tenant.customer_id,
    )
    assert [(event["what"], event["comment"]) for event in events] == [
        ("put_customer", ""),
        ("block_all", "chargeback"),
    ]


async def test_nobody_and_nothing_is_refused_by_name(house: House):
    tenant, other = await house.tenant(email=address()), await house.tenant(email=address())
    assert (await house.block("cus_none", do="block_all")).code == "customer_not_found"
    for detail in (other.card_id, other.customer_id, "nobody@example.com", "090-0000-0001"):
        refused = await house.block(tenant.customer_id, tenant.card_id, detail)
        assert (refused.outcome, refused.code) == ("refused", "detail_not_found")
    assert {state for _, state in (await details(house, tenant.customer_id)).values()} == {"active"}


async def test_many_blocks_and_unblocks_at_once_leave_the_sum_of_the_details(house: House):
    mail = address()
    tenants = [await house.tenant(email=mail) for _ in range(3)]
    await asyncio.gather(
        *(
            house.block(tenant.customer_id, do=do)
            for tenant in tenants
            for do in ("block_all", "unblock_all", "block_all", "unblock_all")
        )
    )
    for tenant in tenants:
        states = await details(house, tenant.customer_id)
        held = {
            state
            for name, (_, state) in states.items()
            if name == tenant.customer_id or name.startswith("eml_")
        }
        row = await house.row("SELECT blocked_at FROM customers WHERE id = %s", tenant.customer_id)
        assert (row["blocked_at"] is not None) == ("blocked" in held)


async def test_a_customer_is_found_by_any_address_in_any_case_unless_several_have_it(house: House):
    mail = address()
    tenant = await house.tenant(email=mail)
    for named in (tenant.customer_id, mail, mail.upper(), f" {mail.lower()} "):
        assert (await show_customer(house.db, named, tabs=())).customer.id == tenant.customer_id
    moved = PutCustomer(id=tenant.customer_id, request_id=unique("r"), actor="t", at=NOW, email=address())
    await put_customer(house.db, moved)
    page = await show_customer(house.db, mail, tabs=("info",))
    assert page.info is not None
    assert {d.shown: d.is_current for d in page.info.details if d.kind == "email"} == {
        mail: False,
        moved.email: True,
    }
    second = await house.tenant(email=mail)
    with pytest.raises(TeikiError) as several:
        await show_customer(house.db, mail)
    assert several.value.code is ErrorCode.CUSTOMER_AMBIGUOUS
    assert several.value.facts["ids"] == sorted([tenant.customer_id, second.customer_id])
    for nobody in ("cus_none", "nobody@example.com", "a\x00b"):
        with pytest.raises(TeikiError) as unknown:
            await show_customer(house.db, nobody)
        assert unknown.value.code is ErrorCode.CUSTOMER_NOT_FOUND
