"""A simulation's report as dated lines a person reads, and their comparison to the second.

    2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
    2023-10-02 10:20 status unpaid → current (caught_up)

Instants are wall time in the scenario's zone; seconds are written where they are not zero. A second attempt is
`charge 2/2`; an amount other than the story's first one is said. The last lines are the final state and the books.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from difflib import ndiff
from typing import Any

from domain.money import Money
from starter.simulate.report import Report

LATENESS_TOLERATED = timedelta(seconds=5)
"""A loaded machine does an operation a moment after its instant (spec: interfaces.md §3). Never before it."""


def lines_of(report: Report) -> list[str]:
    """Everything the report says, one line each, the final state and the books last."""
    usual = next((entry["amount"] for entry in report.timeline if entry["type"] == "charge"), None)
    lines = [f"{_clock(entry['at'])} {_what(entry, usual)}" for entry in report.timeline]
    return [*lines, *_ending(report.final), f"books {_books(report.ledger['gateway_settled'])}"]


def _ending(final: dict[str, Any]) -> list[str]:
    if "order_status" in final:
        return _ending_of_order(final)
    following = f", next {_clock(final['next_payment_at'])}" if final["next_payment_at"] else ""
    ending = f", ends {_clock(final['cancel_at'])}" if final["cancel_at"] else ""
    return [f"final {final['status']}, {final['charges']} charges{following}{ending}"]


def _ending_of_order(final: dict[str, Any]) -> list[str]:
    """The order, its permission, its money; what is nothing is not said."""
    permission = final["permission"]
    access = "no permission"
    if permission:
        until = f" to {_clock(permission['ends_at'])}" if permission["ends_at"] else ""
        access = f"permission {permission['status']} {_clock(permission['starts_at'])}{until}"
        access += f" no. {permission['membership_number']}" if permission["membership_number"] else ""
    more = [f"{name} {_money(final[name])}" for name in ("refunded", "fees") if final[name]["minor"]]
    more += [f"points {final['points']}"] if final["points"] else []
    more += [f"expires on {final['expires_on']}"] if final["expires_on"] else []
    return [
        f"final order {final['order_status']}, {final['payment_status']}",
        access,
        *filter(None, [", ".join(more)]),
    ]


def assert_told(report: Report, expected: str) -> None:
    """The report is exactly these lines, and the gateway's book equals ours."""
    assert report.ledger["gateway_settled"] == report.ledger["database_settled"]
    wanted = [line.strip() for line in expected.splitlines() if line.strip()]
    told = lines_of(report)
    if len(told) == len(wanted):
        told = [_forgiven(line, want) for line, want in zip(told, wanted, strict=True)]
    assert told == wanted, "\n".join([report.name, *ndiff(wanted, told)])


def _forgiven(line: str, want: str) -> str:
    """The wanted line in place of one that is the same but a moment late."""
    (at, said), (wanted_at, wanted) = _split(line), _split(want)
    late = at is not None and wanted_at is not None and timedelta() <= at - wanted_at <= LATENESS_TOLERATED
    return want if said == wanted and late else line


def _split(line: str) -> tuple[datetime | None, str]:
    day, clock, said = [*line.split(" ", 2), "", ""][:3]
    try:
        return datetime.fromisoformat(f"{day} {clock}"), said
    except ValueError:
        return None, line


def _clock(instant: str) -> str:
    """`2023-10-02T10:00:00+09:00` → `2023-10-02 10:00`."""
    wall = instant[:19].replace("T", " ")
    return wall.removesuffix(":00")


def _what(entry: dict[str, Any], usual: dict[str, Any] | None) -> str:
    kind = entry["type"]
    if kind == "charge":
        number = f"{entry['payment']}/{entry['attempt']}" if entry["attempt"] > 1 else str(entry["payment"])
        decline = f" ({entry['decline']})" if entry.get("decline") else ""
        due = f", due {entry['due'][:10]}" if entry["due"][:10] != entry["at"][:10] else ""
        return f"charge {number} {entry['outcome']}{decline}{due}{_amount(entry['amount'], usual)}"
    if kind == "status":
        return _status(entry)
    if kind == "operation":
        refused = f"refused: {entry['code']}" if entry["result"] == "refused" else entry["result"]
        return f"{entry['do']} {refused}"
    if kind == "skip":
        return f"skip {entry['payment']}, due {entry['due'][:10]} ({entry['reason']})"
    if kind == "refund":
        how = (
            f"failed ({entry['decline']})"
            if entry["outcome"] == "failed"
            else f"{entry['outcome']} ({entry['reason']})"
        )
        return f"refund {entry['payment']} {how}{_amount(entry['amount'], usual or entry['amount'])}"
    return _beside(entry)


def _status(entry: dict[str, Any]) -> str:
    thing = "status" if entry["object"] == "subscription" else entry["object"]
    if thing == "deposit" and entry["payment"] > 1:
        thing = f"deposit {entry['payment']}"
    change = f"{entry['from']} → {entry['to']}" if entry["from"] else f"→ {entry['to']}"
    return f"{thing} {change} ({entry['reason']})"


def _beside(entry: dict[str, Any]) -> str:
    if entry["type"] == "points":
        return f"points {entry['points']:+} ({entry['what']})"
    if entry["type"] == "fee":
        return f"fee {_money(entry['amount'])} ({entry['reason']})"
    assert entry["type"] == "incident"
    return f"incident {entry['kind']}"


def _amount(amount: dict[str, Any], usual: dict[str, Any] | None) -> str:
    return "" if amount == usual else f", {_money(amount)}"


def _money(amount: dict[str, Any]) -> str:
    return str(Money.model_validate(amount))


def _books(totals: dict[str, int]) -> str:
    shown = [
        str(Money(minor=minor, currency=currency)) for currency, minor in sorted(totals.items()) if minor
    ]
    return " + ".join(shown) or "nothing"
