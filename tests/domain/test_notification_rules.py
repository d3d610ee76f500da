"""Topics, the body that is signed, and for how long a delivery is tried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import TeikiError
from domain.notifications import (
    PAUSES_S,
    TRIED_FOR,
    Answer,
    body_of,
    event_id_of,
    notification_id,
    pause_s,
    require_topics,
)


def test_a_filter_is_sorted_and_names_what_is_told():
    assert require_topics(["payment.settled", "order.*", "payment.settled"]) == ("order.*", "payment.settled")
    assert require_topics([]) == ()


@pytest.mark.parametrize(
    "topic", ["payment", "payment.setled", "weather.*", "*", "payment.*.x", "PAYMENT.SETTLED"]
)
def test_a_topic_that_nothing_is_told_under_is_refused(topic):
    with pytest.raises(TeikiError):
        require_topics([topic])


def test_the_body_is_the_same_whatever_the_order_of_the_keys():
    at = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)
    one = body_of("payment.settled", at, {"b": 1, "a": "定期"})
    assert one == body_of("payment.settled", at, {"a": "定期", "b": 1})
    assert json.loads(one) == {
        "type": "payment.settled",
        "timestamp": "2026-12-01T07:00:00+00:00",
        "data": {"a": "定期", "b": 1},
    }


def test_the_pauses_grow_and_all_of_them_fit_into_the_time_it_is_tried_for():
    assert list(PAUSES_S) == sorted(PAUSES_S)
    assert pause_s(1) == 5
    assert pause_s(100) == PAUSES_S[-1]
    assert timedelta(days=2) < timedelta(seconds=sum(PAUSES_S)) < TRIED_FOR


@pytest.mark.parametrize(
    ("answer", "delivered"),
    [
        (Answer(status=200), True),
        (Answer(status=204), True),
        (Answer(status=299), True),
        (Answer(status=199), False),
        (Answer(status=301), False),
        (Answer(status=410), False),
        (Answer(status=200, error="answer_too_large"), False),
        (Answer(error="timeout"), False),
    ],
)
def test_only_a_2xx_is_a_success(answer, delivered):
    assert answer.delivered is delivered


def test_a_notification_is_named_after_its_event():
    assert event_id_of(notification_id(4711)) == 4711
    for name in ("ntf_0", "ntf_-1", "ntf_", "ntf_1x", "evt_1", "ntf_" + "9" * 19, "ntf_１"):
        with pytest.raises(TeikiError):
            event_id_of(name)
