"""From the domain's refusals to the only failures a workflow handler may raise.

Any other exception in a handler would wedge the workflow: its task would be retried for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import Outcome
    from domain.errors import ErrorCode, TeikiError


def refusal(code: str, message: str, facts: dict[str, Any]) -> ApplicationError:
    """A typed refusal: `type` is the stable code, the details are the facts."""
    return ApplicationError(
        message, facts, type=code, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the domain's `TeikiError` into an update's refusal."""
    try:
        yield
    except TeikiError as error:
        raise refusal(error.code.value, error.message, error.facts) from error


def require_confirmed(result: Outcome) -> None:
    """A person's word counts only when the gateway, asked first, shows the same: moved, or certainly not."""
    if result.outcome not in ("settled", "declined"):
        raise refusal(
            ErrorCode.GATEWAY_DISAGREES,
            f"Nothing was changed: {result.hint or 'the gateway does not confirm it'}.",
            {"outcome": result.outcome},
        )
