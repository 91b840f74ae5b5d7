"""The training loop: steps, epochs, validation, checkpoints, and what to do when things go wrong.

On a CPU a fit that was killed at any step and resumed ends with the same bits as one that was not (a time limit
apart: its plan depends on the clock until it is laid). On an accelerator it is as exact as that accelerator.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from pcn_cli import __version__
from pcn_cli.errors import DataError, DivergedError, StoppedError
from pcn_cli.records.run import EpochRow
from pcn_cli.tensors.batch import Batches
from pcn_cli.training.checkpoint import Progress
from pcn_cli.training.device import memory_mb
from pcn_cli.training.fit_config import FitConfig, FitResult, Validation, check_same_config, is_better
from pcn_cli.training.keeper import Keeper
from pcn_cli.training.learner import Learner, copy_state
from pcn_cli.training.optim import fresh_norms
from pcn_cli.training.schedule import Pace
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import without_second_head

logger = logging.getLogger(__name__)

OnStep = Callable[[int, int, float, float, float], None]
BAD_STEPS = 3  # in a row, before the fit goes back


def fit(
    model: nn.Module,
    batches: Batches,
    validate: Callable[[nn.Module], Validation],
    *,
    plan: FitConfig,
    device: torch.device,
    taught: Tensor | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    on_step: OnStep | None = None,
    on_epoch: Callable[[EpochRow], None] | None = None,
    on_note: Callable[[str], None] = logger.warning,
    on_skip: Callable[[int, tuple[int, ...]], None] | None = None,
    stop: StopRequest | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """The best weights by validation after training `model`, which is left with the last ones.

    Args:
        model: satisfies `tensors.network.Network`.
        validate: gets the network to judge, in evaluation mode.
        taught: the answers of a teacher, (photos, answers) logits by the batches' indices, which are learned as well.
        checkpoints: a folder for checkpoints; without it nothing reaches the disk.
        resume: go on from the newest checkpoint there, or start where there is none; False removes those of before.
        on_step: called with step, total, loss, rate of the head, images per second.
        on_epoch: called with each new row of the history; earlier rows of a resumed fit stand in the result.
        on_note: called with a sentence when something changes: skipped steps, memory, time, damage.
        on_skip: called with a step that was skipped and the indices of its suspicious photos.
        stop: polled after each step; without it the fit listens to signals itself.
        clock: seconds from any origin.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        DivergedError: the numbers are not finite, with half the rate too.
        RunError: the checkpoint is of other data, classes, settings or another network.
        ResourceError: memory or disk ran out.
    """
    epoch_steps = len(batches)
    if epoch_steps == 0:
        raise DataError("there is no photo to train on")
    progress = Progress(
        plan=plan,
        versions={"pcn-cli": __version__, **{name: version(name) for name in ("torch", "timm", "numpy")}},
        total_steps=plan.epochs * epoch_steps,
        micro_batch=min(plan.micro_batch, plan.batch_size),
        # A network that was never trained has no statistics worth keeping.
        fresh_norms=fresh_norms(model) if plan.tune == "all" else (),
    )
    learner = Learner(model, plan=plan, device=device, progress=progress, taught=taught)
    keeper = Keeper(checkpoints, minutes=plan.checkpoint_minutes, clock=clock, on_note=on_note)
    best: dict[str, Tensor] = {}

    state = keeper.newest() if resume else None
    if state is not None:
        check_same_config(state.progress.plan, plan)
        learner.restore(state)
        progress, best = replace(state.progress), state.best
    pace = Pace(clock=clock, epoch_steps=epoch_steps, limit=plan.time_limit, spent=progress.seconds)

    def keep() -> None:
        progress.seconds = pace.total_seconds
        keeper.keep(learner.capture(progress, best))

    if state is None:
        keeper.forget()
        keep()  # there is always a state to go back to

    with StopRequest() if stop is None else nullcontext(stop) as stop_request:
        while not progress.finished:
            went_back = False
            pace.start_epoch()
            for batch in batches.batches(progress.epoch, start=progress.position):
                if progress.step >= progress.total_steps:
                    break
                step = learner.take_step(batch, progress=progress, on_note=on_note)
                progress.step += 1
                progress.position += 1
                progress.epoch_seconds += pace.count_step(len(batch.targets))
                progress.epoch_photos += len(batch.targets)

                if not step.bad_photos:
                    progress.bad_in_row = 0
                    progress.loss_sum += step.loss * len(batch.targets)
                    progress.loss_photos += len(batch.targets)
                    if on_step is not None:
                        on_step(progress.step, progress.total_steps, step.loss, learner.lr, pace.images_per_second)
                else:
                    progress.bad_in_row += 1
                    named = ", ".join(map(str, step.bad_photos))
                    on_note(f"step {progress.step} is skipped: its numbers are not finite, photos {named}")
                    if on_skip is not None:
                        on_skip(progress.step, step.bad_photos)
                    if progress.bad_in_row == min(BAD_STEPS, epoch_steps):
                        good = keeper.newest()
                        if good is None or progress.lr_factor < 1:
                            raise DivergedError(
                                f"{progress.bad_in_row} steps in a row were not finite, up to step {progress.step}, "
                                f"with half the learning rate too; the last photos were {named}",
                                "use a smaller --lr, or look at these photos",
                            )
                        learner.restore(good)
                        progress, best = replace(good.progress, lr_factor=0.5, bad_in_row=0), good.best
                        learner.lay_schedule(progress)
                        on_note(f"going back to step {progress.step} with half the learning rate")
                        keep()  # the halved rate outlives a kill
                        went_back = True
                        break

                end = pace.plan_end(step=progress.step, total=progress.total_steps)
                if end < progress.total_steps:
                    on_note(f"time limit: training ends after {end / epoch_steps:.3g} epochs, not {plan.epochs}")
                    progress.total_steps = end
                    learner.lay_schedule(progress)
                if stop_request.requested:
                    keep()
                    raise _stopped(progress, checkpoints, stop_request.signal_number)
                if keeper.is_due and progress.bad_in_row == 0:  # amid bad steps there is no state to go back to
                    keep()
            if went_back:
                continue

            try:
                stop_request.check()
                validation = validate(learner.judged)
            except StoppedError as error:
                keep()  # at the end of the epoch: resuming begins with its validation
                raise _stopped(progress, checkpoints, error.exit_code - 128) from error
            pace.count_validation()
            _check_finite(validation, progress)
            if is_better(validation, progress.best, monitor=plan.monitor):
                progress.best, progress.best_epoch = validation, progress.epoch + 1
                progress.epochs_without_better = 0
                best = copy_state(learner.judged)
            else:
                progress.epochs_without_better += 1
            row = EpochRow(
                phase=plan.phase,
                epoch=progress.epoch + 1,
                step=progress.step,
                lr=learner.lr,
                train_loss=progress.loss_sum / progress.loss_photos,
                val_loss=validation.log_loss,
                val_accuracy=validation.accuracy,
                val_macro_f1=validation.macro_f1,
                seconds=progress.epoch_seconds,
                images_per_second=progress.epoch_photos / max(progress.epoch_seconds, 1e-9),
                memory_mb=memory_mb(device),
            )
            progress.history += (row,)
            progress.epoch += 1
            progress.position = progress.epoch_photos = progress.loss_photos = 0
            progress.loss_sum = progress.epoch_seconds = 0.0
            progress.stopped_early = plan.patience is not None and progress.epochs_without_better >= plan.patience
            progress.finished = progress.stopped_early or progress.step >= progress.total_steps
            keep()
            if on_epoch is not None:
                on_epoch(row)
            if stop_request.requested and not progress.finished:
                raise _stopped(progress, checkpoints, stop_request.signal_number)

    if progress.best is None:
        raise DivergedError("training ended without a validation")
    learner.release()
    return FitResult(
        best_state=without_second_head(best),
        best=progress.best,
        best_epoch=progress.best_epoch,
        history=progress.history,
        stopped_early=progress.stopped_early,
        steps=progress.step,
        micro_batch=progress.micro_batch,
        seconds=progress.seconds,
    )


def _stopped(progress: Progress, checkpoints: Path | None, signal_number: int) -> StoppedError:
    kept = "nothing was kept" if checkpoints is None else "the state is saved"
    return StoppedError(
        f"stopped after step {progress.step} of {progress.total_steps}; {kept}", signal_number=signal_number
    )


def _check_finite(validation: Validation, progress: Progress) -> None:
    if not math.isfinite(validation.log_loss):
        raise DivergedError(
            f"the validation loss after step {progress.step} is {validation.log_loss}", "use a smaller --lr"
        )
    if progress.loss_photos == 0:
        raise DivergedError(
            f"no step of the epoch up to step {progress.step} gave finite numbers", "use a smaller --lr"
        )
