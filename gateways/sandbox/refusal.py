"""How the sandbox says no to a request it did not act on: an HTTP status, a stable code, a sentence."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # noqa: N818 - it is the gateway's answer, not a fault of the program
    """A definite no. `code` is what the adapter decides by; `message` is for the person reading a log."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message}}


def invalid(message: str, code: str = "invalid_request") -> Refusal:
    """422: the request itself is wrong and would be wrong again."""
    return Refusal(422, code, message)
