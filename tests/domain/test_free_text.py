"""Card numbers never get in. They are computed here, so that none stands in the repository."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from domain.errors import ErrorCode, TeikiError
from domain.free_text import (
    COMMENT_CHARACTERS_MAX,
    LIMITS,
    holds_card_number,
    passes_for_card_number,
    repeatable,
    require_free_text,
)
from domain.identifiers import deposit_id, new_id
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
    for text in ("x" * (COMMENT_CHARACTERS_MAX + 1), "\x00", "a\x07b", "\x7f", "\x9b", "\ud800", "\udfff"):
        with pytest.raises(TeikiError) as caught:
            require_free_text(text, what="comment")
        assert caught.value.code is ErrorCode.INVALID_INPUT
        assert caught.value.facts == {"field": "comment"}


SEPARATORS = st.sampled_from(
    (
        *(" ", "-", ".", "  ", " - ", "\t", "\n", "\r\n", ". ", "\u200b", "\u3000", "\u00a0", "\u2013"),
        *("\u2014", "\u2212", "\u30fc", "\uff0d", "\uff0e", "\u30fb", "\u00b7"),
    )
)
DIGITS = st.sampled_from(
    ["0123456789", "".join(chr(0xFF10 + n) for n in range(10)), "".join(chr(0x0660 + n) for n in range(10))]
)
WORDS = st.sampled_from(["", "card:", "カード番号は", "Visa ", "No.", "(", "a", "\n"])


@st.composite
def written_cards(draw) -> str:
    """A card number as somebody may write it: in any groups, separators and digits, within a text."""
    body = draw(st.text(st.sampled_from("0123456789"), min_size=12, max_size=18))
    left = with_check_digit(body)
    size = draw(st.sampled_from([1, 3, 4, 5, 6, 19]))
    groups = [left[at : at + size] for at in range(0, len(left), size)]
    text = groups[0] + "".join(draw(SEPARATORS) + group for group in groups[1:])
    digits = draw(DIGITS)
    written = text.translate({ord("0") + n: digits[n] for n in range(10)})
    return draw(WORDS) + written + draw(st.sampled_from(["", ".", " 12/27", " please", ")", "円", "z"]))


@given(written_cards())
def test_every_card_number_is_found_whatever_stands_around_it_and_is_never_repeated(text: str):
    assert holds_card_number(text)
    with pytest.raises(TeikiError) as caught:
        require_free_text(text, what="note")
    assert caught.value.code is ErrorCode.CARD_NUMBER_REFUSED
    assert caught.value.as_json() == {
        "code": "card_number_refused", "message": caught.value.message, "field": "note",
    }  # fmt: skip
    assert not any(letter.isdigit() for letter in str(caught.value))
    assert repeatable(text) == "(a card number)"


_FOLLOWED = st.sampled_from(["", " ", ", ", " 4711", " und ", "\n"])
NOW_MS = 1_780_000_000_000
IDS = st.builds(
    new_id,
    st.sampled_from(["sub", "ord", "per", "cus", "prd", "pm", "exp", "req"]),
    at_ms=st.integers(NOW_MS - 10**11, NOW_MS + 10**12),
    entropy=st.integers(0, 2**80 - 1) | st.integers(0, 40).map(lambda n: 32**n if n < 16 else n),
)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1)).map(  # noqa: DTZ001 - made aware
    lambda at: at.replace(tzinfo=UTC)
)


@given(st.lists(st.tuples(IDS, _FOLLOWED), min_size=1, max_size=3))
def test_our_own_ids_are_no_card_numbers(ids):
    text = "".join(f"{id_}{after} " for id_, after in ids)
    assert not holds_card_number(text)
    first = ids[0][0]
    order = f"ord_{first.partition('_')[2]}"
    assert not holds_card_number(f"{first}/1/2 {deposit_id(order, 1)}")


@given(st.dates(date(2020, 1, 1), date(2099, 1, 1)), st.integers(0, 9_999_999), _FOLLOWED)
def test_order_numbers_are_no_card_numbers_also_beside_other_numbers(day, number, after):
    written = f"{day:%Y%m%d}-{number:07d}"
    assert not holds_card_number(f"see {written}{after} {written}")


@given(INSTANTS, INSTANTS, st.sampled_from([" ", " - ", "\n", "/"]))
@example(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC), " ")
def test_instants_and_days_are_no_card_numbers(one, other, between):
    for text in (
        f"{one.isoformat()}{between}{other.isoformat()}",
        f"{one:%Y-%m-%d}{between}{other:%Y-%m-%d}",
        f"{one:%Y-%m-%d %H:%M:%S}.{one.microsecond:06d}{between}{other:%Y.%m.%d}",
    ):
        assert not holds_card_number(text)


@given(st.text(st.sampled_from("0123456789"), min_size=6, max_size=14), st.sampled_from(["", " ", "-"]))
def test_telephone_numbers_are_no_card_numbers(digits, between):
    abroad = f"+{digits[:2]}{between}{digits[2:5]}{between}{digits[5:]}"
    assert not holds_card_number(f"call {abroad}, or {abroad}.")
    japanese = f"0{digits[:10]}"
    assert not holds_card_number(f"{japanese[:3]}{between}{japanese[3:7]}{between}{japanese[7:]}")


@given(st.text(st.sampled_from("0123456789"), min_size=11, max_size=13))
def test_a_konbini_number_as_tills_give_them_out_is_no_card_number(digits):
    assume(not passes_for_card_number(digits))  # tills of ours give out no others
    assert not holds_card_number(f"Seven-Eleven: {digits}")


@given(st.text(st.sampled_from("0123456789"), min_size=20, max_size=40))
def test_digits_within_a_longer_run_are_no_card_number(digits):
    assert not holds_card_number(f"tracking {digits}.")


def test_line_breaks_become_one_kind_and_the_invisible_goes():
    typed = "a\r\nb\rc\u2028d\x85e\tf \u200bg\ufeff\u202ehidden\u2066 👩\u200d👧"
    assert require_free_text(typed, what="note") == "a\nb\nc\nd\ne\tf ghidden 👩\u200d👧"
    again = require_free_text(typed, what="note")
    assert require_free_text(again, what="note") == again


@given(st.text())
def test_what_is_taken_is_storable_and_taken_again_unchanged(text):
    try:
        kept = require_free_text(text, what="note")
    except TeikiError:
        return
    assert kept.encode().decode() == kept
    assert "\x00" not in kept
    assert require_free_text(kept, what="note") == kept


@pytest.mark.parametrize("what", LIMITS)
def test_every_limit_is_held_to_the_character_and_stands_in_the_documentation(what):
    most = LIMITS[what]
    assert require_free_text("x" * most, what=what)
    with pytest.raises(TeikiError, match="invalid_input"):
        require_free_text("x" * (most + 1), what=what)
    docs = (Path(__file__).parents[2] / "docs" / "roles.md").read_text(encoding="utf-8")
    assert f"| {what} | {most:,} |" in docs
