"""Tuning: what learns beyond the frozen trunk, from the checkpoints on where there are any; and, once the validation
photos have chosen the tuned model, what they teach it.
"""

from dataclasses import replace

from torch import nn

from pcn_cli.data.split import fingerprint
from pcn_cli.models.sources import find_source
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.train.context import HistoryCallback, StepCallback, TrainContext, score_batches, validate
from pcn_cli.training.fit import FitCallback, FitResult, fit
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.learner import Learner
from pcn_cli.training.teacher import Teacher

FINAL_RATE = 0.3  # of tuning's, for the final epochs
_FINAL_TIME = 0.2  # of a time limit


def tune_here(model: nn.Module, context: TrainContext, teacher: Teacher | None) -> FitResult:
    """The tuned weights, from this process's share of the photos; rank 0 keeps history and checkpoints."""
    ranks, train_rows, val_rows = context.ranks, context.part("train"), context.part("val")
    config = _configure(context)
    if config.time_limit is not None and context.recipe.train.final_epochs:
        config = replace(config, time_limit=config.time_limit * (1 - _FINAL_TIME))
    val_batches, val_targets = context.batches(context.own_rows(val_rows)[0]), context.targets(val_rows)

    def validate_together(tuned: nn.Module) -> Validation:
        probabilities = ranks.concatenate(score_batches(tuned, val_batches, context, photos=len(val_rows)))
        figures = None if probabilities is None else vars(validate(val_targets, probabilities))
        return Validation(**ranks.from_lead(figures))

    history = HistoryCallback(context, "tune", config.epochs) if ranks.leads else None
    result = fit(
        Learner(model, config, device=context.device, teacher=teacher, ranks=ranks),
        context.train_batches(batch_size=config.batch_size),
        validate_together,
        files=[row.file for row in train_rows],
        checkpoints=context.run.checkpoints if ranks.leads else None,
        callback=history or FitCallback(),
        stop=context.stop,
    )
    if history is not None:
        history.complete(result.progress.history)
    return result


def finish_here(model: nn.Module, context: TrainContext) -> FitResult:
    """The tuned `model` after the final epochs, in which it learns from the validation photos as well.

    Nothing is chosen any more and no teacher is asked; what the model said of the validation photos before stays what
    it is calibrated by.
    """
    ranks, recipe = context.ranks, context.recipe
    rows = tuple(replace(row, split="train") if row.split == "val" else row for row in context.rows)
    whole = replace(context, rows=rows)
    config = _configure(whole)
    config = replace(
        config,
        epochs=min(recipe.train.final_epochs, config.epochs),
        average_epochs=1,
        lr=config.lr * FINAL_RATE,
        patience=None,
        teacher="",
        time_limit=None if config.time_limit is None else config.time_limit * _FINAL_TIME,
    )
    return fit(
        Learner(model, config, device=context.device, ranks=ranks),
        whole.train_batches(batch_size=config.batch_size),
        None,
        files=[row.file for row in whole.part("train")],
        checkpoints=context.run.final_checkpoints if ranks.leads else None,
        callback=StepCallback(context) if ranks.leads else FitCallback(),
        stop=context.stop,
    )


def _configure(context: TrainContext) -> FitConfig:
    return FitConfig.for_tuning(
        context.recipe,
        context.targets(context.part("train")),
        classes=context.classes,
        fingerprint=fingerprint(context.rows),
    )


def find_teacher(context: TrainContext) -> Teacher | None:
    """The network that teaches the model, if there is one."""
    train = context.recipe.train
    if not train.teacher:
        return None
    source = find_source(model_source(train.teacher))
    network, wanted = source.read_teacher(fetch=context.fetch, size=train.teacher_size)
    return Teacher(network, wanted, given=context.model_config.preprocessing)
