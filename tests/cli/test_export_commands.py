"""`teiki export` and `teiki payment` against a laboratory: asked for, written, taken, and nobody else's."""

from __future__ import annotations

import io

import msoffcrypto
import openpyxl
import pytest

from tests.cli.conftest import Ran


@pytest.fixture
async def subscribed(teiki_in_lab) -> str:
    """Somebody who pays; the subscription's id."""
    customer = (await teiki_in_lab("customer", "put", "--email", "=cmd@example.com", "--json")).document["id"]
    product = (await teiki_in_lab("product", "put", "--name", "ライブ配信", "--json")).document["id"]
    terms = ("--period", "monthly", "--amount", "1000", "--currency", "JPY", "--token", "tok_ok")
    who = ("--customer", customer, "--product", product)
    made = await teiki_in_lab("subscription", "create", *who, *terms, "--json")
    assert made.status == 0, made.err
    return made.document["id"]


def sheets(content: bytes) -> list[list[tuple]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows(values_only=True)) for sheet in book]


async def test_what_is_asked_for_is_written_and_saved(teiki_in_lab, subscribed, tmp_path):
    ran: Ran = await teiki_in_lab(
        *("export", "request", "subscriptions", "--language", "en"),
        *("--filter", "status=current", "--output", str(tmp_path), "--json"),
    )
    assert ran.status == 0, ran.err
    assert ran.document["status"] == "ready"
    assert ran.document["encrypted"] is False
    file = tmp_path / ran.document["file"].rpartition("/")[2]
    assert file.stat().st_mode & 0o777 == 0o600
    about, rows = sheets(file.read_bytes())
    assert rows[0][0] == "Subscription"
    assert subscribed in {row[0] for row in rows[1:]}
    assert len(rows) - 1 == ran.document["rows"]
    assert ("Requested by", "operator:desk-1") in {row[:2] for row in about}


def decrypted(content: bytes, password: str) -> bytes:
    file, plain = msoffcrypto.OfficeFile(io.BytesIO(content)), io.BytesIO()
    file.load_key(password=password, verify_password=True)
    file.decrypt(plain, verify_integrity=True)
    return plain.getvalue()


async def test_a_password_comes_from_the_environment_or_a_file_as_it_is(
    teiki_in_lab, subscribed, tmp_path, monkeypatch
):
    password = " 合言葉 with spaces 🎫 "
    monkeypatch.setenv("EXPORT_PASSWORD", password)
    (tmp_path / "password").write_text(password + "\n", encoding="utf-8")
    for source in (("--password-env", "EXPORT_PASSWORD"), ("--password-file", str(tmp_path / "password"))):
        to = tmp_path / f"{source[0]}.xlsx"
        ran = await teiki_in_lab("export", "request", "payments", *source, "--output", str(to), "--json")
        assert ran.status == 0, ran.err
        assert ran.document["encrypted"] is True
        _, rows = sheets(decrypted(to.read_bytes(), password))
        assert rows[0][0] == "定期課金・注文ID"
        assert (subscribed, 1) in {row[:2] for row in rows}
    assert password not in ran.out + ran.err


async def test_a_password_that_nobody_could_type_is_refused_or_warned_about(teiki_in_lab, tmp_path):
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    empty = await teiki_in_lab(
        "export", "request", "payments", "--password-file", str(tmp_path / "empty"), "--json"
    )
    assert (empty.status, empty.document["code"]) == (1, "password_empty")
    (tmp_path / "long").write_text("x" * 300, encoding="utf-8")
    long = await teiki_in_lab(
        "export", "request", "payments", "--password-file", str(tmp_path / "long"), "--json"
    )
    assert long.document["warnings"] == ["password_longer_than_255"]
    page = await teiki_in_lab("export", "request", "payments", "--password-file", str(tmp_path / "long"))
    assert "Excel's own dialog stops there" in page.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--password-env", "NO_SUCH_VARIABLE"),
        ("--password-file", "no-such-file"),
        ("--password", "--password-env", "HOME"),
    ],
)
def test_a_password_from_nowhere_is_a_mistake(teiki, arguments):
    assert teiki("export", "request", "payments", *arguments).status == 2


def test_there_is_no_argument_that_takes_a_password(teiki):
    assert teiki("export", "request", "payments", "--password", "secret").status == 2


@pytest.mark.parametrize("wrong", ["colour=red", "status", "metadata=red", "status.x=current"])
async def test_a_filter_that_there_is_not_is_refused_with_those_there_are(teiki_in_lab, wrong):
    ran = await teiki_in_lab("export", "request", "subscriptions", "--filter", wrong, "--json")
    assert (ran.status, ran.document["code"]) == (1, "invalid_input")
    assert {"status", "created_from", "metadata.KEY"} <= set(ran.document["known"])


