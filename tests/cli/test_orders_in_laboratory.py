"""`teiki order`, `ticket` and `deposit` against a real Temporal, Postgres, gateway and worker."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import psycopg
import pytest

from domain.free_text import passes_for_card_number


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
        "The purchase is confirmed: the content was used. Only an administrator can cancel it now.",
        "payment_completed, by card",
        "35 earned",
        "usage period",
        "asked by phone",
        "operator:desk-1",
    ):
        assert told in page.out

    stranger = await teiki_in_lab("order", "use", number, "--actor", "customer:cus_other", "--json")
    assert (stranger.status, stranger.document["code"]) == (1, "forbidden")
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


async def test_a_membership_is_paid_by_its_subscription_and_tells_its_number_and_period(
    teiki_in_lab, customer, sold, placed
):
    product = await sold(
        *("--type", "membership", "--sales-method", "recurring", "--price", "1000", "--currency", "JPY"),
        *("--membership-numbers", "--identification-field", "name"),
    )
    order = await placed(product, "--pay", "recurring", "--token", "tok_ok", "--period", "monthly")
    assert (order["status"], order["payment_status"], order["payments"]) == (
        "complete",
        "recurring_payment",
        1,
    )
    number = order["number"]
    page = (await teiki_in_lab("order", "show", number)).out
    for told in ("recurring_payment (1-times)", "next payment", "membership no.", "while paid"):
        assert told in page
    assert _fact(page, "identification") == "-"

    own = ("--actor", f"customer:{customer}", "--json")
    first = await teiki_in_lab("order", "identify", number, "name=Mei", *own)
    assert first.document["identified"] == ["name"], first.out
    again = await teiki_in_lab("order", "identify", number, "name=Meiko", *own)
    assert (again.status, again.document["code"]) == (1, "identification_already_given")
    assert (await teiki_in_lab("order", "identify", number, "name=Meiko")).status == 0
    page = (await teiki_in_lab("order", "show", number, "--tab", "orders")).out
    assert _fact(page, "identification") == "name: Meiko"
    assert "identification: name=Mei → name=Meiko" in page

    stopped = await teiki_in_lab("order", "cancel-subscription", number, "--comment", "asked by mail")
    assert stopped.status == 0, stopped.err
    shown = await until(teiki_in_lab, number, payment_status="recurring_payment_canceled")
    page = (await teiki_in_lab("order", "show", number)).out
    assert f"refunded (recurring payment canceled, expires {shown['expires_on']})" in page


async def test_a_ticket_is_processed_once_and_by_its_permission_too(teiki_in_lab, sold, placed):
    product = await sold("--type", "ticket", *PRICED)
    order = await placed(product, "--token", "tok_ok")
    ticket = order["permission"]["id"]
    page = (await teiki_in_lab("order", "show", order["number"])).out
    assert "Access method" in page
    assert f"at the door: teiki ticket process-access {order['number']}" in page

    unasked = await teiki_in_lab("ticket", "process-access", ticket)
    assert (unasked.status, unasked.out) == (2, "")
    assert "This cannot be undone: say --yes." in unasked.err
    done = await teiki_in_lab(
        "ticket", "process-access", ticket, "--yes", "--actor", "operator:gate-2", "--json"
    )
    assert done.document["permission"]["status"] == "used", done.out
    twice = await teiki_in_lab("ticket", "process-access", order["number"], "--yes", "--json")
    assert (twice.status, twice.document["code"]) == (1, "already_processed")
    assert twice.document["by"] == "operator:gate-2"
    assert "by operator:gate-2" in _fact((await teiki_in_lab("order", "show", order["id"])).out, "access")


async def test_what_a_token_opened_shows_nothing_about_payment(teiki_in_lab, sold, placed):
    product = await sold("--type", "ticket", "--sales-method", "token_auth")
    order = await placed(product, "--pay", "none")
    page = (await teiki_in_lab("order", "show", order["number"])).out
    assert "a token proved the right to it" in page
    assert "ayment" not in page.split("History")[0]
    gone = await teiki_in_lab("order", "cancel", order["number"], "--refund-amount", "0", "--json")
    assert gone.document["status"] == "canceled", gone.out


async def test_a_refused_remittance_waits_for_another_account_and_each_request_costs_a_fee(
    teiki_in_lab, sold, placed
):
    order = await placed(await sold(*PRICED), *KONBINI)
    number = order["number"]
    assert (await teiki_in_lab("deposit", "pay", order["deposits"][0]["id"])).status == 0
    await until(teiki_in_lab, number, status="complete")
    part = await teiki_in_lab("order", "cancel", number, "--refund-amount-minor", "1000", "--json")
    assert (part.status, part.document["code"]) == (1, "partial_refund_not_supported")
    whole = await teiki_in_lab(
        "order", "cancel", number, "--yes", "--bank-account", "tok_bank_wrong", "--json"
    )
    assert whole.document["status"] == "canceled", whole.out

    reference = f"{order['id']}/1/refund"
    for _ in range(100):
        page = (await teiki_in_lab("attention", "list")).out
        if reference in page:
            break
        await asyncio.sleep(0.1)
    assert f"teiki order cancel {order['id']} --bank-account TOKEN" in page
    shown = (await teiki_in_lab("order", "show", number)).out
    assert "Ask the customer for a bank account and cancel again with --bank-account" in shown

    settled = await teiki_in_lab(
        *("attention", "settle", reference, "--as", "again", "--comment", "try once more", "--json")
    )
    assert settled.document["id"] == order["id"], settled.out
    for _ in range(100):
        if f"{reference}/2" in (await teiki_in_lab("attention", "list")).out:
            break
        await asyncio.sleep(0.1)
    again = await teiki_in_lab("order", "cancel", number, "--yes", "--bank-account", "tok_bank", "--json")
    assert again.status == 0, again.out
    gone = await until(teiki_in_lab, number, payment_status="refunded")
    assert [fee["amount"]["minor"] for fee in gone["fees"]] == [250, 250, 250]
    assert "750 JPY in 3 entries" in (await teiki_in_lab("order", "show", number)).out


async def test_announced_and_taken_back_then_paid_twice_at_the_till(teiki_in_lab, sold, placed):
    order = await placed(await sold(*PRICED), *KONBINI)
    number, slip = order["number"], order["deposits"][0]["id"]
    early = await teiki_in_lab("deposit", "pay", slip, "--notice", "preliminary-canceled", "--json")
    assert (early.status, early.document["code"]) == (1, "invalid_status")
    announced = await teiki_in_lab("deposit", "pay", slip, "--notice", "preliminary")
    assert "A store has announced the payment; the money has not arrived yet." in announced.out
    await until(teiki_in_lab, number, status="complete", reason="preliminary_notice")
    assert "A store has announced" in (await teiki_in_lab("order", "show", number)).out
    assert (await teiki_in_lab("deposit", "pay", slip, "--notice", "preliminary_canceled")).status == 0
    await until(teiki_in_lab, number, status="in_process", payment_status="payment_pending")
    twice = await teiki_in_lab("deposit", "pay", number, "--times", "2", "--json")
    assert len({charge["id"] for charge in twice.document["charges"]}) == 2
    await until(teiki_in_lab, number, status="complete", reason="paid")


async def test_an_order_from_a_file_with_options_on_top(teiki_in_lab, customer, sold, tmp_path):
    product = await sold(
        *("--currency", "JPY", "--option", "Blue=3500", "--custom-field", "size:choice:required:S,M,L"),
    )
    file = tmp_path / "order.yaml"
    file.write_text(
        f"customer_id: {customer}\nproduct_id: {product}\noptions: [Blue]\npay: konbini\n"
        "konbini: {store: lawson, customer_name: Mei, phone: 0312345678}\ncustom_fields: {size: S}\n".replace(
            "0312345678", "'0312345678'"
        )
    )
    placed = await teiki_in_lab(
        "order", "place", "--file", str(file), "--field", "size=M", "--deadline-days", "10", "--json"
    )
    assert placed.status == 0, placed.out
    order = placed.document
    assert order["custom_fields"] == {"size": "M"}
    assert order["terms"]["konbini"]["deadline_days"] == 10

    wrong = await teiki_in_lab("order", "fields", order["number"], "size=XXL", "--json")
    assert (wrong.status, wrong.document["code"]) == (1, "invalid_custom_field")
    assert (
        await teiki_in_lab("order", "fields", order["number"], "size=L", "--comment", "phone")
    ).status == 0
    page = (await teiki_in_lab("order", "show", order["number"], "--tab", "orders")).out
    assert "custom fields: size=M → size=L" in page


async def test_a_note_is_for_admins_and_never_holds_a_card_number(teiki_in_lab, sold, placed):
    order = await placed(await sold(*PRICED), "--token", "tok_insufficient_funds")
    assert (order["status"], order["reason"]) == ("canceled", "payment_failed")
    number = order["number"]
    card = "4242" * 4
    refused = await teiki_in_lab("order", "note", number, f"card {card}", "--json")
    assert (refused.status, refused.document["code"]) == (1, "card_number_refused")
    assert (await teiki_in_lab("order", "note", number, "Calls back [red]on Monday[/red]")).status == 0
    assert "Calls back [red]on Monday[/red]" in (await teiki_in_lab("order", "show", number)).out
    tabbed = (await teiki_in_lab("order", "show", number, "--tab", "comments", "--json")).document
    assert [event["actor"] for event in tabbed["history"]] == ["operator:desk-1"]
    assert (await teiki_in_lab("order", "list", "--number", number, "--json")).document["items"][0][
        "notes"
    ] == 1


async def test_an_order_number_can_be_named_in_any_note_since_none_passes_for_a_card_number(
    teiki_in_lab, lab, sold, placed
):
    product = await sold("--type", "ticket", "--sales-method", "token_auth")
    day, _, latest = (await placed(product, "--pay", "none"))["number"].partition("-")
    following = range(int(latest) + 1, int(latest) + 30)
    lookalike = next(n for n in following if passes_for_card_number(f"{day}-{n:07d}"))
    url = lab.settings.database.replace("postgresql+psycopg://", "postgresql://", 1)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT setval('order_numbers_seq', %s)", (lookalike - 1,))
    order = await placed(product, "--pay", "none")
    assert order["number"] == f"{day}-{lookalike + 1:07d}"
    assert (await teiki_in_lab("order", "note", order["number"], f"see {order['number']}")).status == 0


@pytest.mark.parametrize(
    "command",
    [
        ("order", "show", "{}"),
        ("order", "cancel", "{}", "--yes"),
        ("order", "cancel-subscription", "{}"),
        ("order", "use", "{}"),
        ("order", "slip", "{}"),
        ("order", "note", "{}", "who?"),
        ("order", "fields", "{}", "a=b"),
        ("order", "identify", "{}", "a=b"),
        ("ticket", "process-access", "{}", "--yes"),
        ("deposit", "show", "{}"),
        ("deposit", "list", "{}"),
        ("deposit", "pay", "{}"),
    ],
    ids=" ".join,
)
async def test_an_order_that_nobody_knows_is_named_and_nothing_happens(teiki_in_lab, command):
    for name in ("20260105-9999999", "ord_0", "per_0", "'; DROP TABLE orders; --"):
        ran = await teiki_in_lab(*(part.format(name) for part in command), "--json")
        assert (ran.status, ran.document["code"]) == (1, "order_not_found"), ran.out


def _fact(page: str, name: str) -> str:
    """What a page says behind a label."""
    (line,) = (line for line in page.splitlines() if line.split("  ")[0].strip() == name)
    return line.removeprefix(name).strip()


async def test_at_a_terminal_the_amount_is_shown_and_a_no_changes_nothing(teiki_in_lab, sold, placed):
    number = (await placed(await sold(*PRICED), "--token", "tok_ok"))["number"]
    status, shown = await _at_a_terminal("n", "order", "cancel", number)
    assert "3,500 JPY will be refunded." in shown
    assert "Nothing was changed." in shown
    assert status == 1
    assert (await teiki_in_lab("order", "show", number, "--json")).document["status"] == "complete"
    assert (await _at_a_terminal("y", "order", "cancel", number))[0] == 0
    await until(teiki_in_lab, number, status="canceled", payment_status="refunded")


async def _at_a_terminal(answer: str, *arguments: str) -> tuple[int | None, str]:
    """The command with a terminal as its input, where somebody types the answer."""
    keyboard, terminal = pty.openpty()
    try:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "import sys; from starter.cli import main; sys.exit(main())", *arguments),
            cwd=Path(__file__).parents[2],
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        os.write(keyboard, f"{answer}\n".encode())
        shown, _ = await asyncio.wait_for(running.communicate(), 60)
        return running.returncode, shown.decode()
    finally:
        os.close(keyboard)
        os.close(terminal)
