"""The whole way on small real photos: exactly these files, and numbers that agree with each other."""

import errno
import json
import os
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pcn_cli
from pcn_cli.data.load import loaders
from pcn_cli.errors import DataError, DownloadError, ModelError, RecipeError, ResourceError, RunError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.models import openvino_trunk
from pcn_cli.models.weights import Fetcher
from pcn_cli.runs.predictions import read_attention
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.stages.inference.load import model_source
from pcn_cli.training.teacher import Teacher

SETTINGS = {"size": 32, "settings": ["train.probe_epochs=3"]}
FIXED_FILES = {
    ".lock",
    "alike.csv",
    "attention.npz",
    "candidates.json",
    "confusion.csv",
    "curves.json",
    "figures/confusion.png",
    "figures/confusion.svg",
    "figures/per_class.png",
    "figures/per_class.svg",
    "features.npz",
    "findings.json",
    "slices.json",
    "metrics.json",
    "neighbours.csv",
    "model/README.md",
    "model/config.json",
    "model/learned.safetensors",
    "model/model.safetensors",
    "model/replay.json",
    "per_class.csv",
    "places.csv",
    "predictions.csv",
    "predictions.jsonl",
    "recipe.yaml",
    "run.json",
    "run.log",
    "scan.json",
    "split.csv",
    "suspects.csv",
    "trust.json",
    "unreadable.csv",
    "validation.csv",
}


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    return {name: (sha256_of(folder / name), (folder / name).stat().st_mtime_ns) for name in files_below(folder)}


@pytest.fixture
def decoded(monkeypatch):
    """How often each photo is decoded for the network."""
    times = Counter[Path]()

    def count(opener):
        def open_and_count(path, *rest, **options):
            times[path] += 1
            return opener(path, *rest, **options)

        return open_and_count

    for name in ("open_reduced", "read_bytes"):  # as it is, and for the cache
        monkeypatch.setattr(loaders, name, count(getattr(loaders, name)))
    return times


def assert_decoded(decoded, photos, run, **times):
    """Each of the photos was decoded as many times as is said of its part."""
    for row in read_csv(run / "split.csv"):
        assert decoded[photos / row["file"]] == times[row["split"]], row


def test_a_probe_run_holds_exactly_these_files(photo_folder, tiny_weights, decoded, monkeypatch):
    converted = []
    monkeypatch.setattr(openvino_trunk, "with_openvino", lambda _, ready, precision: converted.append(1) or ready)
    before = snapshot(photo_folder)
    asked = {"tune": "probe", "workers": 0, "engine": "openvino"}
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, **asked, **SETTINGS)
    # Once for its tokens; about validation photos the saved model is asked again, and maps are checked if it has any.
    maps = outcome.kept != "logistic regression"
    assert_decoded(decoded, photo_folder, outcome.run, train=1, val=2, test=1 + maps)
    run = outcome.run
    assert run == Path("runs/photos-tiny-1")
    assert len(converted) >= 3  # each part's tokens, however few photos there are
    assert "engine: openvino\n" in (run / "recipe.yaml").read_text()
    assert (run / "run.log").read_text().count("engine: openvino (as asked for)") == 3
    assert not Path(os.environ["PCN_CACHE"], "photos").exists()  # the probe opens each photo once
    tests = [row for row in read_csv(run / "split.csv") if row["split"] == "test"]
    found = files_below(run)
    overlays = {name for name in found if name.startswith("overlays/")}
    report = {name for name in found if name.startswith("report/")}
    assert found - overlays - report == FIXED_FILES
    promised = {name.split("/")[0] for name in RunDir.contents()}
    assert {name.split("/")[0] for name in found} - {".lock"} == promised
    assert len(overlays) == len(tests) >= 3
    assert "report/index.html" in report
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    assert (run.parent / "latest").read_text() == "photos-tiny-1\n"
    assert snapshot(photo_folder) == before

    rows = read_csv(run / "predictions.csv")
    assert {(row["file"], row["label"]) for row in rows} == {(row["file"], row["label"]) for row in tests}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["accuracy"]["value"] == pytest.approx(sum(int(row["correct"]) for row in rows) / len(rows))
    assert metrics["accuracy"]["n"] == len(rows)
    assert set(metrics["accuracy"]) == {"value", "ci_low", "ci_high", "n", "method"}
    assert {"baseline_majority", "baseline_logistic", "probe_accuracy"} <= set(metrics)
    for row in rows:
        probabilities = [float(row[f"p_{name}"]) for name in ("blue", "green", "red")]
        assert sum(probabilities) == pytest.approx(1)
        assert float(row["confidence"]) == max(probabilities)


