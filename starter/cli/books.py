"""`teiki reconcile`, the three books side by side as people read them, and the incidents that wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.options import Cursor, Json, Limit, instant
from starter.cli.output import answer, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from activities.contracts.reconciliation import FoundDifference, Report
    from db.reads.incidents import IncidentPage
    from starter.teiki import Teiki

Since = Annotated[
    str | None,
    typer.Option(
        metavar="INSTANT",
        help="From when; default: from a day before the end of the last run, or from the beginning.",
    ),
]


incidents = typer.Typer(help="What does not add up and waits for a person.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to `teiki`."""
    app.command()(reconcile)
    app.add_typer(incidents, name="incident")


def reconcile(since: Since = None, as_json: Json = False) -> None:
    """Compare the gateway's list, attempts and ledger; what differs becomes an incident. Exit status 1 when it does."""
    start = instant(since)

    async def run(teiki: Teiki) -> Report:
        console = errors()
        if not console.is_terminal:
            return await teiki.reconciliation.run(since=start)
        with console.status("Comparing …") as status:
            return await teiki.reconciliation.run(
                since=start,
                on_progress=lambda so_far: status.update(f"Comparing … {so_far.movements:,} movements"),
            )

    report = with_teiki(run)
    document = report.model_dump(mode="json") | {"agrees": report.agrees, "is_well": report.is_well}
    answer(document, as_json=as_json, page=lambda console: show(console, report))
    if not report.is_well:
        raise typer.Exit(1)


@incidents.command("list")
def list_incidents(
    subscription: Annotated[str | None, typer.Option(metavar="ID", help="Of this subscription only.")] = None,
    with_closed: Annotated[bool, typer.Option("--all", help="Also those that somebody has closed.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Open incidents, newest first."""
    page = with_teiki(
        lambda teiki: teiki.reconciliation.incidents(
            subject_id=subscription, with_closed=with_closed, cursor=cursor, limit=limit
        )
    )
    answer(page, as_json=as_json, page=lambda console: show_incidents(console, page))


def show_incidents(console: Console, page: IncidentPage) -> None:
    """Incidents as a table."""
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed
    from rich.text import Text  # noqa: PLC0415 - as above

    if not page.items:
        console.print("No incidents.", markup=False)
        return
    table = Table(
        "incident", "opened", "kind", "about", "amount", "seen", header_style="bold", box=None, pad_edge=False
    )
    for item in page.items:
        payment = f", payment {item.number}" if item.number is not None else ""
        closed = f" (closed by {item.closed_by}: {item.closing_comment})" if item.closed_at else ""
        cells = (
            item.id,
            f"{item.opened_at:%Y-%m-%d %H:%M} UTC",
            item.kind,
            (item.subject_id or item.gateway_id or "") + payment,
            str(item.amount) if item.amount else "",
            _facts(item.facts) + closed,
        )
        # As text: what was seen at a gateway is nobody's markup.
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    if page.next_cursor:
        console.print(f"More: --cursor {page.next_cursor}", markup=False, soft_wrap=True)


def show(console: Console, report: Report) -> None:
    """The report as a page."""
    console.print(f"{summary(report)}.", markup=False)
    console.print(
        f"From {report.since:%Y-%m-%d %H:%M:%S} to {report.until:%Y-%m-%d %H:%M:%S} UTC:"
        f" {report.movements:,} movements, {report.bookings:,} bookings"
        + (f", {report.workflows:,} running subscriptions." if report.workflows is not None else "."),
        markup=False,
    )
    if report.totals:
        console.print(totals(report))
    for difference in report.shown:
        console.print(f"! {sentence(difference)}", markup=False)
    for subscription_id in report.missing_workflows:
        console.print(f"! workflow_missing of {subscription_id}: the engine does not run it", markup=False)


def summary(report: Report) -> str:
    """One sentence without its full stop."""
    in_flight = f"; {report.in_flight} in flight" if report.in_flight else ""
    if report.agrees:
        explained = (
            f", but for {report.incidents_explained} that was explained" if report.incidents_explained else ""
        )
        return f"the books agree{explained}{in_flight}"
    count = report.incidents_new + report.incidents_known
    waiting = "1 difference waits" if count == 1 else f"{count} differences wait"
    return f"{waiting} for a person ({report.incidents_new} new){in_flight}"


def totals(report: Report) -> Table:
    """Per currency what each of the three books holds, charges less refunds."""
    from rich.table import Table  # noqa: PLC0415 - Rich is loaded when something is printed

    from domain.money import Money  # noqa: PLC0415 - pydantic is not needed for help

    table = Table(
        "currency", "gateway", "attempts", "ledger", "", header_style="bold", box=None, pad_edge=False
    )
    for column in table.columns[1:4]:
        column.justify = "right"
    for currency, sums in sorted(report.totals.items()):
        amounts = (sums.gateway, sums.attempts, sums.ledger)
        shown = [str(Money(minor=minor, currency=currency)) for minor in amounts]
        table.add_row(currency, *shown, "" if len(set(amounts)) == 1 else "differ")
    return table


def sentence(difference: FoundDifference) -> str:
    """One difference in words: what, about which payment, and what was seen."""
    about = f" of {difference.subject_id}" if difference.subject_id else ""
    payment = f", payment {difference.number}" if difference.number is not None else ""
    return f"{difference.kind}{about}{payment}: {_facts(difference.facts)}"


def _facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
