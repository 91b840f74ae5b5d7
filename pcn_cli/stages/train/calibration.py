"""Calibrate: what the validation part says of the trained model's confidence, put into its config."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pcn_cli.metrics.calibration import FEWEST, calibrate, divide_validation, temper
from pcn_cli.metrics.conformal import LEVELS, calibrate_sets
from pcn_cli.metrics.findings import join_words
from pcn_cli.metrics.multi_label import calibration as multi_label
from pcn_cli.metrics.multi_label.answers import as_truths
from pcn_cli.metrics.selective import choose_threshold
from pcn_cli.records.calibration import Selection
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.score import score_photos


def score_validation(
    model: nn.Module,
    config: ModelConfig,
    rows: Sequence[SplitRow],
    *,
    root: Path,
    device: torch.device,
    batch_size: int,
    workers: int,
    callback: Callback,
) -> NDArray[np.float64]:
    """The probabilities (n, K) of `rows` at temperature 1, scored exactly as predict and evaluate score photos."""
    scored = []
    plain = replace(config, temperature=1.0)
    files = [row.file for row in rows]
    for one in score_photos(
        model, plain, root=root, files=files, device=device, batch_size=batch_size, workers=workers
    ):
        scored.append(one.prediction.probabilities)
        callback.on_progress("calibrating", len(scored), len(rows))
    return np.array(scored)


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


def retarget_config(
    config: ModelConfig,
    probabilities: NDArray[np.float64],
    rows: Sequence[SplitRow],
    *,
    target_accuracy: float,
    callback: Callback,
) -> ModelConfig:
    """The config with the threshold that gives the wished accuracy on `rows`; the rest stays."""
    tempered = temper(probabilities, config.temperature)
    retargeted = replace(config, selection=_select(tempered, _targets(config, rows), target=target_accuracy))
    for note in _selection_notes(retargeted):
        callback.on_note(note)
    return retargeted


def _targets(config: ModelConfig, rows: Sequence[SplitRow]) -> NDArray[np.int64]:
    return np.array([config.classes.index(row.label) for row in rows])


def _select(tempered: NDArray[np.float64], targets: NDArray[np.int64], *, target: float) -> Selection:
    right = tempered.argmax(axis=1) == targets
    return choose_threshold(tempered.max(axis=1), right, target=target)


def _calibrate_classes(
    config: ModelConfig, probabilities: NDArray[np.float64], rows: Sequence[SplitRow]
) -> ModelConfig:
    """The config with a temperature and a threshold for each class."""
    truths = as_truths([row.label for row in rows], config.classes)
    temperature, calibration = multi_label.calibrate(probabilities, truths)
    tempered = multi_label.temper(probabilities, temperature)
    return replace(
        config,
        temperature=temperature,
        calibration=calibration,
        thresholds=multi_label.choose_thresholds(tempered, truths, config.classes),
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
    targets = _targets(config, rows)
    fitting, rest = divide_validation(targets, seed=seed)
    temperature, calibration = calibrate(probabilities[fitting], targets[fitting], validation_photos=len(rows))
    tempered = temper(probabilities, temperature)
    return replace(
        config,
        temperature=temperature,
        calibration=calibration,
        selection=None if target_accuracy is None else _select(tempered, targets, target=target_accuracy),
        conformal=calibrate_sets(tempered[rest], targets[rest]),
    )


def _selection_notes(config: ModelConfig) -> list[str]:
    """That no threshold was found, where one was wished for."""
    selection = config.selection
    if selection is None or selection.threshold is not None:
        return []
    found = f"no threshold reaches an accuracy of {selection.target:.1%} on the {selection.photos} validation photos"
    return [f"{found}, so every photo is answered"]


def _notes(config: ModelConfig) -> list[str]:
    """What could not be calibrated, a sentence each."""
    notes = []
    if config.calibration and not config.calibration.photos:
        found = config.calibration.validation_photos
        notes.append(f"temperature 1: {found} validation photos are fewer than {FEWEST}")
    notes += _selection_notes(config)
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
