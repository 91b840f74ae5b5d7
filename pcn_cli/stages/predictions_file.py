"""predictions.csv and .jsonl: one row per photo: its probabilities, the numbers of its map and of hiding patches."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from pcn_cli.files.atomic import read_csv, write_csv, write_text
from pcn_cli.records.predictions import AttentionNumbers, HidingNumbers, Prediction

_FIXED = ("file", "split", "label", "predicted", "confidence", "correct")


def write_predictions(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Put `predictions` at `path` as a table; `correct` is 1 or 0, empty where there is no label."""
    header = (*_FIXED, *(f"p_{name}" for name in classes), *AttentionNumbers.names(), *HidingNumbers.names())
    write_csv(path, header, (_row(prediction) for prediction in predictions))


def write_jsonl(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Put `predictions` at `path` as one JSON object a line."""
    lines = []
    for prediction in predictions:
        fixed = {name: getattr(prediction, name) for name in _FIXED}
        numbers = {name: getattr(prediction.attention, name) for name in AttentionNumbers.names()}
        hiding = {name: getattr(prediction.hiding, name, None) for name in HidingNumbers.names()}
        probabilities = dict(zip(classes, prediction.probabilities, strict=True))
        lines.append(json.dumps({**fixed, "probabilities": probabilities, **numbers, **hiding}, allow_nan=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_predictions(path: Path) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
    """The predictions and the classes that `write_predictions` was given; older tables lack what hiding does."""
    numbers = AttentionNumbers.names()
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file))
    hiding = HidingNumbers.names()
    behind = len(numbers) + (len(hiding) if tuple(header[-len(hiding) :]) == hiding else 0)
    classes = tuple(name.removeprefix("p_") for name in header[len(_FIXED) : len(header) - behind])
    return tuple(_prediction(row, classes, numbers) for row in read_csv(path)), classes


def _row(prediction: Prediction) -> list[str | float | int]:
    correct = "" if prediction.correct is None else int(prediction.correct)
    return [
        prediction.file,
        prediction.split,
        prediction.label,
        prediction.predicted,
        prediction.confidence,
        correct,
        *prediction.probabilities,
        *(getattr(prediction.attention, name) for name in AttentionNumbers.names()),
        *(prediction.hiding.cells() if prediction.hiding else [""] * len(HidingNumbers.names())),
    ]


def _prediction(row: dict[str, str], classes: Sequence[str], numbers: Sequence[str]) -> Prediction:
    return Prediction(
        file=row["file"],
        split=row["split"],
        label=row["label"],
        predicted=row["predicted"],
        confidence=float(row["confidence"]),
        probabilities=tuple(float(row[f"p_{name}"]) for name in classes),
        attention=AttentionNumbers(**{name: float(row[name]) for name in numbers}),
        hiding=HidingNumbers.from_cells(row),
    )
