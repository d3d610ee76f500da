"""`teiki customer`: who pays; their page; blocking and unblocking (spec: customers.md §§1–2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from starter.cli.catalogue import entered, more, table
from starter.cli.options import Actor, Comment, Cursor, Json, Limit, RequestId, actor_or_default, by
from starter.cli.output import answer, errors, print_json
from starter.cli.session import with_teiki

if TYPE_CHECKING:
    from rich.console import Console

    from starter.teiki import Teiki
    from workflows.blocking import BlockingAnswer

app = typer.Typer(help="Who pays.", no_args_is_help=True)

CustomerName = Annotated[
    str, typer.Argument(metavar="CUSTOMER", help="Its id, cus_…, or an e-mail address, whatever its case.")
]
Details = Annotated[
    list[str] | None,
    typer.Option(
        "--detail",
        metavar="DETAIL",
        help="An id from the tab info (pm_…, eml_…, tel_…, cus_…), or an address or number. May be given many times.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every detail, the customer's id included.")]
_WAYS = ("subscription", "one_time")


@app.command("put")
def put_customer(
    customer: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="cus_…; left out: a new one.")
    ] = None,
    email: str = "",
    name: str = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Enter or change a customer."""
    customer_id = with_teiki(
        lambda teiki: teiki.customers.put(
            customer_id=customer,
            email=email,
            name=name,
            request_id=request_id,
            actor=actor_or_default(actor),
        )
    )
    entered(customer_id, as_json=as_json)


@app.command("list")
def list_customers(
    text: Annotated[str | None, typer.Option(help="How an id, an e-mail or a name begins.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Customers, newest first."""
    page = with_teiki(lambda teiki: teiki.customers.list(text=text, cursor=cursor, limit=limit))
    if as_json:
        print_json(page)
        return
    table(("id", "e-mail", "name", "blocked"), [_cells(item) for item in page.items])
    more(page.next_cursor)


@app.command("show")
def show_customer(
    customer: CustomerName,
    tab: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAB", help="details, stats, info, products or transactions. Left out: all of them."
        ),
    ] = None,
    product: Annotated[
        str | None, typer.Option(metavar="ID", help="Transactions of this product only, prd_…")
    ] = None,
    way: Annotated[
        str | None, typer.Option(metavar="WAY", help="Transactions bought so only: subscription or one_time.")
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """The customer's page: last payment, stats, details and blocks, products, transactions."""
    from db.reads.customer import TABS  # noqa: PLC0415 - SQLAlchemy only when needed

    tabs = tuple(cast("Any", name) for name in tab) if tab else TABS
    if unknown := [name for name in tabs if name not in TABS]:
        raise typer.BadParameter(f"There is no tab {unknown[0]!r}; the tabs are {', '.join(TABS)}.")
    if way is not None and way not in _WAYS:
        raise typer.BadParameter(f"A way is {' or '.join(_WAYS)}.")
    page = with_teiki(
        lambda teiki: teiki.customers.show(
            customer, tabs=tabs, product_id=product, way=cast("Any", way), cursor=cursor, limit=limit
        )
    )

    def shown(console: Console) -> None:
        from starter.cli.customer_page import show  # noqa: PLC0415 - Rich is loaded when something is printed

        show(console, page, tabs)

    answer(page, as_json=as_json, page=shown)
    if page.transactions is not None and not as_json:
        more(page.transactions.next_cursor)


@app.command("block")
def block(
    customer: CustomerName,
    detail: Details = None,
    everything: All = False,
    comment: Comment = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Block details: nothing is charged with them any more. --all also suspends, and voids slips and links."""
    _carry_out("block", customer, detail, everything, by(request_id, actor, comment), as_json=as_json)


@app.command("unblock")
def unblock(
    customer: CustomerName,
    detail: Details = None,
    everything: All = False,
    comment: Comment = "",
    request_id: RequestId = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Unblock details: subscriptions that the block suspended get their status back; nothing is charged by it."""
    _carry_out("unblock", customer, detail, everything, by(request_id, actor, comment), as_json=as_json)


def _carry_out(
    do: str,
    customer: str,
    details: list[str] | None,
    everything: bool,
    asked: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    if everything == bool(details):
        raise typer.BadParameter("Name --detail (once or more), or --all.")

    async def run(teiki: Teiki) -> BlockingAnswer:
        command = getattr(teiki.customers, do + ("_all" if everything else ""))
        done: BlockingAnswer
        console = errors()
        if not console.is_terminal:
            done = await command(customer, *(details or ()), **asked)
        else:
            with console.status("Committed first, then told to subscriptions and slips …") as status:
                asked["on_progress"] = lambda told: status.update(f"Told {told:,} subscriptions and slips …")
                done = await command(customer, *(details or ()), **asked)
        return done

    done = with_teiki(run)

    def page(console: Console) -> None:
        from starter.cli.customer_page import blocked  # noqa: PLC0415 - as above

        blocked(console, done)

    answer(done, as_json=as_json, page=page)


def _cells(item: Any) -> tuple[str, ...]:
    return item.id, item.email, item.name, item.blocked_at.isoformat() if item.blocked_at else ""
