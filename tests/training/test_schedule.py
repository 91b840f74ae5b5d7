"""A time limit ends the schedule where it fits."""

import pytest

from pcn_cli.training.schedule import MEASURED_STEPS, SessionClock, steps_in_time


@pytest.mark.parametrize(
    ("left", "end"),
    [(1000.0, 100), (125.0, 100), (60.0, 40), (25.0, 20), (13.0, 10), (9.0, 4), (5.9, 1), (5.0, 0), (-1.0, 0)],
)
def test_training_ends_at_an_epoch_where_one_is_in_reach(left: float, end: int) -> None:
    # 10 steps of a second and 2 seconds of validation per epoch; 5 seconds where no epoch is in reach are 3 steps
    expected = {9.0: 7, 5.9: 3, 5.0: 3}.get(left, {60.0: 50, 25.0: 20, 13.0: 10, 125.0: 100}.get(left, end))
    found = steps_in_time(left, step=0, total=100, epoch_steps=10, step_seconds=1.0, validation_seconds=2.0)
    assert found == expected


def test_a_plan_in_the_middle_of_an_epoch_counts_what_is_left_of_it() -> None:
    end = steps_in_time(6.0, step=26, total=100, epoch_steps=10, step_seconds=1.0, validation_seconds=2.0)
    assert end == 30


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_steps_are_slow_and_not_counted() -> None:
    clock = Clock()
    pace = SessionClock(clock=clock, epoch_steps=10, limit=240.0)
    pace.start_epoch()
    ends = []
    for step in range(1, 11):
        clock.now += 10.0 if step <= 2 else 1.0
        assert pace.count_step(4) == (10.0 if step <= 2 else 1.0)
        ends.append(pace.plan_end(step=step, total=1000))
    assert ends[: MEASURED_STEPS - 1] == [1000] * (MEASURED_STEPS - 1)
    # 26 s are spent, 202 are left: 2 steps and validation, then epochs of 10 steps and a guessed validation of 2 s
    assert ends[MEASURED_STEPS - 1] == 170
    assert pace.images_per_second == pytest.approx(40 / 28)


def test_a_measured_validation_counts_from_then_on() -> None:
    clock = Clock()
    pace = SessionClock(clock=clock, epoch_steps=10, limit=100.0, spent=10.0)
    for _ in range(10):
        clock.now += 1.0
        pace.count_step(4)
    clock.now += 15.0
    pace.count_validation()
    # 95 - 10 - 25 = 60 s left for epochs of 25 s
    assert pace.plan_end(step=10, total=100) == 30
    assert pace.total_seconds == 35.0


def test_without_a_limit_nothing_changes() -> None:
    pace = SessionClock(clock=Clock(), epoch_steps=10)
    for step in range(1, 20):
        pace.count_step(1)
        assert pace.plan_end(step=step, total=77) == 77
