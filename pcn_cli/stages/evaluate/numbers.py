"""The numbers of the test part: measured from its predictions, and written into the run."""

from collections.abc import Mapping, Sequence

import numpy as np

from pcn_cli.files.atomic import write_csv
from pcn_cli.metrics.curves import gather_curves
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.inputs import SingleLabel, model_inputs
from pcn_cli.metrics.measure import candidate_metrics, measure, measure_calibration, measure_folds, per_class
from pcn_cli.metrics.pointing import play_pointing_game
from pcn_cli.metrics.suspects import name_suspects
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.evaluation import Trust
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Box, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import CANDIDATES, CURVES, METRICS, PER_CLASS, SCAN, SUSPECTS, TRUST, read_folds


def measure_predictions(
    run: RunDir,
    predictions: Sequence[Prediction],
    rows: Sequence[SplitRow],
    *,
    config: ModelConfig,
    recipe: Recipe,
    boxes: Mapping[str, Sequence[Box]],
    trust: Trust | None,
) -> Evaluation:
    """The numbers of the labelled `predictions`, beside what training and `trust` say, as now written into the run.

    `rows` are all photos of the run with their parts; `boxes` around the objects are by file, where they are known.
    """
    candidates = CANDIDATES.find(run) or ()
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    inputs = model_inputs(
        [prediction.label for prediction in predictions],
        probabilities,
        config,
        top_k=recipe.evaluate.top_k,
        seed=recipe.seed,
        train_labels=[row.label for row in rows if row.split == "train"] or None,
    )
    metrics = measure(inputs) | measure_calibration(inputs, config) | play_pointing_game(predictions, boxes)
    metrics |= candidate_metrics(candidates, metrics.get(inputs.headline))
    metrics = described(metrics | measure_folds(read_folds(run), config.classes))
    classes, curves = per_class(inputs), gather_curves(inputs, config)
    matrix = inputs.matrix if isinstance(inputs, SingleLabel) else None
    if not config.multi_label and not run.suspects.is_file():  # nobody looked at all photos while training
        SUSPECTS.write(run, name_suspects(predictions, probabilities, config.classes))
    if trust is not None:
        TRUST.write(run, trust)
    METRICS.write(run, metrics)
    CURVES.write(run, curves)
    PER_CLASS.write(run, classes)
    if matrix is not None:
        counts = zip(config.classes, matrix.tolist(), strict=True)
        write_csv(run.confusion, ("label", *config.classes), ([name, *row] for name, row in counts))
    return Evaluation(
        run=run,
        classes=config.classes,
        predictions=tuple(predictions),
        metrics=metrics,
        per_class=classes,
        curves=curves,
        confusion=matrix,
        candidates=candidates,
        suspects=SUSPECTS.read(run),
        trust=trust,
        rows=tuple(rows),
        scan=SCAN.read(run),
        model=config if run.model_config.is_file() else None,
    )
