"""A simulation's answer as people read it: a dated table, and how it ended in a few lines."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from domain.money import Money
from starter.simulate.report import Report

_NAMES = {"subscription": "status", "deposit": "slip"}
"""What people call it, where it is not the machine's word."""


def table(result: Report) -> Table:
    """The timeline as a person reads it."""
    shown = Table(title=escape(result.name), title_justify="left", header_style="bold")
    for column in ("when", "what", "payment", "detail"):
        shown.add_column(column)
    for entry in result.timeline:
        what, detail = _cells(entry)
        shown.add_row(entry["at"].replace("T", " "), what, str(entry.get("payment", "")), detail)
    return shown


def _cells(entry: dict[str, Any]) -> tuple[str, str]:
    """What happened, and about it."""
    kind = entry["type"]
    if kind == "charge":
        return _charge(entry)
    if kind == "status":
        change = f"{entry['from']} → " if entry["from"] else ""
        detail = f"{change}[bold]{entry['to']}[/] ({_words(entry['reason'])})"
        return _NAMES.get(entry["object"], entry["object"]), detail
    if kind == "operation":
        return _operation(entry)
    if kind == "skip":
        return "skipped", f"due {entry['due'][:10]} ({_words(entry.get('reason', ''))})"
    return _beside(entry)


def _charge(entry: dict[str, Any]) -> tuple[str, str]:
    outcome = {"succeeded": "[green]succeeded[/]", "failed": "[red]failed[/]"}.get(
        entry["outcome"], "pending"
    )
    late = "" if entry["due"][:16] == entry["at"][:16] else f", due {entry['due'][:10]}"
    decline = f" ({_words(entry['decline'])})" if entry.get("decline") else ""
    return f"charge {outcome}", f"attempt {entry['attempt']}: {_money(entry)}{decline}{late}"


def _operation(entry: dict[str, Any]) -> tuple[str, str]:
    if entry["result"] == "refused":
        return (
            "operation",
            f"{entry['do']} [red]refused[/]: {entry['code']} [dim]{escape(entry['message'])}[/]",
        )
    role, _, name = entry.get("actor", "").partition(":")
    # A customer's name is an opaque id; a scenario has one customer.
    who = role if role in ("customer", "system") or name == "scenario" else f"{role} {name}".strip()
    return "operation", f"{entry['do']} accepted" + (f", by {escape(who)}" if who else "")


def _beside(entry: dict[str, Any]) -> tuple[str, str]:
    kind = entry["type"]
    if kind == "points":
        return "points", f"{entry['points']:+} ({_words(entry['what'])})"
    if kind == "refund":
        outcome = {"succeeded": "[green]succeeded[/]", "failed": "[red]failed[/]"}.get(
            entry["outcome"], "pending"
        )
        why = _words(entry.get("decline") or entry.get("reason") or "")
        return f"refund {outcome}", f"{_money(entry)} ({why})"
    if kind == "fee":
        return "fee", f"{_money(entry)} ({_words(entry['reason'])})"
    if kind == "incident" and entry["kind"] == "late_deposit":
        return "late money", f"{_money(entry)} that nobody waits for; it goes back"
    if kind == "incident":
        return "[red]incident[/]", f"{_words(entry['kind'])} {entry['outcome']} {_money(entry)}".strip()
    return kind, _money(entry)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _money(entry: dict[str, Any]) -> str:
    return str(Money.model_validate(entry["amount"])) if "amount" in entry else ""


# ---------------------------------------------------------------------- how it ended


def summary(result: Report) -> str:
    """The last state, the money, and whether both books say the same."""
    final = result.final
    if "order_status" in final:
        told = _order_summary(final)
    else:
        told = (
            f"final: [bold]{final['status']}[/], {final['charges']} charges, "
            f"next payment {final['next_payment_at'] or 'none'}"
        )
    books = "agree" if result.books_agree else "[bold red]DIFFER[/]"
    settled = result.ledger["database_settled"].items()
    totals = " + ".join(str(Money(minor=minor, currency=currency)) for currency, minor in settled)
    return f"{told}\nledger: {totals or 'nothing'} settled; the gateway's book and ours {books}"


def _order_summary(final: dict[str, Any]) -> str:
    money = {name: str(Money.model_validate(final[name])) for name in ("refunded", "fees")}
    points = f"points {final['points']}" + (
        f" ({final['points_expected']} expected)" if final["points_expected"] else ""
    )
    return (
        f"final: order {final['order_number']} [bold]{final['order_status']}[/] ({_words(final['reason'])})\n"
        f"payment: {final['payment_status']}{_payments(final)}\n"
        f"permission: {_access(final['permission'])}\n"
        f"{points}, refunded {money['refunded']}, fees {money['fees']}"
    )


def _payments(final: dict[str, Any]) -> str:
    """How often a recurring one was paid, and what comes."""
    if not final["payment_status"].startswith("recurring"):
        return ""
    following = f", next {_clock(final['next_payment_at'])}" if final["next_payment_at"] else ""
    return f", {final['payments']} times{following}"


def _access(permission: dict[str, Any] | None) -> str:
    if permission is None:
        return "none, nothing was granted"
    number = f", member no. {permission['membership_number']}" if permission["membership_number"] else ""
    until = f" until {_clock(permission['ends_at'])}" if permission["ends_at"] else ", without end"
    return f"[bold]{permission['status']}[/], from {_clock(permission['starts_at'])}{until}{number}"


def _clock(instant: str) -> str:
    return instant.replace("T", " ")
