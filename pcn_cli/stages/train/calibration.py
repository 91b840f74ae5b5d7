"""Calibrate: what the validation part says of the trained model's confidence, put into its config."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.calibration import FEWEST, calibrate, choose_thresholds, divide_validation, temper
from pcn_cli.metrics.conformal import LEVELS, calibrate_sets
from pcn_cli.metrics.findings import join_words
from pcn_cli.metrics.inputs import as_truths
from pcn_cli.metrics.selective import select_threshold, selection_notes
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow
from pcn_cli.stages.callback import Callback


def calibrate_config(
    config: ModelConfig,
    probabilities: NDArray[np.float64],
    rows: Sequence[SplitRow],
    *,
    seed: int,
    target_accuracy: float | None,
    callback: Callback,
) -> ModelConfig:
    """The config with temperature, threshold and conformal sets from what `score_validation` gave of `rows`.

    Where photos may have several labels it gets a threshold for each class instead of the last two.
    """
    if config.multi_label:
        calibrated = _calibrate_classes(config, probabilities, rows)
    else:
        calibrated = _calibrate_answers(config, probabilities, rows, seed=seed, target_accuracy=target_accuracy)
    for note in _notes(calibrated):
        callback.on_note(note)
    return calibrated


def _calibrate_classes(
    config: ModelConfig, probabilities: NDArray[np.float64], rows: Sequence[SplitRow]
) -> ModelConfig:
    """The config with a temperature and a threshold for each class."""
    truths = as_truths([row.label for row in rows], config.classes)
    temperature, calibration = calibrate(probabilities, truths)
    tempered = temper(probabilities, temperature, multi_label=True)
    return replace(
        config,
        temperature=temperature,
        calibration=calibration,
        thresholds=choose_thresholds(tempered, truths, config.classes),
    )


def _calibrate_answers(
    config: ModelConfig,
    probabilities: NDArray[np.float64],
    rows: Sequence[SplitRow],
    *,
    seed: int,
    target_accuracy: float | None,
) -> ModelConfig:
    """The config with a temperature, the threshold that was wished for, and conformal sets."""
    targets = np.array([config.classes.index(row.label) for row in rows])
    fitting, rest = divide_validation(targets, seed=seed)
    temperature, calibration = calibrate(probabilities[fitting], targets[fitting], validation_photos=len(rows))
    tempered = temper(probabilities, temperature)
    return replace(
        config,
        temperature=temperature,
        calibration=calibration,
        selection=None if target_accuracy is None else select_threshold(tempered, targets, target=target_accuracy),
        conformal=calibrate_sets(tempered[rest], targets[rest]),
    )


def _notes(config: ModelConfig) -> list[str]:
    """What could not be calibrated, a sentence each."""
    notes = []
    if config.calibration and not config.calibration.photos:
        found = config.calibration.validation_photos
        notes.append(f"temperature 1: {found} validation photos are fewer than {FEWEST}")
    notes += selection_notes(config.selection)
    notes += [
        f"not enough photos for {level.level:.0%} sets: {level.photos} validation photos are left for them, "
        f"at least {LEVELS[level.level]} are needed"
        for level in config.conformal
        if level.least_probability is None
    ]
    unseen = [one.label for one in config.thresholds if not one.photos]
    if unseen:
        notes.append(f"threshold 0.5 for {join_words(unseen)}: no validation photo has it to choose on")
    return notes
