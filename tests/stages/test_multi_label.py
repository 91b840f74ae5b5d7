"""Several labels per photo, the whole way: a table, a run, its files, its model."""

import json
import shutil
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import DataError, RecipeError, StoppedError
from pcn_cli.files.atomic import read_csv, sha256_of, write_csv
from pcn_cli.runs.evaluation import read_evaluation
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.compare import compare_runs
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.report import report
from pcn_cli.stages.runs import list_runs

CLASSES = ("cross", "leaf", "ring", "star")
PROBE = {"tune": "probe", "size": 32, "settings": ["train.probe_epochs=2"]}
TUNING = {"tune": "all", "epochs": 2, "batch_size": 16, "size": 32, "settings": ["train.probe_epochs=2"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, several_photos) -> Path:
    """A finished run of `nano`, made once."""
    folder = tmp_path_factory.mktemp("run")
    return pcn_cli.finetune(several_photos, model="nano", tune="probe", size=96, output=folder / "run").run


def numbers(run: Path) -> dict[str, dict]:
    return json.loads((run / "metrics.json").read_text())


def config(run: Path) -> dict:
    return json.loads((run / "model" / "config.json").read_text())


def test_several_labels_are_learned_far_better_than_guessed(run):
    metrics = numbers(run)
    assert metrics["mean_average_precision"]["ci_low"] > metrics["baseline_prior_average_precision"]["value"] + 0.2
    assert metrics["exact_match"]["value"] > metrics["baseline_majority_set"]["value"]
    assert metrics["probe_mean_average_precision"] == metrics["mean_average_precision"]
    assert "baseline_logistic" in metrics
    assert not {"accuracy", "mcc", "top_5_accuracy", "aurc", "threshold", "conformal_90_coverage"} & set(metrics)
    assert not (run / "confusion.csv").exists()
    assert not list((run / "figures").glob("confusion*"))
    assert not (run / "trust.json").exists()


def test_the_files_of_a_run_say_the_same(run, several_photos):
    thresholds = {one["label"]: one for one in config(run)["thresholds"]}
    assert config(run)["multi_label"]
    rows = read_csv(run / "predictions.csv")
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    given = {row["file"]: row["labels"] for row in read_csv(several_photos / "labels.csv")}
    wrong = 0
    for row, line in zip(rows, lines, strict=True):
        p = {name: float(row[f"p_{name}"]) for name in CLASSES}
        answered = [name for name in CLASSES if p[name] >= thresholds[name]["threshold"]]
        assert row["predicted"] == ";".join(answered)
        assert row["label"] == given[row["file"]]
        assert (line["label"], line["predicted"]) == ([*filter(None, row["label"].split(";"))], answered)
        assert int(row["correct"]) == (row["label"] == row["predicted"])
        assert float(row["confidence"]) == min(p[n] if n in answered else 1 - p[n] for n in CLASSES)
        assert int(row["wrong_labels"]) == len(set(answered) ^ set(line["label"]))
        wrong += int(row["wrong_labels"])
    metrics = numbers(run)
    assert metrics["exact_match"]["value"] == pytest.approx(sum(int(row["correct"]) for row in rows) / len(rows))
    assert metrics["hamming_loss"]["value"] == pytest.approx(wrong / len(rows) / 4)
    assert [row["label"] for row in read_csv(run / "per_class.csv")] == list(CLASSES)
    support = {row["label"]: int(row["support"]) for row in read_csv(run / "per_class.csv")}
    assert support == {name: sum(name in row["label"].split(";") for row in rows) for name in CLASSES}
    assert read_evaluation(RunDir(run)).metrics.keys() == metrics.keys()
    assert {"file", "labels", "split"} <= set(read_csv(run / "split.csv")[0])


def test_only_the_validation_photos_choose_the_thresholds(several_photos, tiny_weights, tmp_path):
    runs = []
    parts = ("test", "val", "train", "train", "train")
    given = read_csv(several_photos / "labels.csv")
    for number, name in enumerate(("first", "second")):
        folder = tmp_path / name
        shutil.copytree(several_photos, folder)
        rows = [(row["file"], row["labels"], parts[place % 5]) for place, row in enumerate(given)]
        changed = [(file, "star" if number and part == "test" else labels, part) for file, labels, part in rows]
        write_csv(folder / "labels.csv", ("file", "labels", "split"), changed)
        runs.append(pcn_cli.finetune(folder, model=tiny_weights, output=tmp_path / f"run-{name}", **PROBE).run)
    first, second = runs
    assert numbers(first)["log_loss"] != numbers(second)["log_loss"]
    assert config(first)["thresholds"] == config(second)["thresholds"]
    assert sha256_of(first / "model/config.json") == sha256_of(second / "model/config.json")
    assert sha256_of(first / "model/model.safetensors") == sha256_of(second / "model/model.safetensors")


class StopAfterEpoch(Callback):
    """Asks for a stop once the network was tuned for one epoch."""

    def on_epoch(self, row, epochs):
        if row.phase == "tune":
            raise KeyboardInterrupt


def test_a_stopped_run_of_several_labels_ends_with_the_same_bits(several_photos, tiny_weights):
    whole = pcn_cli.finetune(several_photos, model=tiny_weights, output="whole", **TUNING).run
    with pytest.raises((StoppedError, KeyboardInterrupt)):
        pcn_cli.finetune(several_photos, model=tiny_weights, output="cut", callback=StopAfterEpoch(), **TUNING)
    cut = pcn_cli.finetune(resume="cut").run
    for name in ("predictions.csv", "model/config.json", "model/model.safetensors", "split.csv"):
        assert sha256_of(cut / name) == sha256_of(whole / name), name


def test_what_the_table_says_is_told(several_photos, tiny_weights):
    notes: list[str] = []

    class Notes(Callback):
        def on_note(self, text):
            notes.append(text)

    pcn_cli.finetune(several_photos, model=tiny_weights, dry_run=True, callback=Notes())
    counts = [len([*filter(None, row["labels"].split(";"))]) for row in read_csv(several_photos / "labels.csv")]
    several, none = sum(count > 1 for count in counts), counts.count(0)
    assert f"multi-label: {several} of 120 photos have several labels, {none} have none" in notes


def test_predict_gives_all_labels_above_their_thresholds(run, several_photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    names = [several_photos / "000.jpg", several_photos / "001.jpg", tmp_path / "broken.jpg"]
    answers = pcn_cli.predict(names, model=run, top=2)
    thresholds = {one["label"]: one["threshold"] for one in config(run)["thresholds"]}
    for answer in answers:
        assert set(answer) == {"file", "labels", "confidence", "top", "unlike", "error"}
    for answer in answers[:2]:
        assert all(guess["p"] >= thresholds[guess["label"]] for guess in answer["labels"])
        given = {guess["label"] for guess in answer["labels"]}
        assert all(guess["label"] in given or guess["p"] < thresholds[guess["label"]] for guess in answer["top"])
        assert len(answer["top"]) == 2
    assert answers[2]["labels"] == ()
    assert answers[2]["error"]
    with pytest.raises(RecipeError, match="--sort-into has no meaning"):
        pcn_cli.predict(names, model=run, sort_into=tmp_path / "sorted")
    assert not (tmp_path / "sorted").exists()


def test_other_photos_are_measured_with_a_table_of_several_labels_alone(run, several_photos, photo_folder, tmp_path):
    measured = evaluate(run, images=several_photos, output=tmp_path / "measured")
    assert measured.metrics["exact_match"].n == 120
    assert "photo" in measured.findings[0].title  # the model learned from some of them
    with pytest.raises(DataError, match="may give a photo several labels"):
        evaluate(run, images=photo_folder, output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_of_one_label_is_not_measured_with_several(tiny_weights, photo_folder, several_photos, tmp_path):
    single = pcn_cli.finetune(photo_folder, model=tiny_weights, output=tmp_path / "single", **PROBE).run
    assert not config(single)["multi_label"]
    with pytest.raises(DataError, match="the model gives one to each"):
        evaluate(single, images=several_photos, output=tmp_path / "other")


def test_new_images_get_a_report_without_labels(run, several_photos, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.copy(several_photos / "003.jpg", tmp_path / "new")
    page = report(run, images=tmp_path / "new", output=tmp_path / "predicted").read_text()
    assert "These pictures have no labels" in page
    row = read_csv(tmp_path / "predicted" / "predictions.csv")[0]
    assert (row["label"], row["correct"], row["wrong_labels"]) == ("", "", "")


def test_the_report_shows_several_labels_and_no_confusions(run):
    page = (run / "report" / "index.html").read_text()
    assert "mean average precision" in page
    assert "All labels right on" in page
    assert 'id="confusions"' not in page
    assert 'id="confidence"' not in page
    assert "Threshold</th>" in page


def test_runs_of_several_labels_are_not_compared(run):
    with pytest.raises(DataError, match="may have several labels, and such runs are not compared"):
        compare_runs(run, run)


def test_the_list_of_runs_names_the_mean_average_precision(run):
    (row,) = [row for row in list_runs(run.parent) if row.name == "run"]
    assert row.accuracy is None
    assert row.mean_average_precision == numbers(run)["mean_average_precision"]["value"]
    assert row.photos == numbers(run)["mean_average_precision"]["n"]


def test_a_class_without_validation_photos_keeps_a_half_and_is_named(several_photos, tiny_weights, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(several_photos, folder)
    rows = [
        (row["file"], row["labels"], "val" if place % 4 == 0 and "star" not in row["labels"] else "")
        for place, row in enumerate(read_csv(folder / "labels.csv"))
    ]
    write_csv(folder / "labels.csv", ("file", "labels", "split"), rows)
    outcome = pcn_cli.finetune(folder, model=tiny_weights, output=tmp_path / "run", **PROBE)
    assert config(outcome.run)["thresholds"][3] == {"label": "star", "threshold": 0.5, "photos": 0, "f1": None}
    assert "1 class without a validation photo" in [finding.title for finding in outcome.findings]


def test_boxes_and_groups_work_with_several_labels(several_photos, tiny_weights, tmp_path):
    files = [row["file"] for row in read_csv(several_photos / "labels.csv")]
    boxes = tmp_path / "boxes.csv"
    header = ("file", "label", "xmin", "ymin", "xmax", "ymax", "width", "height")
    write_csv(boxes, header, [(file, "star", 0, 0, 143, 143, 144, 144) for file in files])
    options = {"boxes": boxes, "group_by": r"(\d\d)\d\.jpg", **PROBE}
    run = pcn_cli.finetune(several_photos, model=tiny_weights, output=tmp_path / "run", **options).run
    assert numbers(run)["pointing_game"]["value"] == 1.0
    parts = {}
    for row in read_csv(run / "split.csv"):
        assert parts.setdefault(row["group"], row["split"]) == row["split"]
