"""What a customer may answer to a question of a product, by the question's type.

Answers come from JSON, from forms and from command lines, so numbers and yes-or-no are also read from their text. What
is kept is a JSON value in one spelling (spec: orders.md §8).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text

NUMBER_MAX: Final = 10**15
_NUMBER: Final = re.compile(r"-?\d{1,16}(?:\.\d{1,16})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_PHONE: Final = re.compile(r"\+?\d(?:[ \-]?\d){5,14}", re.ASCII)


class FieldType(StrEnum):
    """What kind of answer a custom field takes."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    EMAIL = "email"
    PHONE = "phone"


Answer = str | int | float | bool


def read_answer(name: str, kind: FieldType, given: Any, *, choices: tuple[str, ...] = ()) -> Answer:
    """The answer as it is kept.

    Args:
        name: the field's, for the refusal.
        kind: what is asked for.
        given: not empty; a JSON value, or a `date`.
        choices: of the type `choice`.

    Raises:
        TeikiError: `invalid_custom_field`, and of texts `invalid_input` and `card_number_refused`. Never the answer
            itself: it may be personal.
    """
    answer = _choice(given, choices) if kind is FieldType.CHOICE else _READERS[kind](given)
    if answer is None:
        facts: dict[str, Any] = {"field": name, "type": kind.value}
        if choices:
            facts["choices"] = list(choices)
        raise TeikiError(ErrorCode.INVALID_CUSTOM_FIELD, _EXPECTED[kind], **facts)
    # The number of a card is refused whatever the field is called, and as a number too.
    text = require_free_text(str(answer), what="custom field")
    return text if isinstance(answer, str) else answer


_EXPECTED: Final = {
    FieldType.TEXT: "The answer is a text.",
    FieldType.NUMBER: "The answer is a number, like 3 or 2.5.",
    FieldType.DATE: "The answer is a date, like 2026-12-31.",
    FieldType.CHOICE: "The answer is one of the field's choices.",
    FieldType.BOOLEAN: "The answer is true or false.",
    FieldType.EMAIL: "The answer is an e-mail address.",
    FieldType.PHONE: "The answer is a telephone number.",
}


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) else None


def _number(given: Any) -> int | float | None:
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
        given = float(given) if "." in given else int(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return given if math.isfinite(given) and abs(given) <= NUMBER_MAX else None


def _date(given: Any) -> str | None:
    if isinstance(given, date) and not isinstance(given, datetime):
        return given.isoformat()
    if not isinstance(given, str) or not _DATE.fullmatch(given.strip()):
        return None
    try:
        return date.fromisoformat(given.strip()).isoformat()
    except ValueError:
        return None


def _choice(given: Any, choices: tuple[str, ...]) -> str | None:
    return given if isinstance(given, str) and given in choices else None


def _boolean(given: Any) -> bool | None:
    return (
        given if isinstance(given, bool) else {"true": True, "false": False}.get(str(given).strip().lower())
    )


def _shaped(pattern: re.Pattern[str]) -> Callable[[Any], str | None]:
    return lambda given: (
        given.strip() if isinstance(given, str) and pattern.fullmatch(given.strip()) else None
    )


_READERS: Final[dict[FieldType, Callable[[Any], Answer | None]]] = {
    FieldType.TEXT: _text,
    FieldType.NUMBER: _number,
    FieldType.DATE: _date,
    FieldType.BOOLEAN: _boolean,
    FieldType.EMAIL: _shaped(_EMAIL),
    FieldType.PHONE: _shaped(_PHONE),
}
