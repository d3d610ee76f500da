"""What people see of a repayment in the Temporal Web UI: summaries of its timers, and its state as a short table."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.repayment import State, Step


def timer_summary(state: State, step: Step) -> str:
    """What the timer waits for."""
    return {
        "ask": f"ask the gateway about card {state.next_attempt}",
        "return": "return a second charge",
        "verify": "a second look at the gateway's book",
        "remind": f"reminder {state.reminders + 1}",
        "expire": "the link expires",
    }[step.name]


def details(state: State, step: Step) -> str:
    """The state as a short Markdown table; a pure function of it."""
    rows = [
        ("status", f"**{state.status.value}** ({state.reason})"),
        ("for", f"{state.object_id}, payment {state.number}"),
        ("amount", str(state.amount)),
        ("next", f"{timer_summary(state, step)} at {step.at:%Y-%m-%d %H:%M:%S} UTC"),
        ("expires", f"{state.expires_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if state.decline is not None:
        rows.append(("last card", state.decline))
    return "| | |\n|---|---|\n" + "\n".join(f"| {name}: | {value} |" for name, value in rows)
