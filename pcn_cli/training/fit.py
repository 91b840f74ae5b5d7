"""The training loop: steps, epochs, validation, checkpoints, and what to do when things go wrong.

On a CPU a fit that was killed at any step and resumed ends with the same bits as one that was not (a time limit
apart: its schedule depends on the clock until it is laid). On an accelerator it is as exact as that accelerator.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from torch import Tensor, nn

from pcn_cli import __version__
from pcn_cli.errors import DataError, DivergedError, StoppedError
from pcn_cli.records.run import EpochRow
from pcn_cli.tensors.network import Batches
from pcn_cli.training.average import State, average_best, by_epoch, rank_epochs
from pcn_cli.training.checkpoint import Checkpoints, Progress
from pcn_cli.training.copies import copy_state, on_cpu
from pcn_cli.training.device import memory_mb
from pcn_cli.training.fit_config import Validation, check_same_config, is_better
from pcn_cli.training.learner import Learner
from pcn_cli.training.schedule import SessionClock
from pcn_cli.training.steps import CHECKED_AT_ONCE
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import without_second_head

logger = logging.getLogger(__name__)

BAD_STEPS = 3  # in a row, before the fit goes back
_NAMED = 8  # photos of a bad step


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a fit gave; `progress` has its history and numbers, over all sessions of a resumed fit.

    `best_state` are the weights of the best epoch, or the mean of those of the best epochs, or those of the last where
    nothing was validated (each time the averaged ones with `config.ema`), float32 on the CPU, for
    `model.load_state_dict`; `best` is what they gave.
    """

    best_state: dict[str, Tensor]
    best: Validation | None
    progress: Progress


class FitCallback:
    """What a fit tells on its way; override what you want to see."""

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        """A step was made, with this rate of the head."""

    def on_epoch(self, row: EpochRow) -> None:
        """An epoch is done; earlier rows of a resumed fit stand in its result alone."""

    def on_note(self, text: str) -> None:
        """Something changed: skipped steps, memory, time, a damaged checkpoint."""
        logger.warning("%s", text)