def test_tuning_is_compared_with_the_probe_and_the_better_is_kept(photo_folder, tiny_weights, own_cache, decoded):
    options = {"tune": "all", "epochs": 2, "batch_size": 8, "workers": 0, **SETTINGS}
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, **options)
    # As before, and to learn from once for all epochs. A tuned network that is kept learns from the validation photos
    # too, is asked for its own features, and answers the test photos anew.
    own, maps = outcome.kept == "tuned", outcome.kept != "logistic regression"
    assert_decoded(decoded, photo_folder, outcome.run, train=2 + own, val=2 + 2 * own, test=1 + own + maps)
    candidates = {candidate.name: candidate for candidate in outcome.candidates}
    assert set(candidates) == {"tuned", "probe", "logistic regression"}
    assert [name for name, one in candidates.items() if one.kept] == [outcome.kept]
    assert all(one.val_log_loss >= 0 and one.accuracy is not None for one in candidates.values())
    history = read_csv(outcome.run / "history.csv")
    assert [(row["phase"], row["epoch"]) for row in history] == [("tune", "1"), ("tune", "2")]
    assert not (outcome.run / "checkpoints").exists()
    parts = [row["split"] for row in read_csv(outcome.run / "split.csv")]
    kept = [path for path in (own_cache / "photos").rglob("*") if path.is_file()]
    assert len(kept) == len(parts) + own * parts.count("val")


def test_a_run_repeats_from_its_own_recipe(photo_folder, tiny_weights):
    settings = [*SETTINGS["settings"], "train.token_cache=0"]  # else the second would read what the first computed
    first = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=settings)
    second = pcn_cli.finetune(photo_folder, recipe=first.run / "recipe.yaml")
    assert second.run != first.run
    for name in ("predictions.csv", "split.csv", "model/model.safetensors"):
        assert sha256_of(second.run / name) == sha256_of(first.run / name), name


def test_a_run_goes_on_from_an_earlier_one_with_other_classes(photo_folder, tiny_weights):
    first = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", **SETTINGS)
    (photo_folder / "red").rename(photo_folder / "crimson")
    second = pcn_cli.finetune(photo_folder, model=first.run, tune="probe", settings=["train.probe_epochs=2"])
    assert json.loads((second.run / "model/config.json").read_text())["classes"] == ["blue", "crimson", "green"]
    assert json.loads((second.run / "model/config.json").read_text())["preprocessing"]["height"] == 32


def test_a_dry_run_writes_nothing(photo_folder, tiny_weights, tmp_path):
    before = snapshot(tmp_path)
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, dry_run=True, **SETTINGS)
    assert snapshot(tmp_path) == before
    assert outcome.plan.count("train") + outcome.plan.count("val") + outcome.plan.count("test") == 36


def test_the_run_may_not_lie_among_the_photos(photo_folder, tiny_weights):
    with pytest.raises(ResourceError, match="never written to"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, output=photo_folder / "run", **SETTINGS)
    assert files_below(photo_folder) == {f"{c}/{n:02}.jpg" for c in ("blue", "green", "red") for n in range(12)}


