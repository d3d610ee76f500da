"""The answer of an order's simulation (spec: interfaces.md §3)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from db.reads.ledger import settled_totals
from db.reads.order_outcome import OrderOutcome, order_outcome
from db.reads.timeline import Entry, timeline
from domain.billing_calendar import parse_zone
from starter.simulate.report import Report, merged, shown, to_the_second
from starter.simulate.scenario import Scenario

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from db.engine import Database
    from starter.teiki import Teiki


async def order_report(
    scenario: Scenario,
    order_id: str,
    objects: list[str],
    teiki: Teiki,
    aside: list[dict[str, Any]],
    gateway_settled: dict[str, int],
) -> Report:
    """Read the books of the order, its slips and its subscription, and put everything in order."""
    database = await teiki.database()
    outcome = await order_outcome(database, order_id, objects)
    zone = parse_zone(outcome.zone)
    settled: Counter[str] = Counter()
    entries = [entry for name in objects for entry in await timeline(database, name)]
    for name in objects:
        settled.update(await settled_totals(database, object_id=name))
    refused = [entry for entry in aside if "seq" not in entry]
    return Report(
        name=scenario.name,
        timeline=merged(_in_turn(entries, [entry for entry in aside if "seq" in entry]), refused, zone),
        final=_final(outcome, zone),
        ledger={"gateway_settled": gateway_settled, "database_settled": dict(settled)},
    )


async def last_written(database: Database, objects: list[str]) -> int:
    """The number of the newest entry about these objects: what follows has higher ones."""
    written = [entry.seq for name in objects for entry in await timeline(database, name)]
    return max(written, default=0)


def _in_turn(entries: list[Entry], at_the_till: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One sequence numbers everything written, so that order and subscription tell their stories in turn.

    What happened at the till is written in nobody's book but the payment company's; it stands before what it led to.
    """
    told = [
        (to_the_second(entry.at), float(entry.seq), entry.model_dump(by_alias=True, exclude_none=True))
        for entry in entries
    ]
    for visit in at_the_till:
        entry = {name: value for name, value in visit.items() if name != "seq"}
        told.append((to_the_second(visit["at"]), visit["seq"] + 0.5, entry))
    told.sort(key=lambda one: one[:2])
    happened = [entry for _, _, entry in told]
    for entry in happened:
        if entry["type"] == "status" and entry.get("object") == "permission":
            entry.setdefault("from", None)
    return happened


def _final(outcome: OrderOutcome, zone: ZoneInfo) -> dict[str, Any]:
    permission = outcome.permission
    return {
        "order_number": outcome.number,
        "order_status": outcome.status,
        "reason": outcome.reason,
        "payment_status": outcome.payment_status,
        "payments": outcome.payments,
        "permission": None
        if permission is None
        else {
            "status": permission.status,
            "starts_at": shown(permission.starts_at, zone),
            "ends_at": shown(permission.ends_at, zone),
            "membership_number": permission.membership_number,
        },
        "confirmed_at": shown(outcome.confirmed_at, zone),
        "expires_on": outcome.expires_on.isoformat() if outcome.expires_on else None,
        "points": outcome.points_earned,
        "points_expected": outcome.points_expected,
        "refunded": outcome.refunded.model_dump(),
        "fees": outcome.fees.model_dump(),
        "next_payment_at": shown(outcome.next_payment_at, zone),
    }
