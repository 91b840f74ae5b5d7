import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcn_cli.records.codec import field_names
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionMaps, AttentionNumbers, HidingNumbers, Prediction
from pcn_cli.runs.predictions import read_attention, read_predictions, write_attention, write_jsonl, write_predictions

CLASSES = ("=oak", "center_y", "p_yew")
NUMBERS = AttentionNumbers(**{name: 0.5 + number for number, name in enumerate(field_names(AttentionNumbers))})
HIDING = HidingNumbers(
    deletion_auc=0.25,
    insertion_auc=0.75,
    srg=0.5,
    comprehensiveness=0.3,
    sufficiency=-0.1,
    flip_fraction=0.35,
    look_evidence_spearman=0.6,
    hidden_top="=oak",
    hidden_p=0.5,
    kept_p=0.8,
    random_hidden_p=0.7,
)


def invent() -> list[Prediction]:
    known = Prediction(
        file="a.jpg",
        predicted="p_yew",
        confidence=0.7,
        probabilities=(0.1, 0.2, 0.7),
        attention=NUMBERS,
        split="test",
        label="=oak",
        hiding=HIDING,
    )
    never = replace(HIDING, flip_fraction=None, look_evidence_spearman=None)
    return [known, replace(known, file="b.jpg", hiding=never), replace(known, file="c.jpg", hiding=None)]


def test_predictions_come_back_with_what_hiding_does(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", invent(), CLASSES)
    assert read_predictions(tmp_path / "p.csv") == (tuple(invent()), CLASSES)


def test_a_table_of_an_older_version_is_read(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", invent(), CLASSES)
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = [row[: -len(field_names(HidingNumbers))] for row in csv.reader(file)]
    with (tmp_path / "old.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    found, classes = read_predictions(tmp_path / "old.csv")
    assert classes == CLASSES
    assert found == tuple(replace(one, hiding=None) for one in invent())


def test_a_table_with_the_gain_over_random_orders_is_read(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", invent(), CLASSES)
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    place = header.index("srg") + 1
    with (tmp_path / "old.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [*row[:place], own, *row[place:]]
            for row, own in zip([header, *rows], ["random_gain", "0.4", "", ""], strict=True)
        )
    assert read_predictions(tmp_path / "old.csv") == (tuple(invent()), CLASSES)


def test_lines_of_json_have_the_same_keys_whether_anything_was_hidden(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "p.jsonl", invent(), CLASSES)
    known, never, nothing = (json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines())
    assert known.keys() == never.keys() == nothing.keys()
    assert (known["srg"], known["hidden_top"], known["flip_fraction"]) == (0.5, "=oak", 0.35)
    assert (never["srg"], never["flip_fraction"], nothing["srg"]) == (0.5, None, None)


MAPS_OF_HIDING = ("evidence", "evidence_classes", "deletion", "insertion")
PLACEMENT = Placement(width=60, height=40, input_width=64, input_height=64, box=(10.25, 0, 50, 40))


def invent_maps() -> AttentionMaps:
    rng = np.random.default_rng(0)
    return AttentionMaps(
        files=("a.jpg", "b\udce9.jpg"),
        looks=rng.dirichlet(np.ones(12), 2).reshape(2, 3, 4),
        placements=(PLACEMENT, replace(PLACEMENT, width=80)),
        patch_grid=PatchGrid(stride=32, offset=0.5, offset_x=16),
        evidence=rng.normal(size=(2, 3, 3, 4)),
        evidence_classes=np.array([[4, 0, 2], [1, 3, 0]]),
        deletion=rng.random((2, 21)),
        insertion=rng.random((2, 21)),
    )


def test_maps_and_curves_come_back_to_half_precision(tmp_path: Path) -> None:
    looks = invent_maps()
    write_attention(tmp_path / "attention.npz", looks)
    found = read_attention(tmp_path / "attention.npz")
    assert (found.files, found.placements, found.patch_grid) == (looks.files, looks.placements, looks.patch_grid)
    for name in ("looks", *MAPS_OF_HIDING):
        assert getattr(found, name) == pytest.approx(getattr(looks, name), rel=1e-3, abs=1e-6), name
    assert found.evidence_classes.dtype.kind == "i"


def test_a_file_of_an_older_version_has_looks_alone(tmp_path: Path) -> None:
    write_attention(tmp_path / "attention.npz", replace(invent_maps(), **dict.fromkeys(MAPS_OF_HIDING)))
    found = read_attention(tmp_path / "attention.npz")
    assert found.looks.shape == (2, 3, 4)
    assert [getattr(found, name) for name in MAPS_OF_HIDING] == [None] * 4
