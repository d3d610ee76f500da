"""Pages for people: one subscription, the list of many, a plan. Data from outside is never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from db.reads.subscription import AttemptDetail, EventDetail, PaymentDetail, SubscriptionDetail
from db.reads.subscriptions import SubscriptionItem
from domain.money import Money
from domain.projection import SubscriptionView
from domain.resume import Plan
from starter.wording import (
    calendar_words,
    local,
    local_and_utc,
    next_sentence,
    retry_words,
    status_sentence,
)

_COLOURS: Final = {
    "current": "green",
    "completed": "green",
    "settled": "green",
    "unverified": "yellow",
    "unconfirmed": "yellow",
    "unpaid": "yellow",
    "collecting": "yellow",
    "pending": "yellow",
    "unknown": "magenta",
    "attention": "bold magenta",
    "suspended": "red",
    "failed": "red",
    "declined": "red",
    "canceled": "dim",
    "skipped": "dim",
    "refunded": "cyan",
    "partially_refunded": "cyan",
    "chargeback": "red",
    "partially_repaid": "yellow",
    "repaid": "green",
    "in_process": "yellow",
    "complete": "green",
    "purchase_confirmed": "green",
    "active": "green",
    "used": "green",
    "paid": "green",
    "expired": "dim",
    "revoked": "red",
}


def subscription(console: Console, detail: SubscriptionDetail) -> None:
    """Everything about one subscription."""
    console.print(Text.assemble((detail.id, "bold"), "  ", coloured(detail.status.value)))
    console.print(Text(status_sentence(detail.status, detail.reason)))
    console.print(Text(next_sentence(detail)))
    console.print()
    console.print(_facts(detail))
    for section in (_payments(detail), _operations(detail)):
        if section.rows:
            console.print()
            console.print(section)


def _facts(detail: SubscriptionDetail) -> Table:
    terms, card = detail.terms, detail.payment_method
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    expires = f", expires {card.expires_year}-{card.expires_month:02}" if card.expires_month else ""
    blocked = ", blocked" if card.blocked_at or detail.customer.blocked_at else ""
    rows = [
        ("customer", f"{detail.customer_id}  {detail.customer_name}  {detail.customer_email}"),
        ("product", f"{detail.product_id}  {detail.product_name}"),
        ("card", f"{card.brand} …{card.last_four}{expires}{blocked}  ({card.id})"),
        ("amount", f"{detail.amount}, {calendar_words(terms)} ({terms.zone})"),
        ("retries", retry_words(terms.retry, terms.period)),
        ("on resume", terms.resume_policy.value),
        ("charged", f"{detail.charged} in {_charges(detail)}"),
    ]
    if detail.next_amount_minor is not None:
        once = Money(minor=detail.next_amount_minor, currency=detail.amount.currency)
        rows.append(("next amount", f"{once}, once"))
    if terms.total_amount_minor is not None:
        rows.append(("in all", str(Money(minor=terms.total_amount_minor, currency=terms.currency))))
    if detail.order_id:
        rows.append(("order", detail.order_id))
    if detail.metadata:
        rows.append(("metadata", ", ".join(f"{key}={value}" for key, value in detail.metadata.items())))
    rows.append(("created", local_and_utc(detail.created_at, detail.zone)))
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _charges(detail: SubscriptionDetail) -> str:
    agreed = detail.terms.total_charges
    plural = "charge" if detail.charges == 1 else "charges"
    return f"{detail.charges} of {agreed} charges" if agreed else f"{detail.charges} {plural}"


def _payments(detail: SubscriptionDetail) -> Table:
    table = titled(
        f"Payments ({detail.zone})", "#", "due", "amount", "state", "attempt", "sent", "outcome", "gateway"
    )
    for payment in detail.payments:
        head = (str(payment.number), short(payment.due_at, detail.zone), str(payment.amount))
        state = coloured(payment.state)
        if not payment.attempts:
            table.add_row(*map(Text, head), state, "", "", Text(_no_attempt(payment)), "")
        for index, attempt in enumerate(payment.attempts):
            first = (*map(Text, head), state) if index == 0 else ("", "", "", "")
            table.add_row(
                *first,
                Text(_NO_CHARGES.get(attempt.purpose, str(attempt.attempt))),
                Text(short(attempt.sent_at, detail.zone)),
                _outcome(attempt),
                Text(attempt.gateway_id or ""),
            )
        if payment.attempts and payment.skip_reason:
            table.add_row("", "", "", "", "", "", Text(_no_attempt(payment)), "")
    return table


_NO_CHARGES: Final = {
    "refund": "refund",
    "twin": "refund of a double charge",
    "chargeback": "chargeback",
    "repayment": "repayment",
    "receipt": "repayment, otherwise",
}


def _no_attempt(payment: PaymentDetail) -> str:
    return f"skipped: {payment.skip_reason}" if payment.skip_reason else ""


def _outcome(attempt: AttemptDetail) -> Text:
    why = f" ({attempt.decline})" if attempt.decline else ""
    shown = coloured(attempt.state)
    shown.append(why)
    if attempt.needs_verification:
        shown.append(" to be verified", style="magenta")
    return shown


def _operations(detail: SubscriptionDetail) -> Table:
    table = titled("Operations", "when", "what", "by", "comment")
    for event in detail.operations:
        table.add_row(
            Text(short(event.at, detail.zone)),
            Text(operation_words(event)),
            Text(event.actor),
            Text(event.comment),
        )
    return table


def operation_words(event: EventDetail) -> str:
    """`resume policy=catch_up`; the creation's terms are on the page already."""
    if event.data["do"] == "create":
        return "create"
    told = [
        f"{name}={value}" for name, value in event.data.get("arguments", {}).items() if name != "token_hash"
    ]
    return " ".join([str(event.data["do"]), *told])