def fit(
    learner: Learner,
    batches: Batches,
    validate: Callable[[nn.Module], Validation] | None,
    *,
    stop: StopRequest,
    files: Sequence[str] = (),
    checkpoints: Path | None = None,
    callback: FitCallback | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """The best weights by validation after training the learner's network, which is left with the last that were tried.

    Args:
        learner: new; it holds network, config and device.
        validate: gets the network in evaluation mode; without it each epoch is as good as the next, and has no row.
        files: what the photos are called, by the batches' indices; they go by these without it.
        checkpoints: a folder for checkpoints, from the newest of which the fit goes on; without it nothing reaches the
            disk.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        DivergedError: the numbers are not finite, with half the rate too.
        RunError: the checkpoint is of other data, classes, settings or another network.
        ResourceError: memory or disk ran out.
    """
    config, ranks, callback = learner.config, learner.ranks, callback or FitCallback()
    epoch_steps = len(batches)
    if epoch_steps == 0:
        raise DataError("there is no photo to train on")
    progress = Progress(
        plan=config,
        versions={"pcn-cli": __version__, **{name: version(name) for name in ("torch", "timm", "numpy")}},
        total_steps=config.epochs * epoch_steps,
        micro_batch=min(config.micro_batch, config.batch_size),
        fresh_norms=learner.fresh_norms,
    )
    learner.set_schedule(progress)
    minutes = config.checkpoint_minutes
    states = Checkpoints(checkpoints, minutes=minutes, clock=clock, on_note=callback.on_note, ranks=ranks)
    best: State = {}
    runners_up: dict[int, State] = {}

    state = states.newest()
    if state is not None:
        check_same_config(state.progress.plan, config)
        learner.restore(state)
        progress, best, runners_up = replace(state.progress), state.best, by_epoch(state.runners_up)
    session = SessionClock(clock=clock, epoch_steps=epoch_steps, limit=config.time_limit, spent=progress.seconds)

    def save() -> None:
        progress.seconds = session.total_seconds
        if ranks.leads:
            states.save(learner.capture(progress, best, runners_up))

    if state is None:
        save()  # there is always a state to go back to

    while not progress.finished:
        went_back = False
        session.start_epoch()
        for batch in batches.batches(progress.epoch, start=progress.position):
            if progress.step >= progress.total_steps:
                break
            step = learner.take_step(batch, progress=progress, on_note=callback.on_note)
            progress.step += 1
            progress.position += 1
            last = progress.position == epoch_steps or progress.step == progress.total_steps
            # Alone one may look at the numbers of a card at any time; several processes do it together.
            hurry = ranks.world == 1 and (stop.requested or states.is_due)
            steps = [step] if step else []
            if step is None and (hurry or last or progress.step % CHECKED_AT_ONCE == 0):
                steps = learner.settle()
            # Once a card was waited for: what it had still to do is training as well, and of this epoch.
            progress.epoch_seconds += session.count_step(learner.photos)
            progress.epoch_photos += learner.photos
            for step in steps:
                progress.bad_in_row = progress.bad_in_row + 1 if step.bad else 0
                if not step.bad:
                    progress.loss_sum += step.loss * step.photos
                    progress.loss_photos += step.photos
                    speed = session.images_per_second
                    callback.on_step(step.number, progress.total_steps, step.loss, step.lr, speed)
                    continue
                named = _name_photos(step.bad_photos, files)
                callback.on_note(f"step {step.number} is skipped: its numbers are not finite, photos {named}")
                if progress.bad_in_row == min(BAD_STEPS, epoch_steps):
                    good = states.newest()
                    if good is None or progress.lr_factor < 1:
                        raise DivergedError(
                            f"{progress.bad_in_row} steps in a row were not finite, up to step {step.number}, "
                            f"with half the learning rate too; the last photos were {named}",
                            "use a smaller --lr, or look at these photos",
                        )
                    learner.restore(good)
                    progress = replace(good.progress, lr_factor=0.5, bad_in_row=0)
                    best, runners_up = good.best, by_epoch(good.runners_up)
                    learner.set_schedule(progress)
                    callback.on_note(f"going back to step {progress.step} with half the learning rate")
                    save()  # the halved rate outlives a kill
                    went_back = True
                    break
            if went_back:
                break

            end = progress.total_steps
            if learner.has_settled:  # else the card has still to do what was counted
                end = session.plan_end(step=progress.step, total=end)
            if config.time_limit is not None:
                end = ranks.from_lead(end)  # the clock of one decides for all
            if end < progress.total_steps:
                callback.on_note(f"time limit: training ends after {end / epoch_steps:.3g} epochs, not {config.epochs}")
                progress.total_steps = end
                learner.set_schedule(progress)
            if stop.requested and learner.has_settled:
                save()
                raise _stopped(progress, checkpoints, stop.signal_number)
            # Amid bad steps, or those that were not looked at, there is no state to go back to.
            if states.is_due and progress.bad_in_row == 0 and learner.has_settled:
                save()
        if went_back:
            continue

        try:
            stop.check()
            validation = validate(learner.eval_model) if validate else None
        except StoppedError as error:
            save()  # at the end of the epoch: resuming begins with its validation
            raise _stopped(progress, checkpoints, error.exit_code - 128) from error
        session.count_validation()
        _check_finite(validation, progress)
        better = validation is None or is_better(validation, progress.best, monitor=config.monitor)
        if config.average_epochs > 1 and validation is not None and ranks.leads:
            if not better:
                runners_up[progress.epoch + 1] = copy_state(learner.eval_model)
            elif best:
                runners_up[progress.best_epoch] = on_cpu(best)
        if better:
            progress.best, progress.best_epoch = validation, progress.epoch + 1
            progress.epochs_without_better = 0
            best = learner.keep_weights() if ranks.leads else {}
        else:
            progress.epochs_without_better += 1
        if validation is not None:
            progress.history += (_describe_epoch(progress, validation, learner),)
            kept = rank_epochs(progress.history, monitor=config.monitor, most=config.average_epochs)
            runners_up = {epoch: runners_up[epoch] for epoch in kept if epoch in runners_up}
        progress.epoch += 1
        progress.position = progress.epoch_photos = progress.loss_photos = 0
        progress.loss_sum = progress.epoch_seconds = 0.0
        progress.stopped_early = config.patience is not None and progress.epochs_without_better >= config.patience
        progress.finished = progress.stopped_early or progress.step >= progress.total_steps
        if progress.finished or states.is_due:
            save()
        if validation is not None:
            callback.on_epoch(progress.history[-1])
        if progress.stopped_early:
            callback.on_note(
                f"ended early, after epoch {progress.epoch} of {config.epochs}: the validation figure was no better for"
                f" {progress.epochs_without_better} epochs, so the weights of epoch {progress.best_epoch} count"
            )
        if stop.requested and not progress.finished:
            save()
            raise _stopped(progress, checkpoints, stop.signal_number)

    if not progress.best_epoch:
        raise DivergedError("training ended without a validation")
    if validate is not None and config.average_epochs > 1:
        try:
            best = _average(learner, {**runners_up, progress.best_epoch: on_cpu(best)}, progress, validate, callback)
        except StoppedError as error:  # what was saved last has all that is needed to begin this anew
            raise _stopped(progress, checkpoints, error.exit_code - 128) from error
    learner.release()
    return FitResult(best_state=on_cpu(without_second_head(best)), best=progress.best, progress=progress)


def _average(
    learner: Learner,
    states: dict[int, State],
    progress: Progress,
    validate: Callable[[nn.Module], Validation],
    callback: FitCallback,
) -> State:
    """The mean of the weights of the best epochs, `states` by epoch, as far as it is better than the best alone."""
    config, alone = learner.config, progress.best
    assert alone is not None  # noqa: S101 - each epoch was validated
    epochs = rank_epochs(progress.history, monitor=config.monitor, most=config.average_epochs)
    averaged, progress.best, weights = average_best(learner, states, epochs, best=alone, validate=validate)
    if len(averaged) > 1:
        figure = "macro-F1" if config.monitor == "macro_f1" else "log-loss"
        callback.on_note(
            f"the weights of epochs {', '.join(map(str, averaged))} are averaged: {figure}"
            f" {getattr(progress.best, config.monitor):.4f} on the validation photos, in the place of"
            f" {getattr(alone, config.monitor):.4f} by the best alone"
        )
    return weights


def _describe_epoch(progress: Progress, validation: Validation, learner: Learner) -> EpochRow:
    """The row of the epoch that was just validated."""
    return EpochRow(
        phase=learner.config.phase,
        epoch=progress.epoch + 1,
        step=progress.step,
        lr=learner.lr,
        train_loss=progress.loss_sum / progress.loss_photos,
        val_loss=validation.log_loss,
        val_accuracy=validation.accuracy,
        val_macro_f1=validation.macro_f1,
        seconds=progress.epoch_seconds,
        images_per_second=progress.epoch_photos / max(progress.epoch_seconds, 1e-9),
        memory_mb=memory_mb(learner.device),
    )


def _name_photos(indices: Sequence[int], files: Sequence[str]) -> str:
    names = [files[index] if files else str(index) for index in indices]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _stopped(progress: Progress, checkpoints: Path | None, signal_number: int) -> StoppedError:
    kept = "nothing was kept" if checkpoints is None else "the state is saved"
    return StoppedError(
        f"stopped after step {progress.step} of {progress.total_steps}; {kept}", signal_number=signal_number
    )


def _check_finite(validation: Validation | None, progress: Progress) -> None:
    if validation is not None and not math.isfinite(validation.log_loss):
        raise DivergedError(
            f"the validation loss after step {progress.step} is {validation.log_loss}", "use a smaller --lr"
        )
    if progress.loss_photos == 0:
        raise DivergedError(
            f"no step of the epoch up to step {progress.step} gave finite numbers", "use a smaller --lr"
        )
