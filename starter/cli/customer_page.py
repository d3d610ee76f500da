"""A customer's page as people read it on a terminal, tab by tab (spec: customers.md §1). Instants are in UTC."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.customer import CustomerPage
    from db.reads.customer_info import BlockLog, Info
    from db.reads.customer_money import Counted, ProductPurchases, Stats
    from db.reads.customer_transactions import Transaction
    from workflows.blocking import BlockingAnswer

_WAYS: Final = {"subscription": "Subscriptions", "one_time": "One-time purchases"}
_DONE: Final = {
    "block": "Blocked",
    "unblock": "Unblocked",
    "block_all": "Blocked with every detail",
    "unblock_all": "Unblocked with every detail",
}


def show(console: Console, page: CustomerPage, tabs: Collection[str]) -> None:
    """The tabs wanted, each under its name."""
    who = page.customer
    blocked = f"  blocked since {_at(who.blocked_at)}" if who.blocked_at else ""
    console.print(Text(f"{who.id}  {who.email}  {who.name}{blocked}", style="bold"))
    if "details" in tabs:
        _title(console, "Details of the last transaction")
        _details(console, page.details)
    if page.stats is not None:
        _title(console, "Stats")
        _stats(console, page.stats)
    if page.info is not None:
        _title(console, "Info")
        _info(console, page.info)
    if page.products is not None:
        _title(console, "Products")
        _products(console, page.products)
    if page.transactions is not None:
        _title(console, "Transactions")
        _transactions(console, page.transactions.items)


def blocked(console: Console, done: BlockingAnswer) -> None:
    """What a block or an unblock did, in a few lines."""
    again = " (done before under this request id)" if done.outcome == "duplicate" else ""
    console.print(f"{_DONE[done.do]}: {done.customer_id}{again}", markup=False)
    console.print(f"  details: {', '.join(done.changed) or 'all were like that already'}", markup=False)
    if done.do == "block":
        console.print("  A subscription is suspended when its next payment is due.")
    else:
        verb = "suspended" if done.do == "block_all" else "put back"
        console.print(f"  subscriptions {verb}: {done.subscriptions}")
    if done.do == "block_all":
        console.print(f"  slips voided: {done.slips}")
    if done.do in ("block", "block_all"):
        console.print(f"  card change links voided: {done.card_links}")
    if done.left:
        console.print(f"  left alone, since something else came first: {done.left}")


def _title(console: Console, name: str) -> None:
    console.print()
    console.print(Text(name, style="bold"))


def _details(console: Console, last: Transaction | None) -> None:
    if last is None:
        console.print("No transaction yet.")
        return
    card = f"{last.method}  ({last.payment_method_id})" + (
        f", expires {last.expires}" if last.expires else ""
    )
    facts = Table(show_header=False, box=None, pad_edge=False)
    for label, value in (
        ("paid by", card),
        ("last", f"{_action(last)}, {last.amount}, {_at(last.at)}"),
        ("product", f"{last.product_name}  ({last.product_id})"),
        ("reference", f"{last.object_id}/{last.number}/{last.attempt}"),
        ("gateway", last.gateway_id or ""),
    ):
        if value:
            facts.add_row(label, Text(value))
    console.print(facts)


def _stats(console: Console, stats: Stats) -> None:
    if stats.first_at is None or stats.last_at is None:
        console.print("No money has moved yet.")
        return
    table = _table("currency", "sales", "refunds", "credits", "chargebacks", "repayments")
    for column in table.columns[1:]:
        column.justify = "right"
    for of in stats.by_currency:
        counted = (of.sales, of.refunds, of.credits, of.chargebacks, of.repayments)
        table.add_row(of.currency, *map(_counted, counted))
    console.print(table)
    console.print(f"first {_at(stats.first_at)}, last {_at(stats.last_at)}", style="dim")


def _counted(counted: Counted) -> str:
    return f"{counted.count} × {counted.amount}" if counted.count else "-"


def _info(console: Console, info: Info) -> None:
    table = _table("detail", "", "id", "state", "since")
    for detail in info.details:
        remark = "" if detail.is_current else " (earlier)"
        shared = (
            f" (also of {detail.also_of} other{'s' if detail.also_of > 1 else ''})" if detail.also_of else ""
        )
        since = _at(detail.blocked_at) if detail.blocked_at else ""
        table.add_row(detail.kind.value, Text(detail.shown + remark + shared), detail.id, detail.state, since)
    console.print(table)
    if info.log:
        log = _table("when", "who", "what", "why")
        for entry in info.log:
            log.add_row(_at(entry.at), Text(entry.actor), Text(_what(entry)), Text(entry.comment))
        console.print()
        console.print(log)


def _what(entry: BlockLog) -> str:
    if entry.do.endswith("_all"):
        return f"{entry.do}, {len(entry.changed)} details changed"
    return f"{entry.do} {', '.join(entry.changed) or '(nothing was to change)'}"


def _products(console: Console, products: list[ProductPurchases]) -> None:
    if not products:
        console.print("Nothing bought yet.")
    for way, title in _WAYS.items():
        bought = [product for product in products if product.way == way]
        if not bought:
            continue
        table = _table(title, "", "last action", "", "", "", "last successful")
        for product in bought:
            last, good = product.last, product.last_successful
            action = (
                (_at(last.at), last.method, _action(last), str(last.amount)) if last else ("-", "", "", "")
            )
            paid = f"{_at(good.at)}  {good.method}  {good.amount}" if good else "-"
            table.add_row(
                Text(f"{product.product_name} × {product.purchases}"),
                product.product_id,
                *(Text(cell) for cell in action),
                Text(paid),
            )
        console.print(table)


def _transactions(console: Console, items: list[Transaction]) -> None:
    if not items:
        console.print("None.")
        return
    table = _table("when", "product", "action", "amount", "by", "reference")
    for item in items:
        reference = f"{item.object_id}/{item.number}/{item.attempt}"
        cells = (_at(item.at), item.product_name, _action(item), str(item.amount), item.method, reference)
        table.add_row(*(Text(cell) for cell in cells))
        for note in item.notes:
            table.add_row(
                "", Text(f"note: {note.text}", style="dim"), "", "", Text(note.author, style="dim"), ""
            )
        for told in item.deliveries:
            how = f"{told.topic} {told.state}, {told.tries} tr{'y' if told.tries == 1 else 'ies'}"
            table.add_row(
                "",
                Text(f"told: {how}", style="dim"),
                "",
                "",
                Text(told.endpoint_id, style="dim"),
                told.notification_id,
            )
    console.print(table)


def _action(item: Transaction) -> str:
    """`charge settled`, `charge declined (insufficient_funds)`, `charge settled, refunded since`."""
    why = f" ({item.decline})" if item.decline else ""
    since = ", refunded since" if item.action == "charge" and item.payment_state == "refunded" else ""
    return f"{item.action} {item.status}{why}{since}"


def _table(*columns: str) -> Table:
    return Table(*columns, header_style="bold", box=None, pad_edge=False)


def _at(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
