"""Train: logistic regression and the probe on cached tokens, then tuning; the best by validation becomes the model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from safetensors.torch import load_file
from torch import Tensor, nn

from pcn_cli.data.split import number_groups
from pcn_cli.metrics.choice import is_better_beyond_chance, macro_f1, tempered_log_loss
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.arithmetic import Agreement, Precision
from pcn_cli.records.metrics import Candidate
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.runs.features import write_features
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import recording_stage, update_record
from pcn_cli.runs.store import CANDIDATES, LEARNING_CURVE, SCAN, read_validation, write_answers
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.replay import record_replay
from pcn_cli.stages.train.begun import settle_probe
from pcn_cli.stages.train.calibration import calibrate_model
from pcn_cli.stages.train.context import (
    HistoryCallback,
    Probabilities,
    Targets,
    TrainContext,
    start_model,
)
from pcn_cli.stages.train.folds import cross_validate, list_answers
from pcn_cli.stages.train.frozen import (
    FEW_LEARNED,
    PROBE,
    Fitted,
    answer,
    behind_tokens,
    choose_frozen,
    fit_frozen,
    learn_from_all,
)
from pcn_cli.stages.train.jobs import finish_together, score_rows_together, tune_together
from pcn_cli.stages.train.learning_curve import draw_learning_curve
from pcn_cli.stages.train.precision import (
    choose_precision,
    compare_answers,
    compute_trial,
    tell_difference,
    tell_precision,
)
from pcn_cli.stages.train.remember import remember
from pcn_cli.stages.train.tokens import TokenSource, check_photos, probe_rows
from pcn_cli.tensors.store import save_tensors
from pcn_cli.training.copies import copy_state
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenCache

TUNED = "tuned"

State = dict[str, Tensor]
PartTokens = dict[Part, TokenCache]


def train_run(
    run: RunDir,
    recipe: Recipe,
    rows: Sequence[SplitRow],
    *,
    fetch: Fetcher,
    callback: Callback,
    stop: StopRequest,
    known: PartTokens | None = None,
) -> TokenCache | None:
    """Train as the recipe says and put the better model into the run; the caller holds the run.

    What comes back are the test photos' tokens, where the kept model's trunk gives just these; the caller closes them.
    `known` are tokens that need not be computed again.
    """
    model, context = start_model(run, recipe, rows, fetch=fetch, callback=callback, stop=stop)
    context = settle_probe(choose_precision(model, context))
    looks = (run.features, run.suspects, run.neighbours, run.folds, run.learning_curve)
    with recording_stage(run, "train", (run.model, run.history, run.candidates, run.validation, *looks)):
        if context.model_config.multi_label:
            callback.on_note(
                "several labels per photo: accuracy means all labels of a photo right, each given from 0.5 on"
            )
        kept, state, tokens = choose_model(model, context, known or {})
        model.load_state_dict(state, strict=False)
        (precision, agreement), config = _proven(run), calibrate_model(read_validation(run), context)
        save_model_folder(run.model, model, replace(config, precision=precision, agreement=agreement))
        remember(model, replace(context, precision=precision), frozen=kept != TUNED)
        record_replay(run.model, context.part("val"), root=context.root)
        update_record(run, kept=kept)
        if tokens is None and context.ranks.world > 1:  # what evaluation would have to compute alone
            own = replace(context, precision=precision)
            tokens = TokenSource(model, context.part("test"), own).cache("test")
        return tokens


def choose_model(model: nn.Module, context: TrainContext, known: PartTokens) -> tuple[str, State, TokenCache | None]:
    """Which model is kept, the weights it has changed and, where they are known, its tokens of the test photos.

    Each begins where the best before it ended; `choose_frozen` decides between the first two, and the tuned one has to
    be better beyond chance on the validation photos, which it learns from once they have chosen it. All that were
    compared stand in candidates.json, what the kept one said of the validation photos before it learned from them in
    validation.csv; the test photos are only looked at after each choice.
    """
    tokens: TokenCache | None = None
    kept, pooling = TUNED, State()
    if context.recipe.train.probe_epochs:
        kept, pooling, tokens = keep_frozen(model, context, known)
    if context.recipe.train.tune == "probe":
        return kept, pooling, tokens
    if context.recipe.train.probe_epochs and _proven(context.run)[0] == "float32":
        context = replace(context, precision="float32", trial=None)  # also where bfloat16 had to be taken back
    frozen = copy_state(model) | pooling
    targets, val_rows = context.targets(context.part("val")), context.part("val")
    model.load_state_dict(tune_together(model, context).best_state)
    context, agreement = _prove(model, context)
    after = score_rows_together(model, val_rows, context)
    if kept == TUNED or is_better_beyond_chance(targets, after, read_validation(context.run), monitor=context.monitor):
        kept, tokens = TUNED, None
    context.tell_result(TUNED, after, kept=kept == TUNED)
    if kept == TUNED and context.recipe.train.final_epochs:
        model.load_state_dict(finish_together(model, context).best_state)
        context, agreement = _prove(model, context)
    probabilities = score_rows_together(model, context.part("test"), context)
    candidate = describe_candidate(TUNED, after, probabilities, context, agreement)
    write_candidates([candidate, *(CANDIDATES.find(context.run) or ())], kept, context)
    if kept != TUNED:
        return kept, frozen, tokens
    # After the candidates: a run that is killed in between is asked again, and knows by them that this one is kept.
    write_validation(after, None, context)
    return kept, copy_state(model), tokens


def keep_frozen(model: nn.Module, context: TrainContext, known: PartTokens) -> tuple[str, State, TokenCache | None]:
    """Which of the models on the frozen trunk is kept, its tensors behind the tokens and its tokens of the test photos.

    `model` ends as tuning is to begin: with what was learned from the training photos alone. Weights, candidates and
    answers are kept on the disk, so that a resumed run has them already; tokens it has none. `known` are those that
    need not be computed.
    """
    run, compared = context.run, CANDIDATES.find(context.run)
    if run.probe.is_file() and compared:
        state = load_file(run.probe)
        model.load_state_dict(state, strict=False)
        if not run.validation.is_file():  # by an older version, whose models learned from no validation photo
            write_validation(score_rows_together(model.eval(), context.part("val"), context), None, context)
        if run.start.is_file():
            model.load_state_dict(load_file(run.start), strict=False)
        return next((one.name for one in compared if one.kept), PROBE), state, None
    rows, tokens = probe_rows(context), None
    source = TokenSource(model, rows, context)
    source.tell_known()
    with (
        known.get("train") or source.cache("train") as train,
        known.get("val") or source.cache("val") as val,
    ):
        fitted: list[Fitted] = []
        history = HistoryCallback(context, "probe", context.recipe.train.probe_epochs)
        for one in fit_frozen(model, train, val, context, history):
            fitted.append(one)
            chosen = choose_frozen(fitted, val.targets, context)
            context.tell_result(one.name, one.probabilities, kept=one is chosen)
        groups = number_groups(context.part("val"), SCAN.read(run).near_duplicates)
        begun = behind_tokens(model)
        # Of many photos only what is kept: it takes as long as all that came before.
        few = len(train) <= FEW_LEARNED
        whole = [
            learn_from_all(one, model, train, val, groups, context) if few or one is chosen else one for one in fitted
        ]
        model.load_state_dict(begun, strict=False)
        kept = whole[fitted.index(chosen)]
        agreement = None
        if context.trial is not None:
            model.load_state_dict(kept.state, strict=False)
            agreement = compare_answers(model, context.trial, context)
            model.load_state_dict(begun, strict=False)
        if agreement is None or agreement.suffices:
            with source.cache("test") as test:
                look_at_photos(model, rows, [train, val, test], fitted[0], context)
                candidates = [
                    describe_candidate(
                        one.name, one.probabilities, answer(one, model, test, context), context, agreement
                    )
                    for one in whole
                ]
                tokens = test.hand_on()
    if tokens is None and agreement is not None:
        return keep_frozen(model, tell_precision(context, "float32", tell_difference(agreement)), {})
    write_validation(kept.probabilities, kept.folds, context)
    if context.recipe.train.tune != "probe":
        save_tensors(run.start, chosen.state)
    write_candidates(candidates[::-1], kept.name, context)
    save_tensors(run.probe, kept.state)
    model.load_state_dict(chosen.state, strict=False)
    return kept.name, kept.state, tokens


def write_validation(probabilities: Probabilities, folds: Targets | None, context: TrainContext) -> None:
    """Put the answers (N, K) to the validation photos into the run; `folds` (N,) where these were learned from."""
    rows = context.part("val")
    numbers = np.zeros(len(rows), dtype=np.int64) if folds is None else folds
    write_answers(context.run.validation, list_answers(rows, numbers, probabilities, context.classes), context.classes)


def look_at_photos(
    model: nn.Module, rows: Sequence[SplitRow], caches: Sequence[TokenCache], regression: Fitted, context: TrainContext
) -> None:
    """Put into the run what the tokens say of all photos; where wished for, cross-validation and learning curve."""
    groups = number_groups(rows, SCAN.read(context.run).near_duplicates)
    features = np.concatenate([tokens.mean_features() for tokens in caches])
    write_features(context.run.features, rows, features)
    if not context.model_config.multi_label:
        check_photos(rows, caches, groups, context, features=features, C=regression.head.C if regression.head else 1.0)
    if context.recipe.evaluate.folds is not None:
        folds = cross_validate(model, rows, caches, groups, context)
        write_answers(context.run.folds, folds, context.classes)
    if context.recipe.evaluate.learning_curve:
        curve = draw_learning_curve(model, regression, caches, context)
        if curve is None:
            context.callback.on_note("no learning curve: no class has both test photos and others")
        else:
            LEARNING_CURVE.write(context.run, curve)


def describe_candidate(
    name: str, val: Probabilities, test: Probabilities, context: TrainContext, agreement: Agreement | None
) -> Candidate:
    """A candidate by its answers (N, K) to the validation photos, which chose, and to the test photos."""
    targets = context.targets(context.part("val"))
    return Candidate(
        name=name,
        val_log_loss=tempered_log_loss(targets, val),
        val_macro_f1=macro_f1(targets, val) if context.monitor == "macro_f1" else None,
        precision=context.precision,
        agreement=agreement,
        **context.measure("test", test),
    )


def write_candidates(candidates: Sequence[Candidate], kept: str, context: TrainContext) -> None:
    """Put what was compared into the run, each once and the last made first."""
    own = {one.name: one for one in reversed(candidates)}
    CANDIDATES.write(context.run, tuple(replace(one, kept=one.name == kept) for one in reversed(own.values())))


def _prove(model: nn.Module, context: TrainContext) -> tuple[TrainContext, Agreement | None]:
    """Whether the tuned trunk may be asked in bfloat16, where that is not settled: the context with the precision."""
    if context.trial is None:
        return context, None
    agreement = compare_answers(model, compute_trial(model, context), context)
    if not agreement.suffices:
        context = tell_precision(context, "float32", tell_difference(agreement))
    return context, agreement


def _proven(run: RunDir) -> tuple[Precision, Agreement | None]:
    """The precision in which the model to keep was measured, and what proved it."""
    kept = [one for one in CANDIDATES.read(run) if one.kept]  # none in runs of an older version
    return (kept[0].precision, kept[0].agreement) if kept else ("float32", None)
