"""`teiki reconcile`, the three books side by side as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.cli.options import Json, instant
from starter.cli.output import answer, errors
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from activities.contracts.reconciliation import FoundDifference, Report
    from starter.teiki import Teiki

Since = Annotated[
    str | None,
    typer.Option(
        metavar="INSTANT",
        help="From when; default: from a day before the end of the last run, or from the beginning.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to `teiki`."""
    app.command()(reconcile)


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


def show(console: Console, report: Report) -> None:
    """The report as a page."""
    console.print(f"{summary(report)}.", markup=False)
    console.print(
        f"From {report.since:%Y-%m-%d %H:%M:%S} to {report.until:%Y-%m-%d %H:%M:%S} UTC:"
        f" {report.movements:,} movements, {report.bookings:,} bookings"
        + (f", {report.workflows:,} running workflows." if report.workflows is not None else "."),
        markup=False,
    )
    if report.totals:
        console.print(totals(report))
    for difference in report.shown:
        console.print(f"! {sentence(difference)}", markup=False)
    for object_id in report.missing_workflows:
        console.print(f"! workflow_missing of {object_id}: the engine does not run it", markup=False)


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
