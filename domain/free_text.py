"""Text that people type: bounded, free of control characters, and never a card number.

A comment or a metadata value with a card number in it would put the whole database under card-data rules. The detector
refuses 13–19 digits that pass the Luhn check, however they are grouped by spaces, dashes and dots, in whatever digits
Unicode has; digits within a longer run are no card number. Ids and numbers of our own, dates, times and telephone
numbers are set aside first, so that a note may name several of them. Every limit of length stands here (docs/roles.md).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from domain.errors import ErrorCode, TeikiError

COMMENT_CHARACTERS_MAX: Final = 1_000
LIMITS: Final[dict[str, int]] = {
    "comment": COMMENT_CHARACTERS_MAX,
    "note": 2_000,
    "name": 200,
    "customer name": 60,  # what fits on a Konbini's slip
    "e-mail": 320,
    "custom field": 1_000,
    "identification information": 200,
    "metadata key": 80,
    "metadata value": 500,
    "bank account": 200,
    "filter": 200,
}
"""The most characters of each text, by what it is; anything else has a comment's."""

_REFUSED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LINE_BREAK: Final = re.compile("\r\n|[\r\x85\u2028\u2029]")
# Zero-width spaces, byte order marks, soft hyphens, and what turns the direction of the text around it.
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")

_CARD_DIGITS: Final = range(13, 20)
# After NFKC: white space; dashes of all kinds, the minus and the long vowel mark that stands in for one; dots.
_SEPARATOR: Final = r"[\s\-\u2010-\u2015\u2212\u2e3a\u2e3b\u301c\u3030\u30fc.\u00b7\u2022\u2024\u2027\u30fb]"
_DIGIT_RUN: Final = re.compile(rf"\d+(?:{_SEPARATOR}{{1,5}}\d+)*")
_NO_CARDS: Final = re.compile(
    "|".join(
        (
            r"(?<![0-9a-z])[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}\d?(?![0-9a-z])",  # our ids; a slip's ends on its number
            r"(?<!\d)20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-\d{7}(?!\d)",  # order numbers
            r"(?<!\d)(?:19|20)\d\d([-.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)",  # dates, and times of day
            r"(?<!\d)\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?!\d)",
            # Telephone numbers with their country; those without have too few digits to be mistaken.
            r"\+(?:\d[ \-.()]{0,2}){6,14}\d(?![ \-.()]{0,2}\d)",
        )
    ),
    re.ASCII,
)


def require_free_text(text: str, *, what: str, characters_max: int | None = None) -> str:
    """The text as it may be stored: one kind of line break, and nothing invisible in it.

    Args:
        text: as it was typed.
        what: a word of `LIMITS`, which names the field in a refusal too.
        characters_max: where the limit is somebody else's.

    Raises:
        TeikiError: `invalid_input` (too long, control characters) or `card_number_refused`. Neither repeats the text.
    """
    most = LIMITS.get(what, COMMENT_CHARACTERS_MAX) if characters_max is None else characters_max
    if len(text) > most or _REFUSED.search(text):
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            f"A {what} has at most {most} characters and no control characters.",
            field=what,
        )
    if holds_card_number(text):
        raise TeikiError(
            ErrorCode.CARD_NUMBER_REFUSED, f"The {what} holds what looks like a card number.", field=what
        )
    return _INVISIBLE.sub("", _LINE_BREAK.sub("\n", text))


def repeatable(text: object, characters_max: int = 60) -> str:
    """What an error may repeat of a text that was not understood: its beginning, and no card number."""
    words = str(text)
    return "(a card number)" if holds_card_number(words) else words[:characters_max]


def holds_card_number(text: str) -> bool:
    """Whether 13–19 digits in it pass the Luhn check every card number passes.

    Digits are read in whole groups, so that an expiry or a number beside the card's does not hide it.
    """
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf"
    )
    runs = _DIGIT_RUN.findall(_NO_CARDS.sub(" x ", plain))
    return any(_run_holds_card_number(re.findall(r"\d+", run)) for run in runs)


def passes_for_card_number(digits: str) -> bool:
    """The same of a number that is to be given out, whatever else it looks like."""
    return _run_holds_card_number(re.findall(r"\d+", digits))


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
