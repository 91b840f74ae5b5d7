"""The desk of a run: doubtful labels of all parts, unsure answers and photos unlike the rest, to decide about."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcn_cli.errors import command
from pcn_cli.metrics.nearest import find_nearest
from pcn_cli.records.decisions import Decision
from pcn_cli.records.desk import MOST_CARDS, Card, Desk, Near
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import PhotoFeatures
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.features import read_features
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import DECISIONS, DESK, read_recipe

DOUBTED, UNLIKE, UNSURE = "label in doubt", "unlike the others", "unsure"
UNSURE_SHARE = 0.05  # of the test photos, the least sure


def gather_desk(evaluation: Evaluation) -> Desk | None:
    """What is to be decided about the photos of a run; None where they may have several labels, or nothing is.

    A queue of unlabelled photos was put into the run when it was made.
    """
    run = evaluation.run
    made = DESK.find(run)
    if made is not None or not evaluation.rows or any(row.multi_label for row in evaluation.rows):
        return made
    rows = {row.file: row for row in evaluation.rows}
    decided = {one.photo for one in DECISIONS.read(run)}
    cards = {
        card.file: card
        for card in (*_strange(evaluation, rows), *_unsure(evaluation, rows), *_doubted(evaluation, rows))
        if card.sha256 not in decided and card.file not in decided
    }
    if not cards:
        return None
    ordered = sorted(cards.values(), key=_urgency)
    shown = ordered[:MOST_CARDS]
    known = read_features(run.features) if run.features.is_file() else None
    return Desk(
        cards=tuple(with_neighbours(shown, known) if known else shown),
        classes=tuple(sorted({row.label for row in evaluation.rows})),
        command=next_command(run),
        more=len(ordered) - len(shown),
    )


def next_command(run: RunDir, *, photos: str | Path = "") -> str:
    """What to type with a saved table: a training that begins with the run."""
    place = as_typed(Path(photos or read_record(run).photos))
    boxes = read_recipe(run).data.crop_boxes if run.crops.is_dir() else None
    cropping = ("--crop-boxes", as_typed(Path(boxes))) if boxes else ()
    return command("finetune", place, *cropping, "--model", as_typed(run.root), "--decisions", Decision.ARTIFACT)


def as_typed(path: Path) -> str:
    """The path as seen from here where it lies below, otherwise absolute."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are named
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)


def with_neighbours(cards: Sequence[Card], known: PhotoFeatures) -> list[Card]:
    """The cards of known photos, each with the other photos most like it, of its label and of what it looks like."""
    places = {row.file: place for place, row in enumerate(known.rows)}
    there = [card for card in cards if card.file in places]
    own = [places[card.file] for card in there]
    found = find_nearest(
        known.features[own],
        [(card.label, card.looks_like) for card in there],
        known=known.features,
        labels=[row.label for row in known.rows],
        own=own,
    )
    near = {card.file: _name(known.rows, each) for card, each in zip(there, found, strict=True)}
    return [replace(card, near=near.get(card.file, ())) for card in cards]


def _name(rows: Sequence[SplitRow], places: Iterable[int]) -> tuple[Near, ...]:
    return tuple(Near(file=rows[place].file, label=rows[place].label) for place in places)


def _doubted(evaluation: Evaluation, rows: dict[str, SplitRow]) -> list[Card]:
    return [
        Card(
            file=one.file,
            sha256=rows[one.file].sha256,
            split=one.split,
            label=one.label,
            looks_like=one.suggested,
            p_label=one.p_label,
            p_looks_like=one.p_suggested,
            why=DOUBTED,
        )
        for one in evaluation.suspects
        if one.file in rows
    ]


def _unsure(evaluation: Evaluation, rows: dict[str, SplitRow]) -> list[Card]:
    """The test photos whose answers are least sure."""
    count = int(np.ceil(UNSURE_SHARE * len(evaluation.predictions)))
    least = sorted(evaluation.predictions, key=lambda one: one.confidence)[:count]
    return _cards_of(evaluation, [one.file for one in least], rows, why=UNSURE)


def _strange(evaluation: Evaluation, rows: dict[str, SplitRow]) -> list[Card]:
    """The test photos that are unlike anything learned."""
    return _cards_of(evaluation, [one.file for one in evaluation.predictions if one.is_unlike], rows, why=UNLIKE)


def _cards_of(evaluation: Evaluation, files: Sequence[str], rows: dict[str, SplitRow], *, why: str) -> list[Card]:
    """The cards of test photos that were answered."""
    said = {one.file: one for one in evaluation.predictions}
    return [
        Card(
            file=file,
            sha256=rows[file].sha256,
            split=rows[file].split,
            label=rows[file].label,
            looks_like=said[file].predicted,
            p_label=dict(zip(evaluation.classes, said[file].probabilities, strict=True)).get(rows[file].label),
            p_looks_like=said[file].confidence,
            why=why,
        )
        for file in files
        if file in rows
    ]


def _urgency(card: Card) -> tuple[int, float, str]:
    """Doubtful labels first, the least probable before the others, then what is unlike, then what is unsure."""
    return ([DOUBTED, UNLIKE, UNSURE].index(card.why), card.p_label or 0.0, card.file)
