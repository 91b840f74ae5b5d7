"""What tokens say of photos: real ones given a wrong label, and scenes in two parts, are told; nothing is changed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pcn_cli
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import DataSection, Recipe
from pcn_cli.records.decisions import Decision
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Suspect
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import NEIGHBOURS
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.train.tokens import doubt_labels, learned_rows, leave_decided, tie_neighbours
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import cache_tokens

CHANGED = 100
CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def read_flowers(shared: Path) -> list[dict[str, str]]:
    with (shared / "data" / "flowers5" / "split.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def change_labels(labels: list[str], seed: int) -> tuple[list[str], set[int]]:
    """The labels with 100 of them another at random, and which these are."""
    rng, changed = np.random.default_rng(seed), list(labels)
    places = rng.choice(len(labels), CHANGED, replace=False).tolist()
    for place in places:
        changed[place] = str(rng.choice([name for name in CLASSES if name != labels[place]]))
    return changed, set(places)


@pytest.fixture(scope="module")
def flower_features(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The real backbone's mean tokens of all flowers at 64 pixels, (1000, 1280)."""
    files = [row["file"] for row in read_flowers(shared)]
    source = model_source(f"timm:local-dir:{shared / 'weights' / 'mobilenetv2_100'}")
    model, config = find_source(source).start(CLASSES, Recipe(data=DataSection(size=64)), fetch=Fetcher(offline=True))
    photos = PhotoDataset(shared / "data" / "flowers5", files, preprocessing=config.preprocessing)
    batches = PhotoBatches(photos, batch_size=50)
    folder = tmp_path_factory.mktemp("tokens")
    cpu, stop = torch.device("cpu"), StopRequest()
    with cache_tokens(model, batches, photos=len(files), device=cpu, folder=folder, stop=stop) as tokens:
        return tokens.mean_features()


@pytest.mark.parametrize("seed", range(3))
def test_most_of_the_50_most_suspect_flowers_were_given_a_wrong_label(shared, flower_features, seed):
    flowers = read_flowers(shared)
    labels, places = change_labels([row["label"] for row in flowers], seed)
    rows = [
        SplitRow(file=row["file"], label=label, split="train", sha256=row["file"])
        for row, label in zip(flowers, labels, strict=True)
    ]
    suspects = doubt_labels(rows, flower_features, np.arange(1_000), classes=CLASSES, C=0.001, seed=0)
    assert [one.rank for one in suspects] == list(range(1, len(suspects) + 1))
    wrong = {flowers[place]["file"]: flowers[place]["label"] for place in places}
    found = [one for one in suspects[:50] if one.file in wrong]
    assert len(found) >= 30  # 38 to 43
    assert sum(one.suggested == wrong[one.file] for one in found) >= 0.8 * len(found)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["nano", "mobilenetv2_100"])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_names_the_flowers_with_a_wrong_label(shared, tmp_path, model, seed):
    flowers = read_flowers(shared)
    labels, places = change_labels([row["label"] for row in flowers], seed)
    root = (shared / "data" / "flowers5").resolve()
    table = tmp_path / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split"])
        writer.writerows([root / row["file"], label, row["split"]] for row, label in zip(flowers, labels, strict=True))
    name = model if model == "nano" else f"timm:local-dir:{shared / 'weights' / model}"
    settings = ["explain.overlays=0", "train.probe_epochs=1"]
    run = RunDir(pcn_cli.finetune(root, labels=table, model=name, tune="probe", size=128, settings=settings).run)
    suspects = read_csv(run.suspects)
    wrong = {flowers[place]["file"] for place in places}
    found = sum(one["file"] in wrong for one in suspects[:50])
    print(f"{model}, seed {seed}: {found} of the 50 most suspect, {len(suspects)} suspects")  # noqa: T201
    assert found >= 30


def test_a_run_tells_its_suspects_everywhere_and_changes_nothing(photo_folder):
    (photo_folder / "red" / "05.jpg").rename(photo_folder / "blue" / "moved.jpg")
    before = {path: sha256_of(path) for path in photo_folder.rglob("*.jpg")}
    settings = ["train.probe_epochs=1"]
    run = RunDir(pcn_cli.finetune(photo_folder, model="nano", tune="probe", size=32, settings=settings).run)
    suspects = read_csv(run.suspects)
    assert (suspects[0]["file"], suspects[0]["label"], suspects[0]["suggested"]) == ("blue/moved.jpg", "blue", "red")
    assert {"train", "val", "test"} >= {one["split"] for one in suspects}
    labels = {row["file"]: row["label"] for row in read_csv(run.split)}
    assert {one["file"]: one["label"] for one in suspects}.items() <= labels.items()
    (finding,) = (f for f in json.loads(run.findings.read_text()) if f["title"].endswith("may have a wrong label"))
    assert finding["title"].startswith(f"{len(suspects)} photo")
    assert (
        f"{suspects[0]['file']} ({suspects[0]['label']}, looks like {suspects[0]['suggested']})" in finding["evidence"]
    )
    assert "Labels to look at" in (run.report / "index.html").read_text(encoding="utf-8")
    assert {path: sha256_of(path) for path in photo_folder.rglob("*.jpg")} == before


