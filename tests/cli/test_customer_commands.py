"""`teiki customer`: the page tab by tab, a block and an unblock as people ask for them, and refusals by name."""

from __future__ import annotations

import uuid

import pytest

pytestmark = pytest.mark.xdist_group("laboratory")


@pytest.fixture
async def known(teiki_in_lab) -> dict[str, str]:
    """A customer with a card and a running subscription."""
    email = f"Ann-{uuid.uuid4().hex[:8]}@Example.com"
    customer = (await teiki_in_lab("customer", "put", "--email", email, "--json")).document["id"]
    card = await teiki_in_lab("payment-method", "add", "--customer", customer, "--token", "tok_ok", "--json")
    product = (await teiki_in_lab("product", "put", "--name", "Fan club", "--json")).document["id"]
    asked = ("--customer", customer, "--product", product, "--payment-method", card.document["id"])
    money = ("--amount", "1000", "--currency", "JPY", "--period", "monthly", "--json")
    subscription = (await teiki_in_lab("subscription", "create", *asked, *money)).document["id"]
    return {
        "customer": customer,
        "email": email,
        "card": card.document["id"],
        "product": product,
        "subscription": subscription,
    }


async def status(teiki_in_lab, subscription: str) -> tuple[str, str]:
    shown = (await teiki_in_lab("subscription", "show", subscription, "--json")).document
    return shown["status"], shown["reason"]


async def test_a_customer_is_blocked_shown_and_unblocked(teiki_in_lab, known):
    before = await status(teiki_in_lab, known["subscription"])
    blocked = await teiki_in_lab("customer", "block", known["email"], "--all", "--comment", "fraud", "--json")
    assert (blocked.status, blocked.document["subscriptions"]) == (0, 1)
    assert await status(teiki_in_lab, known["subscription"]) == ("suspended", "blocked")
    shown = await teiki_in_lab("customer", "show", known["email"].upper(), "--tab", "info")
    assert "blocked" in shown.out
    assert "fraud" in shown.out
    assert "Stats" not in shown.out
    asked = (
        "--customer",
        known["customer"],
        "--product",
        known["product"],
        "--payment-method",
        known["card"],
    )
    refused = await teiki_in_lab(
        *(
            "subscription",
            "create",
            *asked,
            "--amount",
            "1",
            "--currency",
            "JPY",
            "--period",
            "daily",
            "--json",
        )
    )
    assert (refused.status, refused.document["code"]) == (1, "customer_blocked")
    back = await teiki_in_lab("customer", "unblock", known["customer"], "--all")
    assert "subscriptions put back: 1" in back.out
    assert await status(teiki_in_lab, known["subscription"]) == before
    explained = await teiki_in_lab("subscription", "explain", known["subscription"])
    assert explained.status == 0


async def test_one_detail_waits_for_the_next_payment(teiki_in_lab, known):
    blocked = await teiki_in_lab("customer", "block", known["customer"], "--detail", known["card"])
    assert "when its next payment is due" in blocked.out
    assert (await status(teiki_in_lab, known["subscription"]))[0] == "current"
    again = await teiki_in_lab("customer", "block", known["customer"], "--detail", known["card"])
    assert "all were like that already" in again.out


async def test_every_tab_is_a_page_and_a_document(teiki_in_lab, known):
    page = await teiki_in_lab("customer", "show", known["customer"])
    for word in (
        "Details of the last",
        "Stats",
        "Info",
        "Products",
        "Transactions",
        "1 × 1,000 JPY",
        "Fan club",
    ):
        assert word in page.out
    stats = (await teiki_in_lab("customer", "show", known["customer"], "--tab", "stats", "--json")).document
    assert stats["stats"]["by_currency"][0]["sales"]["amount"] == {"minor": 1000, "currency": "JPY"}
    assert stats["products"] is None
    one = ("--tab", "transactions", "--product", known["product"], "--way", "subscription", "--json")
    found = (await teiki_in_lab("customer", "show", known["customer"], *one)).document
    assert [item["action"] for item in found["transactions"]["items"]] == ["charge"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("block", "{customer}", "--detail", "nobody@example.com"), "detail_not_found"),
        (("block", "cus_0", "--all"), "customer_not_found"),
        (("unblock", "nobody@example.com", "--all"), "customer_not_found"),
        (("block", "{customer}", "--all", "--comment", "the card is " + "4242" * 4), "card_number_refused"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(teiki_in_lab, known, arguments, code):
    given = [word.format(**known) for word in arguments]
    refused = await teiki_in_lab("customer", *given, "--json")
    assert (refused.status, refused.document["code"]) == (1, code)


@pytest.mark.parametrize(
    "arguments",
    [
        ("block", "cus_1"),
        ("block", "cus_1", "--all", "--detail", "pm_1"),
        ("show", "cus_1", "--tab", "weather"),
        ("show", "cus_1", "--way", "twice"),
    ],
)
def test_what_nobody_can_mean_is_a_mistake_of_usage(teiki, arguments):
    assert teiki("customer", *arguments).status == 2
