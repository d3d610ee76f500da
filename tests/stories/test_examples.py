"""Every file in `examples/` is played for real and tells, to the second, what the specification says."""

from __future__ import annotations

from pathlib import Path

import pytest

from starter.simulate.order_player import player_of
from starter.simulate.scenario import read_scenario
from tests.stories.deposit_examples_told import TOLD as DEPOSITS_TOLD
from tests.stories.examples_told import TOLD as SUBSCRIPTIONS_TOLD
from tests.stories.order_examples_told import TOLD as ORDERS_TOLD
from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")

TOLD = SUBSCRIPTIONS_TOLD | ORDERS_TOLD | DEPOSITS_TOLD
EXAMPLES = {path.stem: path for path in (Path(__file__).parents[2] / "examples").glob("*.yaml")}


def test_every_example_is_told_and_every_tale_has_its_example():
    assert set(EXAMPLES) == set(TOLD), "write what the example must tell into one of the …examples_told.py"


@pytest.mark.parametrize("name", sorted(TOLD))
async def test_an_example_tells_exactly_what_the_specification_says(lab, name):
    report = await player_of(lab, read_scenario(EXAMPLES[name])).play()
    assert_told(report, TOLD[name])


async def test_a_tale_with_one_instant_wrong_is_noticed(lab):
    report = await player_of(lab, read_scenario(EXAMPLES["month_end"])).play()
    with pytest.raises(AssertionError):
        assert_told(report, TOLD["month_end"].replace("2024-02-29", "2024-02-28"))
    with pytest.raises(AssertionError):
        assert_told(report, TOLD["month_end"].replace("2024-04-30 07:00 ", "2024-04-30 07:01 "))
