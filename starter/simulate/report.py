"""The answer of a simulation: what happened, in order, for machines and for people (spec: interfaces.md §3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from rich.table import Table

from db.reads.ledger import settled_totals
from db.reads.timeline import timeline
from domain.billing_calendar import parse_zone
from domain.errors import TeikiError
from domain.money import Money
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
        name: shown(value, zone) if isinstance(value, datetime) else value for name, value in entry.items()
    }


def to_the_second(instant: datetime) -> datetime:
    """To the second: timers fire some milliseconds after their instant."""
    return (instant + timedelta(milliseconds=500)).replace(microsecond=0)


def shown(instant: datetime | None, zone: ZoneInfo) -> str | None:
    """To the second, with the zone's offset."""
    return None if instant is None else to_the_second(instant).astimezone(zone).isoformat()


# ---------------------------------------------------------------------- for people


def table(result: Report) -> Table:
    """The timeline as a person reads it."""
    shown = Table(title=result.name, title_justify="left", header_style="bold")
    for column in ("when", "what", "payment", "detail"):
        shown.add_column(column)
    for entry in result.timeline:
        shown.add_row(entry["at"].replace("T", " "), *_cells(entry))
    return shown


def _cells(entry: dict[str, Any]) -> tuple[str, str, str]:
    kind = entry["type"]
    payment = str(entry.get("payment", ""))
    if kind == "charge":
        outcome = {"succeeded": "[green]succeeded[/]", "failed": "[red]failed[/]"}.get(
            entry["outcome"], "pending"
        )
        late = "" if entry["due"][:16] == entry["at"][:16] else f", due {entry['due'][:10]}"
        decline = f" ({entry['decline']})" if entry.get("decline") else ""
        amount = Money.model_validate(entry["amount"])
        return f"charge {outcome}", payment, f"attempt {entry['attempt']}: {amount}{decline}{late}"
    if kind == "status":
        change = f"{entry['from'] or 'none'} → [bold]{entry['to']}[/] ({entry['reason']})"
        return f"{entry['object']}" if entry["object"] != "subscription" else "status", payment, change
    if kind == "points":
        return "points", "", f"{entry['points']:+} ({entry['what'].replace('_', ' ')})"
    if kind == "operation":
        refused = f" [red]refused[/]: {entry['code']}" if entry["result"] == "refused" else " accepted"
        return "operation", "", entry["do"] + refused
    if kind == "skip":
        return "skipped", payment, f"due {entry['due'][:10]} ({entry.get('reason', '')})"
    return kind, payment, str(Money.model_validate(entry["amount"])) if "amount" in entry else ""


def summary(result: Report) -> str:
    final = result.final
    if "order_status" in final:
        told = _order_summary(final)
    else:
        told = (
            f"final: [bold]{final['status']}[/], {final['charges']} charges, "
            f"next payment {final['next_payment_at'] or 'none'}"
        )
    books = "agree" if result.books_agree else "[bold red]DIFFER[/]"
    totals = " + ".join(str(Money(minor=m, currency=c)) for c, m in result.ledger["database_settled"].items())
    return f"{told}\nledger: {totals or 'nothing'} settled; the gateway's book and ours {books}"


def _order_summary(final: dict[str, Any]) -> str:
    permission = final["permission"]
    access = (
        f"{permission['status']} until {permission['ends_at'] or 'further notice'}" if permission else "none"
    )
    money = {name: Money.model_validate(final[name]) for name in ("refunded", "fees")}
    return (
        f"final: order {final['order_number']} [bold]{final['order_status']}[/] ({final['payment_status']}), "
        f"permission {access}\n"
        f"points {final['points']}, refunded {money['refunded']}, fees {money['fees']}"
    )
