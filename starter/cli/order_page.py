"""An order as people read it: one page of everything, the slip a customer needs, the answer to an operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from domain.order_terms import JAPAN, Pay
from domain.product import ProductType
from starter.cli.pages import coloured, short, titled
from starter.order_wording import (
    access_words,
    event_words,
    identification_words,
    is_over,
    next_sentence,
    payment_words,
    shows_usage_period,
    slip_sentence,
    status_sentence,
    store_words,
    usage_words,
)
from starter.wording import local, local_and_utc

if TYPE_CHECKING:
    from rich.console import Console

    from db.reads.deposits import DepositItem
    from db.reads.order import MoneyBack, OrderDetail
    from domain.order_projection import OrderView

_Facts = Iterable[tuple[str, str]]


def order(console: Console, detail: OrderDetail) -> None:
    """Everything about one order."""
    _head(console, detail)
    _section(console, _order_facts(detail))
    if detail.deposits:
        _section(console, slips(detail.deposits))
    if detail.permission is not None:
        is_ticket = detail.product_type is ProductType.TICKET
        _section(
            console, _permission_facts(detail), title="Access method" if is_ticket else "Usage permission"
        )
    # Whoever proved the right by a token has paid nothing: nothing about payment is shown.
    if detail.pay is not Pay.NONE:
        _section(console, _payments(detail))
    _section(console, _notes(detail))
    _section(console, _history(detail))


def placed(console: Console, detail: OrderDetail) -> None:
    """The answer of a placement: how it stands, and what the customer needs to pay at the store."""
    _head(console, detail)
    if detail.deposits:
        console.print()
        console.print(_slip_facts(detail.deposits[-1]))


def view(console: Console, shown: OrderView) -> None:
    """The answer of an operation: the new state, in a few lines."""
    told = Text.assemble(("✓ ", "green"), (shown.number, "bold"), "  ", coloured(shown.status.value))
    permission = f"  permission {shown.permission.status.value}" if shown.permission else ""
    console.print(told + Text(f"  {shown.payment_status.value}{permission}"))
    console.print(Text(status_sentence(shown.status, shown.reason)))


def slip(console: Console, shown: DepositItem) -> None:
    """What the customer needs at the store."""
    console.print(Text.assemble((f"Slip {shown.number}", "bold"), "  ", coloured(shown.status.value)))
    console.print(Text(slip_sentence(shown)))
    console.print(_slip_facts(shown))


def _slip_facts(shown: DepositItem) -> Table:
    facts = [
        ("store", store_words(shown.store.value)),
        ("payment number", shown.payment_number or "-"),
        ("confirmation number", shown.confirmation_number or "-"),
        ("amount", str(shown.amount)),
        ("pay by", local(shown.deadline_at, JAPAN)),
        ("name", shown.customer_name),
        ("phone", shown.phone),
        ("slip", shown.id),
    ]
    return _facts(facts)


def slips(items: Sequence[DepositItem]) -> Table:
    """One line each, in Japan's time of day."""
    columns = ("#", "status", "store", "payment no.", "confirmation no.", "amount", "pay by", "paid", "id")
    table = titled(f"Slips ({JAPAN})", *columns)
    for item in items:
        cells = (
            store_words(item.store.value),
            item.payment_number or "-",
            item.confirmation_number or "-",
            str(item.amount),
            short(item.deadline_at, JAPAN),
            short(item.paid_at, JAPAN) if item.paid_at else "",
            item.id,
        )
        table.add_row(str(item.number), coloured(item.status.value), *map(Text, cells))
    return table


def _head(console: Console, detail: OrderDetail) -> None:
    console.print(
        Text.assemble((detail.number, "bold"), "  ", coloured(detail.status.value), f"  {detail.id}")
    )
    console.print(Text(status_sentence(detail.status, detail.reason)))
    console.print(Text(next_sentence(detail)))


