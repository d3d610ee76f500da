"""The chain holds, and every way of touching it is noticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit_chain import GENESIS, Entry, Head, Told, digest, entry_hash, framed, read_head, verify
from domain.errors import TeikiError

START = datetime(2026, 1, 1, tzinfo=UTC)


def chain(length: int) -> list[Entry]:
    made: list[Entry] = []
    for seq in range(1, length + 1):
        entry = Entry(
            seq=seq,
            recorded_at=START + timedelta(seconds=seq),
            actor="operator:desk-1",
            action="suspend",
            subject_id=f"sub_{seq}",
            outcome="done",
            history_seq=None,
            content="{}",
            prev_hash=made[-1].hash if made else GENESIS,
            hash="",
        )
        made.append(entry._replace(hash=entry_hash(entry)))
    return made


def test_an_untouched_chain_holds_and_names_its_head():
    rows = chain(5)
    verdict = verify(rows, kept=Head(3, rows[2].hash))
    assert (verdict.rows, verdict.head, verdict.broken) == (5, Head(5, rows[4].hash), None)
    assert verify([]).head == Head(0, GENESIS)
    assert read_head(f" {verdict.head}\n") == verdict.head


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    "change",
    [
        {"recorded_at": START},
        {"actor": "operator:desk-2"},
        {"action": "resume"},
        {"subject_id": "sub_x"},
        {"outcome": "denied"},
        {"history_seq": 7},
        {"content": '{"role": "admin"}'},
        {"hash": "f" * 64},
        {"prev_hash": "f" * 64},
    ],
)
def test_a_changed_row_is_named(at, change):
    rows = chain(5)
    rows[at] = rows[at]._replace(**change)
    broken = verify(rows).broken
    assert broken is not None
    # A hash that was changed alone shows in its own row too: it is not its content's.
    assert broken.seq == at + 1


@pytest.mark.parametrize("at", range(5))
def test_a_row_changed_and_hashed_anew_breaks_the_next_or_differs_from_the_kept_head(at):
    rows = chain(5)
    kept = Head(5, rows[4].hash)
    changed = rows[at]._replace(actor="operator:someone")
    rows[at] = changed._replace(hash=entry_hash(changed))
    assert (broken := verify(rows, kept=kept).broken) is not None
    assert broken.seq == (at + 2 if at < 4 else 5)


def test_a_row_taken_out_two_exchanged_and_a_tail_cut_off_are_noticed():
    rows = chain(5)
    kept = Head(5, rows[4].hash)
    for at in range(5):
        missing = verify(rows[:at] + rows[at + 1 :], kept=kept).broken
        assert missing is not None
        assert missing.seq == at + 1
    for at in range(4):
        exchanged = [*rows[:at], rows[at + 1], rows[at], *rows[at + 2 :]]
        assert (broken := verify(exchanged).broken) is not None
        assert broken.seq == at + 1
    assert verify(rows[:3]).broken is None, "nobody inside can know of what came after"
    assert verify(rows[:3], kept=kept).broken is not None
    assert verify([], kept=kept).broken is not None


def test_history_that_was_changed_or_is_gone_is_noticed():
    told = Told(("7", "sub_1", None))
    entry = chain(1)[0]
    entry = entry._replace(history_seq=7)
    entry = entry._replace(hash=entry_hash(entry), history_digest=digest(told.fields), told=told)
    assert verify([entry]).broken is None
    for now in (Told(("7", "sub_2", None)), None):
        broken = verify([entry._replace(told=now)]).broken
        assert broken is not None
        assert "row 7 of history" in broken.why


@given(*[st.lists(st.none() | st.text(max_size=4), max_size=5)] * 2)
def test_different_fields_never_give_the_same_text(one, other):
    assert (framed(one) == framed(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "5", "5:abc", "-1:" + "0" * 64, "5:" + "G" * 64, "x5:" + "0" * 64])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(TeikiError, match="invalid_input"):
        read_head(text)
