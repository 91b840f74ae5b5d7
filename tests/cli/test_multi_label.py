"""Several labels per photo as a person types it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.labels import list_candidates
from pcn_cli.data.scan.table import read_table
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import DataSection, Labelling, Recipe
from pcn_cli.records.model import ClassThreshold

CLASSES = ("ash", "elm, old", "oak")


@pytest.fixture
def several_model(tmp_path, tiny_model) -> Path:
    """A model folder that gives every photo two labels of three."""
    model, config = find_source(str(tiny_model)).start(CLASSES, Recipe(data=DataSection(size=32)), fetch=Fetcher())
    thresholds = tuple(ClassThreshold(label=name, threshold=cut) for name, cut in zip(CLASSES, (0, 0, 1), strict=True))
    save_model_folder(tmp_path / "several", model, replace(config, multi_label=True, thresholds=thresholds))
    return tmp_path / "several"


@pytest.fixture
def table(photo_folder) -> Path:
    """A table beside the photos: bright ones of each colour, photos without a label, and two of a pair."""
    lines = ["file,labels"]
    for place, path in enumerate(sorted(photo_folder.rglob("*.jpg"))):
        name = path.relative_to(photo_folder.parent).as_posix()
        labels = [path.parent.name] * (place % 4 != 0) + ["third"] * (place % 3 == 0)
        lines.append(f"{name},{'|'.join(labels)}")
    table = photo_folder.parent / "several.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def test_predict_prints_all_labels_and_csv_is_a_table_to_train_on(pcn, photo_folder, several_model, tmp_path):
    names = ("photos/red/00.jpg", "photos/blue/01.jpg")
    answers = json.loads(pcn("predict", *names, "--model", several_model, "--json").stdout)
    assert [{guess["label"] for guess in answer["labels"]} for answer in answers] == [{"ash", "elm, old"}] * 2
    shown = pcn("predict", *names, "--model", several_model).stdout.decode()
    for guess in answers[0]["labels"]:
        assert f"{guess['label']} {guess['p']:.1%}" in shown
    assert f"oak {next(one['p'] for one in answers[0]['top'] if one['label'] == 'oak'):.1%} (needs 100.0%)" in shown
    assert {one["label"]: one["least"] for one in answers[0]["top"]} == {"ash": 0, "elm, old": 0, "oak": 1}
    (tmp_path / "answers.csv").write_bytes(pcn("predict", *names, "--model", several_model, "--csv").stdout)
    table = read_table(tmp_path / "answers.csv")
    columns = choose_columns(table, Labelling())
    assert columns.multi_label
    rows = list_candidates(table, columns)
    assert [(row.file, row.label) for row in rows] == [(name, "ash;elm, old") for name in names]


@pytest.mark.parametrize(
    "words", [("--sort-into", "new"), ("--min-confidence", "0.5"), ("--overlay", "new", "--map", "evidence")]
)
def test_what_is_about_one_label_is_refused_of_several(pcn, photo_folder, several_model, tmp_path, words):
    result = pcn("predict", "photos/red/00.jpg", "--model", several_model, *words)
    assert result.returncode == 2
    flag = " ".join(words[2:]) or words[0]
    assert f"{flag} has no meaning with a model that may give a photo several labels".encode() in result.stderr
    assert not (tmp_path / "new").exists()


def test_inspect_counts_each_label_and_says_how_many_have_several(pcn, photo_folder, table):
    result = pcn("inspect", "photos", "--labels", table)
    assert result.returncode == 0
    assert b"multi-label: 9 of 36 photos have several labels, 6 have none" in result.stderr
    counts = dict(line.split() for line in result.stdout.decode().splitlines()[1:5])
    assert counts == {"blue": "9", "green": "9", "red": "9", "third": "12"}
    found = json.loads(pcn("inspect", "photos", "--labels", table, "--json").stdout)
    assert found["multi_label"]
    assert found["photos"][3]["label"] == "blue;third"


def test_what_has_no_meaning_is_refused_before_anything_is_written(pcn, photo_folder, table, tiny_model, tmp_path):
    words = ("finetune", "photos", "--labels", table, "--model", tiny_model, "--output", "run")
    result = pcn(*words, "--target-accuracy", "0.9", "--set", "train.cutmix=1", "--tune", "all")
    assert result.returncode == 2
    for refused in ("--target-accuracy 0.9", "--set train.cutmix=1"):
        assert f"{refused}: has no meaning where photos may have several labels".encode() in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_console_says_what_metrics_json_says(pcn, photo_folder, table, tiny_model, tmp_path):
    words = (
        "--model",
        tiny_model,
        "--output",
        "run",
        "--size",
        "32",
        "--tune",
        "probe",
        "--set",
        "train.probe_epochs=1",
    )
    shown = " ".join(pcn("finetune", "photos", "--labels", table, *words).stdout.decode().split())
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    for name in ("mean_average_precision", "macro_f1", "micro_f1", "exact_match", "roc_auc"):
        words = {"roc_auc": "ROC area", "macro_f1": "macro F1", "micro_f1": "micro F1"}
        title = words.get(name, name.replace("_", " "))
        metric = metrics[name]
        assert f"{title} {metric['value']:.1%}" in shown
        assert name == "exact_match" or f"{metric['ci_low']:.1%} – {metric['ci_high']:.1%}" in shown
    assert f"hamming loss {metrics['hamming_loss']['value']:.4f}" in shown
    assert "% sets" not in shown
    assert "test mean average precision" in shown
