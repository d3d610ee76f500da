"""A scenario that cannot be is refused by name, and nothing is started (issue: "Bad input … changes nothing")."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from db.engine import Database
from domain.errors import TeikiError
from starter.simulate.player import Player
from starter.simulate.scenario import parse_scenario

pytestmark = pytest.mark.xdist_group("stories")

GOOD: dict[str, Any] = {
    "name": "a scenario",
    "start": "2023-08-01T07:00:00+09:00",
    "subscription": {
        "amount": {"minor": 1000, "currency": "JPY"},
        "period": "monthly",
        "zone": "Asia/Tokyo",
    },
    "events": [],
    "until": "2023-10-01T00:00:00+09:00",
}


def changed(where: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one thing put in (`subscription.period`), or taken out by None."""
    document = copy.deepcopy(GOOD)
    *path, last = where.split(".")
    place = document
    for step in path:
        place = place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return document


@pytest.fixture(scope="session")
async def subscriptions(lab):
    """How many subscriptions the laboratory's database has."""
    database = Database.connect(lab.settings.database, pool_size=1)

    async def count() -> int:
        row = await database.fetch_one("SELECT count(*) AS n FROM subscriptions", ())
        return int(row["n"])

    yield count
    await database.close()


@pytest.mark.parametrize(
    ("where", "value", "code"),
    [
        ("subscription.period", "fortnightly", "invalid_period"),
        ("subscription.period", "P0D", "invalid_period"),
        ("subscription.period", "PT12H", "invalid_period"),
        ("subscription.period", None, "scenario_invalid"),
        ("subscription.zone", "Asia/Edo", "invalid_zone"),
        ("subscription.amount", {"minor": 10.5, "currency": "JPY"}, "invalid_money"),
        ("subscription.amount", {"minor": "1000", "currency": "JPY"}, "invalid_money"),
        ("subscription.amount", {"minor": True, "currency": "JPY"}, "invalid_money"),
        ("subscription.amount", {"minor": -1000, "currency": "JPY"}, "invalid_money"),
        ("subscription.amount", {"minor": 0, "currency": "JPY"}, "invalid_money"),
        ("subscription.amount", {"minor": 1000, "currency": "EURO"}, "invalid_currency"),
        ("subscription.amount", None, "invalid_money"),
        ("subscription.total_charges", 1, "too_few_charges"),
        ("subscription.total_amount", {"minor": 500, "currency": "JPY"}, "invalid_total_amount"),
        ("subscription.total_amount", {"minor": 5000, "currency": "USD"}, "currency_mismatch"),
        ("subscription.retry", {"attempts": 2, "interval": "P31D"}, "retry_exceeds_cycle"),
        ("subscription.retry", {"attempts": 0}, "invalid_retry"),
        ("subscription.retry", {"interval": "P1M"}, "invalid_retry"),
        ("subscription.retry", {"interval": "often"}, "invalid_retry"),
        ("subscription.retry", {"tries": 3}, "scenario_invalid"),
        ("subscription.preserve_end_of_month", True, "preserve_end_of_month_not_allowed"),
        ("subscription.start_on", "2023-07-31", "start_on_in_past"),
        ("subscription.start_on", "2023-02-30", "scenario_invalid"),
        ("subscription.charge_time", "25:00", "scenario_invalid"),
        ("subscription.resume_policy", "whenever", "scenario_invalid"),
        ("subscription.customer", "somebody", "scenario_invalid"),
        ("subscription.metadata", {f"k{n}": "v" for n in range(51)}, "metadata_too_large"),
        ("subscription.metadata", {"note": "4242" * 4}, "card_number_refused"),
        ("subscription.payment_method", "tok_konbini", "payment_method_not_card"),
        ("subscription.payment_method", "konbini", "payment_method_not_card"),
        ("subscription.payment_method", {"type": "bank_transfer"}, "payment_method_not_card"),
        ("subscription.payment_method", "tok_nobody_knows", "token_refused"),
        ("subscription.payment_method", "cowrie shells", "scenario_invalid"),
        ("subscription.payment_method", ["card"], "scenario_invalid"),
        ("subscription", None, "scenario_invalid"),
        ("subscription", [], "scenario_invalid"),
        ("gateway", ["perhaps"], "scenario_invalid"),
        ("gateway", [{"decline": "bad_mood"}], "scenario_invalid"),
        ("gateway", "approve", "scenario_invalid"),
        ("start", "2023-08-01T07:00:00", "invalid_instant"),
        ("start", "soon", "scenario_invalid"),
        ("until", "2023-08-01T07:00:00+09:00", "scenario_invalid"),
        ("until", None, "scenario_invalid"),
        ("events", [{"at": "2023-11-01T00:00:00+09:00", "do": "suspend"}], "scenario_invalid"),
        ("events", [{"at": "2023-08-15T00:00:00+09:00", "do": "explode"}], "scenario_invalid"),
        ("events", [{"at": "2023-08-15T00:00:00", "do": "suspend"}], "invalid_instant"),
        ("events", [{"do": "suspend"}], "scenario_invalid"),
        ("colour", "red", "scenario_invalid"),
    ],
)
async def test_a_scenario_that_cannot_be_is_refused_by_name_and_starts_nothing(
    lab, subscriptions, where, value, code
):
    before = await subscriptions()
    with pytest.raises(TeikiError) as refused:
        await Player(lab, parse_scenario(changed(where, value))).play()
    assert refused.value.code == code
    assert await subscriptions() == before


async def test_a_document_that_is_no_scenario_at_all_is_refused(lab):
    for document in (None, [], "year", 7):
        with pytest.raises(TeikiError) as refused:
            parse_scenario(document)
        assert refused.value.code == "scenario_invalid"


async def test_the_unchanged_scenario_is_good(lab):
    report = await Player(lab, parse_scenario(GOOD)).play()
    assert report.final["charges"] == 2
