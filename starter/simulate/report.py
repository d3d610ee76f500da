"""The answer of a simulation: what happened, in order, for machines and for people (spec: interfaces.md §3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from db.reads.ledger import settled_totals
from db.reads.timeline import timeline
from domain.billing_calendar import parse_zone
from domain.errors import TeikiError
from domain.projection import next_payment_at
from starter.simulate.scenario import Event, Scenario

if TYPE_CHECKING:
    from starter.subscriptions import Subscription
    from starter.teiki import Teiki


class Report(BaseModel):
    """`timeline`, `final` and `ledger`; instants as ISO 8601 texts with the scenario zone's offset."""

    name: str
    timeline: list[dict[str, Any]]
    final: dict[str, Any]
    ledger: dict[str, dict[str, int]]

    @property
    def books_agree(self) -> bool:
        return self.ledger["gateway_settled"] == self.ledger["database_settled"]


def aside_entry(event: Event, error: TeikiError | None) -> dict[str, Any]:
    """What left no trace in the books: a refused event, or a dry run."""
    entry = {"at": event.at, "type": "operation", "do": event.do}
    if error is None:
        return {**entry, "result": "accepted", "arguments": event.arguments()}
    return {**entry, "result": "refused", "code": error.code.value, "message": error.message}


async def report(
    scenario: Scenario,
    subscription: Subscription,
    teiki: Teiki,
    aside: list[dict[str, Any]],
    gateway_settled: dict[str, int],
) -> Report:
    """Read the books and put everything in order."""
    database = await teiki.database()
    detail = await subscription.show()
    zone = parse_zone(detail.zone)
    happened = await timeline(database, subscription.id)
    entries = [entry.model_dump(by_alias=True, exclude_none=True) for entry in happened]
    final = {
        "status": detail.status.value,
        "charges": detail.charges,
        "next_payment_at": shown(next_payment_at(detail.next_kind, detail.next_at), zone),
        "cancel_at": shown(detail.cancel_at, zone),
    }
    return Report(
        name=scenario.name,
        timeline=merged(entries, aside, zone),
        final=final,
        ledger={
            "gateway_settled": gateway_settled,
            "database_settled": await settled_totals(database, object_id=subscription.id),
        },
    )


def merged(
    happened: list[dict[str, Any]], aside: list[dict[str, Any]], zone: ZoneInfo
) -> list[dict[str, Any]]:
    """By instant; a refused event changed nothing, so it stands behind whatever else happened at its instant."""
    return [
        _entry(entry, zone) for entry in sorted([*happened, *aside], key=lambda one: to_the_second(one["at"]))
    ]


def _entry(entry: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return {
        name: shown(value, zone) if isinstance(value, datetime) else value
        for name, value in entry.items()
        if name != "seq"
    }


def to_the_second(instant: datetime) -> datetime:
    """To the second: timers fire some milliseconds after their instant."""
    return (instant + timedelta(milliseconds=500)).replace(microsecond=0)


def shown(instant: datetime | None, zone: ZoneInfo) -> str | None:
    """To the second, with the zone's offset."""
    return None if instant is None else to_the_second(instant).astimezone(zone).isoformat()
