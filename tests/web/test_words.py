"""The language of a page."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.words import ENGLISH, JAPANESE, language_of


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en-US;q=0.8,en;q=0.7", "ja"),
        ("en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("fr, ja;q=0.3, en;q=0.2", "ja"),
        ("de-DE,de;q=0.9", "en"),
        ("ja;q=0", "en"),
        ("ja;q=nan, en;q=0.1", "en"),
        ("EN;Q=0.1,JA;Q=0.2", "ja"),
    ],
)
def test_the_language_a_browser_prefers(header, expected):
    assert language_of(header) == expected


@given(st.text(max_size=200))
def test_no_header_breaks_a_page(header):
    assert language_of(header) in ("ja", "en")


def test_both_languages_say_everything():
    for field in fields(ENGLISH):
        english, japanese = getattr(ENGLISH, field.name), getattr(JAPANESE, field.name)
        assert english
        assert english != japanese
