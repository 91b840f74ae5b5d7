"""Calibrate: what the validation part says of the trained model's confidence, put into its config."""

from dataclasses import replace

from pcn_cli.metrics.calibration import FEWEST, calibrate, choose_thresholds, temper
from pcn_cli.metrics.conformal import LEVELS, calibrate_sets
from pcn_cli.metrics.findings import join_words
from pcn_cli.metrics.inputs import as_truths
from pcn_cli.metrics.selective import choose_threshold, selection_notes
from pcn_cli.records.model import ModelConfig
from pcn_cli.stages.train.context import Probabilities, TrainContext


def calibrate_model(probabilities: Probabilities, context: TrainContext) -> ModelConfig:
    """The model's config with temperature, threshold and conformal sets from its answers to the validation photos.

    Where photos may have several labels it gets a threshold for each class instead of the last two.
    """
    context.callback.on_stage("calibrate")
    config, rows = context.model_config, context.part("val")
    if config.multi_label:
        truths = as_truths([row.label for row in rows], context.classes)
        temperature, calibration = calibrate(probabilities, truths)
        tempered = temper(probabilities, temperature, multi_label=True)
        config = replace(config, thresholds=choose_thresholds(tempered, truths, context.classes))
    else:
        targets, target = context.targets(rows), context.recipe.evaluate.target_accuracy
        temperature, calibration = calibrate(probabilities, targets)
        tempered = temper(probabilities, temperature)
        selection = None if target is None else choose_threshold(tempered, targets, target=target)
        config = replace(config, selection=selection, conformal=calibrate_sets(tempered, targets))
    config = replace(config, temperature=temperature, calibration=calibration)
    for note in _notes(config):
        context.callback.on_note(note)
    return config


def _notes(config: ModelConfig) -> list[str]:
    """What could not be calibrated, a sentence each."""
    notes = []
    if config.calibration and not config.calibration.photos:
        found = config.calibration.validation_photos
        notes.append(f"temperature 1: {found} validation photos are fewer than {FEWEST}")
    notes += selection_notes(config.selection)
    notes += [
        f"not enough photos for {level.level:.0%} sets: {level.photos} validation photos, "
        f"at least {LEVELS[level.level]} are needed"
        for level in config.conformal
        if level.least_probability is None
    ]
    unseen = [one.label for one in config.thresholds if not one.photos]
    if unseen:
        notes.append(f"threshold 0.5 for {join_words(unseen)}: no validation photo has it to choose on")
    return notes
