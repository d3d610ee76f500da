"""The scenario's clock runs beside the engine's at a fixed distance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.scenario_clock import ScenarioClock

INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@given(scenario=INSTANTS, engine=INSTANTS, later=st.timedeltas(timedelta(), timedelta(days=20_000)))
def test_it_starts_at_the_scenario_and_goes_as_fast_as_the_engine(scenario, engine, later):
    clock = ScenarioClock.starting(scenario, engine)
    assert clock.now(engine) == scenario
    assert clock.now(engine + later) == scenario + later
    assert clock.engine_time(scenario + later) == engine + later


def test_in_production_it_is_the_engine_s_own():
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert ScenarioClock.starting(None, now) == ScenarioClock()
    assert ScenarioClock().now(now) == now
