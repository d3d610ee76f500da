"""Whatever people do with a deposit, nobody has access without settled money (spec: orders.md §4)."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from starter.simulate.report import Report
from tests.stories.crowd import PRICE, event, konbini, play_all

pytestmark = pytest.mark.xdist_group("stories")

HISTORIES = 24
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("deposit_paid", {}),
    ("deposit_paid", {"lost": True}),
    ("deposit_paid", {"slip": 1}),
    ("deposit_preliminary", {}),
    ("deposit_preliminary", {"lost": True}),
    ("deposit_preliminary_canceled", {}),
    ("deposit_preliminary_canceled", {"lost": True}),
    ("deposit_notice", {"slip": 1}),
    ("issue_slip", {}),
    ("use", {"by": "customer"}),
    ("cancel_order", {"by": "customer"}),
    ("cancel_order", {"by": "admin"}),
]


def a_history(random: Random) -> dict[str, Any]:
    """Two to six things that happen within six days of a slip of three."""
    chosen = [random.choice(OPERATIONS) for _ in range(random.randint(2, 6))]
    seconds = sorted(random.sample(range(600, 6 * 24 * 3600), len(chosen)))
    return konbini(
        [
            event(timedelta(seconds=at), do, **arguments)
            for at, (do, arguments) in zip(seconds, chosen, strict=True)
        ]
    )


def kept(report: Report) -> int:
    """What the payment company shows as settled and not given back, in yen."""
    return report.ledger["gateway_settled"].get("JPY", 0)


@settings(
    max_examples=1,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32))
async def test_access_is_granted_for_settled_money_and_for_nothing_else(lab, seed):
    random = Random(seed)
    documents = [a_history(random) for _ in range(HISTORIES)]
    for document, report in zip(documents, await play_all(lab, documents), strict=True):
        told = (document["events"], report.timeline, report.final)
        permission = (report.final["permission"] or {}).get("status")
        assert report.books_agree, told
        if permission in (None, "revoked"):
            assert kept(report) == 0, told
            assert report.final["order_status"] == "canceled", told
        else:
            assert kept(report) == PRICE["minor"], told
            assert report.final["order_status"] == "expired", told
        assert report.final["points"] == (35 if kept(report) else 0), told
