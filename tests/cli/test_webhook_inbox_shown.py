"""`teiki webhook` and the doctor's line: the inbox as operators see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from db import webhook_inbox
from db.engine import Database
from domain.notices import TRIES_MAX

SECRET = "whsec_" + "A" * 43 + "="


@pytest.fixture
async def books(lab) -> AsyncIterator[Database]:
    """The laboratory's database; its inbox is empty before and after."""
    database = Database.connect(lab.settings.database, pool_size=1)
    for end in (False, True):
        async with database.connection() as driver:
            await driver.execute("DELETE FROM webhook_inbox")
        if not end:
            yield database
    await database.close()


async def arrived(books: Database, reference: str) -> int:
    stored = await webhook_inbox.store(
        books,
        gateway="sandbox",
        event_id=f"evt_{uuid4().hex}",
        kind="charge.settled",
        reference=reference,
        gateway_id="ch_1",
        body=b'{"email": "fan@example.com"}',
    )
    assert stored is not None
    return stored


async def checked(teiki_in_lab) -> dict:
    checks = (await teiki_in_lab("doctor", "--json")).document["checks"]
    [line] = [check for check in checks if check["name"] == "webhooks"]
    return line


async def test_what_waits_is_listed_without_its_content_and_handed_over_on_demand(teiki_in_lab, books):
    assert "Nothing waits." in (await teiki_in_lab("webhook", "list")).out
    await arrived(books, "sub_nobody/1/1")
    listed = await teiki_in_lab("webhook", "list")
    assert "charge.settled" in listed.out
    assert "sub_nobody/1/1" in listed.out
    assert "fan@example.com" not in listed.out + (await teiki_in_lab("webhook", "list", "--json")).out
    done = await teiki_in_lab("webhook", "retry")
    assert (done.status, done.out.strip()) == (0, "Handled 1; tried again later: 0.")
    assert (await teiki_in_lab("webhook", "list", "--json")).document == {"webhooks": []}
    [item] = (await teiki_in_lab("webhook", "list", "--all", "--json")).document["webhooks"]
    assert (item["state"], item["attempts"]) == ("nobody_waits", 1)


async def test_the_doctor_counts_and_points_at_what_was_given_up(teiki_in_lab, books, monkeypatch):
    assert (await checked(teiki_in_lab))["state"] == "skipped"
    monkeypatch.setenv("TEIKI_WEBHOOK_SECRETS", f"{SECRET} {SECRET}")
    inbox_id = await arrived(books, "sub_nobody/1/1")
    well = await checked(teiki_in_lab)
    assert (well["state"], well["found"]) == ("ok", "secrets: 2; waiting: 1, parked: 0")
    async with books.connection() as driver:
        await driver.execute(
            "UPDATE webhook_inbox SET received_at = received_at - interval '1 hour' WHERE id = %s", [inbox_id]
        )
    late = await checked(teiki_in_lab)
    assert (late["state"], "schedule webhook-inbox" in late["advice"]) == ("failed", True)
    async with books.connection() as driver:
        await driver.execute(
            "UPDATE webhook_inbox SET state = 'parked', attempts = %s, last_error = 'engine_unavailable'",
            [TRIES_MAX],
        )
    parked = await checked(teiki_in_lab)
    assert (parked["state"], parked["facts"]["parked"]) == ("failed", 1)
    assert "parked" in (await teiki_in_lab("webhook", "list")).out
    assert (await teiki_in_lab("webhook", "retry", "--json")).document["handled"] == 1
    assert (await checked(teiki_in_lab))["state"] == "ok"
