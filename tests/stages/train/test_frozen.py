"""Models on the frozen trunk: which one is kept, and what the validation photos teach once they have chosen."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import pcn_cli
from pcn_cli.metrics.calibration import calibrate, temper
from pcn_cli.metrics.conformal import calibrate_sets
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import MODEL_CONFIG, read_answers, read_split
from pcn_cli.stages.train import frozen, train
from pcn_cli.stages.train.frozen import Fitted, choose_frozen, fit_frozen, learn_from_all
from pcn_cli.training.fit import FitCallback
from pcn_cli.training.stop import StopRequest

OPTIONS = {"model": "nano", "size": 32, "settings": ["explain.checks=0", "explain.overlays=0"]}


class FakeTokens:
    """Tokens (N, views, C, h, w) of photos whose classes lie a little apart."""

    views = 2

    def __init__(self, targets, *, seed, width, apart=0.4):
        rng = np.random.default_rng(seed)
        self.targets = targets
        places = targets if targets.ndim == 1 else targets @ (1 << np.arange(targets.shape[1]))
        centres = np.random.default_rng(9).normal(size=(8, width))
        self.tokens = apart * centres[places][:, None, :, None, None] + rng.normal(size=(len(targets), 2, width, 2, 2))

    def __len__(self):
        return len(self.targets)

    def read(self, places, view=0):
        return torch.from_numpy(self.tokens[places, view]).float()


@pytest.fixture(scope="module")
def frozen_models():
    """The regression and the probe of some tokens, the network, the tokens and what their training shares."""
    classes, recipe = ("a", "b", "c"), Recipe().replace({"train.balance": "none"})
    model, _ = find_source("nano").start(classes, recipe, fetch=Fetcher(offline=True))
    context = SimpleNamespace(
        tries_probe=True,
        classes=classes,
        monitor="log_loss",
        recipe=recipe,
        device=torch.device("cpu"),
        stop=StopRequest(),
        rows=(),
    )
    learn, aside = (
        FakeTokens(np.arange(n) % 3, seed=seed, width=model.num_features) for seed, n in enumerate((60, 30))
    )
    return list(fit_frozen(model, learn, aside, context, FitCallback())), model, learn, aside, context


def test_where_no_probe_is_to_be_tried_the_same_regression_is_all_there_is(frozen_models):
    (regression, _), model, learn, aside, context = frozen_models
    began = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    alone = SimpleNamespace(**vars(context) | {"tries_probe": False})
    (found,) = fit_frozen(model, learn, aside, alone, FitCallback())
    assert torch.equal(found.state["head.weight"], regression.state["head.weight"])
    assert choose_frozen([found], aside.targets, alone) is found
    assert all(torch.equal(tensor, began[name]) for name, tensor in model.state_dict().items())


def test_validation_photos_are_answered_by_heads_that_did_not_see_them(frozen_models, monkeypatch):
    (regression, _), model, learn, aside, context = frozen_models
    groups = np.arange(len(aside))
    monkeypatch.setattr(frozen, "FEW_LEARNED", 59)  # C stays, which all labels together may change by half a step
    whole = learn_from_all(regression, model, learn, aside, groups, context)
    assert sorted(np.bincount(whole.folds)[1:]) == [6] * 5
    assert whole.head.C == regression.head.C
    assert not torch.equal(whole.state["head.weight"], regression.state["head.weight"])
    assert whole.loss != regression.loss

    folds = frozen.divide_folds(aside.targets, groups, folds=5, seed=context.recipe.seed)
    monkeypatch.setattr(frozen, "divide_folds", lambda *_, **__: folds)
    for place in (0, 17):
        wrong = FakeTokens(aside.targets, seed=1, width=aside.tokens.shape[2])
        wrong.targets = np.where(np.arange(len(aside)) == place, (aside.targets + 1) % 3, aside.targets)
        other = learn_from_all(regression, model, learn, wrong, groups, context)
        mates = whole.folds == whole.folds[place]
        np.testing.assert_array_equal(other.probabilities[mates], whole.probabilities[mates])
        assert not np.allclose(other.probabilities[~mates], whole.probabilities[~mates], atol=1e-6)


def test_the_last_head_begins_where_one_that_knew_most_ended_and_the_others_know_no_validation_photo(
    frozen_models, monkeypatch
):
    (regression, _), model, learn, aside, context = frozen_models
    heads, starts, own = [], [], frozen.fit_head
    monkeypatch.setattr(
        frozen,
        "fit_head",
        lambda *a, start, **k: starts.append(start) or heads.append(own(*a, start=start, **k)) or heads[-1],
    )
    whole = learn_from_all(regression, model, learn, aside, np.arange(len(aside)), context)
    assert starts[:5] == [regression.head] * 5
    assert starts[5:10] == heads[:5]  # C half a step away: each where the one ended that has not seen the same fold
    assert starts[10:] == [heads[4 if whole.head.C == regression.head.C else 9]]


@pytest.mark.parametrize(("C", "steps"), [(1.0, -0.5), (0.17, 0.0), (0.01, 0.5)])
def test_c_moves_half_a_step_where_heads_that_learned_from_both_parts_are_wrongly_sure(frozen_models, C, steps):
    (regression, _), model, _, _, context = frozen_models
    learn, aside = (FakeTokens(np.arange(n) % 3, seed=n, width=model.num_features, apart=0.1) for n in (240, 120))
    model.load_state_dict(regression.state, strict=False)
    features = frozen.pooled_features(model, learn, device=context.device)
    begun = replace(regression, head=frozen.fit_head(features, learn.targets, C=C, classes=3))
    losses = []
    for few in (5_000, 239):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frozen, "FEW_LEARNED", few)
            whole = learn_from_all(
                replace(begun, probabilities=np.empty((120, 3))), model, learn, aside, np.arange(120), context
            )
        assert pytest.approx(C * 3**steps if few > 240 else C) == whole.head.C
        losses.append(-np.log(whole.probabilities[np.arange(120), aside.targets]).mean())
    assert losses[0] < losses[1] if steps else losses[0] == losses[1]


def test_what_belongs_together_is_in_one_fold(frozen_models):
    (_, probe), model, learn, aside, context = frozen_models
    groups = np.arange(len(aside)) // 3 % 8
    whole = learn_from_all(probe, model, learn, aside, groups, context)
    for group in range(8):
        assert len(set(whole.folds[groups == group])) == 1
    shared = {name for name in probe.state if not name.startswith("head.")}
    assert all(torch.equal(whole.state[name], probe.state[name]) for name in shared)


def test_photos_that_cannot_be_parted_are_not_learned_from(frozen_models):
    (regression, _), model, learn, aside, context = frozen_models
    assert learn_from_all(regression, model, learn, aside, np.zeros(len(aside), dtype=int), context) is regression


def test_too_many_photos_and_tokens_of_each_class_stay_as_they_are(frozen_models, monkeypatch):
    (regression, _), model, learn, aside, context = frozen_models
    groups = np.arange(len(aside))
    assert learn_from_all(replace(regression, head=None), model, learn, aside, groups, context).folds is None
    monkeypatch.setattr(frozen, "MOST_LEARNED_AGAIN", 89)
    assert learn_from_all(regression, model, learn, aside, groups, context) is regression


def test_several_labels_are_learned_from_as_well(frozen_models):
    _, model, _, _, context = frozen_models
    several = [
        FakeTokens(np.random.default_rng(n).integers(0, 2, (n, 3)), seed=n, width=model.num_features) for n in (60, 30)
    ]
    fitted = next(fit_frozen(model, *several, context, FitCallback()))
    whole = learn_from_all(fitted, model, *several, np.arange(30), context)
    assert sorted(np.bincount(whole.folds)[1:]) == [6] * 5
    assert whole.probabilities.shape == (30, 3)


def test_the_probe_must_be_better_beyond_chance(frozen_models):
    *_, context = frozen_models
    targets = np.arange(60) % 3

    def answers(signal):
        logits = np.random.default_rng(0).normal(size=(60, 3)) + signal * np.eye(3)[targets]
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    old = Fitted(name="logistic regression", probabilities=answers(1.5), loss=0.0, state={})
    for signal, kept in ((3.0, "probe"), (1.5, "logistic regression"), (0.5, "logistic regression")):
        new = replace(old, name="probe", probabilities=answers(signal), loss=-1.0)
        assert choose_frozen([old, new], targets, context).name == kept
    assert choose_frozen([old], targets, context) is old


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_a_run_is_calibrated_by_the_answers_that_it_keeps(photo_folder, tune):
    outcome = pcn_cli.finetune(photo_folder, tune=tune, epochs=1 if tune == "all" else None, **OPTIONS)
    run = RunDir(outcome.run)
    answers, rows = read_answers(run.validation), [row for row in read_split(run) if row.split == "val"]
    assert [answer.file for answer in answers] == [row.file for row in rows]
    kept = next(one for one in outcome.candidates if one.kept).name
    assert all((answer.fold == 0) == (kept == "tuned") for answer in answers)
    config = MODEL_CONFIG.read(run)
    targets = np.array([config.classes.index(row.label) for row in rows])
    probabilities = np.array([answer.probabilities for answer in answers])
    temperature, calibration = calibrate(probabilities, targets)
    assert config.temperature == temperature
    assert config.calibration == calibration
    assert config.conformal == calibrate_sets(temper(probabilities, temperature), targets)


def test_tuning_begins_with_what_no_validation_photo_taught(photo_folder, monkeypatch):
    seen = {}

    def choose(*arguments):
        seen["chosen"] = choose_frozen(*arguments)
        return seen["chosen"]

    def tune(model, context):
        seen["begun"], seen["kept"] = model.head.weight.detach().clone(), load_file(context.run.probe)["head.weight"]
        return tune_together(model, context)

    tune_together = train.tune_together
    monkeypatch.setattr(train, "choose_frozen", choose)
    monkeypatch.setattr(train, "tune_together", tune)
    pcn_cli.finetune(photo_folder, tune="all", epochs=1, **OPTIONS)
    assert torch.equal(seen["begun"], seen["chosen"].state["head.weight"])
    assert not torch.equal(seen["begun"], seen["kept"])


@pytest.mark.parametrize(
    ("sets", "low", "high"), [(12, 0.86, 0.94), pytest.param(200, 0.89, 0.92, marks=pytest.mark.slow)]
)
def test_sets_hold_the_label_as_often_as_promised_though_validation_photos_are_learned_from(
    frozen_models, sets, low, high
):
    """A set's standard deviation is about 0.03: 120 photos calibrate it, 300 measure it."""
    _, model, _, _, context = frozen_models
    held = []
    for number in range(sets):
        learn, aside, new = (
            FakeTokens(np.arange(n) % 3, seed=1_000 * number + n, width=model.num_features, apart=0.1)
            for n in (240, 120, 300)
        )
        fitted = next(fit_frozen(model, learn, aside, context, FitCallback()))
        whole = learn_from_all(fitted, model, learn, aside, np.arange(120), context)
        temperature, _ = calibrate(whole.probabilities, aside.targets)
        level, _ = calibrate_sets(temper(whole.probabilities, temperature), aside.targets)
        own = temper(frozen.answer(whole, model, new, context), temperature)[np.arange(300), new.targets]
        held.append(float((own >= level.least_probability).mean()))
    assert low < np.mean(held) < high


