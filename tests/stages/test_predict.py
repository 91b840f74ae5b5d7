"""Predict and report on photos that the run never saw."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import pcn_cli
from pcn_cli.attention.evidence import evidence_maps
from pcn_cli.attention.geometry import DISPLAY_SIDE
from pcn_cli.attention.overlay import draw_evidence
from pcn_cli.data.load import open_image
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.load.preprocessing import place_input
from pcn_cli.errors import DataError, RecipeError, ResourceError, RunError
from pcn_cli.files.atomic import read_csv
from pcn_cli.models import openvino_trunk
from pcn_cli.models.weights import Fetcher
from pcn_cli.runs.evaluation import read_evaluation
from pcn_cli.runs.predictions import read_attention
from pcn_cli.runs.rundir import RunDir, set_latest
from pcn_cli.stages import answers
from pcn_cli.stages.answers import withheld_label
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.inference import load
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.report import gather_content, report


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_weights) -> Path:
    """A finished run on tinted noise, made once."""
    folder = tmp_path_factory.mktemp("module")
    rng = np.random.default_rng(0)
    for channel, label in enumerate(("blue", "green", "red")):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 120, (40, 56, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 100
            Image.fromarray(pixels).save(folder / "photos" / label / f"{number}.jpg")
    return pcn_cli.finetune(
        folder / "photos", model=tiny_weights, tune="probe", size=32, output=folder / "run",
        settings=["train.probe_epochs=2"],
    ).run  # fmt: skip


@pytest.fixture
def new_photos(tmp_path) -> Path:
    """Two photos and a broken file, in a folder without labels."""
    folder = tmp_path / "new"
    folder.mkdir()
    for name in ("b.png", "a.jpg"):
        Image.new("RGB", (50, 70), (200, 30, 30)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"<!DOCTYPE html>")
    return folder


def test_a_truncated_photo_is_answered_where_that_is_asked_for(run, tmp_path):
    path, notes, callback = tmp_path / "cut.jpg", [], Callback()
    Image.effect_noise((120, 90), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    Image.new("RGB", (50, 70)).save(tmp_path / "whole.png")
    callback.on_note = notes.append
    for workers in (0, 1):
        refused, whole = pcn_cli.predict(tmp_path, model=run, workers=workers)
        assert refused["error"].startswith("truncated JPEG")
        answers = pcn_cli.predict(tmp_path, model=run, workers=workers, load_truncated=True, callback=callback)
        assert answers[1]["confidence"] == pytest.approx(whole["confidence"])
        assert set(answers[0]) - set(answers[1]) == {"missing"}
        assert 0 < answers[0]["missing"] < 0.5
        assert answers[0]["top"]
    told = f"1 truncated photo is used: {path} ({answers[0]['missing']:.0%} is missing)"
    assert notes == [told] * 2


def test_answers_come_in_the_order_given_and_unreadable_files_are_reported(run, new_photos):
    names = ["b.png", "broken.jpg", "a.jpg"]
    answers = pcn_cli.predict([new_photos / name for name in names], model=run)
    assert [Path(answer["file"]).name for answer in answers] == names
    for answer in (answers[0], answers[2]):
        assert set(answer) == {"file", "label", "confidence", "unknown", "reason", "unlike", "top", "sets", "error"}
        assert answer["error"] is None
        assert answer["top"][0] == {"label": answer["label"], "p": answer["confidence"]}
        assert sum(guess["p"] for guess in answer["top"]) == pytest.approx(1)
    assert answers[1]["label"] is None
    assert "HTML" in answers[1]["error"]


def test_what_computes_the_tokens_can_be_asked_for(run, new_photos, monkeypatch):
    asked = []
    monkeypatch.setattr(openvino_trunk, "with_openvino", lambda _, ready, precision: asked.append(1) or ready)
    pcn_cli.predict(new_photos, model=run, engine="openvino")
    assert len(asked) == 1
    monkeypatch.setattr(load, "FEWEST_CONVERTED_PATCHCONVNET", 1)
    pcn_cli.predict(new_photos, model=run, precision="bfloat16")
    assert len(asked) == 2
    pcn_cli.predict(new_photos, model=run, precision="bfloat16", engine="torch")
    assert len(asked) == 2


def test_predict_equals_evaluation(run):
    rows = read_csv(run / "predictions.csv")
    photos = json.loads((run / "run.json").read_text())["photos"]
    answers = pcn_cli.predict([Path(photos) / row["file"] for row in rows], model=run)
    for row, answer in zip(rows, answers, strict=True):
        assert answer["label"] == row["predicted"]
        assert answer["confidence"] == pytest.approx(float(row["confidence"]), abs=1e-6)


def test_the_least_confidence_that_was_asked_for_decides_what_is_unknown(run, new_photos, tmp_path):
    plain = pcn_cli.predict(new_photos, model=run)
    sure = [answer["confidence"] for answer in plain if answer["label"]]
    assert not any(answer["unknown"] for answer in plain)
    asked = pcn_cli.predict(new_photos, model=run, min_confidence=max(sure), sort_into=tmp_path / "sorted")
    assert {answer["unknown"] for answer in asked if not answer["error"]} == {True, False}
    for before, after in zip(plain, asked, strict=True):
        assert (after["confidence"], after["top"]) == (before["confidence"], before["top"])
        assert after["label"] == ("unknown" if after["unknown"] else before["label"])
        assert after["unknown"] == (not after["error"] and after["confidence"] < max(sure))
    assert len(list((tmp_path / "sorted" / "unknown").iterdir())) == sum(answer["unknown"] for answer in asked)


def test_overlays_and_sorted_copies(run, new_photos, tmp_path):
    answers = pcn_cli.predict(new_photos, model=run, overlay=tmp_path / "maps", sort_into=tmp_path / "sorted")
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"a.png", "b.png"}
    with Image.open(tmp_path / "maps" / "a.png") as overlay:
        assert overlay.size == (50, 70)
    copied = {path.relative_to(tmp_path / "sorted").as_posix() for path in (tmp_path / "sorted").rglob("*.*")}
    assert copied == {f"{answer['label']}/{Path(answer['file']).name}" for answer in answers if answer["label"]}
    assert (tmp_path / "sorted" / copied.pop()).read_bytes()


def test_for_the_overlay_of_a_vast_photo_nothing_is_decoded_again(run, tmp_path, monkeypatch):
    """It was decoded twice, which took up to eight seconds."""
    assert open_image.LEAST_SHOWN >= DISPLAY_SIDE
    Image.effect_noise((60, 50), 80).convert("RGB").save(tmp_path / "one.png")
    expected = pcn_cli.predict(tmp_path / "one.png", model=run, overlay=tmp_path / "maps")
    drawn = (tmp_path / "maps" / "one.png").read_bytes()
    monkeypatch.setattr(open_image, "MOST_WHOLE", 1000)
    monkeypatch.setattr(answers, "open_reduced", lambda *_, **__: pytest.fail("opened again"))
    for workers in (0, 1):
        target = tmp_path / f"maps of {workers}"
        assert pcn_cli.predict(tmp_path / "one.png", model=run, overlay=target, workers=workers) == expected
        assert (target / "one.png").read_bytes() == drawn


def test_nothing_is_written_among_the_photos(run, new_photos):
    with pytest.raises(ResourceError, match="never written to"):
        pcn_cli.predict(new_photos, model=run, sort_into=new_photos / "sorted")


def test_the_report_needs_no_torch(run):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision', 'timm'):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
from pcn_cli.stages.report import report
print(report({str(run)!r}))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(run / "report" / "index.html")


def test_a_single_file_stands_beside_the_report_and_is_told_where_it_is_large(run, monkeypatch):
    notes = []
    callback = Callback()
    callback.on_note = notes.append
    before = {path: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()}
    page = report(run, single_file=True, callback=callback)
    assert page == run / "report.html"
    assert notes == []
    assert {path: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()} == before
    record = json.loads((run / "run.json").read_text())["stages"]
    assert list(record["report-file"]["artifacts"]) == ["report.html"]
    assert list(record["report"]["artifacts"]) == ["report/index.html"]
    monkeypatch.setattr("pcn_cli.stages.report.MANY_BYTES", 1000)
    report(run, single_file=True, callback=callback)
    assert len(notes) == 1
    assert "some mail programs refuse" in notes[0]
    page.unlink()


def test_the_report_shows_the_evidence_and_the_curves_of_the_run(run):
    content, maps = gather_content(read_evaluation(RunDir(run))), read_attention(run / "attention.npz")
    assert list(content.map_places) == list(maps.files)
    for row, file in enumerate(maps.files):
        place = content.map_places[file]
        assert content.classes[content.maps.evidence_classes[place, 0]] == content.predictions[row].predicted
        assert content.maps.deletion[place, 0] == pytest.approx(content.predictions[row].confidence, abs=1e-3)
        assert (content.maps.evidence[place] == maps.evidence[row]).all()


def test_new_images_are_reported_in_a_run_of_their_own(run, new_photos):
    page = report(run, images=new_photos, output="new-run")
    assert page == Path("new-run/report/index.html")
    assert {row["file"] for row in read_csv(Path("new-run/predictions.csv"))} == {"a.jpg", "b.png"}
    assert {row["correct"] for row in read_csv(Path("new-run/predictions.csv"))} == {""}
    assert [row["file"] for row in read_csv(Path("new-run/unreadable.csv"))] == ["broken.jpg"]
    assert not Path("new-run/metrics.json").exists()
    assert "broken.jpg" in page.read_text(encoding="utf-8")


def test_a_report_of_what_was_never_evaluated_names_the_command(tmp_path, run):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(RunError) as caught:
        report(tmp_path / "bare")
    assert "pcn evaluate" in caught.value.hint


def test_evaluating_again_gives_the_same_numbers(run):
    before = (run / "metrics.json").read_bytes()
    evaluate(run)
    assert (run / "metrics.json").read_bytes() == before


def test_other_labelled_photos_are_measured_in_a_run_of_their_own(run, photo_folder):
    measured = evaluate(run, images=photo_folder, output="other")
    assert measured.metrics["accuracy"].n == 36
    assert "baseline_majority" not in measured.metrics
    (photo_folder / "red").rename(photo_folder / "crimson")
    with pytest.raises(DataError, match="crimson"):
        evaluate(run, images=photo_folder, output="third")


def test_a_changed_byte_in_the_model_is_noticed(run, tmp_path):
    import shutil

    from pcn_cli.errors import ModelError

    shutil.copytree(run, tmp_path / "copy")
    weights = tmp_path / "copy" / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="sha256"):
        pcn_cli.load_model(tmp_path / "copy")


def test_an_overlay_of_evidence_shows_what_speaks_for_the_predicted_class(run, new_photos, tmp_path):
    photo = new_photos / "a.jpg"
    (plain,), (answer,) = (
        pcn_cli.predict([photo], model=run, overlay=tmp_path / kind, overlay_map=kind) for kind in ("look", "evidence")
    )
    assert answer == plain
    model = open_model(run, fetch=Fetcher(offline=True))
    network, config = model.network, model.config
    attended = network.attend(torch.as_tensor(preprocess(open_photo(photo), config.preprocessing))[None])
    best = torch.tensor([[config.classes.index(answer["label"])]])
    evidence = evidence_maps(network, attended, best)[0, 0].detach().numpy()
    places = {"patch_grid": config.patch_grid, "placement": place_input(config.preprocessing, 50, 70)}
    with Image.open(tmp_path / "evidence" / "a.png") as shown, Image.open(tmp_path / "look" / "a.png") as other:
        wanted = draw_evidence(open_photo(photo), evidence, **places)
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(wanted)).max() <= 1
        assert np.asarray(shown).tolist() != np.asarray(other).tolist()


def test_earlier_copies_stay_and_earlier_overlays_are_replaced(run, new_photos, tmp_path):
    places = {"overlay": tmp_path / "maps", "sort_into": tmp_path / "sorted"}
    (label,) = {answer["label"] for answer in pcn_cli.predict([new_photos / "a.jpg"], model=run, **places)}
    (tmp_path / "maps" / "a.png").write_bytes(b"an earlier overlay")
    (tmp_path / "sorted" / label / "a.jpg").write_bytes(b"an earlier photo")
    pcn_cli.predict([new_photos / "a.jpg"], model=run, **places)
    assert (tmp_path / "sorted" / label / "a.jpg").read_bytes() == b"an earlier photo"
    assert (tmp_path / "sorted" / label / "a-2.jpg").read_bytes() == (new_photos / "a.jpg").read_bytes()
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "maps" / "a.png") as overlay:
        assert overlay.size == (50, 70)


def test_every_named_image_has_an_answer_repeats_and_missing_ones_too(run, new_photos):
    named = [str(new_photos / name) for name in ("b.png", "gone.png", "a.jpg", "b.png")]
    answers = pcn_cli.predict(named, model=run)
    assert [answer["file"] for answer in answers] == named
    assert answers[1] == {
        "file": named[1], "label": None, "confidence": None, "unknown": False, "reason": "", "unlike": None,
        "top": (), "sets": (), "error": "the file does not exist",
    }  # fmt: skip
    assert answers[0] == answers[3]
    assert answers[0]["label"]


class Heard(Callback):
    """Keeps the notes, the progress and the number of processes that load photos."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.progress: list[tuple[int, int]] = []
        self.loaders = 0

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_progress(self, title: str, done: int, total: int) -> None:
        self.progress.append((done, total))
        self.loaders = max(self.loaders, len(psutil.Process().children()))


