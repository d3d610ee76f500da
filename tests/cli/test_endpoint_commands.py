"""`teiki endpoint` and `teiki notification`: from the first secret to what a person sends again."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import ActivityEnvironment

from activities.contracts.notifications import Deliver
from activities.notifications import NotificationsActivities
from db.engine import Database
from gateways.endpoint_client import EndpointClient
from runtime.sealing import ENDPOINT_SECRET, Sealer
from tests.notifications.merchant import Merchant, merchant

_EMPTY = "TRUNCATE delivery_tries, deliveries, endpoints; DELETE FROM outbox"


@pytest.fixture
async def books(lab) -> AsyncIterator[Database]:
    """The laboratory's database, without an endpoint before and after."""
    database = Database.connect(lab.settings.database, pool_size=4)
    for end in (False, True):
        async with database.connection() as driver:
            await driver.execute(_EMPTY)
        if not end:
            yield database
    await database.close()


@pytest.fixture
def allowed(monkeypatch) -> None:
    """Loopback is where these tests' merchants live."""
    monkeypatch.setenv("TEIKI_ENDPOINT_ALLOW_PRIVATE", "true")


async def told(lab, books: Database) -> None:
    """What a worker does all the time; the laboratory's server has no schedules."""
    client = EndpointClient(allow_private=True, total_s=2)
    sealer = Sealer(lab.settings.endpoint_keyring(), ENDPOINT_SECRET)
    try:
        activities = NotificationsActivities(books, client.post, sealer.unseal)
        await ActivityEnvironment().run(activities.deliver, Deliver(for_s=0))
    finally:
        await client.close()


async def happens(books: Database, subject_id: str, number: int = 7) -> str:
    row = await books.fetch_one(
        "INSERT INTO outbox (topic, subject_id, payload) VALUES ('payment.settled', %s, %s::jsonb) RETURNING id",
        [subject_id, json.dumps({"subscription_id": subject_id, "number": number})],
    )
    return f"ntf_{row['id']}"


async def checked(teiki_in_lab) -> dict:
    checks = (await teiki_in_lab("doctor", "--json")).document["checks"]
    [line] = [check for check in checks if check["name"] == "endpoints"]
    return line


async def added(teiki_in_lab, shop: Merchant, *more: str) -> str:
    made = (await teiki_in_lab("endpoint", "add", shop.url, *more, "--json")).document
    shop.secret = made["secret"]
    return made["endpoint_id"]


@pytest.mark.usefixtures("allowed")
async def test_an_endpoint_from_its_secret_to_its_removal(teiki_in_lab, lab, books):
    async with merchant() as shop:
        made = await teiki_in_lab(
            "endpoint", "add", shop.url, "--topic", "payment.*", "--comment", "for the shop"
        )
        assert made.status == 0, made.err
        endpoint, shop.secret, warning = made.out.splitlines()
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", shop.secret)
        assert "not shown again" in warning
        listed = await teiki_in_lab("endpoint", "list")
        assert endpoint in listed.out
        assert (
            shop.secret not in listed.out + (await teiki_in_lab("endpoint", "show", endpoint, "--json")).out
        )
        name = await happens(books, "sub_1")
        await told(lab, books)
        shown = await teiki_in_lab("notification", "show", name)
        assert "1. " in shown.out
        assert "answered 204" in shown.out
        assert '"number":7' in shown.out
        rotated = (await teiki_in_lab("endpoint", "rotate-secret", endpoint, "--json")).document
        assert rotated["secret"] != shop.secret
        assert "signs too until" in (await teiki_in_lab("endpoint", "show", endpoint)).out
        changed = await teiki_in_lab("endpoint", "change", endpoint, "--all-topics", "--json")
        assert (changed.document["topics"], changed.document["url"]) == ([], shop.url)
        removed = await teiki_in_lab("endpoint", "remove", endpoint, "--json")
        assert removed.document["state"] == "removed"
        assert (await teiki_in_lab("endpoint", "list", "--json")).document == {"endpoints": []}
    async with books.transaction() as cursor:
        await cursor.execute(
            "SELECT actor, comment, data->>'do' AS what FROM history WHERE subject_id = %s ORDER BY seq",
            [endpoint],
        )
        rows = await cursor.fetchall()
    assert [row["what"] for row in rows] == ["create", "rotate_secret", "change", "remove"]
    assert rows[0] == {"actor": "operator:desk-1", "comment": "for the shop", "what": "create"}


@pytest.mark.usefixtures("allowed")
async def test_a_repeated_request_makes_one_endpoint_and_shows_its_secret_once(teiki_in_lab, books):
    ask = ("endpoint", "add", "http://127.0.0.1:8900/hook", "--request-id", "ask-1", "--json")
    first, second = (await teiki_in_lab(*ask)).document, (await teiki_in_lab(*ask)).document
    assert first["secret"].startswith("whsec_")
    assert second == {"endpoint_id": first["endpoint_id"], "secret": None}
    other = await teiki_in_lab("endpoint", "add", "http://127.0.0.1:8901/", "--request-id", "ask-1", "--json")
    assert (other.status, other.document["code"]) == (1, "request_id_conflict")
    assert len((await teiki_in_lab("endpoint", "list", "--json")).document["endpoints"]) == 1


