"""`teiki order`, `ticket` and `deposit` against a real Temporal, Postgres, gateway and worker."""

from __future__ import annotations

import asyncio
import json

import pytest


@pytest.fixture
async def customer(teiki_in_lab) -> str:
    return (await teiki_in_lab("customer", "put", "--email", "o@example.com", "--json")).document["id"]


@pytest.fixture
def sold(teiki_in_lab):
    async def put(*options: str) -> str:
        named = ("product", "put", "--name", "Live replay", *options, "--json")
        return (await teiki_in_lab(*named)).document["id"]

    return put


@pytest.fixture
def placed(teiki_in_lab, customer):
    """An order placed with `--json`, as its document."""

    async def place(product: str, *options: str) -> dict:
        ran = await teiki_in_lab(
            *("order", "place", "--customer", customer, "--product", product, *options, "--json")
        )
        assert ran.status == 0, ran.out
        return ran.document

    return place


PRICED = ("--price", "3500", "--currency", "JPY")
KONBINI = ("--pay", "konbini", "--store", "lawson", "--name", "Mei Example", "--phone", "03-1234-5678")


async def until(teiki_in_lab, number: str, **wanted: str) -> dict:
    for _ in range(100):
        shown = (await teiki_in_lab("order", "show", number, "--json")).document
        if all(shown[name] == value for name, value in wanted.items()):
            return shown
        await asyncio.sleep(0.1)
    raise AssertionError(json.dumps({name: shown[name] for name in wanted}))


async def test_a_card_order_is_charged_used_and_canceled_by_an_operator_only(
    teiki_in_lab, customer, sold, placed
):
    product = await sold(*PRICED, "--point-rate", "0.01", "--usage-period", "P30D")
    order = await placed(product, "--token", "tok_ok", "--comment", "asked by phone")
    assert (order["status"], order["payment_status"]) == ("complete", "payment_completed")
    number = order["number"]

    used = await teiki_in_lab("order", "use", number, "--json")
    assert used.document["status"] == "purchase_confirmed"
    page = await teiki_in_lab("order", "show", number)
    for told in (
        "The purchase is confirmed; only an administrator can cancel it now: the content was used.",
        "payment_completed, by card",
        "35 earned",
        "usage period",
        "asked by phone",
        "operator:desk-1",
    ):
        assert told in page.out

    own = await teiki_in_lab("order", "cancel", number, "--yes", "--actor", f"customer:{customer}", "--json")
    assert (own.status, own.document["code"]) == (1, "not_cancelable")
    wrong = await teiki_in_lab("order", "cancel", number, "--refund-amount", "3000", "--json")
    assert (wrong.status, wrong.document["code"]) == (1, "refund_amount_mismatch")
    assert wrong.document["computed"] == {"minor": 3500, "currency": "JPY"}
    canceled = await teiki_in_lab("order", "cancel", order["id"], "--refund-amount", "3500")
    assert canceled.status == 0, canceled.err
    assert "It was canceled for good: an administrator canceled it." in canceled.out
    gone = await until(teiki_in_lab, number, payment_status="refunded")
    assert gone["points"]["taken_back"] == 35
    over = await teiki_in_lab("order", "cancel", number, "--yes", "--json")
    assert (over.status, over.document["code"]) == (1, "invalid_status")


async def test_a_konbini_order_shows_what_the_customer_needs_and_is_paid_at_the_till(
    teiki_in_lab, customer, sold
):
    product = await sold(*PRICED)
    page = await teiki_in_lab("order", "place", "--customer", customer, "--product", product, *KONBINI)
    assert page.status == 0, page.err
    for told in ("Lawson", "payment number", "confirmation number", "Asia/Tokyo", "3,500 JPY", "0312345678"):
        assert told in page.out
    number = page.out.split()[0]

    second = await teiki_in_lab("order", "slip", number)
    assert second.status == 0, second.err
    for _ in range(100):
        slips = (await teiki_in_lab("deposit", "list", number, "--json")).document["items"]
        if [slip["status"] for slip in slips] == ["canceled", "issued"]:
            break
        await asyncio.sleep(0.1)
    paid = await teiki_in_lab("deposit", "pay", number)
    assert paid.status == 0, paid.err
    assert "It was paid on" in paid.out
    shown = await until(teiki_in_lab, number, status="complete")
    assert [slip["status"] for slip in shown["deposits"]] == ["canceled", "paid"]
    assert "another slip was asked for" in (await teiki_in_lab("deposit", "show", slips[0]["id"])).out
    assert "Slips (Asia/Tokyo)" in (await teiki_in_lab("deposit", "list", number)).out
