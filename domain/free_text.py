"""Text that people type: bounded, free of control characters, and never a card number.

A comment or a metadata value with a card number in it would put the whole database under card-data rules.
The detector refuses 13–19 digits that pass the Luhn check, also when spaced or dashed.
"""

from __future__ import annotations

import re
from typing import Final

from domain.errors import ErrorCode, TeikiError

COMMENT_CHARACTERS_MAX: Final = 1_000
_DIGIT_RUN: Final = re.compile(r"\d+(?:[\s\-.]{1,3}\d+)*")
_CARD_DIGITS: Final = range(13, 20)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def require_free_text(text: str, *, what: str, characters_max: int = COMMENT_CHARACTERS_MAX) -> str:
    """The text itself, when it may be stored.

    Raises:
        TeikiError: `invalid_input` (too long, control characters) or `card_number_refused`.
    """
    if len(text) > characters_max or _CONTROL.search(text):
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            f"A {what} has at most {characters_max} characters and no control characters.",
            field=what,
        )
    if holds_card_number(text):
        raise TeikiError(
            ErrorCode.CARD_NUMBER_REFUSED, f"The {what} holds what looks like a card number.", field=what
        )
    return text


def holds_card_number(text: str) -> bool:
    """Whether 13–19 digits in it pass the Luhn check every card number passes.

    Digits are read in whole groups, so that an expiry or a number beside the card's does not hide it.
    """
    return any(_run_holds_card_number(re.findall(r"\d+", run)) for run in _DIGIT_RUN.findall(text))


def _run_holds_card_number(groups: list[str]) -> bool:
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) >= _CARD_DIGITS.stop:
                break
            if len(digits) in _CARD_DIGITS and _passes_luhn(digits):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
