"""bfloat16 answers only where it proved itself on validation photos; else nothing is computed in it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pcn_cli
from pcn_cli.data.drawing import draw_photos
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.arithmetic import Agreement
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import CANDIDATES, MODEL_CONFIG, read_answers
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import open_model, settle_precision
from pcn_cli.stages.train import precision
from pcn_cli.stages.train.context import TrainContext, Trial

CPU = torch.device("cpu")


class Ear(Callback):
    def __init__(self):
        self.choices = []

    def on_choice(self, key, value, reason):
        if key.endswith("precision"):
            self.choices.append((key, value, reason))


@pytest.fixture
def native(monkeypatch):
    """A device that has bfloat16, and so few photos that tests are short."""
    monkeypatch.setattr(precision, "has_native_bf16", lambda _: True)
    monkeypatch.setattr("pcn_cli.stages.inference.load.has_native_bf16", lambda _: True)
    monkeypatch.setattr(precision, "FEWEST", 6)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision") / "photos"
    draw_photos(folder, {"train": 3, "val": 2, "test": 2}, seed=0)
    return folder


def finetune(photos, ear, **options):
    settings = ["explain.checks=0", "explain.overlays=0", *options.pop("settings", ())]
    options = {"model": "nano", "size": 32, "tune": "probe"} | options
    return RunDir(pcn_cli.finetune(photos, settings=settings, callback=ear, **options).run)


def test_a_run_answers_in_bfloat16_throughout_where_the_answers_agree(photos, native):
    ear = Ear()
    run = finetune(photos, ear, size=128)
    assert ear.choices == [("evaluate.precision", "bfloat16", "native on this device, and the tokens agree")]
    config = MODEL_CONFIG.read(run)
    assert config.precision == "bfloat16"
    assert config.agreement.suffices
    assert all(one.precision == "bfloat16" for one in CANDIDATES.read(run))
    loaded = open_model(run.root, fetch=Fetcher(offline=True))
    assert loaded.precision == "bfloat16"
    measured = {one["file"]: one for one in map(dict, _rows(run.predictions))}
    answers = pcn_cli.predict(sorted(str(photos / file) for file in measured), model=run.root, callback=ear)
    for one in answers:  # evaluated from tokens, answered from photos
        file = one["file"].removeprefix(f"{photos}/")
        assert float(measured[file]["confidence"]) == pytest.approx(one["confidence"], abs=1e-5)
    assert ear.choices[-1][:2] == ("precision", "bfloat16")
    exact = pcn_cli.predict(sorted(str(photos / file) for file in measured), model=run.root, precision="float32")
    assert [one["confidence"] for one in exact] != [one["confidence"] for one in answers]
    assert [one["confidence"] for one in exact] == pytest.approx([one["confidence"] for one in answers], abs=0.02)


def _rows(path):
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_does_not_agree_is_learned_again_in_float32(photos, native, monkeypatch):
    """To the bit as if bfloat16 had never been tried."""
    monkeypatch.setattr(
        "pcn_cli.stages.train.train.compare_answers", lambda *_: Agreement(photos=50, same=48, correlation=0.97)
    )
    ear = Ear()
    run = finetune(photos, ear)
    assert ear.choices[1][1:] == (
        "float32",
        "in bfloat16 48 of 50 validation photos got the same answer, and the maps correlate by 0.970",
    )
    plain = finetune(photos, Ear(), settings=["evaluate.precision=float32"])
    assert MODEL_CONFIG.read(run) == MODEL_CONFIG.read(plain)
    assert MODEL_CONFIG.read(run).precision == "float32"
    assert run.predictions.read_bytes() == plain.predictions.read_bytes()
    first, second = (read_answers(one.validation) for one in (run, plain))
    assert np.array_equal([one.probabilities for one in first], [one.probabilities for one in second])


def test_a_tuned_network_has_to_prove_itself_anew(photos, native):
    ear = Ear()
    settings = ["train.epochs=1", "train.probe_epochs=0"]
    run = finetune(photos, ear, tune="all", settings=settings)
    (kept,) = CANDIDATES.read(run)
    assert kept.name == "tuned"
    assert kept.agreement is not None
    assert kept.precision == MODEL_CONFIG.read(run).precision == ("bfloat16" if kept.agreement.suffices else "float32")


def context_of(photos_of_validation, callback, recipe=None):
    classes = ("a", "b", "c")
    model, config = find_source("nano").start(classes, recipe or Recipe(), fetch=Fetcher(offline=True))

    class Context(TrainContext):
        def part(self, name):
            return [f"{name} {number}" for number in range(photos_of_validation)]

    known = dict.fromkeys(("run", "root", "fetch", "stop", "rows"))
    context = Context(
        recipe=recipe or Recipe(), model_config=replace(config, classes=classes), device=CPU, callback=callback, **known
    )
    return model, context


def test_tokens_that_differ_too_much_are_not_learned_from(native, monkeypatch):
    ear = Ear()
    model, context = context_of(60, ear)
    tokens = torch.ones(3, 8, 2, 2)
    monkeypatch.setattr(precision, "compute_trial", lambda *_: Trial(tokens, tokens * 1.08))
    found = precision.choose_precision(model, context)
    assert (found.precision, found.trial) == ("float32", None)
    assert ear.choices[0][2] == "in bfloat16 the tokens of validation photos differ by 8.0%"
    monkeypatch.setattr(precision, "compute_trial", lambda *_: Trial(tokens, tokens * torch.nan))
    assert precision.choose_precision(model, context).precision == "float32"


def test_few_photos_other_devices_and_wishes_need_no_trial(monkeypatch):
    monkeypatch.setattr(precision, "compute_trial", lambda *_: pytest.fail("nothing is to be tried"))
    ear = Ear()
    monkeypatch.setattr(precision, "has_native_bf16", lambda _: True)
    model, context = context_of(precision.FEWEST - 1, ear)
    assert precision.choose_precision(model, context) is context
    monkeypatch.setattr(precision, "has_native_bf16", lambda _: False)
    model, context = context_of(precision.FEWEST, ear)
    assert precision.choose_precision(model, context) is context
    assert context.precision == "float32"
    asked = Recipe().replace({"evaluate.precision": "bfloat16"})
    model, context = context_of(precision.FEWEST, ear, asked)
    assert precision.choose_precision(model, context).precision == "bfloat16"


def test_answers_are_compared_but_for_ties():
    model, context = context_of(0, Ear())
    model.eval()
    torch.manual_seed(0)
    exact = torch.randn(8, model.num_features, 4, 4) + 3 * torch.randn(8, model.num_features, 1, 1)
    torch.nn.init.normal_(model.head.weight)
    same = precision.compare_answers(model, Trial(exact, exact), context)
    assert same == Agreement(photos=8, same=8, correlation=pytest.approx(1) if same.correlation else None)
    with torch.no_grad():
        model.pooling.gamma_1.fill_(1)
    other = precision.compare_answers(model, Trial(exact, exact.flip(0)), context)
    assert other.same < 8
    assert not other.suffices
    with torch.no_grad():
        model.head.weight.mul_(1e-9)
    assert precision.compare_answers(model, Trial(exact, exact.flip(0)), context).same == 8  # all classes equally good


@pytest.mark.parametrize(
    ("agreement", "enough"),
    [
        (Agreement(photos=100, same=99, correlation=0.99), True),
        (Agreement(photos=100, same=98, correlation=1.0), False),
        (Agreement(photos=100, same=100, correlation=0.98), False),
        (Agreement(photos=64, same=64), True),
        (Agreement(photos=0, same=0), False),
    ],
)
def test_an_answer_in_a_hundred_may_be_another_one(agreement, enough):
    assert agreement.suffices is enough


def test_the_precision_of_an_answer_has_a_reason(monkeypatch):
    _, context = context_of(0, Ear())
    config = context.model_config
    assert settle_precision(config, CPU) == ("float32", "what the model was measured in")
    assert settle_precision(config, CPU, asked="bfloat16") == ("bfloat16", "as asked for")
    assert "TF32" in settle_precision(config, torch.device("cuda"))[1]
    proven = replace(config, precision="bfloat16", agreement=Agreement(photos=64, same=63))
    monkeypatch.setattr("pcn_cli.stages.inference.load.has_native_bf16", lambda _: False)
    assert settle_precision(proven, CPU) == ("float32", "no native bfloat16 here")
    monkeypatch.setattr("pcn_cli.stages.inference.load.has_native_bf16", lambda _: True)
    same = "native on this device, and 63 of 64 validation photos got the same answers"
    assert settle_precision(proven, CPU) == ("bfloat16", same)
