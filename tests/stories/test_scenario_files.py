"""How a scenario is written: YAML as people type it, or JSON (spec: interfaces.md §3)."""

from __future__ import annotations

import json

import pytest

from domain.errors import TeikiError
from starter.simulate.player import Player
from starter.simulate.scenario import read_scenario
from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")

TOLD = """
    2026-05-01 10:00 charge 1 succeeded
    2026-05-01 10:00 status unverified → current (first_payment_succeeded)
    2026-05-03 12:00 suspend accepted
    2026-05-03 12:00 status current → suspended (suspended_by_operator)
    2026-06-02 09:00 resume accepted
    2026-06-02 09:00 status suspended → unpaid (resumed)
    2026-06-02 09:00 charge 2 succeeded, due 2026-06-01
    2026-06-02 09:00 status unpaid → current (caught_up)
    final current, 2 charges, next 2026-07-01 10:00
    books 2,000 JPY
"""

YAML = """
name: dates and times need no quotes
start: 2026-04-10 12:00:00+09:00
subscription:
  amount: {minor: 1000, currency: JPY}
  period: monthly
  zone: Asia/Tokyo
  start_on: 2026-05-01
  charge_time: 10:00
  metadata: {newsletter: no}
events:
- at: 2026-05-03T12:00:00+09:00
  do: suspend
- {at: 2026-06-02T00:00:00Z, do: resume, policy: catch_up}
until: 2026-06-05T00:00:00+09:00
"""

DOCUMENT = {
    "start": "2026-04-10T12:00:00+09:00",
    "subscription": {
        "amount": {"minor": 1000, "currency": "JPY"},
        "period": "P1M",
        "start_on": "2026-05-01",
        "charge_time": "10:00",
    },
    "events": [
        {"at": "2026-05-03T12:00:00+09:00", "do": "suspend"},
        {"at": "2026-06-02T00:00:00Z", "do": "resume", "policy": "catch_up"},
    ],
    "until": "2026-06-05T00:00:00+09:00",
}


async def test_yaml_with_unquoted_dates_times_and_words_is_read_as_it_looks(lab, tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text(YAML, encoding="utf-8")
    assert_told(await Player(lab, read_scenario(file)).play(), TOLD)


async def test_json_tells_the_same_story(lab, tmp_path):
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    assert_told(await Player(lab, read_scenario(file)).play(), TOLD)


async def test_the_specifications_own_scenario_runs_as_printed(lab, tmp_path):
    file = tmp_path / "scenario.yml"
    file.write_text(
        """
name: resume after suspension, catch-up
start: 2023-08-01T07:00:00+09:00          # the scenario's clock starts here, past or future
subscription:                              # or `order:`
  amount: {minor: 1000, currency: JPY}
  period: monthly
  zone: Asia/Tokyo
  total_charges: 5
  retry: {attempts: 4}
gateway: [approve, {decline: insufficient_funds}, timeout_then_approved, approve]
events:
  - {at: 2023-08-15T12:00:00+09:00, do: suspend}
  - {at: 2023-10-02T10:00:00+09:00, do: resume, policy: catch_up}
until: 2024-03-01T00:00:00+09:00
""",
        encoding="utf-8",
    )
    assert_told(
        await Player(lab, read_scenario(file)).play(),
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 failed (insufficient_funds), due 2023-09-01
        2023-10-09 10:00 charge 2/2 succeeded, due 2023-09-01
        2023-10-09 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-09 10:20 status unpaid → current (caught_up)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        2023-12-01 07:00 status current → completed (all_charges_made)
        final completed, 5 charges
        books 5,000 JPY
        """,
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", b"start: [unclosed"),
        ("a.yaml", b"\xff\xfe not a text"),
        ("a.yaml", b""),
        ("a.yaml", b"- just\n- a list"),
        ("a.yaml", b"!!python/object/apply:os.getcwd []"),
        ("a.json", b"{'single': 'quotes'}"),
        ("a.json", b"NaN"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(TeikiError) as refused:
        read_scenario(file)
    assert refused.value.code == "scenario_invalid"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TeikiError) as refused:
        read_scenario(tmp_path / "nowhere.yaml")
    assert refused.value.code == "scenario_invalid"