async def test_a_filters_value_that_means_nothing_is_refused(teiki_in_lab):
    ran = await teiki_in_lab(
        *("export", "request", "subscriptions", "--filter", "created_from=yesterday", "--json")
    )
    assert (ran.status, ran.document["field"]) == (1, "created_from")
    amount = await teiki_in_lab("export", "request", "payments", "--filter", "amount_min=5", "--json")
    assert amount.status == 1


async def test_a_kind_that_there_is_not_is_refused(teiki_in_lab):
    ran = await teiki_in_lab("export", "request", "teapots", "--json")
    assert (ran.status, ran.document["known"]) == (1, ["orders", "payments", "permissions", "subscriptions"])


async def test_my_requests_are_mine(teiki_in_lab, subscribed, monkeypatch, tmp_path):
    made = (await teiki_in_lab("export", "request", "payments", "--comment", "for tax", "--json")).document
    export = made["id"]
    mine = (await teiki_in_lab("export", "list", "--json")).document["items"]
    assert mine[0]["id"] == export
    assert {item["requester"] for item in mine} == {"operator:desk-1"}
    page = await teiki_in_lab("export", "list")
    assert export in page.out
    assert "3 h 59 min" in page.out or "4 h 00 min" in page.out

    monkeypatch.setenv("TEIKI_ACTOR", "operator:desk-2")
    assert (await teiki_in_lab("export", "list", "--json")).document["items"] == []
    for command in ("show", "download", "cancel", "again"):
        refused = await teiki_in_lab("export", command, export, "--json")
        assert (refused.status, refused.document["code"]) == (1, "export_not_found"), command
    assert list(tmp_path.glob("*.xlsx")) == []
    everybodys = (await teiki_in_lab("export", "list", "--all", "--json")).document["items"]
    assert export in {item["id"] for item in everybodys}
    to = str(tmp_path / "audit.xlsx")
    assert (await teiki_in_lab("export", "download", export, "--admin", "-o", to)).status == 0

    monkeypatch.setenv("TEIKI_ACTOR", "operator:desk-1")
    shown = (await teiki_in_lab("export", "show", export, "--json")).document
    (download,) = shown["downloads"]
    assert download["actor"] == "operator:desk-2"
    assert download["source"].startswith("terminal on ")
    facts = await teiki_in_lab("export", "show", export)
    assert "for tax" in facts.out
    assert "operator:desk-2" in facts.out


async def test_a_file_that_is_there_is_not_written_over_by_mistake(teiki_in_lab, subscribed, tmp_path):
    export = (await teiki_in_lab("export", "request", "payments", "--json")).document["id"]
    to = tmp_path / "mine.xlsx"
    to.write_text("mine", encoding="utf-8")
    refused = await teiki_in_lab("export", "download", export, "-o", str(to), "--json")
    assert (refused.status, refused.document["code"]) == (1, "invalid_input")
    assert to.read_text(encoding="utf-8") == "mine"
    assert (await teiki_in_lab("export", "download", export, "-o", str(to), "--force")).status == 0
    assert sheets(to.read_bytes())
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


async def test_a_canceled_file_is_gone_and_can_be_requested_again(teiki_in_lab, subscribed, tmp_path):
    monthly = ("--filter", "state=settled", "--language", "en")
    export = (await teiki_in_lab("export", "request", "payments", *monthly, "--json")).document["id"]
    canceled = await teiki_in_lab("export", "cancel", export, "--comment", "wrong month", "--json")
    assert (canceled.document["status"], canceled.document["reason"]) == ("expired", "export_canceled")
    gone = await teiki_in_lab("export", "download", export, "-o", str(tmp_path), "--json")
    assert (gone.status, gone.document["code"]) == (1, "export_expired")
    ended = await teiki_in_lab("export", "cancel", export, "--json")
    assert (ended.status, ended.document["code"]) == (1, "invalid_status")
    again = (await teiki_in_lab("export", "again", export, "--json")).document
    assert (again["again_of"], again["filter"], again["language"]) == (export, {"state": ["settled"]}, "en")
    assert again["status"] == "ready"


