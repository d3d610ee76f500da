"""Card numbers never get in. They are computed here, so that none stands in the repository."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ErrorCode, TeikiError
from domain.free_text import COMMENT_CHARACTERS_MAX, holds_card_number, require_free_text
from tests.domain.driver import spec


def with_check_digit(digits: str) -> str:
    """The digits and the one that makes the Luhn sum a multiple of ten."""
    total = sum(
        sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10))
        for place, digit in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)


CARD = with_check_digit("4" + "0" * 9 + "12345")
LONG = with_check_digit("6" + "0" * 12 + "12345")
SHORT = with_check_digit("4" + "0" * 8 + "123")
GROUPS = [CARD[n : n + 4] for n in range(0, 16, 4)]


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        LONG,
        SHORT,
        " ".join(GROUPS),
        "-".join(GROUPS),
        ".".join(GROUPS),
        "  ".join(GROUPS),
        "\n".join(GROUPS),
        "\u00a0".join(GROUPS),
        f"card:{CARD}.",
        f"{CARD} 12/27 123",
        f"{CARD} 1227",
        f"{' '.join(GROUPS)} 123",
        f"12 {' '.join(GROUPS)}",
        f"order 4711 {CARD}",
        CARD.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)}),
    ],
)
def test_a_card_number_is_found_however_it_is_written(text: str):
    assert holds_card_number(text)
    for metadata in ({"note": text}, {text: "note"}):
        if len(text) > 80 or ("\n" in text and text in metadata):
            continue
        with pytest.raises(TeikiError) as caught:
            spec(metadata=metadata)
        assert caught.value.code is ErrorCode.CARD_NUMBER_REFUSED
        assert CARD not in str(caught.value) + str(caught.value.facts)


@given(st.text(st.sampled_from("0123456789"), min_size=12, max_size=18), st.integers(0, 8))
def test_every_number_with_its_check_digit_is_refused_and_with_another_is_not(digits: str, off: int):
    card = with_check_digit(digits)
    assert holds_card_number(card)
    other = card[:-1] + str((int(card[-1]) + 1 + off) % 10)
    assert not holds_card_number(other)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-22 07:00", "090-0000-0001", "order 4711", CARD[:-4], CARD + "00000",
        CARD[:-1] + str((int(CARD[-1]) + 1) % 10), f"sub_{'a1' * 13}", ",".join(CARD),
    ],
)  # fmt: skip
def test_other_numbers_pass(text: str):
    assert require_free_text(text, what="comment") == text


def test_text_is_bounded_and_has_no_control_characters():
    assert require_free_text("x" * COMMENT_CHARACTERS_MAX, what="comment")
    for text in ("x" * (COMMENT_CHARACTERS_MAX + 1), "\x00", "a\x07b", "\x7f"):
        with pytest.raises(TeikiError) as caught:
            require_free_text(text, what="comment")
        assert caught.value.code is ErrorCode.INVALID_INPUT
        assert caught.value.facts == {"field": "comment"}
