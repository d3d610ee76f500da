"""What happens next, in one sentence, is true of the attempt that is open."""

from __future__ import annotations

import pytest

from starter.wording import next_sentence
from tests.cli.made import at, attempt, payment, subscription


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("unsent", "surely nothing was charged; it is sent again on 2023-08-01 07:01"),
        ("pending", "still working on an attempt; it is asked on 2023-08-01 07:01"),
        ("unknown", "outcome is not known yet: the gateway is asked on 2023-08-01 07:01"),
    ],
)
def test_the_next_question_says_what_is_known(state, words):
    detail = subscription(
        payment(1, "2023-08-01T07:00", "collecting", attempt(1, "2023-08-01T07:00", state)),
        status="unverified",
        next_kind="ask",
        next_at=at("2023-08-01T07:01"),
    )
    assert words in next_sentence(detail)