def test_the_run_that_was_taken_is_named(run, new_photos):
    set_latest(RunDir(run))
    heard = Heard()
    latest = pcn_cli.predict(new_photos, callback=heard)
    assert heard.notes == [f"using {run}, the latest finished run"]
    heard = Heard()
    assert pcn_cli.predict(new_photos, model=run, callback=heard) == latest
    assert heard.notes == []


def test_workers_load_the_photos_and_change_nothing(run, new_photos):
    alone, helped = Heard(), Heard()
    answers = pcn_cli.predict(new_photos, model=run, workers=0, callback=alone)
    assert pcn_cli.predict(new_photos, model=run, workers=2, callback=helped) == answers
    assert helped.loaders >= alone.loaders + 2
    assert helped.progress == alone.progress == [(1, 3), (2, 3)]


def test_the_mirror_reaches_the_download(new_photos):
    with pytest.raises(RecipeError, match=r"^--mirror ftp://127\.0\.0\.1:9: expected an address"):
        pcn_cli.predict(new_photos, model="s60", mirror="ftp://127.0.0.1:9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlay_map": "evidence"}, "--map evidence has no effect without --overlay"),
        ({"overlay_map": "look"}, "--map look has no effect without --overlay"),
        ({"look": "heat"}, "--look heat has no effect without --overlay"),
        (
            {"overlay": "maps", "overlay_map": "evidence", "look": "heat"},
            "--look heat has no effect with --map evidence",
        ),
    ],
)
def test_drawing_without_effect_is_refused_before_anything_is_read(options, message, tmp_path):
    with pytest.raises(RecipeError) as caught:
        pcn_cli.predict(tmp_path / "gone.jpg", **options)
    assert caught.value.message == message
    assert not list(tmp_path.glob("maps"))


