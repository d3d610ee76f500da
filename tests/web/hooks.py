"""A payment company's end of webhooks: signs with the public library and asks what became of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from standardwebhooks import Webhook

from tests.web.conftest import SECRET, Site


def event(reference: str = "sub_nobody/1/1", **more: Any) -> bytes:
    """The body of an event, as the sandbox writes it."""
    record = {"id": f"ch_{uuid4().hex}", "reference": reference, **more}
    return json.dumps({"type": "charge.settled", "data": record}).encode()


def signed(
    body: bytes, *, secret: str = SECRET, event_id: str | None = None, at: datetime | None = None
) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    event_id, at = event_id or f"evt_{uuid4().hex}", at or datetime.now(UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
    }


async def post(
    site: Site, body: bytes, headers: dict[str, str], *, path: str = "/webhooks/sandbox"
) -> tuple[int, dict[str, Any]]:
    async with site.browser.post(site.url + path, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def inbox(site: Site) -> int:
    """How many rows the inbox has."""
    database = await site.teiki.database()
    row = await database.fetch_one("SELECT count(*) AS rows FROM webhook_inbox", {})
    assert row is not None
    return int(row["rows"])


async def row_of(site: Site, event_id: str) -> dict[str, Any]:
    database = await site.teiki.database()
    row = await database.fetch_one("SELECT * FROM webhook_inbox WHERE event_id = %s", [event_id])
    assert row is not None, "it was not stored"
    return row