def subscriptions(items: Sequence[SubscriptionItem]) -> Table:
    """One line each."""
    table = titled(None, "id", "status", "customer", "product", "amount", "card", "next", "charges", "notes")
    for item in items:
        following = f"{item.next_kind} {short(item.next_at, item.zone)}" if item.next_at else ""
        notes = [
            f"cancels {short(item.cancel_at, item.zone)}" if item.cancel_at else "",
            "unknown outcome" if item.has_unknown_payment else "",
            "failing" if item.failing else "",
        ]
        table.add_row(
            Text(item.id),
            coloured(item.status.value),
            Text(item.customer_email or item.customer_name or item.customer_id),
            Text(item.product_name),
            Text(f"{item.amount} {item.period}"),
            Text(f"{item.card_brand} …{item.card_last_four}"),
            Text(following),
            Text(str(item.charges)),
            Text(", ".join(note for note in notes if note)),
        )
    table.columns[0].no_wrap = True
    return table


def view(console: Console, shown: SubscriptionView, zone: str) -> None:
    """The answer of an operation: the new state, in two lines."""
    console.print(Text.assemble(("✓ ", "green"), (shown.id, "bold"), "  ", coloured(shown.status.value)))
    console.print(Text(status_sentence(shown.status, shown.reason)))
    if shown.next_at is not None:
        console.print(Text(f"Next: {shown.next_kind} on {local_and_utc(shown.next_at, zone)}"))
    if shown.cancel_at is not None:
        console.print(Text(f"Scheduled for cancellation on {local(shown.cancel_at, zone)}"))


def plan(console: Console, shown: Plan, zone: str, *, title: str) -> None:
    """Each payment and its instant; the skipped ones and why."""
    table = titled(f"{title} ({zone})", "payment", "due", "charged", "amount")
    for skipped in shown.skipped:
        numbers = str(skipped.first) if skipped.first == skipped.last else f"{skipped.first}–{skipped.last}"
        table.add_row(numbers, "", Text(f"skipped: {skipped.reason}", style="dim"), "")
    for payment in shown.payments:
        table.add_row(
            str(payment.number), short(payment.due_at, zone), short(payment.at, zone), str(payment.amount)
        )
    console.print(table if table.rows else Text(f"{title}: nothing is charged."))
    if shown.goes_on:
        console.print(Text("… and so on.", style="dim"))
    if shown.cancel_at is not None:
        console.print(Text(f"It is canceled on {local(shown.cancel_at, zone)}."))


def titled(title: str | None, *columns: str) -> Table:
    """A table as all pages have it."""
    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
    )


def coloured(name: str) -> Text:
    """A status in its colour."""
    return Text(name, style=_COLOURS.get(name, ""))


def short(instant: datetime, zone: str) -> str:
    """The local instant, where the zone is said elsewhere."""
    return local(instant, zone).removesuffix(f" {zone}")