def test_of_many_photos_c_is_chosen_on_the_photos_as_they_are(frozen_models, monkeypatch):
    (usual, _), model, learn, aside, context = frozen_models
    asked, choose = [], frozen.choose_head

    def note(features, targets, CS, **given):
        asked.append((len(targets), len(CS), None if given["photo_weights"] is None else given["photo_weights"].mean()))
        return choose(features, targets, CS, **given)

    monkeypatch.setattr(frozen, "choose_head", note)
    monkeypatch.setattr(frozen, "FEW_LEARNED", 59)
    regression, probe = fit_frozen(model, learn, aside, context, FitCallback())
    # All of C on one view that weighs as two, then the one on both; the probes keep it.
    assert asked[:2] == [(60, len(frozen.CS), 2.0), (120, 1, None)]
    assert {rows for rows, some, _ in asked[2:] if some > 1} <= {60}
    assert max((some for _, some, _ in asked[2:]), default=1) <= 3
    assert regression.loss <= usual.loss + 0.02
    assert probe.loss <= regression.loss + 0.02


def test_around_a_c_are_its_neighbours():
    assert frozen._around(frozen.CS[0]) == frozen.CS[:2]
    assert frozen._around(frozen.CS[3]) == frozen.CS[2:5]
    assert frozen._around(frozen.CS[-1]) == frozen.CS[-2:]
