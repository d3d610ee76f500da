"""`teiki gateway status` and the doctor's line: an outage of the payment company as operators see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from db.circuits import CircuitRows
from db.engine import Database
from db.reads.circuits import CircuitItem
from starter.wording import circuit_sentence

SINCE = datetime(2026, 12, 1, 0, 0, 12, tzinfo=UTC)


@pytest.fixture
async def rows(lab) -> AsyncIterator[CircuitRows]:
    """The laboratory's circuit; closed again in the end."""
    database = Database.connect(lab.settings.database, pool_size=1)
    circuit = CircuitRows(database, lab.settings.gateway)
    yield circuit
    await circuit.store(state="closed", failures=0, open_for_s=0, hint="", seen=None)
    await database.close()


async def test_an_outage_is_shown_with_its_cause_its_next_probe_and_what_to_do(teiki_in_lab, rows):
    well = await teiki_in_lab("gateway", "status")
    assert "It is called normally" in well.out
    await rows.store(state="open", failures=11, open_for_s=30, hint="no connection", seen=None)
    shown = await teiki_in_lab("gateway", "status")
    assert shown.status == 0
    assert "11 times in a row (last seen: no connection); one call is let through in" in shown.out
    assert "Charges wait and use up no attempt" in shown.out
    document = (await teiki_in_lab("gateway", "status", "--json")).document
    assert (document["gateway"], document["state"], document["failures"]) == ("sandbox", "open", 11)
    assert 0 < document["next_probe_in_s"] <= 30
    looked = await teiki_in_lab("doctor", "--json")
    (line,) = [check for check in looked.document["checks"] if check["name"] == "gateway circuit"]
    assert (looked.status, line["state"], line["facts"]["last_hint"]) == (1, "failed", "no connection")
    assert "do not charge by hand" in line["advice"]


async def test_a_circuit_that_closed_says_when_the_outage_ended(teiki_in_lab, rows):
    await rows.store(state="open", failures=10, open_for_s=30, hint="timeout", seen=None)
    await rows.store(state="closed", failures=0, open_for_s=0, hint="", seen=None)
    assert "the last outage ended on" in (await teiki_in_lab("gateway", "status")).out
    checks = (await teiki_in_lab("doctor", "--json")).document["checks"]
    assert {check["name"]: check["state"] for check in checks}["gateway circuit"] == "ok"


@pytest.mark.parametrize(
    ("state", "left", "ends"),
    [
        ("open", 12.2, "one call is let through in 13 s."),
        ("open", 0.0, "the next call is let through."),
        ("half_open", 0.0, "the next call is let through."),
    ],
)
def test_the_sentence_tells_what_happens_next(state, left, ends):
    item = CircuitItem(
        gateway="sandbox", state=state, failures=10, since=SINCE, next_probe_in_s=left, last_hint="timeout"
    )
    begins = "It has failed since 2026-12-01 00:00:12 UTC, 10 times in a row (last seen: timeout); "
    assert circuit_sentence(item) == begins + ends


def test_the_command_needs_a_database(teiki):
    refused = teiki("gateway", "status", "--json")
    assert (refused.status, refused.document["code"]) == (1, "settings_invalid")