def test_where_no_run_can_be_made_it_is_told_before_photos_are_looked_at(photo_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pcn_cli.stages.finetune.make_plan", lambda *_, **__: pytest.fail("looked at photos"))
    (tmp_path / "runs").touch()
    with pytest.raises(ResourceError, match="runs is a file, not a folder") as caught:
        pcn_cli.finetune(photo_folder, model="nano")
    assert "--output" in caught.value.hint


def test_an_existing_folder_is_not_overwritten(photo_folder, tiny_weights, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").touch()
    with pytest.raises(RunError, match="is there already"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, output=tmp_path / "mine", **SETTINGS)


def test_settings_without_effect_are_refused(photo_folder, tiny_weights):
    with pytest.raises(RecipeError, match="epochs"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", epochs=3)


def test_too_few_photos_say_so(tmp_path, photo_folder, tiny_weights):
    for label in ("blue", "green", "red"):
        for photo in sorted((photo_folder / label).iterdir())[1:]:
            photo.unlink()
    with pytest.raises(DataError, match="validation"):
        pcn_cli.finetune(photo_folder, model=tiny_weights)


def test_the_table_s_labels_and_the_fit_reach_the_model(photo_folder, tiny_weights, tmp_path):
    rows = [
        f"{label}/{n:02}.jpg,{'warm' if label == 'red' else 'cold'}" for label in ("blue", "red") for n in range(12)
    ]
    (photo_folder.parent / "mine.csv").write_text("file,label\n" + "".join(f"photos/{row}\n" for row in rows))
    run = pcn_cli.finetune(
        photo_folder, model=tiny_weights, tune="probe", labels=photo_folder.parent / "mine.csv", fit="pad", **SETTINGS
    ).run
    config = json.loads((run / "model" / "config.json").read_text())
    assert config["classes"] == ["cold", "warm"]
    assert config["preprocessing"]["fit"] == "pad"
    assert len(read_csv(run / "split.csv")) == 24


def test_a_time_limit_shortens_the_tuning(photo_folder, tiny_weights):
    options = {"tune": "all", "batch_size": 8, "settings": ["train.probe_epochs=1", "train.epochs=200"]}
    run = pcn_cli.finetune(photo_folder, model=tiny_weights, time="2s", size=32, **options).run
    tuned = [row for row in read_csv(run / "history.csv") if row["phase"] == "tune"]
    assert 1 <= len(tuned) < 200
    assert "time limit" in (run / "run.log").read_text()


def test_training_from_random_numbers_needs_no_probe(photo_folder):
    options = {"size": 32, "tune": "all", "epochs": 1, "settings": ["model.pretrained=false", "train.probe_epochs=0"]}
    outcome = pcn_cli.finetune(photo_folder, model="nano", **options)
    assert [(one.name, one.kept) for one in outcome.candidates] == [("tuned", True)]
    assert {row["phase"] for row in read_csv(outcome.run / "history.csv")} == {"tune"}
    assert outcome.kept == "tuned"


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_a_token_per_class_goes_the_whole_way(photo_folder, tiny_weights, tune):
    options = {"epochs": 1, "batch_size": 8} if tune == "all" else {}
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, tune=tune, pooling="per-class", **options, **SETTINGS)
    config = json.loads((outcome.run / "model" / "config.json").read_text())
    assert config["model_args"]["class_tokens"] is True
    assert len(read_csv(outcome.run / "predictions.csv")) == outcome.metrics["accuracy"].n
    maps = read_attention(outcome.run / "attention.npz")
    assert maps.class_looks.shape == maps.evidence.shape
    assert np.array_equal(maps.class_looks[:, 0], maps.looks)  # the first is the class predicted
    assert not np.allclose(maps.class_looks[:, 1], maps.looks, rtol=1e-3)
    photo = next((photo_folder / "red").iterdir())
    (answer,) = pcn_cli.predict([photo], model=outcome.run)
    assert answer["label"] in ("blue", "green", "red")
    attended = pcn_cli.load_model(outcome.run).attend(torch.zeros(1, 3, 32, 48))
    assert attended.weights.shape == (1, 3, 6)
    again = pcn_cli.finetune(photo_folder, model=outcome.run, tune="probe", **SETTINGS)
    assert "pooling: per-class" in (again.run / "recipe.yaml").read_text()
    with pytest.raises(RecipeError, match="cannot become a single one"):
        pcn_cli.finetune(photo_folder, model=outcome.run, tune="probe", pooling="single", **SETTINGS)


def test_a_probe_without_passes_is_refused(photo_folder, tiny_weights):
    with pytest.raises(RecipeError, match=r"train\.probe_epochs=0: must be at least 1"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", settings=["train.probe_epochs=0"])


def test_boxes_test_the_maps_of_a_run(photo_folder, tiny_weights, tmp_path):
    photos = sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.jpg"))
    rows = [f"{name},{name.split('/')[0]},0,0,1,1,2,2" for name in photos]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(["file,label,xmin,ymin,xmax,ymax,width,height", *rows]) + "\n", encoding="utf-8")
    for name in photos[::2]:  # the left half of every other photo
        with Image.open(photo_folder / name) as photo:
            mask = Image.new("L", photo.size)
        mask.paste(7, (0, 0, mask.width // 2, mask.height))
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        mask.save((tmp_path / "masks" / name).with_suffix(".png"))
    truth = {"boxes": boxes, "masks": tmp_path / "masks"}
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", **truth, **SETTINGS)
    assert outcome.metrics["pointing_game_random"].value == 1.0
    tested = {row["file"] for row in read_csv(outcome.run / "predictions.csv")}
    for key in ("pointing", "energy", "overlap"):
        for of in ("", "_evidence", "_center", "_random"):
            measured = outcome.metrics[f"mask_{key}{of}"]
            assert measured.n == len(tested & set(photos[::2])) > 0
            assert 0 <= measured.value <= 1
        # What the network saw of a photo is a whole number of pixels, which need not be even.
        assert outcome.metrics[f"mask_{key}_random"].value == pytest.approx(0.5, abs=0.02)
    checks = [check["key"] for check in json.loads((outcome.run / "trust.json").read_text())["checks"]]
    assert checks[-5:] == ["pointing", "energy", "mask_pointing", "mask_energy", "mask_overlap"]
    assert outcome.metrics["pointing_game"].n == outcome.metrics["accuracy"].n
    assert json.loads((outcome.run / "metrics.json").read_text())["pointing_game_center"]["value"] == 1.0
    with pytest.raises(DataError, match="no such table of boxes"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", boxes=tmp_path / "none.csv", **SETTINGS)
    with pytest.raises(DataError, match="there is no folder of masks"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", masks=tmp_path / "none", **SETTINGS)


@pytest.mark.parametrize(
    ("table", "told"),
    [("{0},blue,0,0,56,39,56,{1}", "{0}"), ("other.jpg,blue,0,0,1,1,2,2", "no photo that was measured has a box")],
    ids=["beyond its photo", "of other photos"],
)
def test_wrong_boxes_of_test_photos_are_told_before_anything_is_learned(
    photo_folder, tiny_weights, tmp_path, monkeypatch, table, told
):
    photos = sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.jpg"))
    rows = [table.format(name, 20) for name in photos]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(["file,label,xmin,ymin,xmax,ymax,width,height", *rows]) + "\n", encoding="utf-8")
    monkeypatch.setattr("pcn_cli.stages.finetune.start_run", lambda *_, **__: pytest.fail("a run was begun"))
    with pytest.raises(DataError, match=told.format("blue")):
        pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", boxes=boxes, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_is_asked_about_each_cut_and_leaves_nothing_in_the_model(photo_folder, tiny_weights, monkeypatch):
    asked = []

    def answer(teacher, images):
        asked.append(images)
        return forward(teacher, images)

    forward = Teacher.forward
    monkeypatch.setattr(Teacher, "forward", answer)
    settings = ["train.probe_epochs=0"]
    options = {"model": tiny_weights, "tune": "all", "epochs": 2, "size": 32}
    plain = pcn_cli.finetune(photo_folder, **options, settings=settings)
    taught = pcn_cli.finetune(
        photo_folder, **options, settings=[*settings, "train.teacher=nano", "train.teacher_size=64"]
    )
    trained_on = [row for row in read_csv(taught.run / "split.csv") if row["split"] == "train"]
    cuts = torch.cat(asked)  # of two epochs; in the final ones no teacher is asked
    assert cuts.shape == (2 * len(trained_on), 3, 32, 32)
    assert len(cuts.flatten(1).unique(dim=0)) == len(cuts)  # each is another one
    one, other = (load_file(run / "model" / "model.safetensors") for run in (plain.run, taught.run))
    assert one.keys() == other.keys()
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_teacher_that_is_not_there_is_refused_before_anything_is_read(photo_folder, tiny_weights):
    with pytest.raises(ModelError, match=r"should hold config\.json"):
        pcn_cli.finetune(
            photo_folder, model=tiny_weights, tune="all", settings=["train.teacher=timm:local-dir:nowhere"]
        )
    assert not Path("runs").exists()


def test_the_probe_learns_from_mirrored_photos_too_unless_sides_matter(photo_folder, tiny_weights):
    found = []
    for flip in ("true", "false"):
        options = {**SETTINGS, "settings": [*SETTINGS["settings"], f"augment.flip={flip}"]}
        outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", **options)
        found.append(load_file(outcome.run / "model" / "model.safetensors"))
    assert any(not torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "runs/a/model"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError("36 requested and 0 written"),
    ],
    ids=["full", "refused", "numpy's own"],
)
def test_what_the_system_refuses_amid_a_run_is_told_with_the_command_that_goes_on(
    photo_folder, tiny_weights, tmp_path, monkeypatch, error
):
    """Seen: "a bug of pcn: SafetensorError", and no word of how to go on."""

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("pcn_cli.stages.finetune.train_run", refuse)
    with pytest.raises(ResourceError) as caught:
        pcn_cli.finetune(photo_folder, model=tiny_weights, size=32, output=tmp_path / "my run")
    assert caught.value.hint.endswith(f"; then pcn finetune --resume '{tmp_path}/my run'")
    assert read_record(RunDir(tmp_path / "my run")).status == "failed"


@pytest.mark.parametrize("kind", [DownloadError, ModelError, ResourceError])
def test_a_download_that_fails_leaves_no_run_behind(photo_folder, tmp_path, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("the server is gone")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Fetcher, "__call__", fail)
    with pytest.raises(kind):
        pcn_cli.finetune(photo_folder, model="s60", tune="probe", size=32)
    with pytest.raises(kind):
        pcn_cli.finetune(photo_folder, model="s60", tune="probe", size=32, output="mine")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "mine").exists()


def test_the_weights_of_a_run_may_be_read_like_its_other_files(photo_folder, tiny_weights, tmp_path):
    """Seen: model.safetensors had mode 0600, everything else 0644."""
    run = pcn_cli.finetune(
        photo_folder, model=tiny_weights, tune="probe", size=32, output=tmp_path / "r", settings=["explain.checks=0"]
    ).run
    modes = {stat.S_IMODE(path.stat().st_mode) for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert modes == {stat.S_IMODE((run / "run.json").stat().st_mode)}


@pytest.mark.parametrize("name", ["s60", "nano", "patchconvnet_s60"])
def test_a_run_in_the_current_folder_is_no_card(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "run.json").write_text("{}")
    assert model_source(name) == name
    for place in (f"./{name}", Path(name)):
        with pytest.raises(RunError, match=r"run\.json is damaged"):
            model_source(place)


def test_a_run_may_be_called_like_a_card(photo_folder, tiny_weights):
    """Seen: `--output nano` ended in a bug of pcn, for the evaluation measured the card of that name."""
    run = pcn_cli.finetune(photo_folder, model=tiny_weights, output="nano", tune="probe", **SETTINGS).run
    assert Path(run) == Path("nano")
    assert len(pcn_cli.load_model(run)(torch.zeros(1, 3, 64, 64))[0]) == 3
