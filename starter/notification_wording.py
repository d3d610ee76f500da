"""Words for how endpoints fare: the same on the command line and for the doctor."""

from __future__ import annotations

from typing import Final

from db.reads.endpoints import EndpointItem, Failure

_ERRORS: Final = {
    "timeout": "no answer in time",
    "unresolved": "its host has no address",
    "connect_failed": "nobody answers there",
    "tls_failed": "its certificate is not trusted",
    "connection_lost": "the connection broke",
    "answer_too_large": "its answer is too large",
    "address_refused": "its address is not public",
    "secret_unreadable": "its secret cannot be opened: the worker lacks the key (TEIKI_ENDPOINT_SECRET_KEYS)",
}


def endpoint_health(item: EndpointItem) -> str:
    """One phrase: does it arrive?"""
    if item.state != "enabled":
        return item.state
    if item.failing_since is not None:
        return f"failing since {item.failing_since:%Y-%m-%d %H:%M:%S} UTC"
    return "ok" if item.last_success_at else "nothing sent yet"


def endpoint_advice(item: EndpointItem) -> str:
    """What a person can do; empty when there is nothing to do."""
    if item.state == "disabled" and item.waiting + item.held:
        return f"It is switched off, and {item.waiting + item.held} wait: teiki endpoint enable {item.id}"
    if item.state != "enabled":
        return ""
    gone = item.last_failure is not None and item.last_failure.status == 410
    if item.failing_since is not None and gone:
        return (
            "It answers 410 (Gone): its owner wants nothing any more. Teiki goes on until a person says"
            f" otherwise: teiki endpoint disable {item.id}"
        )
    if item.failing_since is not None:
        return f"When its owner has mended it: teiki endpoint enable {item.id} sends all that waits at once."
    if item.given_up:
        return f"Send again what was given up: teiki notification list --endpoint {item.id} --state given_up"
    return ""


def failure_words(failure: Failure) -> str:
    """When, and why it did not arrive."""
    return f"{failure.at:%Y-%m-%d %H:%M:%S} UTC, {outcome_words(failure.status, failure.error)}"


def outcome_words(status: int | None, error: str | None) -> str:
    """`answered 500`, or why there was no answer; empty before the first try."""
    if error:
        return _ERRORS.get(error, error)
    return "" if status is None else f"answered {status}"
