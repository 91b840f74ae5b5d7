"""The numbers of the test part: measured from its predictions, drawn as charts and put into words, all into the run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pcn_cli.files.atomic import write_csv
from pcn_cli.metrics.change import change_findings
from pcn_cli.metrics.curves import gather_curves
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.figures import draw_confusion, draw_history, draw_learning_curve, draw_per_class
from pcn_cli.metrics.findings import findings
from pcn_cli.metrics.inputs import SingleLabel, model_inputs
from pcn_cli.metrics.measure import candidate_metrics, measure, measure_calibration, measure_folds, per_class
from pcn_cli.metrics.pointing import play_pointing_game
from pcn_cli.metrics.slices import slice_findings
from pcn_cli.metrics.suspects import name_suspects
from pcn_cli.metrics.trust import trust_findings
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Box, Scan, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs import store
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.photos import check_leaks


def measure_predictions(
    run: RunDir,
    predictions: Sequence[Prediction],
    rows: Sequence[SplitRow],
    scan: Scan,
    *,
    config: ModelConfig,
    recipe: Recipe,
    boxes: Mapping[str, Sequence[Box]],
    further: Mapping[str, Metric],
) -> Evaluation:
    """The numbers of the labelled `predictions`, beside what training says, as now written into the run.

    `rows` are all photos of the run with their parts; `boxes` around the objects are by file, where they are known;
    `further` numbers were measured elsewhere.
    """
    candidates = store.CANDIDATES.find(run) or ()
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
    metrics |= further
    metrics |= candidate_metrics(candidates, metrics.get(inputs.headline))
    metrics = described(metrics | measure_folds(store.read_answers(run.folds), config.classes))
    classes, curves = per_class(inputs), gather_curves(inputs, config)
    matrix = inputs.matrix if isinstance(inputs, SingleLabel) else None
    if not config.multi_label and not run.suspects.is_file():  # nobody looked at all photos while training
        store.SUSPECTS.write(run, name_suspects(predictions, probabilities, config.classes))
    store.METRICS.write(run, metrics)
    store.CURVES.write(run, curves)
    store.PER_CLASS.write(run, classes)
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
        suspects=store.SUSPECTS.read(run),
        learning_curve=store.LEARNING_CURVE.find(run),
        rows=tuple(rows),
        scan=scan,
        model=config if run.model_config.is_file() else None,
    )


def draw_figures(evaluation: Evaluation) -> None:
    """Draw the classes and, where there are such, the confusion matrix, the training and the learning curve."""
    folder, history = evaluation.run.figures, store.HISTORY.read(evaluation.run)
    if evaluation.confusion is not None:
        draw_confusion(evaluation.confusion, evaluation.classes, stem=folder / "confusion")
    draw_per_class(evaluation.per_class, stem=folder / "per_class")
    if history:
        draw_history(history, stem=folder / "history")
    if evaluation.learning_curve:
        draw_learning_curve(evaluation.learning_curve, stem=folder / "learning_curve")


def write_findings(evaluation: Evaluation, scan: Scan, *, learned_from: Sequence[SplitRow] = ()) -> tuple[Finding, ...]:
    """What the numbers and the scan give cause to say, as now written into the run; warnings come first.

    `learned_from` are photos that the model learned from elsewhere, with paths that the run's own do not have.
    """
    run, rows, curves = evaluation.run, evaluation.rows, evaluation.curves
    facts = replace(
        check_leaks([*rows, *learned_from], scan),
        neighbours=store.NEIGHBOURS.read(run),
        metrics=evaluation.metrics,
        per_class=evaluation.per_class,
        train_counts=Counter(name for row in rows if row.split == "train" for name in row.labels),
        unreadable=scan.unreadable,
        candidates=evaluation.candidates,
        calibration=curves.calibration if curves else None,
        selection=curves.selection if curves else None,
        thresholds=curves.thresholds if curves else (),
        suspects=evaluation.suspects,
        learning_curve=evaluation.learning_curve,
    )
    others = (
        *(trust_findings(evaluation.trust) if evaluation.trust else ()),
        *(change_findings(evaluation.change) if evaluation.change else ()),
        *(slice_findings(evaluation.slices) if evaluation.slices else ()),
    )
    found = findings(facts, others)
    store.FINDINGS.write(run, found)
    return found
