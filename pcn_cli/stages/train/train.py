"""Train: the probe on cached tokens, then tuning; the better of the two by validation log-loss becomes the model."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcn_cli.data.split import fingerprint, number_groups
from pcn_cli.files.atomic import write_with
from pcn_cli.metrics.inputs import model_inputs
from pcn_cli.metrics.measure import measure_headline
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Candidate
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record, recording_stage, update_record
from pcn_cli.runs.store import CANDIDATES, SCAN, write_folds
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.inference.replay import record_replay
from pcn_cli.stages.train.calibration import calibrate_model
from pcn_cli.stages.train.context import HistoryCallback, Probabilities, TrainContext, score_batches, validate
from pcn_cli.stages.train.folds import cross_validate
from pcn_cli.stages.train.tokens import cache_parts, check_photos, probe_rows
from pcn_cli.training.device import choose_device
from pcn_cli.training.fit import FitResult, fit
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.learner import Learner, copy_state
from pcn_cli.training.logistic import logistic_baseline
from pcn_cli.training.probe import fit_probe, token_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import compute_teacher_logits
from pcn_cli.training.tokens import TokenCache

State = dict[str, Tensor]
PartTokens = dict[Part, TokenCache]


def train_run(
    run: RunDir, recipe: Recipe, rows: Sequence[SplitRow], *, fetch: Fetcher, callback: Callback, stop: StopRequest
) -> TokenCache | None:
    """Train as the recipe says and put the better model into the run; the caller holds the run.

    What comes back are the test photos' tokens, where the kept model's trunk gives just these; the caller closes them.
    """
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    model, model_config = find_source(model_source(recipe.model.name)).start(classes, recipe, fetch=fetch)
    context = TrainContext(
        run=run,
        recipe=recipe,
        rows=tuple(rows),
        root=Path(read_record(run).photos),
        model_config=replace(model_config, multi_label=any(row.multi_label for row in rows)),
        device=choose_device(recipe.train.device),
        fetch=fetch,
        callback=callback,
        stop=stop,
    )
    artifacts = (run.model, run.history, run.candidates, run.suspects, run.neighbours, run.folds)
    with recording_stage(run, "train", artifacts):
        if context.model_config.multi_label:
            callback.on_note(
                "several labels per photo: accuracy means all labels of a photo right, each given from 0.5 on"
            )
        kept, state, tokens = choose_model(model, context)
        model.load_state_dict(state)
        save_model_folder(run.model, model, calibrate_model(model, context, tokens=tokens.get("val")))
        record_replay(run.model, context.part("val"), root=context.root)
        update_record(run, kept=kept)
        return tokens.get("test")


def choose_model(model: nn.Module, context: TrainContext) -> tuple[str, State, PartTokens]:
    """Which model is kept, "probe" or "tuned", its weights and, where they are known, its trunk's tokens.

    All that were compared stand in candidates.json.
    """
    tokens: PartTokens = {}
    if context.recipe.train.probe_epochs:
        probed, tokens = train_probe(model, context)
        model.load_state_dict(probed)
    kept, state = "probe", copy_state(model)
    candidates = {candidate.name: candidate for candidate in CANDIDATES.find(context.run) or ()}
    if context.recipe.train.tune != "probe":
        tuned = tune_model(model, context)
        if "probe" not in candidates or tuned.best.log_loss < candidates["probe"].val_log_loss:
            kept, state, tokens = "tuned", tuned.best_state, {}
        model.load_state_dict(tuned.best_state)
        probabilities = score_batches(model, context.batches(context.part("test")), context)
        candidates["tuned"] = measure_candidate("tuned", tuned.best.log_loss, probabilities, context)
    order = [candidates[name] for name in ("tuned", "probe", "logistic regression") if name in candidates]
    CANDIDATES.write(context.run, tuple(replace(candidate, kept=candidate.name == kept) for candidate in order))
    return kept, state, tokens


def train_probe(model: nn.Module, context: TrainContext) -> tuple[State, PartTokens]:
    """The weights of the probe, and the tokens of the validation and test photos.

    The weights and the candidates that it gives are kept, so that a resumed run has them already; tokens it has none.
    """
    done = context.run.probe
    if done.is_file() and context.run.candidates.is_file():
        state: State = load_file(done)
        return state, {}
    rows = probe_rows(context)
    groups = number_groups(rows, SCAN.read(context.run).near_duplicates)
    with cache_parts(model, rows, context) as caches:
        train_tokens, val_tokens, test_tokens = caches
        train_features, val_features, test_features = features = [tokens.mean_features() for tokens in caches]
        baseline = logistic_baseline(
            train_features,
            train_tokens.targets,
            val_features=val_features,
            val_targets=val_tokens.targets,
            features=np.concatenate([val_features, test_features]),
            classes=len(context.classes),
        )
        if not context.model_config.multi_label:
            check_photos(rows, caches, groups, context, features=np.concatenate(features), C=baseline.C)
        if context.recipe.evaluate.folds is not None:
            write_folds(context.run, cross_validate(model, rows, caches, groups, context), context.classes)
        config = FitConfig.for_probe(
            context.recipe, train_tokens.targets, classes=context.classes, fingerprint=fingerprint(context.rows)
        )
        result = fit_probe(
            model,
            train_tokens,
            val_tokens,
            validate,
            config=config,
            device=context.device,
            callback=HistoryCallback(context, config),
            stop=context.stop,
        )
        model.load_state_dict(result.best_state)
        test_probabilities = token_probabilities(model, test_tokens, device=context.device)
        tokens: PartTokens = {"val": val_tokens.hand_on(), "test": test_tokens.hand_on()}
    write_with(done, lambda part: save_file(result.best_state, part))
    baseline_val, baseline_test = np.split(baseline.probabilities, [len(val_tokens)])
    baseline_loss = validate(val_tokens.targets, baseline_val).log_loss
    candidates = (
        measure_candidate("probe", result.best.log_loss, test_probabilities, context),
        measure_candidate("logistic regression", baseline_loss, baseline_test, context),
    )
    CANDIDATES.write(context.run, candidates)
    return result.best_state, tokens


def tune_model(model: nn.Module, context: TrainContext) -> FitResult:
    """The tuned weights, from the checkpoints on where there are any."""
    train_rows, val_rows = context.part("train"), context.part("val")
    config = FitConfig.for_tuning(
        context.recipe, context.targets(train_rows), classes=context.classes, fingerprint=fingerprint(context.rows)
    )
    teacher_logits = _teacher_logits(context) if config.teacher else None
    val_batches, val_targets = context.batches(val_rows), context.targets(val_rows)
    history = HistoryCallback(context, config)
    result = fit(
        Learner(model, config, device=context.device, teacher_logits=teacher_logits),
        context.train_batches(batch_size=config.batch_size),
        lambda tuned: validate(val_targets, score_batches(tuned, val_batches, context)),
        checkpoints=context.run.checkpoints,
        callback=history,
        stop=context.stop,
    )
    history.complete(result.progress.history)
    return result


def measure_candidate(
    name: str, val_log_loss: float, test_probabilities: Probabilities, context: TrainContext
) -> Candidate:
    """A candidate with the figure that its probabilities of the test part reach."""
    labels = [row.label for row in context.part("test")]
    figure = measure_headline(model_inputs(labels, test_probabilities, context.model_config))
    if context.model_config.multi_label:
        return Candidate(name=name, val_log_loss=val_log_loss, mean_average_precision=figure)
    return Candidate(name=name, val_log_loss=val_log_loss, accuracy=figure)


def _teacher_logits(context: TrainContext) -> Tensor:
    """The teacher's logits of the training photos; they are kept, so that a resumed run has them already."""
    done, train = context.run.taught, context.recipe.train
    if not done.is_file():
        source = find_source(model_source(train.teacher))
        teacher, preprocessing = source.read_teacher(fetch=context.fetch, size=train.teacher_size)
        logits = compute_teacher_logits(
            teacher,
            context.batches(context.part("train"), preprocessing),
            device=context.device,
            bfloat16=train.precision == "bfloat16",
            on_batch=partial(context.callback.on_progress, "asking the teacher"),
            stop=context.stop,
        )
        context.run.checkpoints.mkdir(parents=True, exist_ok=True)
        write_with(done, lambda part: save_file({"answers": logits}, part))
    kept: Tensor = load_file(done)["answers"]
    return kept