def test_small_sets_and_small_classes_are_not_suspected():
    features = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    features[:12, 0] += 9
    rows = [SplitRow(file=f"{n}.jpg", label="a" if n < 12 else "b", split="train", sha256=str(n)) for n in range(24)]
    rows[20] = SplitRow(file="20.jpg", label="rare", split="train", sha256="20")
    classes = ("a", "b", "rare")
    assert doubt_labels(rows, features, np.arange(24), classes=classes, C=1.0, seed=0) == ()
    few, own = rows[8:16], features[8:16]
    assert doubt_labels(few, own, np.arange(8), classes=classes, C=1.0, seed=0) == ()


def test_only_pairs_across_parts_are_kept_and_they_come_back(tmp_path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (60, 16)).astype(np.float32)
    features[5], features[7] = features[3] + 0.01, features[4] + 0.01
    parts = ["train"] * 5 + ["test"] + ["train"] * 54
    rows = [
        SplitRow(file=f"{n}.jpg", label="a" if n < 30 else "b", split=part, sha256=str(n))
        for n, part in enumerate(parts)
    ]
    run = RunDir(tmp_path)
    assert NEIGHBOURS.read(run) == ()
    NEIGHBOURS.write(run, tie_neighbours(rows, features, np.arange(60)))
    (tie,) = NEIGHBOURS.read(run)
    assert (tie.kind, tie.part, tie.file, tie.other_part, tie.other) == ("alike", "train", "3.jpg", "test", "5.jpg")


def test_a_run_tells_its_pairs_and_leaves_the_parts_as_they_are(photo_folder, tiny_weights, monkeypatch) -> None:
    monkeypatch.setattr("pcn_cli.stages.train.tokens.find_neighbours", lambda *_: [(0, 30), (0, 1)])
    settings = ["train.probe_epochs=1", "explain.overlays=0"]
    run = RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=settings).run)
    (pair,) = read_csv(run.neighbours)  # the other pair trains
    (finding,) = (f for f in json.loads(run.findings.read_text()) if "one scene" in f["title"])
    assert finding["severity"] == "warning"
    assert finding["evidence"] == f"train {pair['file']} ≈ {pair['other_part']} {pair['other']}."
    parts = {row["file"]: row["split"] for row in read_csv(run.split)}
    assert (parts[pair["file"]], parts[pair["other"]]) == ("train", pair["other_part"])


def test_of_many_photos_a_sample_is_learned_from(monkeypatch) -> None:
    rows = [SplitRow(file=f"{n}.jpg", label="a", split="val" if n % 3 else "train", sha256="") for n in range(40)]
    monkeypatch.setattr("pcn_cli.stages.train.tokens.MOST_LEARNED", 9)
    learned = learned_rows(rows, seed=0)
    numbers = [int(row.file.removesuffix(".jpg")) for row in learned]
    assert len(numbers) == 9
    assert numbers == sorted(set(numbers))
    assert {row.split for row in learned} == {"train"}
    assert numbers != [int(row.file.removesuffix(".jpg")) for row in learned_rows(rows, seed=1)]


def test_a_label_that_a_person_confirmed_is_doubted_no_more():
    rows = [SplitRow(file=f"red/{n}.jpg", label="red", split="train", sha256=f"{n:064}") for n in range(4)]
    suspects = [
        Suspect(rank=n + 1, file=row.file, split="train", label="red", suggested="blue", p_label=0.1, p_suggested=0.9)
        for n, row in enumerate(rows)
    ]
    decisions = [
        Decision(file="elsewhere.jpg", sha256=rows[0].sha256, decision="keep"),
        Decision(file=rows[2].file, decision="keep"),
        Decision(file=rows[3].file, sha256="0" * 63 + "9", decision="keep"),  # another photo stood at this place
    ]
    left = leave_decided(suspects, rows, decisions)
    assert [(one.rank, one.file) for one in left] == [(1, "red/1.jpg"), (2, "red/3.jpg")]
