"""What is written to the outbox is what an endpoint can ask for, and every promise of the specification is among it."""

from __future__ import annotations

import pytest

from db.engine import Database
from domain.notifications import TOPICS
from starter.simulate.order_player import player_of
from starter.simulate.scenario import read_scenario
from tests.architecture.reading import ROOT

pytestmark = pytest.mark.xdist_group("stories")

PLAYED = (
    "cancel_now",
    "first_payment_fails",
    "order_answers",
    "order_card_canceled",
    "order_card_confirmed",
    "order_deposit_paid",
    "order_deposit_late",
)
"""Between them: payments, declines, refunds, statuses, operations, permissions, slips, points, answers."""
PROMISED = {
    *("payment.settled", "payment.failed", "payment.refunded", "payment.status", "subscription.status"),
    *("subscription.operation", "order.status", "order.operation", "order.points", "order.custom_fields"),
    *("permission.status", "deposit.status", "deposit.late_money"),
}


async def test_every_topic_that_is_written_can_be_asked_for_and_every_promise_is_written(lab):
    for name in PLAYED:
        await player_of(lab, read_scenario(ROOT / "examples" / f"{name}.yaml")).play()
    database = Database.connect(lab.settings.database, pool_size=1)
    try:
        async with database.transaction() as cursor:
            await cursor.execute("SELECT DISTINCT topic FROM outbox")
            written = {row["topic"] for row in await cursor.fetchall()}
    finally:
        await database.close()
    assert written <= TOPICS.keys()
    assert written >= PROMISED