async def test_again_asks_for_the_password_again(teiki_in_lab, monkeypatch):
    monkeypatch.setenv("EXPORT_PASSWORD", "secret")
    with_password = ("--password-env", "EXPORT_PASSWORD")
    export = (await teiki_in_lab("export", "request", "payments", *with_password, "--json")).document["id"]
    refused = await teiki_in_lab("export", "again", export, "--json")
    assert (refused.status, refused.document["code"]) == (1, "export_password_needed")
    assert (await teiki_in_lab("export", "again", export, *with_password, "--json")).document["encrypted"]


async def test_the_same_request_id_answers_with_the_same_export(teiki_in_lab):
    asked = ("export", "request", "payments", "--request-id", "tax-2026", "--json")
    first, second = [(await teiki_in_lab(*asked)).document for _ in range(2)]
    assert first["id"] == second["id"]
    other = await teiki_in_lab(*asked, "--language", "en")
    assert (other.status, other.document["code"]) == (1, "request_id_conflict")


async def test_payments_are_listed_with_their_filters(teiki_in_lab, subscribed):
    found = (await teiki_in_lab("payment", "list", "--subscription", subscribed, "--json")).document["items"]
    assert [(item["number"], item["state"], item["amount"]) for item in found] == [
        (1, "settled", {"minor": 1000, "currency": "JPY"})
    ]
    page = await teiki_in_lab("payment", "list", "--subscription", subscribed, "--state", "settled,refunded")
    assert "1,000 JPY" in page.out
    for nothing in (("--state", "failed"), ("--currency", "USD"), ("--due-to", "2020-01-01T00:00:00Z")):
        none = await teiki_in_lab("payment", "list", "--subscription", subscribed, *nothing)
        assert (none.out, none.err) == ("", "Nothing found.\n")
    wrong = await teiki_in_lab("payment", "list", "--state", "lost", "--json")
    assert (wrong.status, wrong.document["code"]) == (1, "invalid_input")
    assert (await teiki_in_lab("payment", "list", "--amount-min", "5", "--json")).status == 1


@pytest.fixture
async def ordered(teiki_in_lab) -> dict:
    """An order that is paid, and so has a permission."""
    customer = (await teiki_in_lab("customer", "put", "--email", "Orders@example.com", "--json")).document
    priced = ("--price", "3500", "--currency", "JPY", "--usage-period", "P30D")
    product = (await teiki_in_lab("product", "put", "--name", "=配信", *priced, "--json")).document["id"]
    who = ("--customer", customer["id"], "--product", product)
    made = await teiki_in_lab("order", "place", *who, "--token", "tok_ok", "--json")
    assert made.status == 0, made.err
    return made.document


async def test_orders_and_permissions_are_exported_with_their_lists_filters(teiki_in_lab, ordered, tmp_path):
    shown = ("--language", "en", "--json")
    mine = ("--filter", "customer_email=orders@example.com", "--filter", "status=complete,canceled")
    ran = await teiki_in_lab("export", "request", "orders", *mine, *shown, "-o", str(tmp_path / "o.xlsx"))
    assert ran.status == 0, ran.err
    about, (header, *rows) = sheets((tmp_path / "o.xlsx").read_bytes())
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert {row["Order status"] for row in found} == {"complete"}
    (order,) = [row for row in found if row["Order no."] == ordered["number"]]
    assert (order["Product name"], order["Amount"], order["Currency"]) == ("=配信", 3500, "JPY")
    assert (order["E-mail"], order["Permission status"]) == ("Orders@example.com", "active")
    assert any(label == "Filter" and "complete" in text for label, text, *_ in about)

    mine = ("--filter", f"order_number={ordered['number']}", "--filter", "status=active")
    ran = await teiki_in_lab(
        "export", "request", "permissions", *mine, *shown, "-o", str(tmp_path / "p.xlsx")
    )
    assert ran.status == 0, ran.err
    _, (header, *rows) = sheets((tmp_path / "p.xlsx").read_bytes())
    assert [row[header.index("Permission")] for row in rows] == [order["Permission"]]
    assert {row[header.index("Customer")] for row in rows} == {ordered["customer_id"]}


async def test_nothing_found_is_a_workbook_too_and_what_there_is_not_is_refused(teiki_in_lab, ordered):
    none = await teiki_in_lab("export", "request", "orders", "--filter", "text=nobody%", "--json")
    assert (none.document["status"], none.document["rows"]) == ("ready", 0)
    wrong = await teiki_in_lab("export", "request", "orders", "--filter", "status=lost", "--json")
    assert (wrong.status, wrong.document["field"].partition(".")[0]) == (1, "status")
    unknown = await teiki_in_lab("export", "request", "permissions", "--filter", "pay=card", "--json")
    assert (unknown.status, "status" in unknown.document["known"]) == (1, True)
