"""predictions.csv and .jsonl: a row per photo: its probabilities, the numbers of its map and of hiding patches.

Where photos may have several labels, `label` and `predicted` join them, and a column tells how many labels are wrong.
The maps themselves are in attention.npz, with where they lie on the photos.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcn_cli.files.atomic import read_csv, write_csv, write_text, write_with
from pcn_cli.records.codec import Cell, field_names, from_cells, to_cells
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionMaps, AttentionNumbers, HidingNumbers, Prediction

_FIXED = ("file", "split", "label", "predicted", "confidence", "correct")
_WRONG = "wrong_labels"  # how many are missing or too many; stands only in tables of several labels
_UNKNOWN = "unknown"  # stands only in tables of models that have a threshold
_UNLIKE = "unlike"  # stands last, and only in tables of models that remember what they learned from
_ATTENTION, _HIDING = field_names(AttentionNumbers), field_names(HidingNumbers)


def write_predictions(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Put `predictions` at `path` as a table; `correct` is 1 or 0, empty where there is no label."""
    several = any(prediction.multi_label for prediction in predictions)
    withheld = any(prediction.unknown is not None for prediction in predictions)
    fixed = (*_FIXED, *[_WRONG] * several, *[_UNKNOWN] * withheld)
    header = (*fixed, *(f"p_{name}" for name in classes), *_ATTENTION, *_HIDING)
    if any(prediction.unlike is not None for prediction in predictions):
        write_csv(path, (*header, _UNLIKE), ([*_row(one), one.unlike] for one in predictions))
    else:
        write_csv(path, header, map(_row, predictions))


def write_jsonl(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Put `predictions` at `path` as a JSON object a line."""
    lines = []
    for prediction in predictions:
        fixed = {name: getattr(prediction, name) for name in _FIXED}
        if prediction.multi_label:
            fixed |= {
                "label": prediction.labels if prediction.split else None,
                "predicted": prediction.predicted_labels,
            }
        if prediction.unknown is not None:
            fixed[_UNKNOWN] = prediction.unknown
        numbers = {name: getattr(prediction.attention, name) for name in _ATTENTION}
        hiding = {name: getattr(prediction.hiding, name, None) for name in _HIDING}
        probabilities = dict(zip(classes, prediction.probabilities, strict=True))
        unlike = {} if prediction.unlike is None else {_UNLIKE: prediction.unlike}
        facts = {**fixed, "probabilities": probabilities, **numbers, **hiding, **unlike}
        lines.append(json.dumps(facts, allow_nan=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_predictions(path: Path) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
    """The predictions and the classes that `write_predictions` was given.

    Older tables lack what hiding does, or have a column more of it.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file))
    several, withheld = header[len(_FIXED)] == _WRONG, header[len(_FIXED)] == _UNKNOWN
    first = len(_FIXED) + (several or withheld)  # a model of several labels has no threshold to withhold by
    classes = tuple(name.removeprefix("p_") for name in header[first : header.index(_ATTENTION[0])])
    predictions = tuple(
        Prediction(
            file=row["file"],
            split=row["split"],
            label=row["label"],
            predicted=row["predicted"],
            confidence=float(row["confidence"]),
            probabilities=tuple(float(row[f"p_{name}"]) for name in classes),
            multi_label=several,
            attention=from_cells(AttentionNumbers, row),
            hiding=from_cells(HidingNumbers, row) if row.get("deletion_auc") else None,
            unknown=row[_UNKNOWN] == "1" if _UNKNOWN in row else None,
            unlike=float(row[_UNLIKE]) if row.get(_UNLIKE) else None,
        )
        for row in read_csv(path)
    )
    return predictions, classes


def _row(prediction: Prediction) -> list[Cell]:
    correct = prediction.correct
    wrong = "" if correct is None else len(set(prediction.labels) ^ set(prediction.predicted_labels))
    return [
        *(getattr(prediction, name) for name in _FIXED[:-1]),
        "" if correct is None else int(correct),
        *([wrong] if prediction.multi_label else []),
        *([] if prediction.unknown is None else [int(prediction.unknown)]),
        *prediction.probabilities,
        *to_cells(prediction.attention),
        *(to_cells(prediction.hiding) if prediction.hiding else [""] * len(_HIDING)),
    ]


# What AttentionMaps may lack, as it is stored.
_MAPS = {
    "evidence": np.float16,
    "evidence_classes": np.int32,
    "deletion": np.float16,
    "insertion": np.float16,
    "class_looks": np.float16,
}


def write_attention(path: Path, maps: AttentionMaps) -> None:
    """Put `maps` at `path` without pickled objects; maps and curves are stored as float16."""
    first, grid = maps.placements[0], maps.patch_grid
    arrays = {
        "files": np.array([file.encode("utf-8", "surrogateescape") for file in maps.files], dtype=np.bytes_),
        "look": maps.looks.astype(np.float16),
        "photo_size": np.array([(p.width, p.height) for p in maps.placements], dtype=np.int32),
        "box": np.array([p.box for p in maps.placements], dtype=np.float64),
        "input_size": np.array((first.input_width, first.input_height), dtype=np.int32),
        "patch_grid": np.array((grid.stride, grid.offset, grid.left), dtype=np.float64),
    }
    found = {name: getattr(maps, name) for name in _MAPS}
    arrays |= {name: values.astype(_MAPS[name]) for name, values in found.items() if values is not None}
    write_with(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def read_attention(path: Path) -> AttentionMaps:
    """The maps and curves that `write_attention` was given, to half precision."""
    with np.load(path, allow_pickle=False) as arrays:
        input_width, input_height = arrays["input_size"].tolist()
        placements = tuple(
            Placement(width=width, height=height, input_width=input_width, input_height=input_height, box=tuple(box))
            for (width, height), box in zip(arrays["photo_size"].tolist(), arrays["box"].tolist(), strict=True)
        )
        stride, offset, *others = arrays["patch_grid"].tolist()  # no others in runs of older versions
        left = next((one for one in others if one != offset), None)
        optional = {name: arrays[name] for name in _MAPS if name in arrays}
        return AttentionMaps(
            files=tuple(name.decode("utf-8", "surrogateescape") for name in arrays["files"].tolist()),
            looks=arrays["look"].astype(np.float32),
            placements=placements,
            patch_grid=PatchGrid(stride=stride, offset=offset, offset_x=left),
            **{name: maps.astype(np.float32) if maps.dtype == np.float16 else maps for name, maps in optional.items()},
        )
