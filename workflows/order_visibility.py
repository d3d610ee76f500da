"""What people see of an order and its slips in the Temporal Web UI: summaries and details, encrypted like payloads."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.billing_calendar import parse_zone
    from domain.deposit import DepositState
    from domain.deposit import Step as DepositStep
    from domain.order_state import OrderStatus, State
    from domain.order_steps import Step, StepKind
    from domain.order_terms import JAPAN

_WAITS: Final = {
    StepKind.CHARGE: "payment",
    StepKind.ASK: "ask the gateway about the payment",
    StepKind.ATTENTION: "the payment waits for a person",
    StepKind.SLIP: "the slip",
    StepKind.SUBSCRIPTION: "the subscription",
    StepKind.CONFIRM: "confirmation after 7 days",
    StepKind.EXPIRE: "end of the usage period",
    StepKind.LAPSE: "end of the paid period",
    StepKind.REFUND: "money that goes back",
    StepKind.VERIFY: "second look at the payment",
}
_SENTENCES: Final = {
    OrderStatus.IN_PROCESS: "Placed; the payment is awaited.",
    OrderStatus.COMPLETE: "Paid; the customer may still cancel.",
    OrderStatus.PURCHASE_CONFIRMED: "Confirmed; only an administrator can cancel.",
    OrderStatus.EXPIRED: "The usage period is over.",
    OrderStatus.CANCELED: "Canceled for good.",
}
_OF_SLIPS: Final = {
    "issue": "issue the slip",
    "ask": "ask whether the slip is paid",
    "void": "void the slip",
    "watch": "look for late money",
    "refund": "return late money",
}


def timer_summary(step: Step | None) -> str:
    """What the timer waits for."""
    return _WAITS[step.kind] if step else ""


def details(state: State, step: Step | None) -> str:
    """The order as a short Markdown table; a pure function of it."""
    zone = state.terms.zone
    rows = [
        ("order", f"{state.number}: {state.terms.product_name}"),
        ("status", f"**{state.status.value}** ({state.reason})"),
        ("", _SENTENCES[state.status]),
        ("payment", state.payment_status.value + (f", {state.payments} times" if state.payments > 1 else "")),
        (
            "next",
            f"{timer_summary(step)} at {_shown(step.at, zone)}" if step else "nothing by itself",
        ),
        ("price", str(state.terms.price) if state.terms.price else "none"),
    ]
    if state.permission is not None:
        ends_at = state.permission.ends_at
        until = f", until {_shown(ends_at, zone)}" if ends_at else ""
        rows.append(("permission", f"{state.permission.status.value}{until}"))
    if state.refunds:
        rows.append(("going back", ", ".join(f"payment {refund.number}" for refund in state.refunds)))
    return _table(rows)


def deposit_summary(step: DepositStep) -> str:
    return _OF_SLIPS[step.name]


def deposit_details(state: DepositState, step: DepositStep | None) -> str:
    """The slip as a short Markdown table."""
    rows = [
        ("slip", f"{state.number} of {state.order_id}, {state.konbini.store.value}"),
        ("status", f"**{state.status.value}** ({state.reason})"),
        ("amount", str(state.amount)),
        ("deadline", _shown(state.deadline_at, JAPAN)),
        ("next", f"{deposit_summary(step)} at {_shown(step.at, JAPAN)}" if step else "nothing by itself"),
    ]
    if state.refunds:
        rows.append(("going back", f"{len(state.refunds)} late payments"))
    return _table(rows)


def _shown(instant: datetime, zone: str) -> str:
    return instant.astimezone(parse_zone(zone)).strftime("%Y-%m-%d %H:%M:%S ") + zone


def _table(rows: list[tuple[str, str]]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(
        f"| {name}{':' if name else ''} | {value} |" for name, value in rows
    )
