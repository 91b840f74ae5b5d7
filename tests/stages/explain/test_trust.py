"""The checks of the maps on a real run of a tiny network."""

import json
from pathlib import Path

import pytest
import torch

import pcn_cli
from pcn_cli.files.atomic import read_csv
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.predictions import read_attention, read_predictions
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import TRUST
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.explain.trust import check_maps
from pcn_cli.stages.inference.hiding import choose_hiding
from pcn_cli.stages.inference.load import LoadedModel
from pcn_cli.stages.inference.score import score_rows

FREE = ["uniform_attention", "permuted_attention", "order"]
ON_A_SAMPLE = ["parameter_randomisation", "flip", "pixels"]


@pytest.fixture
def run(photo_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose probe is kept: a logistic regression looks everywhere alike."""
    monkeypatch.setattr("pcn_cli.stages.train.train.choose_frozen", lambda fitted, *_: fitted[-1])
    settings = ["train.probe_epochs=2", "explain.checks=4", "explain.overlays=0"]
    return pcn_cli.finetune(
        photo_folder, model=tiny_weights, tune="probe", size=64, output=tmp_path / "run", settings=settings
    ).run


def test_the_checks_are_written_and_so_is_what_they_stand_on(run: Path) -> None:
    trust = TRUST.find(RunDir(run))
    assert trust is not None
    assert [check.key for check in trust.checks] == FREE + ON_A_SAMPLE
    assert trust.sample == 4
    by_key = {check.key: check for check in trust.checks}
    predictions, classes = read_predictions(run / "predictions.csv")
    assert {check.values[name].n for check in trust.checks[:3] for name in check.values} == {len(predictions)}
    assert {metric.n for key in ON_A_SAMPLE for metric in by_key[key].values.values()} == {4}
    gains = [one.hiding.srg for one in predictions]
    assert by_key["order"].values["srg"].value == pytest.approx(sum(gains) / len(gains))

    maps = read_attention(run / "attention.npz")
    assert maps.evidence.shape == (len(predictions), 3, 4, 4)
    assert [classes[best] for best in maps.evidence_classes[:, 0]] == [one.predicted for one in predictions]
    for row, one in enumerate(predictions):
        assert maps.deletion[row, 0] == pytest.approx(one.confidence, abs=1e-3)
        assert maps.insertion[row, -1] == pytest.approx(one.confidence, abs=1e-3)
        assert one.hiding.kept_p == pytest.approx(one.confidence - one.hiding.sufficiency)
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert [line["srg"] for line in lines] == [one.hiding.srg for one in predictions]


def test_measuring_again_checks_the_same_photos_in_the_same_way(run: Path) -> None:
    before = (run / "trust.json").read_bytes()
    evaluate(run)
    assert (run / "trust.json").read_bytes() == before


def test_without_a_sample_only_what_costs_nothing_is_checked(run: Path) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("checks: 4", "checks: 0"))
    assert load_recipe(recipe).recipe.explain.checks == 0
    evaluate(run)
    trust = TRUST.find(RunDir(run))
    assert trust is not None
    assert (trust.sample, [check.key for check in trust.checks]) == (0, FREE)
    assert all(row["srg"] for row in read_csv(run / "predictions.csv"))


def test_boxes_are_looked_for_by_look_and_evidence(run: Path, tmp_path: Path) -> None:
    files = [row["file"] for row in read_csv(run / "predictions.csv")]
    rows = "".join(f"{file},red,0,0,55,60,56,61\n" for file in files[:3])  # the whole photo, or nearly
    (tmp_path / "boxes.csv").write_text("file,label,xmin,ymin,xmax,ymax,width,height\n" + rows)
    evaluate(run, boxes=tmp_path / "boxes.csv")
    trust = TRUST.find(RunDir(run))
    assert trust is not None
    pointing, energy = trust.checks[-2:]
    assert (pointing.key, energy.key) == ("pointing", "energy")
    for check in (pointing, energy):
        assert list(check.values) == ["look", "evidence", "center", "random"]
        assert {metric.n for metric in check.values.values()} == {3}
    assert pointing.values["look"].value == energy.values["look"].value == pytest.approx(1)


def test_an_older_run_has_no_checks(tmp_path: Path) -> None:
    assert TRUST.find(RunDir(tmp_path)) is None


def test_folded_norms_change_no_check(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network forgets in all its layers, norms among them, and is folded behind that."""
    torch.manual_seed(0)
    network = AttentionPooled(backbone="mobilenetv3_small_050", num_classes=3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    for parameter in network.pooling.parameters():  # a fresh one looks evenly
        torch.nn.init.normal_(parameter, 0, 0.3)
    config = ModelConfig(
        architecture="", classes=("blue", "green", "red"), preprocessing=Preprocessing(height=128, width=128)
    )
    model = LoadedModel(network=network, config=config, device=torch.device("cpu"))
    files = sorted(path.relative_to(photo_folder) for path in photo_folder.glob("*/0[0-3].jpg"))
    rows = [SplitRow(file=str(file), label=file.parent.name, split="test", sha256=str(file)) for file in files]
    recipe = Recipe()
    hiding = choose_hiding(len(rows), recipe, model)
    assert len(hiding.sample) == len(rows)

    def check() -> dict[str, float]:
        told = {"root": photo_folder, "hiding": hiding, "recipe": recipe, "callback": Callback()}
        scored = score_rows(model, rows, **told)
        checks = check_maps(model, scored, boxes={}, **told).checks
        return {f"{one.key} {name}": figure.value for one in checks for name, figure in one.values.items()}

    folded = check()
    monkeypatch.setattr("pcn_cli.models.fold_norms.fold_norms", lambda network: network)
    assert folded == pytest.approx(check(), abs=1e-3)
    assert {key.split()[0] for key in folded} == {*FREE, *ON_A_SAMPLE}
