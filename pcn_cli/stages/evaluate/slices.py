"""What is known of each measured photo beside its class, and which kinds of photos are answered worse."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.data.looks import measure_brightness
from pcn_cli.data.scan.further_columns import read_further_columns
from pcn_cli.metrics.slices import MOST_VALUES, Fact, measure_slices
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.records.slices import Slices
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import SLICES

MOST_LOOKED_AT = 2_000  # photos whose brightness is measured
_LEAST_SIDE = 64  # pixels, of what is decoded of them


def write_slices(
    run: RunDir, predictions: Sequence[Prediction], rows: Sequence[SplitRow], scan: Scan, *, root: Path, recipe: Recipe
) -> Slices | None:
    """The slices, now in the run; None where photos may have several labels."""
    if any(prediction.multi_label for prediction in predictions):
        return None
    facts = gather_facts(predictions, rows, scan, root=root, recipe=recipe)
    wrong, labels = [not one.correct for one in predictions], [one.label or "" for one in predictions]
    slices = measure_slices(wrong, labels, facts)
    SLICES.write(run, slices)
    return slices


def gather_facts(
    predictions: Sequence[Prediction], rows: Sequence[SplitRow], scan: Scan, *, root: Path, recipe: Recipe
) -> dict[str, Fact]:
    """By name what is known of each photo: folder, group, sizes, brightness and the columns of a table."""
    files = [one.file for one in predictions]
    groups, photos = {row.file: row.group for row in rows}, {photo.file: photo for photo in scan.photos}
    facts: dict[str, Fact] = {
        "folder": [_folder_below(one.file, one.label) for one in predictions],
        "group": [groups.get(file) or None for file in files],
        "file size in kB": [_kilobytes(root / file) for file in files],
        "picture size in pixels": [
            float(photos[file].width * photos[file].height) if file in photos else None for file in files
        ],
        "brightness": list(_brightness(root, files, seed=recipe.seed)),
    }
    for name, said in read_further_columns(root, recipe.data, group_by=recipe.split.group_by).items():
        facts[f"column {name}"] = _as_numbers([said.get(file) for file in files])
    return facts


def _folder_below(file: str, label: str) -> str | None:
    """The folder of a photo, without the one that names its class."""
    folders = PurePosixPath(file).parent.parts
    named = PurePosixPath(label).parts
    if folders[-len(named) :] == named or folders[: len(named)] == named:
        at = 0 if folders[: len(named)] == named else len(folders) - len(named)
        folders = folders[:at] + folders[at + len(named) :]
    return "/".join(folders) or None


def _kilobytes(path: Path) -> float | None:
    try:
        return path.stat().st_size / 1000
    except OSError:
        return None


def _brightness(root: Path, files: Sequence[str], *, seed: int) -> Iterator[float | None]:
    """How bright each photo is, from 0 to 1; of very many those of a sample."""
    chosen = set(np.random.default_rng(seed).permutation(len(files))[:MOST_LOOKED_AT].tolist())
    for place, file in enumerate(files):
        yield measure_brightness(root / file, _open) if place in chosen else None


def _open(path: Path) -> Image.Image:
    return open_reduced(path, lambda *_: (_LEAST_SIDE, _LEAST_SIDE), load_truncated=True).image


def _as_numbers(cells: Sequence[str | None]) -> Fact:
    """The cells of a column, as numbers where all of them are and there are many of them."""
    if len(set(cells) - {None}) <= MOST_VALUES:
        return cells
    try:
        return [None if cell is None else float(cell.replace(",", ".")) for cell in cells]
    except ValueError:
        return cells
