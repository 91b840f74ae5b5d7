"""The network inside the package, on real photos: what its card says, and what it is good for."""

import csv
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pcn_cli
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.models.sources.folder import read_config
from pcn_cli.models.zoo import find_card
from pcn_cli.stages.evaluate_run import evaluate

PICTURES = 400


@torch.inference_mode()
def test_nano_is_right_as_often_as_its_card_says(shared: Path) -> None:
    card = find_card("nano")
    (stated,) = (float(number) / 100 for number in re.findall(r"([\d.]+) % top-1", card.note))
    packed = shared / "data" / "tiny_imagenet_200"
    with np.load(packed / "index.npz", allow_pickle=False) as file:
        index = {name: file[name] for name in file.files}
    config = read_config(card.folder)
    lines = (packed / "classes.txt").read_text(encoding="utf-8").splitlines()
    words = {wnid: text.split(",")[0].strip() for wnid, text in (line.split("\t") for line in lines)}
    model = pcn_cli.load_model("nano")
    pictures = np.memmap(packed / "images.bin", dtype=np.uint8, mode="r")
    validation = np.flatnonzero(index["split"] == 1)
    chosen = np.random.default_rng(0).choice(validation, PICTURES, replace=False)
    right = 0
    for some in np.array_split(chosen, 10):
        inputs = []
        for row in some:
            start = index["offset"][row]
            with Image.open(io.BytesIO(pictures[start : start + index["length"][row]].tobytes())) as picture:
                inputs.append(preprocess(picture.convert("RGB"), config.preprocessing))
        predicted = model(torch.from_numpy(np.stack(inputs))).argmax(dim=1).tolist()
        named = [words[wnid] for wnid in index["classes"][index["label"][some]]]
        right += sum(config.classes[guess] == name for guess, name in zip(predicted, named, strict=True))
    standard_error = (stated * (1 - stated) / PICTURES) ** 0.5
    assert abs(right / PICTURES - stated) < 4 * standard_error


@pytest.fixture
def flowers(shared: Path, tmp_path: Path) -> Path:
    """Half of the flowers' training and test photos, with their own split."""
    source, photos = shared / "data" / "flowers5", tmp_path / "flowers"
    photos.mkdir()
    with (source / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for number, row in enumerate(csv.DictReader(file)) if number % 2 == 0]
    with (photos / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split"])
        writer.writerows([row["file"], row["label"], row["split"]] for row in rows)
    for row in rows:
        (photos / row["file"]).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / row["file"], photos / row["file"])
    return photos


def test_what_nano_learned_carries_over_to_flowers(flowers: Path) -> None:
    settings = ["explain.overlays=0", "train.probe_epochs=20"]
    outcome = pcn_cli.finetune(flowers, model="nano", tune="probe", settings=settings)
    assert outcome.metrics["accuracy"].value >= score_raw_pixels(flowers) + 0.15


def score_raw_pixels(photos: Path) -> float:
    with (photos / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([np.asarray(Image.open(photos / row["file"]).convert("RGB").resize((32, 32))) for row in rows])
    labels, parts = (np.array([row[name] for row in rows]) for name in ("label", "split"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=300))
    flat = pixels.reshape(len(rows), -1) / 255
    return float(
        model.fit(flat[parts == "train"], labels[parts == "train"]).score(
            flat[parts == "test"], labels[parts == "test"]
        )
    )


def test_a_card_is_measured_on_the_test_part_of_labelled_photos(tmp_path: Path) -> None:
    known = read_config(find_card("nano").folder).classes[:2]
    rng, photos = np.random.default_rng(0), tmp_path / "photos"
    for part, count in (("train", 3), ("test", 2)):
        for name in known:
            (photos / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(photos / part / name / f"{number}.png")
    boxes = tmp_path / "boxes.csv"
    rows = [f"test/{name}/{number}.png,{name},0,0,59,39,60,40" for name in known for number in range(2)]
    boxes.write_text("\n".join(["file,label,xmin,ymin,xmax,ymax,width,height", *rows]) + "\n", encoding="utf-8")
    measured = evaluate("nano", images=photos, boxes=boxes, output=tmp_path / "measured")
    assert measured.metrics["accuracy"].n == 4
    assert measured.metrics["pointing_game"].value == measured.metrics["pointing_game_random"].value == 1.0
    boxes.write_text(boxes.read_text(encoding="utf-8").replace("test/", "train/"), encoding="utf-8")
    with pytest.raises(pcn_cli.errors.DataError, match="no photo that was measured has a box"):
        evaluate("nano", images=photos, boxes=boxes, output=tmp_path / "again")
