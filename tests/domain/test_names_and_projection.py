"""Ids, references and keys; errors; and the row everybody else sees."""

from __future__ import annotations

import pickle
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ErrorCode, TeikiError
from domain.identifiers import (
    charge_reference,
    idempotency_key,
    new_id,
    refund_reference,
    require_id,
    subscription_workflow_id,
)
from domain.projection import changes, row_of, view_of
from tests.domain.driver import story

ms = st.integers(0, 2**48 - 1)
bits = st.integers(0, 2**80 - 1)


@given(ms, ms, bits, bits)
def test_ids_sort_by_creation(first: int, second: int, one: int, other: int):
    a, b = (new_id("sub", at_ms=at, entropy=entropy) for at, entropy in ((first, one), (second, other)))
    assert len(a) == len(b) == 30
    assert (a < b) == ((first, one) < (second, other))
    assert require_id(a, "sub") == a


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sub",
        "sub_",
        "cus_1",
        "sub_A",
        "sub_1/2",
        "sub_1 ",
        "sub_1\n",
        "sub_" + "1" * 41,
        "sub_１",
        "xsub_1",
    ],
)
def test_what_is_no_id_never_becomes_part_of_one(value: str):
    with pytest.raises(TeikiError) as caught:
        require_id(value, "sub")
    assert caught.value.code is ErrorCode.INVALID_INPUT


def test_a_key_belongs_to_the_attempt_and_to_nothing_else():
    references = {
        charge_reference(sub, number, attempt)
        for sub in ("sub_1", "sub_11")
        for number in (1, 11, 111)
        for attempt in (1, 11)
    }
    references.add(refund_reference("sub_1", 1))
    keys = {
        idempotency_key(purpose, reference) for purpose in ("charge", "refund") for reference in references
    }
    assert len(references) == 13
    assert len(keys) == 26
    assert all(uuid.UUID(key).version == 5 for key in keys)
    # Kept for ever: another value would charge every attempt in flight at a deploy a second time.
    assert idempotency_key("charge", "sub_1/1/1") == idempotency_key(
        "charge", charge_reference("sub_1", 1, 1)
    )
    assert subscription_workflow_id("sub_1") == "subscription/sub_1"


def test_an_error_survives_the_way_between_processes():
    error = TeikiError(ErrorCode.INVALID_ZONE, "No such zone.", zone="JST")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message, again.facts) == (error.code, error.message, error.facts)
    assert str(again) == "invalid_zone: No such zone."
    assert again.as_json() == {"code": "invalid_zone", "message": "No such zone.", "zone": "JST"}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_codes_are_stable_words(code: ErrorCode):
    assert code.value == code.name.lower()


@pytest.mark.parametrize(
    ("answers", "at", "row"),
    [
        ((), "2023-05-02", {"status": "current", "next_kind": "payment", "failing": False, "charges": 1}),
        (
            ("ok", "insufficient_funds"),
            "2023-06-02",
            {"status": "unpaid", "next_kind": "retry", "failing": True},
        ),
        (("ok", "lost"), "2023-06-01T07:01", {"status": "current", "next_kind": "ask", "failing": False}),
        (("ok", "lost_card"), "2023-06-02", {"status": "suspended", "next_kind": None, "next_at": None}),
    ],
)
def test_the_row_says_what_happens_next(answers: tuple[str, ...], at: str, row: dict[str, Any]):
    life = story("2023-05-01T07:00", *answers).until(at)
    assert row_of(life.state).model_dump(mode="json").items() >= row.items()
    assert view_of(life.state).id == life.state.id


def test_a_write_carries_only_what_changed():
    life = story("2023-05-01T07:00").until("2023-05-02")
    before = row_of(life.state)
    life.until("2023-06-01T07:00")
    assert changes(before, row_of(life.state)) == {
        "next_at": "2023-06-30T22:00:00Z",
        "charges": 2,
        "charged_minor": 2000,
    }
    assert changes(before, before) == {}
