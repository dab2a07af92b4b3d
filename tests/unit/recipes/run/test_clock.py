"""Phases of a clock add up to the whole, and each second belongs to the innermost phase."""

from __future__ import annotations

import pytest
from quince.recipes.run import trainer_base as module
from quince.recipes.run.trainer_base import Clock


@pytest.fixture
def time(monkeypatch):
    """Seconds that pass when told to."""
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_inner_phases_are_not_counted_twice(time):
    clock = Clock(("policy", "sync"))
    time(7)
    clock.start()
    for _ in range(2):
        time(1)
        with clock.phase("policy"):
            time(2)
            with clock.phase("generate"):
                time(4)
            time(3)
        clock.steps += 1
    assert clock.read() == {
        "seconds/policy": 5.0,
        "seconds/sync": 0.0,
        "seconds/generate": 4.0,
        "seconds/other": 1.0,
        "seconds/step": 10.0,
    }
    assert clock.summary() == "2 steps of 10 s: policy 50%, generate 40%, other 10%"


def test_a_phase_ends_with_an_error(time):
    clock = Clock()
    with pytest.raises(ValueError), clock.phase("reward"):
        time(1)
        raise ValueError
    time(2)
    assert clock.read() == {"seconds/reward": 1.0, "seconds/other": 2.0, "seconds/step": 3.0}


def test_a_reading_starts_anew_and_the_summary_keeps_all(time):
    clock = Clock()
    decorated = clock.phase("sync")(time)
    for seconds in (1, 3):
        decorated(seconds)
        clock.steps += 1
        assert clock.read()["seconds/sync"] == seconds
    assert clock.summary() == "2 steps of 2 s: sync 100%"


def test_queued_work_belongs_to_the_phase_that_queued_it(time):
    clock = Clock(settle=lambda: time(5))
    with clock.phase("policy"):
        pass
    assert clock.read()["seconds/policy"] == 5.0