def _order_facts(detail: OrderDetail) -> Table:
    who = detail.customer
    facts = [
        ("customer", f"{detail.customer_id}  {who.name}  {who.email}"),
        ("product", f"{detail.product_id}  {detail.product_name}  ({detail.product_type.value})"),
        ("options", ", ".join(detail.options)),
        ("price", str(detail.amount) if detail.amount else ""),
        *(_payment_facts(detail) if detail.pay is not Pay.NONE else ()),
        ("points", _points(detail)),
        *((f"field {name}", str(value)) for name, value in detail.custom_fields.items()),
        ("metadata", ", ".join(f"{key}={value}" for key, value in detail.metadata.items())),
        ("ordered", local_and_utc(detail.created_at, detail.zone)),
    ]
    return _facts(facts)


def _payment_facts(detail: OrderDetail) -> _Facts:
    parts = detail.terms.installments
    how = f", in {parts} installments" if parts else ""
    following = detail.next_payment_at
    yield "payment", f"{payment_words(detail)}, by {detail.pay.value}{how}"
    yield "next payment", local_and_utc(following, detail.zone) if following and not is_over(detail) else ""
    yield "subscription", detail.subscription_id or ""
    yield "refunded", _sum(detail.refunds)
    yield "fees", _sum(detail.fees)


def _sum(entries: Sequence[MoneyBack]) -> str:
    if not entries:
        return ""
    total = entries[0].amount.model_copy(update={"minor": sum(entry.amount.minor for entry in entries)})
    return str(total) if len(entries) == 1 else f"{total} in {len(entries)} entries"


def _points(detail: OrderDetail) -> str:
    points = detail.points
    told = [
        f"{points.earned} earned" if points.earned else "",
        f"{points.expected} upon purchase confirmation" if points.expected else "",
        f"{points.taken_back} taken back" if points.taken_back else "",
    ]
    return ", ".join(one for one in told if one)


def _permission_facts(detail: OrderDetail) -> Table:
    permission = detail.permission
    assert permission is not None
    number = permission.membership_number
    facts = [
        ("permission", permission.id),
        ("product", permission.product_name),
        ("usage period", usage_words(detail) if shows_usage_period(detail) else ""),
        ("status", permission.status.value),
        ("acquired by", permission.acquisition),
        ("acquired", local_and_utc(permission.acquired_at, detail.zone)),
        ("membership no.", str(number) if number is not None else ""),
        ("identification", identification_words(detail)),
        ("access", access_words(detail) if detail.product_type is ProductType.TICKET else ""),
    ]
    return _facts(facts)


def _payments(detail: OrderDetail) -> Table:
    columns = (
        "#",
        "category",
        "reason",
        "method",
        "price",
        "asked",
        "approved",
        "approval no.",
        "transaction",
    )
    table = titled(f"Payment history ({detail.zone})", *columns)
    for entry in detail.payment_history:
        parts = f", {entry.installments} installments" if entry.installments else ""
        waits = Text("waits for a person", style="bold magenta")
        why = waits if entry.waits_for_a_person else Text(entry.reason or "")
        cells = (
            entry.pay + parts,
            str(entry.price),
            short(entry.requested_at, detail.zone),
            short(entry.approved_at, detail.zone) if entry.approved_at else "",
            entry.approval_number or "",
            entry.transaction_id or "",
        )
        table.add_row(str(entry.payment_number), entry.category, why, *map(Text, cells))
    return table


def _notes(detail: OrderDetail) -> Table:
    table = titled("Notes", "when", "by", "note")
    for note in detail.order_notes:
        table.add_row(short(note.at, detail.zone), Text(note.author), Text(note.text))
    return table


def _history(detail: OrderDetail) -> Table:
    table = titled(f"History ({detail.zone})", "when", "tab", "what", "by", "comment")
    for event in detail.history:
        words = event_words(event, detail.zone)
        who, comment = Text(event.actor), Text(event.comment)
        table.add_row(short(event.at, detail.zone), event.tab, Text(words), who, comment)
    return table


def _section(console: Console, table: Table, *, title: str = "") -> None:
    if not table.rows:
        return
    console.print()
    if title:
        console.print(Text(title, style="bold"))
    console.print(table)


def _facts(facts: _Facts) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(name, Text(value))
    return table
