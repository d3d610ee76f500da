"""What people see of a subscription in the Temporal Web UI: summaries, details and search attributes.

Search attributes are plaintext there, so they hold opaque ids and statuses only; summaries and details are
encrypted like every payload and readable through the codec server.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from domain.billing_calendar import parse_zone
    from domain.exports import ADVICE, ExportStatus, ExportView
    from domain.money import Money
    from domain.subscription import State, Status, Step, StepKind

STATUS: Final = SearchAttributeKey.for_keyword("TeikiStatus")
CUSTOMER: Final = SearchAttributeKey.for_keyword("TeikiCustomer")
PRODUCT: Final = SearchAttributeKey.for_keyword("TeikiProduct")
KIND: Final = SearchAttributeKey.for_keyword("TeikiKind")


FIRST_STATUS: Final = {"subscription": "unverified", "order": "in_process", "deposit": "requested"}


def search_attributes(kind: str, *, customer: str, product: str) -> TypedSearchAttributes:
    """What a new entity is found by: opaque ids, its kind and its first status."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATUS, FIRST_STATUS[kind]),
            SearchAttributePair(CUSTOMER, customer),
            SearchAttributePair(PRODUCT, product),
            SearchAttributePair(KIND, kind),
        ]
    )


def timer_summary(state: State, step: Step | None) -> str:
    """What the timer waits for: `retry 2 of 4 for payment 7`."""
    if step is None:
        return ""
    number = state.open.number if state.open else state.next_cycle + 1
    if step.kind is StepKind.RETRY and state.open is not None:
        attempts = len(state.terms.retry.ladder(state.terms.period))
        return f"retry {state.open.counted + 1} of {attempts} for payment {number}"
    if step.kind is StepKind.REFUND and (refund := state.next_refund) is not None:
        what = "a late payment" if refund.returns is None else "a double charge"
        return f"refund of {what}, payment {refund.number}"
    if step.kind is StepKind.VERIFY and (verification := state.next_verification) is not None:
        return f"second look at payment {verification.number}"
    return {
        StepKind.PAYMENT: f"payment {number}",
        StepKind.RETRY: f"retry for payment {number}",
        StepKind.ASK: f"ask the gateway about payment {number}",
        StepKind.ATTENTION: f"payment {number} waits for a person",
        StepKind.CANCEL: "scheduled cancellation",
    }[step.kind]


_SENTENCES: Final = {
    Status.UNVERIFIED: "The first payment has not been made yet.",
    Status.CURRENT: "Paid and running.",
    Status.UNCONFIRMED: "The first payment failed and is tried again.",
    Status.UNPAID: "A payment is outstanding.",
    Status.SUSPENDED: "Nothing is charged until an operator resumes it.",
    Status.CANCELED: "Canceled for good.",
    Status.COMPLETED: "All agreed charges were made.",
}


def details(state: State, step: Step | None) -> str:
    """The state as a short Markdown table; a pure function of it."""
    zone = parse_zone(state.terms.zone)

    def shown(instant: datetime) -> str:
        return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S ") + state.terms.zone

    amount = Money(minor=state.next_amount, currency=state.terms.currency)
    plan = f" of {state.terms.total_charges}" if state.terms.total_charges else ""
    rows = [
        ("status", f"**{state.status.value}** ({state.reason})"),
        ("", _SENTENCES[state.status]),
        ("next", f"{timer_summary(state, step)} at {shown(step.at)}" if step else "nothing by itself"),
        ("amount", f"{amount}, {state.terms.period}"),
        ("charges made", f"{state.charges}{plan}"),
    ]
    if state.cancel_at:
        rows.append(("ends", shown(state.cancel_at)))
    if state.refunds:
        rows.append(("going back", ", ".join(f"payment {refund.number}" for refund in state.refunds)))
    if state.in_flight:
        rows.append(("attempt in flight", f"{state.in_flight.state}, sent {shown(state.in_flight.sent_at)}"))
    return "| | |\n|---|---|\n" + "\n".join(
        f"| {name}{':' if name else ''} | {value} |" for name, value in rows
    )


_EXPORT_SENTENCES: Final = {
    ExportStatus.REQUESTED: "Waits for its turn.",
    ExportStatus.CREATING: "Being written; the pending activity's heartbeat tells how far.",
    ExportStatus.READY: "Can be downloaded.",
    ExportStatus.EXPIRED: "The file is gone; it can be requested again.",
    ExportStatus.FAILED: "There is no file.",
}


def export_details(view: ExportView, zone: str) -> str:
    """An export as a short Markdown table; a pure function of it."""
    rows = [
        ("status", f"**{view.status.value}** ({view.reason})"),
        ("", ADVICE.get(view.reason, _EXPORT_SENTENCES[view.status])),
        ("what", f"{view.kind}, {'encrypted' if view.encrypted else 'not encrypted'}"),
        ("for", view.requester),
    ]
    if view.rows is not None:
        rows.append(("rows", str(view.rows)))
    if view.expires_at is not None:
        until = view.expires_at.astimezone(parse_zone(zone))
        rows.append(("can be downloaded until", until.strftime("%Y-%m-%d %H:%M:%S ") + zone))
    return "| | |\n|---|---|\n" + "\n".join(
        f"| {name}{':' if name else ''} | {value} |" for name, value in rows
    )
