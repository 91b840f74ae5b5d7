"""A class without a photo to learn from is told, however the parts came about."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcn_cli.data.scan.decisions import Decisions
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.metrics.findings import findings
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.decisions import Decision
from pcn_cli.stages.photos import check_leaks, split_photos

CLASSES = {"oak": 12, "elm": 12, "yew": 3}


@pytest.fixture
def draw(tmp_path):
    """A function that puts a photo at a path; another number is another picture."""

    def put(name: str, number: int) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST).save(path)
        return path

    return put


def titles(root, *, labelling=None, decisions=()):
    """The titles of what finetune would tell before it trains, and the classes of training photos."""
    return titles_of(scan_photos(root, labelling=labelling, decisions=Decisions(new=tuple(decisions))))


def titles_of(found, *, seed=0):
    rows, _, _ = split_photos(found, load_recipe(None, settings=[f"seed={seed}"]))
    taught = {name for row in rows if row.split == "train" for name in row.labels}
    return [finding.title for finding in findings(check_leaks(rows, found))], taught


def put_all(draw, place):
    numbers = iter(range(1000))
    for label, count in CLASSES.items():
        for number in range(count):
            draw(place(label, number), next(numbers))


@pytest.mark.parametrize("way", ["folders", "column", "grouped", "copies"])
def test_a_class_that_no_training_photo_has_is_told(draw, tmp_path, way):
    root = tmp_path / "photos"
    if way == "folders":
        put_all(draw, lambda label, n: f"{'test' if label == 'yew' or n > 8 else 'train'}/{label}/{n}.png")
        told, taught = titles(root)
    elif way == "column":
        put_all(draw, lambda label, n: f"{label}-{n}.png")
        files = [(label, f"{label}-{n}.png") for label, count in CLASSES.items() for n in range(count)]
        rows = [f"{file},{label},{'val' if label == 'yew' else 'train'}" for label, file in files]
        (root / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
        told, taught = titles(root)
    else:  # its photo is of a group, or a copy, of two photos of a class that is also measured by
        for number in range(30):
            draw(f"oak/s{max(number, 1)}_{number}.png", number)
            draw(f"elm/s{100 + number}_{number}.png", 100 + number)
        draw("yew/s1_0.png", 200)
        if way == "copies":
            for copy in ("oak/s1_0.png", "yew/s1_0.png"):
                (root / copy).write_bytes((root / "oak/s1_1.png").read_bytes())
        found = scan_photos(root, group_by=r"(s[0-9]+)_" if way == "grouped" else None)
        seeds = (titles_of(found, seed=seed) for seed in range(50))
        told, taught = next((one for one in seeds if "yew" not in one[1]), ([], {"yew"}))
    assert "yew" not in taught
    assert "1 class has no photo to learn from" in told


def test_a_class_that_decisions_or_damage_leave_empty_is_told(draw, tmp_path):
    put_all(draw, lambda label, n: f"{label}/{n}.png")
    root = tmp_path / "photos"
    gone = [Decision(file=f"yew/{n}.png", decision="remove", new_label="") for n in range(3)]
    assert "1 class has no photo left to learn from" in titles(root, decisions=gone)[0]
    moved = [Decision(file=f"yew/{n}.png", decision="change", new_label="elm") for n in range(3)]
    assert "1 class has no photo left to learn from" in titles(root, decisions=moved)[0]
    assert "1 class has no photo left to learn from" not in titles(root, decisions=gone[:2])[0]
    for n in range(3):
        (root / f"yew/{n}.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    assert "1 class has no photo left to learn from" in titles(root)[0]


def test_of_several_labels_one_without_a_training_photo_is_told(draw, tmp_path):
    root, rows = tmp_path / "photos", ["file,labels,split"]
    for n in range(20):
        draw(f"{n}.png", n)
        rows.append(f"{n}.png,{'oak;yew' if n > 15 else 'oak' if n % 2 else 'elm'},{'test' if n > 15 else 'train'}")
    (root / "labels.csv").write_text("\n".join(rows))
    told, taught = titles(root, labelling=Labelling(labels=str(root / "labels.csv")))
    assert taught == {"oak", "elm"}
    assert "1 class has no photo to learn from" in told
    gone = [Decision(file=f"{n}.png", decision="remove", new_label="") for n in range(16, 20)]
    rows = [row.removesuffix(",test").removesuffix(",train") for row in rows]
    (root / "labels.csv").write_text("\n".join(["file,labels", *rows[1:]]))
    assert "1 class has no photo left to learn from" in titles(root, decisions=gone)[0]
