"""Exports over a real Postgres and a real directory: each activity twice, cut off in between, and swept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msoffcrypto
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.contracts.exports import (
    OpenExport,
    SweepExports,
    TakeTurn,
    WriteExport,
)
from activities.exports import ExportsActivities
from db import sealed_secrets
from db.engine import Database
from domain.exports import DOWNLOAD_LIFE, ExportStatus
from exports.storage import DirectoryStorage, new_name
from tests.activities.office import PASSWORD, SEALER, Office, now
from tests.db.house import House, unique


@pytest.fixture
def office(db: Database, house: House, tmp_path: Path) -> Office:
    return Office(db, house, tmp_path / "exports")


async def twice(activity: Any, order: Any, office: Office, about: OpenExport) -> Any:
    """The result, when a second run gives the same one and leaves everything as it was."""
    first = await activity(order)
    before = await office.everything(about)
    assert await activity(order) == first
    assert await office.everything(about) == before
    return first


# ---------------------------------------------------------------------- asking


async def test_a_request_is_entered_once(office):
    order = office.order(filter={"status": ["current"]}, comment="for the audit")
    opened = await twice(office.exports.open, order, office, order)
    assert opened.outcome == "opened"
    (row,), (asked, first), _ = (await office.everything(order))[0]
    assert (row["status"], row["requester"], row["filter"]) == (
        "requested",
        order.actor,
        {"status": ["current"]},
    )
    assert (asked["data"]["do"], asked["comment"], asked["actor"]) == (
        "request",
        "for the audit",
        order.actor,
    )
    assert first["data"] == {"from": None, "to": "requested", "reason": "requested"}


async def test_the_same_request_id_is_a_repetition_or_a_conflict(office):
    order = office.order()
    await office.exports.open(order)
    again = order.model_copy(update={"export_id": unique("exp")})
    repeated = await office.exports.open(again)
    assert (repeated.outcome, repeated.export_id) == ("duplicate", order.export_id)
    other = again.model_copy(update={"kind": "payments"})
    assert (await office.exports.open(other)).code == "request_id_conflict"
    somebody_else = again.model_copy(update={"actor": "operator:other"})
    assert (await office.exports.open(somebody_else)).code == "request_id_conflict"


@pytest.mark.parametrize("more", [{"kind": "passwords"}, {"filter": {"colour": "red"}}])
async def test_what_cannot_be_written_is_refused_and_its_password_deleted(office, more):
    order = office.order(encrypted=True, **more)
    await office.seal(order.export_id, PASSWORD)
    refused = await twice(office.exports.open, order, office, order)
    assert refused.code == "invalid_input"
    assert (await office.everything(order))[0] == [[], [], []]


async def test_a_repetitions_password_is_deleted_and_the_firsts_is_kept(office):
    order = office.order(encrypted=True)
    await office.seal(order.export_id, PASSWORD)
    await office.exports.open(order)
    again = order.model_copy(update={"export_id": unique("exp")})
    await office.seal(again.export_id, PASSWORD)
    assert (await office.exports.open(again)).outcome == "duplicate"
    assert await sealed_secrets.find_secret(office.db, again.export_id) is None
    assert await sealed_secrets.find_secret(office.db, order.export_id) is not None


async def test_without_its_sealed_password_an_encrypted_export_is_refused(office):
    order = office.order(encrypted=True)
    assert (await office.exports.open(order)).code == "export_password_gone"


# ---------------------------------------------------------------------- the turn


async def test_two_of_a_requester_run_and_the_others_wait_in_order(office):
    orders = [office.order(actor="operator:busy", at=now() + timedelta(seconds=n)) for n in range(4)]
    for order in orders:
        await office.exports.open(order)

    async def turn(order: OpenExport) -> str:
        asked = TakeTurn(export_id=order.export_id, at=now() + timedelta(seconds=10))
        return (await twice(office.exports.take_turn, asked, office, order)).outcome

    assert [await turn(orders[n]) for n in (2, 0, 1, 3)] == ["waiting", "granted", "granted", "waiting"]
    done = await office.over(orders[0], ExportStatus.FAILED)
    assert done.next_up == [orders[2].export_id, orders[3].export_id]
    assert [await turn(orders[n]) for n in (3, 2, 3)] == ["waiting", "granted", "waiting"]
    somebody_else = office.order()
    await office.exports.open(somebody_else)
    assert await turn(somebody_else) == "granted"


async def test_two_simultaneous_requests_do_not_share_a_turn(office):
    orders = [office.order(actor="operator:quick") for _ in range(6)]
    for order in orders:
        await office.exports.open(order)
    asked = [TakeTurn(export_id=order.export_id, at=now() + timedelta(seconds=1)) for order in orders]
    turns = await asyncio.gather(*(office.exports.take_turn(one) for one in asked))
    assert sorted(turn.outcome for turn in turns) == ["granted"] * 2 + ["waiting"] * 4


async def test_one_whose_workflow_is_gone_keeps_nobody_waiting(office):
    long_ago = now() - timedelta(hours=1)
    for _ in range(2):
        lost = office.order(actor="operator:unlucky", at=long_ago)
        await office.exports.open(lost)
        await office.exports.take_turn(TakeTurn(export_id=lost.export_id, at=long_ago))
    for _ in range(2):
        await office.exports.open(office.order(actor="operator:unlucky", at=long_ago + timedelta(seconds=1)))
    order = office.order(actor="operator:unlucky")
    await office.exports.open(order)
    turn = await office.exports.take_turn(TakeTurn(export_id=order.export_id, at=now()))
    assert turn.outcome == "granted"


# ---------------------------------------------------------------------- the file


async def test_a_second_run_replaces_the_firsts_file(office):
    await office.house.subscription()
    order = await office.creating()
    first, second = await office.write(order), await office.write(order)
    assert first.file_name != second.file_name
    assert office.files() == [f"{second.file_name}.xlsx"]
    assert office.rows(second)
    assert second.rows == len(office.rows(second))


async def test_what_a_killed_run_began_is_gone_after_the_next_one(office):
    order = await office.creating()
    killed = new_name()
    await office.house.rows(
        "UPDATE exports SET file_name = %s WHERE id = %s RETURNING 1", killed, order.export_id
    )
    begun = DirectoryStorage(office.directory).writing(killed)
    begun.__enter__().write(b"half")
    written = await office.write(order)
    assert office.files() == [f"{written.file_name}.xlsx"]
    with pytest.raises(FileNotFoundError):  # the killed one, had it lived
        begun.__exit__(None, None, None)
    assert office.files() == [f"{written.file_name}.xlsx"]


async def test_a_run_that_was_overtaken_leaves_nothing(office):
    order = await office.creating()
    activities = office.exports
    own = activities.storage

    class Slow(DirectoryStorage):
        """Another run takes over while this one writes."""

        def size(self, name: str) -> int:
            asyncio.run_coroutine_threadsafe(overtake(), loop).result()
            return own.size(name)

    async def overtake() -> None:
        other = new_name()
        await office.house.rows(
            "UPDATE exports SET file_name = %s WHERE id = %s RETURNING 1", other, order.export_id
        )

    loop = asyncio.get_running_loop()
    slow = ExportsActivities(office.db, Slow(office.directory), SEALER.unseal)
    with pytest.raises(ApplicationError) as overtaken:
        await ActivityEnvironment().run(slow.write, WriteExport(export_id=order.export_id))
    assert not overtaken.value.non_retryable
    assert office.files() == []


async def test_an_export_that_has_ended_is_not_written(office):
    order = await office.creating()
    await office.over(order, ExportStatus.FAILED)
    assert (await office.write(order)).outcome == "over"
    assert office.files() == []


async def test_a_canceled_run_stops_and_leaves_nothing(office):
    for _ in range(3):
        await office.house.subscription()
    order = await office.creating()
    environment, activities = ActivityEnvironment(), office.exports
    environment.on_heartbeat = lambda *_: environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await environment.run(activities.write, WriteExport(export_id=order.export_id))
    assert office.files() == []


async def test_with_a_password_only_ciphertext_reaches_the_disk(office):
    tenant = await office.house.tenant(email="canary@example.com", name="=2+2")
    await office.house.subscription(tenant)
    order = await office.creating(password=PASSWORD, filter={"customer_id": tenant.customer_id})
    seen: list[bytes] = []

    class Watched(DirectoryStorage):
        def size(self, name: str) -> int:
            seen.extend(path.read_bytes() for path in office.directory.iterdir())
            return super().size(name)

    activities = ExportsActivities(office.db, Watched(office.directory), SEALER.unseal)
    written = await ActivityEnvironment().run(activities.write, WriteExport(export_id=order.export_id))
    assert [content[:4].hex() for content in seen] == ["d0cf11e0"], "an OLE container, not a zip"
    assert b"canary" not in seen[0]
    (row,) = office.rows(written, PASSWORD)
    assert (row["E-mail"], row["Name"]) == ("canary@example.com", "=2+2")
    with pytest.raises(msoffcrypto.exceptions.InvalidKeyError):
        office.rows(written, PASSWORD + " ")


async def test_a_password_of_another_export_does_not_open(office):
    order, other = office.order(encrypted=True), office.order()
    sealed, until = SEALER.seal(PASSWORD, other.export_id), now() + timedelta(hours=1)
    await sealed_secrets.keep_secret(office.db, order.export_id, sealed, at=now(), expires_at=until)
    await office.exports.open(order)
    await office.exports.take_turn(TakeTurn(export_id=order.export_id, at=now()))
    with pytest.raises(ApplicationError) as refused:
        await office.write(order)
    assert refused.value.non_retryable


async def test_a_password_past_its_life_is_gone(office):
    order = await office.creating(password=PASSWORD)
    await office.house.rows(
        "UPDATE sealed_secrets SET created_at = now() - interval '2 h', expires_at = now() - interval '1 h'"
        " WHERE export_id = %s RETURNING 1",
        order.export_id,
    )
    with pytest.raises(ApplicationError) as gone:
        await office.write(order)
    assert (gone.value.type, gone.value.non_retryable) == ("export_password_gone", True)
    assert office.files() == []


# ---------------------------------------------------------------------- changes of status


async def test_ready_deletes_the_password_and_expired_the_file(office):
    order = await office.creating(password=PASSWORD)
    written = await office.write(order)
    assert await sealed_secrets.find_secret(office.db, order.export_id) is not None
    at = now()
    for _ in range(2):
        assert (await office.ready(order, written, at)).status is ExportStatus.READY
    assert await sealed_secrets.find_secret(office.db, order.export_id) is None
    assert office.files() == [f"{written.file_name}.xlsx"]
    for _ in range(2):
        assert (await office.over(order, ExportStatus.EXPIRED)).status is ExportStatus.EXPIRED
    assert office.files() == []
    (row,), history, _ = (await office.everything(order))[0]
    assert row["file_name"] == written.file_name
    assert [event["data"].get("to") for event in history if event["kind"] == "status"] == [
        *("requested", "creating", "ready", "expired")
    ]
    assert sum(event["kind"] == "operation" for event in history) == 2


async def test_a_file_that_does_not_count_cannot_become_the_exports(office):
    order = await office.creating()
    written = await office.write(order)
    stale = written.model_copy(update={"file_name": new_name()})
    assert (await office.ready(order, stale)).status is ExportStatus.CREATING


async def test_what_failed_does_not_become_ready(office):
    order = await office.creating()
    written = await office.write(order)
    await office.over(order, ExportStatus.FAILED, "export_timed_out")
    late = await office.ready(order, written)
    assert (late.status, late.reason) == (ExportStatus.FAILED, "export_timed_out")
    assert office.files() == []


# ---------------------------------------------------------------------- sweeping


async def test_the_sweep_removes_what_is_past_its_life_and_nothing_else(office):
    kept, being_written = await office.creating(), await office.creating(password=PASSWORD)
    kept_file, begun_file = await office.write(kept), await office.write(being_written)
    await office.ready(kept, kept_file)
    past = await office.creating()
    past_file = await office.write(past)
    await office.ready(past, past_file, now() - timedelta(hours=5))
    lost = await office.creating(at=now() - timedelta(hours=1))
    await office.write(lost)
    stray = new_name()
    with DirectoryStorage(office.directory).writing(stray) as file:
        file.write(b"nobody's")
    forgotten = office.order()
    sealed = SEALER.seal(PASSWORD, forgotten.export_id)
    then = now() - timedelta(hours=2)
    await sealed_secrets.keep_secret(
        office.db, forgotten.export_id, sealed, at=then, expires_at=then + timedelta(hours=1)
    )
    swept = await office.exports.sweep(SweepExports(at=now()))
    # Other tests of this module leave exports behind whose time is over too.
    assert (swept.expired, swept.files) == (1, 3)
    assert (swept.failed >= 1, swept.secrets >= 1) == (True, True)
    assert [
        (await office.everything(one))[0][0][0]["status"] for one in (kept, being_written, past, lost)
    ] == [*("ready", "creating", "expired", "failed")]
    assert office.files() == sorted(f"{one.file_name}.xlsx" for one in (kept_file, begun_file))
    assert await sealed_secrets.find_secret(office.db, being_written.export_id) is not None
    again = await office.exports.sweep(SweepExports(at=now()))
    assert again.model_dump() == {"files": 0, "secrets": 0, "expired": 0, "failed": 0}


@pytest.mark.parametrize("late", [timedelta(seconds=-1), timedelta(0)])
async def test_a_sweep_takes_the_file_from_the_end_of_the_four_hours_on(office, late):
    order = await office.creating(password=PASSWORD)
    written = await office.write(order)
    ready_at = now()
    await office.ready(order, written, ready_at)
    await office.exports.sweep(SweepExports(at=ready_at + DOWNLOAD_LIFE + late))
    status = (await office.everything(order))[0][0][0]["status"]
    gone = late == timedelta(0)
    assert (status, office.files() == []) == ("expired" if gone else "ready", gone)
