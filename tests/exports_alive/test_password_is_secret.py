"""A canary as password: after everything that can become of an export it is found nowhere but in the file's key."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory

from domain.errors import TeikiError
from domain.exports import ExportStatus
from runtime.codec import TeikiCodec
from runtime.temporal import connect
from starter import SubscriptionFilter
from tests.exports_alive.conftest import Alive

CANARY = "canary-カナリア-4711 🐤"
MARKER = "marker@example.com"
"""Is found where it belongs, so that a search that finds nothing says something."""


def shapes(text: str) -> list[bytes]:
    """The text in every encoding and every alignment of base64."""
    plain = [text.encode("utf-8"), text.encode("utf-16-le"), ascii(text)[1:-1].encode()]
    shifted = [base64.b64encode(b"\0" * shift + plain[0])[4:-4] for shift in range(3)]
    return [*plain, *shifted, plain[0].hex().encode()]


def holds(content: bytes, text: str) -> bool:
    return any(shape in content for shape in shapes(text))


def test_the_search_finds_what_is_there():
    for content in (CANARY.encode(), base64.b64encode(b"x" + CANARY.encode()), CANARY.encode("utf-16-le")):
        assert holds(b"..." + content + b"...", CANARY)
    assert not holds(b"nothing", CANARY)


def payloads(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [inner for inner in value.values() if isinstance(inner, Message)]
        else:
            values = list(value) if field.is_repeated else [value]
        for inner in values:
            yield from payloads(inner)


async def told_by(history: WorkflowHistory, alive: Alive) -> bytes:
    """The history as it is stored, and everything in it decoded."""
    codec = TeikiCodec(alive.settings.keyring())
    encoded = [payload for event in history.events for payload in payloads(event)]
    decoded = b"".join(payload.data for payload in await codec.decode(encoded))
    return history.to_json().encode() + decoded


async def dump(url: str) -> bytes:
    """Every column of every table, as text."""
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        listed = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        content = b""
        for (table,) in await listed.fetchall():
            rows = await connection.execute(f'SELECT t::text FROM "{table}" t')
            content += "\n".join(row[0] for row in await rows.fetchall()).encode()
        return content


def files_under(*directories: Path) -> bytes:
    paths = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.timeout(120)
async def test_the_password_is_nowhere(alive: Alive, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    await alive.house.subscription(await alive.house.tenant(email=MARKER))
    wanted = SubscriptionFilter(customer_email=MARKER)
    seen: list[bytes] = []

    def look() -> None:
        lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        seen.append("\n".join(" ".join(line) for line in lines).encode())

    async with await alive.client() as teiki:
        by: dict[str, Any] = {"password": CANARY, "actor": "operator:canary"}
        waiting = await _request_without_worker(teiki, wanted, by)
        await asyncio.sleep(0.3)
        seen.append(await dump(alive.settings.database))  # while the password waits, sealed
        async with alive.worker("worker", TEIKI_LOG_LEVEL="DEBUG"):
            taken = await teiki.exports.request("subscriptions", wanted, **by)
            await taken.wait()
            look()
            saved = await taken.download(alive.home / "saved.xlsx")
            assert alive.workbook(saved, CANARY)[0]["メールアドレス"] == MARKER
            again = await taken.again(**by)
            await again.wait()
            canceled = await teiki.exports.request("subscriptions", wanted, **by)
            await canceled.wait()
            await canceled.cancel()
            gone = await teiki.exports.request("subscriptions", wanted, **by)
            await gone.wait()
            with pytest.raises(TeikiError) as empty:
                await teiki.exports.request("subscriptions", wanted, password="")
            with pytest.raises(TeikiError) as unknown:
                await teiki.exports.request("teapots", password=CANARY)
            assert await _all_ended(teiki, waiting)
        client = await connect(alive.settings)
        ids = [e.id async for e in client.list_workflows("WorkflowType = 'Export'")]
        assert len(ids) >= 5
        histories = [
            await told_by(await client.get_workflow_handle(one).fetch_history(), alive) for one in ids
        ]
    assert any(holds(history, MARKER) for history in histories)
    assert holds(await dump(alive.settings.database), MARKER)
    places = {
        "histories": b"".join(histories),
        "database": await dump(alive.settings.database),
        "seen": b"".join(seen),
        "temporal": files_under(alive.temporal_file.parent),
        "files": files_under(alive.home),
        "log": caplog.text.encode(),
        "errors": f"{empty.value!r} {unknown.value!r} {unknown.value.as_json()}".encode(),
    }
    assert [name for name, content in places.items() if holds(content, CANARY)] == []


async def _request_without_worker(
    teiki: Any, wanted: SubscriptionFilter, by: dict[str, Any]
) -> asyncio.Task[Any]:
    return asyncio.create_task(teiki.exports.request("subscriptions", wanted, **by))


async def _all_ended(teiki: Any, waiting: asyncio.Task[Any]) -> bool:
    """Also the first, which was asked for before there was a worker, has its file and no password any more."""
    export = await waiting
    return (await export.wait()).status is ExportStatus.READY