@pytest.mark.parametrize("url", ["http://shop.example/", "https://127.0.0.1/", "https://localhost/"])
async def test_an_address_that_is_not_public_is_refused_unless_the_setting_allows_it(
    teiki_in_lab, books, url
):
    refused = await teiki_in_lab("endpoint", "add", url, "--json")
    assert (refused.status, refused.document["code"]) == (1, "endpoint_refused")
    assert (await teiki_in_lab("endpoint", "list")).out.strip() == "Nothing found."


@pytest.mark.usefixtures("allowed")
async def test_a_failing_endpoint_is_seen_everywhere_and_what_it_missed_is_sent_again(
    teiki_in_lab, lab, books
):
    assert (await checked(teiki_in_lab))["state"] == "skipped"
    answers = iter([500, 410])
    async with merchant(fault=lambda: next(answers, None)) as shop:
        endpoint = await added(teiki_in_lab, shop)
        name = await happens(books, "sub_1")
        later = await happens(books, "sub_1", number=8)
        await told(lab, books)
        failing = await checked(teiki_in_lab)
        assert (failing["state"], failing["facts"]["failing"]) == ("failed", [endpoint])
        assert f"teiki endpoint show {endpoint}" in failing["advice"]
        page = (await teiki_in_lab("endpoint", "show", endpoint)).out
        assert "failing since" in page
        assert "answered 500" in page
        assert "waiting 1, held 1, given up 0" in page
        assert "failing since" in (await teiki_in_lab("endpoint", "list")).out
        await teiki_in_lab("endpoint", "enable", endpoint)  # hurries what waits
        await told(lab, books)
        assert "410 (Gone)" in (await teiki_in_lab("endpoint", "show", endpoint)).out
        async with books.connection() as driver:
            await driver.execute(
                "UPDATE deliveries SET state = 'given_up', next_at = NULL, finished_at = now() WHERE state = 'waiting'"
            )
        listed = await teiki_in_lab(
            "notification", "list", "--state", "given_up", "--endpoint", endpoint, "--json"
        )
        assert [item["notification_id"] for item in listed.document["items"]] == [name]
        sent = await teiki_in_lab("notification", "resend", name, "--comment", "mended")
        assert sent.out.strip() == f"{name} goes to {endpoint} again."
        await told(lab, books)
        assert [seen["id"] for seen in shop.taken] == [name, later]
        of_one = await teiki_in_lab("notification", "list", "--of", "sub_1/8")
        assert later in of_one.out
        assert name not in of_one.out
        assert (await checked(teiki_in_lab))["state"] == "ok"


async def test_what_does_not_exist_and_what_is_misspelt_is_told(teiki_in_lab, books):
    nobody = await teiki_in_lab("endpoint", "show", "end_nobody", "--json")
    assert (nobody.status, nobody.document["code"]) == (1, "endpoint_not_found")
    nothing = await teiki_in_lab("notification", "show", "ntf_999999999", "--json")
    assert (nothing.status, nothing.document["code"]) == (1, "notification_not_found")
    unsent = await teiki_in_lab("notification", "resend", "ntf_999999999", "--json")
    assert (unsent.status, unsent.document["code"]) == (1, "notification_not_found")
    odd = await teiki_in_lab(
        "endpoint", "add", "https://shop.example/", "--topic", "payment.setled", "--json"
    )
    assert (odd.status, odd.document["code"]) == (1, "invalid_input")
    for usage in (
        ("endpoint", "change", "end_nobody"),
        ("endpoint", "change", "end_nobody", "--topic", "order.*", "--all-topics"),
        ("notification", "list", "--of", "sub_1/x"),
    ):
        assert (await teiki_in_lab(*usage)).status == 2


async def test_the_doctor_sees_events_that_nobody_passes_on_and_a_missing_key(
    teiki_in_lab, books, monkeypatch
):
    monkeypatch.setenv("TEIKI_ENDPOINT_ALLOW_PRIVATE", "true")
    await teiki_in_lab("endpoint", "add", "http://127.0.0.1:8900/hook")
    await happens(books, "sub_1")
    async with books.connection() as driver:
        await driver.execute("UPDATE outbox SET created_at = created_at - interval '3 minutes'")
    late = await checked(teiki_in_lab)
    assert (late["state"], "schedule notifications" in late["advice"]) == ("failed", True)
    monkeypatch.delenv("TEIKI_ENDPOINT_SECRET_KEYS")
    keyless = await checked(teiki_in_lab)
    assert (keyless["state"], keyless["facts"]["code"]) == ("failed", "settings_invalid")
    refused = await teiki_in_lab("endpoint", "add", "http://127.0.0.1:8900/hook", "--json")
    assert refused.document["code"] == "settings_invalid"