@pytest.mark.parametrize(
    ("classes", "label"),
    [
        (("cat", "dog"), "unknown"),
        (("cat", "unknown"), "not sure"),
        (("Unknown", "cat"), "not sure"),
        (("not sure", "unknown"), "not sure 2"),
        (("not sure", "not sure 2", "unknown"), "not sure 3"),
        (("not sure", "cat"), "unknown"),
    ],
)
def test_a_withheld_answer_is_never_called_like_a_class(classes, label):
    """Seen with a class called unknown: its answers and the withheld ones went into one folder."""
    assert withheld_label(classes) == label


def test_a_photo_that_was_sorted_before_is_not_copied_again_and_one_under_another_label_is_told(
    run, new_photos, tmp_path
):
    """After a second model the same photo lay under two labels, without a word."""
    target, told = tmp_path / "sorted", []
    callback = Callback()
    callback.on_note = told.append
    first = pcn_cli.predict(new_photos, model=run, sort_into=target)
    lying = sorted(path for path in target.rglob("*.*"))
    pcn_cli.predict(new_photos, model=run, sort_into=target, callback=callback)
    assert sorted(path for path in target.rglob("*.*")) == lying
    assert told == []
    one = next(answer for answer in first if answer["label"])
    name = Path(one["file"]).name
    (target / "other").mkdir()
    (target / one["label"] / name).rename(target / "other" / name)
    (target / one["label"] / f"x{name}").write_bytes(b"a file of the user's own")
    pcn_cli.predict(new_photos, model=run, sort_into=target, callback=callback)
    assert (target / one["label"] / name).is_file()
    (note,) = told
    assert note == f"also in {target} under another label, from an earlier time: other/{name}"
