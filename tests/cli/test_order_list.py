"""`teiki order list`: filters in, a table for people or one JSON document out."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from db.engine import Database
from db.reads.orders import OrderItem
from domain.money import Money
from starter.cli.order_table import orders
from starter.order_wording import payment_words
from tests.db.order_made import Made


def item(**given) -> OrderItem:
    row = {
        "id": "ord_1",
        "number": "260105-000001",
        "created_at": datetime(2026, 1, 5, 1, 0, tzinfo=ZoneInfo("UTC")),
        "zone": "Asia/Tokyo",
        "product_type": "ticket",
        "product_id": "prd_1",
        "product_name": "Live [bold]",
        "options": ["Blue", "XL"],
        "status": "complete",
        "reason": "paid",
        "payment_status": "payment_completed",
        "payments": 1,
        "expires_on": None,
        "pay": "card",
        "amount": Money(minor=3500, currency="JPY"),
        "customer_id": "cus_1",
        "customer_email": "mei@example.com",
        "customer_name": "Mei",
        "notes": 2,
        "latest_note": "call\nback",
    }
    return OrderItem.model_validate(row | given)


def printed(*items: OrderItem) -> str:
    console = Console(width=240, no_color=True)
    with console.capture() as captured:
        console.print(orders(items))
    return captured.get()


def test_a_line_tells_what_by_whom_and_the_latest_note():
    text = printed(item())
    for told in ("260105-000001", "Live [bold] (Blue, XL)", "complete", "3,500 JPY", "mei@example.com"):
        assert told in text
    assert "✎2 call back" in text
    assert "10:00" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"payment_status": "recurring_payment", "payments": 3}, "recurring_payment (3-times)"),
        (
            {"payment_status": "recurring_payment_canceled", "expires_on": date(2026, 4, 1)},
            "refunded (recurring payment canceled, expires 2026-04-01)",
        ),
        ({"payment_status": "no_payment", "amount": None}, "no_payment"),
    ],
)
def test_the_payment_status_says_how_often_and_until_when(given, words):
    assert payment_words(item(**given)) == words
    assert words in printed(item(**given))


async def test_orders_are_listed_page_by_page_and_by_filters(teiki_in_lab, lab):
    database = Database.connect(lab.settings.database, pool_size=2)
    try:
        made = Made(database)
        tenant = await made.house.tenant(email="Page@Example.com")
        ids = [
            await made.order(tenant, created_at=datetime.fromisoformat("2026-01-05T10:00+09:00"), notes=n)
            for n in range(3)
        ]
    finally:
        await database.close()
    mine = ("order", "list", "--email", "PAGE@example.com", "--json")
    first = (await teiki_in_lab(*mine, "--limit", "2")).document
    rest = (await teiki_in_lab(*mine, "--limit", "2", "--cursor", first["next_cursor"])).document
    assert [line["id"] for line in first["items"] + rest["items"]] == sorted(ids, reverse=True)
    assert rest["next_cursor"] is None
    noted = await teiki_in_lab(
        *(*mine, "--notes", "--status", "complete,canceled", "--type", "digital", "--pay", "card"),
        *("--created-from", "2026-01-05T00:00:00+09:00", "--payment-status", "payment_completed"),
        *("--created-to", "2026-01-06T00:00:00+09:00", "--product", tenant.product_id),
        *("--customer", tenant.customer_id, "--text", "page@"),
    )
    assert {line["id"] for line in noted.document["items"]} == set(ids[1:])
    for_people = await teiki_in_lab("order", "list", "--number", first["items"][-1]["number"])
    assert "Live replay (Blue)" in for_people.out
    nothing = await teiki_in_lab("order", "list", "--text", "nobody%")
    assert (nothing.status, nothing.out) == (0, "")
    assert "Nothing found" in nothing.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--status", "paid"), "invalid_input"),
        (("--cursor", "nonsense"), "invalid_cursor"),
        (("--created-from", "yesterday"), "invalid_instant"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_by_name(teiki_in_lab, arguments, code):
    refused = await teiki_in_lab("order", "list", *arguments, "--json")
    assert refused.status == 1
    assert refused.document["code"] == code


def test_the_limit_of_a_page_is_checked_before_anything_is_reached(teiki):
    assert teiki("order", "list", "--limit", "0").status == 2
