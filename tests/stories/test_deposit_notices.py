"""Whatever becomes of the notices, a deposit ends as its row of the table says (spec: orders.md §4).

The same people pay at the same till at the same instants; the payment company's notices are lost, doubled, late, or
come in another order. Postgres, Temporal, workflows, activities and the sandbox are real. Histories are made by
Hypothesis and played together in one laboratory.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from starter.simulate.report import Report
from tests.stories.crowd import START, event, konbini, play_all

pytestmark = pytest.mark.xdist_group("stories")


def after(days: float = 0, hours: float = 0, minutes: float = 0) -> timedelta:
    # Odd seconds, so that no event falls on the whole hours of our own pauses.
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=17)


SOON, LATER, IN_GRACE, TOO_LATE = after(1, 2, 3), after(1, 5, 7), after(3, 14, 10), after(3, 15, 5)
"""From Monday 10:00; the deadline is 3 days and 14 hours later, less a second; the grace is half an hour."""

ROWS: dict[str, list[tuple[timedelta, str, dict[str, Any]]]] = {
    "paid before the deadline": [(SOON, "deposit_paid", {})],
    "paid within the grace": [(IN_GRACE, "deposit_paid", {})],
    "never paid": [],
    "canceled while pending": [(SOON, "cancel_order", {"by": "customer"})],
    "paid after expiry": [(TOO_LATE, "deposit_paid", {})],
    "paid after cancel": [(SOON, "cancel_order", {"by": "customer"}), (LATER, "deposit_paid", {})],
    "paid twice": [(SOON, "deposit_paid", {}), (LATER, "deposit_paid", {})],
    "paid on the voided slip": [
        (SOON, "issue_slip", {}),
        (LATER, "deposit_paid", {"slip": 1}),
        (after(2), "deposit_paid", {"slip": 2}),
    ],
    "preliminary, then confirmed": [(SOON, "deposit_preliminary", {}), (after(2), "deposit_paid", {})],
    "preliminary, taken back": [
        (SOON, "deposit_preliminary", {}),
        (LATER, "deposit_preliminary_canceled", {}),
    ],
    "preliminary, taken back, paid": [
        (SOON, "deposit_preliminary", {}),
        (LATER, "deposit_preliminary_canceled", {}),
        (after(2), "deposit_paid", {}),
    ],
    "preliminary, taken back after the deadline": [
        (after(3, 13), "deposit_preliminary", {}),
        (after(3, 19), "deposit_preliminary_canceled", {}),
    ],
}


@st.composite
def disturbed(draw: st.DrawFn, row: str) -> dict[str, Any]:
    """The row's payments; each of their notices is lost, or comes one to three times, now or within two days."""
    events = []
    for at, do, arguments in ROWS[row]:
        if not do.startswith("deposit_"):
            events.append(event(at, do, **arguments))
            continue
        is_heard = draw(st.booleans())
        events.append(event(at, do, lost=not is_heard, **arguments))
        for delay in draw(st.lists(st.integers(1, 2 * 24 * 60), max_size=2)):
            late = at + timedelta(minutes=delay, seconds=13)
            events.append(event(late, "deposit_notice", slip=arguments.get("slip", 1)))
    return konbini(events)


class Crowd(list[tuple[str, dict[str, Any]]]):
    """Rows with a disturbed history each; said in a word."""

    def __repr__(self) -> str:
        return f"{len(self)} histories"


@st.composite
def crowds(draw: st.DrawFn, times: int) -> Crowd:
    return Crowd((row, draw(disturbed(row))) for row in ROWS for _ in range(times))


def ordered(row: str) -> dict[str, Any]:
    """The complete run: every notice at once."""
    return konbini([event(at, do, **arguments) for at, do, arguments in ROWS[row]])


def ending(report: Report) -> dict[str, Any]:
    """What must be the same. No permission and a revoked one are the same right: none."""
    final = report.final
    permission = final["permission"] if (final["permission"] or {}).get("status") != "revoked" else None
    names = ("order_status", "reason", "payment_status", "payments", "points", "refunded", "fees")
    return {
        **{name: final[name] for name in names},
        "permission": permission,
        "ledger": report.ledger,
    }


def when_paid(row: str) -> datetime | None:
    """When the usage period begins: at the payment that counts, as the store says."""
    slip = 2 if row == "paid on the voided slip" else 1
    paid = [at for at, do, more in ROWS[row] if do == "deposit_paid" and more.get("slip", 1) == slip]
    return START + paid[0] if paid else None


@settings(
    max_examples=1,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(crowd=crowds(times=3))
async def test_lost_doubled_late_and_shuffled_notices_change_no_ending(lab, crowd):
    complete = dict(zip(ROWS, await play_all(lab, [ordered(row) for row in ROWS]), strict=True))
    reports = await play_all(lab, [document for _, document in crowd])
    for (row, document), report in zip(crowd, reports, strict=True):
        wanted, ended = ending(complete[row]), ending(report)
        assert report.books_agree, (row, document["events"])
        if row.startswith("preliminary") and ended["permission"]:
            # Whether the store's first word or the money opened the period depends on what was heard; both are payment.
            for end in (wanted, ended):
                end["permission"] = end["permission"]["status"]
        elif ended["permission"]:
            assert datetime.fromisoformat(ended["permission"]["starts_at"]) == when_paid(row)
        assert ended == wanted, (row, document["events"], report.timeline)
