"""How fast a fit goes, and where its schedule must end to stay within a time limit."""

from collections.abc import Callable

MEASURED_STEPS = 8  # after which a time limit is planned
_WARMING_STEPS = 2  # of these the first are slow and not counted
_MARGIN = 0.95  # of the limit is planned with
_GUESSED_VALIDATION = 0.2  # of an epoch's training, until one was measured


class SessionClock:
    """How long one session of a fit takes, and how fast it is.

    `limit` is in seconds for the whole fit, `spent` those of earlier sessions; `clock` counts from any origin.
    """

    def __init__(
        self, *, clock: Callable[[], float], epoch_steps: int, limit: float | None = None, spent: float = 0.0
    ) -> None:
        self._clock, self._epoch_steps, self._limit = clock, epoch_steps, limit
        self._spent = spent
        self._began = self._tick = clock()
        self._steps = self._photos = 0
        self._seconds = self._warm_seconds = 0.0
        self._validation_seconds: float | None = None
        self._planned = False

    @property
    def total_seconds(self) -> float:
        """Seconds of all sessions so far."""
        return self._spent + self._clock() - self._began

    @property
    def images_per_second(self) -> float:
        """Photos trained on per second of training in this session."""
        return self._photos / max(self._seconds, 1e-9)

    def start_epoch(self) -> None:
        """Count from here: what lay before was not training."""
        self._tick = self._clock()

    def count_step(self, photos: int) -> float:
        """The seconds of the step just made, loading included."""
        now = self._clock()
        seconds, self._tick = now - self._tick, now
        self._steps += 1
        self._photos += photos
        self._seconds += seconds
        if self._steps > _WARMING_STEPS:
            self._warm_seconds += seconds
        return seconds

    def count_validation(self) -> None:
        """The validation that began after the last step has ended."""
        self._validation_seconds = self._clock() - self._tick

    def plan_end(self, *, step: int, total: int) -> int:
        """The step at which training should end: `total`, or earlier where the limit asks for it.

        Planned after the first steps and at the end of each epoch; in between only a limit that has passed counts.
        """
        if self._limit is None or self._steps <= _WARMING_STEPS:
            return total
        left = self._limit * _MARGIN - self.total_seconds
        first = not self._planned and self._steps >= MEASURED_STEPS
        if not first and step % self._epoch_steps and left > 0:
            return total
        self._planned = True
        step_seconds = self._warm_seconds / (self._steps - _WARMING_STEPS)
        validation_seconds = self._validation_seconds
        if validation_seconds is None:
            validation_seconds = _GUESSED_VALIDATION * self._epoch_steps * step_seconds
        return steps_in_time(
            left,
            step=step,
            total=total,
            epoch_steps=self._epoch_steps,
            step_seconds=step_seconds,
            validation_seconds=validation_seconds,
        )


def steps_in_time(
    left: float, *, step: int, total: int, epoch_steps: int, step_seconds: float, validation_seconds: float
) -> int:
    """The last step, from `step` to `total`, that fits into `left` seconds: an epoch's end where one is in reach."""
    position, cost = step, 0.0
    while position < total:
        end = min(total, (position // epoch_steps + 1) * epoch_steps)
        cost += (end - position) * step_seconds + validation_seconds
        if cost > left:
            break
        position = end
    if position > step:
        return position
    return min(total, step + max(0, int((left - validation_seconds) / max(step_seconds, 1e-9))))
