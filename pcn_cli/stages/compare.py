"""Compare: two runs on the test photos that both have measured, told by their content."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from pcn_cli.attention.geometry import display_size
from pcn_cli.attention.maps import full_lift, lift_maps
from pcn_cli.attention.overlay import draw_overlay
from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.errors import DataError, PcnError, RunError, command
from pcn_cli.files.atomic import write_text
from pcn_cli.metrics.comparison import find_differences, mcnemar, tell_verdict
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.evaluation import Comparison, Flip
from pcn_cli.records.model import Placement
from pcn_cli.records.predictions import FULL_LIFT, Prediction
from pcn_cli.report.comparison import FlipPictures, Side, kind_of, render_comparison
from pcn_cli.report.pictures import as_webp
from pcn_cli.runs.predictions import read_attention, read_predictions
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import TRUST, read_split

MOST_SHOWN = 60  # photos of each kind on the page
PICTURE_SIDE = 352
LEAST_FULL = 1.1  # times an even spread: the lift drawn at full strength where hardly anything stands out
PhotoKey = tuple[str, str]  # the hash of a photo's content, and its label
ByPhoto = dict[PhotoKey, list[Prediction]]


@checked
def compare_runs(first: str | Path, second: str | Path, *, seed: int = 0) -> Comparison:
    """What the run `second` does better or worse than `first` on the test photos of both.

    Photos are the same where their content and their label are, whatever their names and wherever they lie.

    Raises:
        RunError: there is no such run, or it holds no evaluation.
        DataError: the runs have other classes, several labels per photo, or no test photo in common.
    """
    (classes, one), (other_classes, other) = _read_run(Path(first)), _read_run(Path(second))
    if set(classes) != set(other_classes):
        own = (first, set(classes) - set(other_classes)), (second, set(other_classes) - set(classes))
        lines = [f"only {open_run(run).root} has {', '.join(sorted(names))}" for run, names in own if names]
        raise DataError(f"the runs have other classes: {'; '.join(lines)}", "compare runs of the same classes")
    # In the order of the first; a copy has a pair for each time that both have it.
    pairs = [
        pair for photo, predictions in one.items() for pair in zip(predictions, other.get(photo, ()), strict=False)
    ]
    if not pairs:
        measure = " and ".join(command("evaluate", run, "--images", "PHOTOS") for run in (first, second))
        raise DataError(
            f"{first} and {second} have no test photo in common", f"measure both on the same photos: {measure}"
        )
    left = _inputs([pair[0] for pair in pairs], classes, classes, seed=seed)
    right = _inputs([pair[1] for pair in pairs], other_classes, classes, seed=seed)
    first_right, second_right, p_value = mcnemar(left, right)
    names = name_run(first), name_run(second)
    if names[0] == names[1]:
        names = str(first), str(second)
    return Comparison(
        first=str(first),
        second=str(second),
        photos=len(pairs),
        only_first=sum(map(len, one.values())) - len(pairs),
        only_second=sum(map(len, other.values())) - len(pairs),
        differences=find_differences(left, right),
        first_right=first_right,
        second_right=second_right,
        p_value=p_value,
        verdict=tell_verdict(
            *names, photos=len(pairs), only_first=first_right, only_second=second_right, p_value=p_value
        ),
        flips=tuple(_flips(pairs)),
        still_wrong=tuple(
            Flip(file=one.file, label=one.label, first=one.predicted, second=other.predicted, right="")
            for one, other in pairs
            if one.predicted == other.predicted and not one.correct
        ),
    )


def name_run(run: str | Path) -> str:
    """The name of a run's folder, also where its path ends in none, as `.` does."""
    path = Path(run)
    return path.name if path.name not in ("", "..") else path.resolve().name


def write_comparison(comparison: Comparison, output: str | Path | None = None) -> Path:
    """The path of a page with the photos that a run has wrong, the maps of both side by side.

    It is `output`, or lies beside the second run.

    Raises:
        ResourceError: it cannot be written.
    """
    runs = open_run(comparison.first), open_run(comparison.second)
    names = [run.root.resolve().name for run in runs]
    page = Path(output) if output else runs[1].root.parent / f"compare-{names[0]}-{names[1]}.html"
    sides = [RunMaps(run, page.parent) for run in runs]
    hashes = {row.file: row.sha256 for row in read_split(runs[0])}
    root, counts, shown = photo_root(runs[0]), Counter[str](), list[FlipPictures]()
    for flip in (*comparison.flips, *comparison.still_wrong):
        counts[kind_of(flip)] += 1
        if counts[kind_of(flip)] <= MOST_SHOWN:
            photo = _open(root / flip.file)
            first, second = (side.show((hashes[flip.file], flip.label), photo) for side in sides)
            shown.append(FlipPictures(flip=flip, first=first, second=second))
    reports = [side.report for side in sides]
    evenly = [name for name, side in zip(names, sides, strict=True) if side.evenly]
    write_text(page, render_comparison(comparison, shown, names=names, reports=reports, evenly=evenly))
    return page


class RunMaps:
    """What a run looked at on its test photos, for a page in the folder `beside`; found by content and label.

    Where it looks everywhere alike, the evidence for its answers takes the place of its looks.
    """

    def __init__(self, run: RunDir, beside: Path) -> None:
        self._run, self._hashes = run, {row.file: row.sha256 for row in read_split(run)}
        predictions, _ = read_predictions(run.predictions)
        self._rows = {
            (self._hashes[one.file], one.label): (row, one.file)
            for row, one in enumerate(predictions)
            if one.file in self._hashes
        }
        self._maps = read_attention(run.attention) if run.attention.is_file() else None
        self._places = {file: place for place, file in enumerate(self._maps.files)} if self._maps else {}
        self._full = full_lift(map(lift_maps, self._maps.looks)) if self._maps else FULL_LIFT
        trust = TRUST.find(run)
        self.evenly = trust is not None and any(check.key == "even_look" for check in trust.checks)
        page = run.report / "index.html"
        # Relative, so that a folder of runs that is moved or sent keeps its links.
        self.report = quote(Path(os.path.relpath(page, beside)).as_posix()) if page.is_file() else ""

    def show(self, photo: PhotoKey, picture: Image.Image | None) -> Side:
        """The photo with this run's map, as far as both are at hand, and where its report shows it."""
        row, file = self._rows[photo]
        drawn = self._draw(file, picture) if picture is not None else self._find_overlay(row, file)
        shown = as_webp(drawn, longest=PICTURE_SIDE)[0] if drawn is not None else None
        return Side(picture=shown, link=f"{self.report}#gallery?photo={row}" if self.report else "")

    def _draw(self, file: str, picture: Image.Image) -> Image.Image:
        if self._maps is None or file not in self._places:
            return picture
        at = self._places[file]
        small, placement = _shrink(picture, self._maps.placements[at])
        grid = self._maps.patch_grid
        lift, full = lift_maps(self._maps.looks[at]), self._full
        if self.evenly and self._maps.evidence is not None:
            speaking = np.maximum(self._maps.evidence[at, 0], 0)
            lift = speaking / (float(speaking.mean()) or 1.0)
            full = max(float(lift.max()), LEAST_FULL)  # on a scale of its own, as in the report
        return draw_overlay(small, lift, patch_grid=grid, placement=placement, full=full)

    def _find_overlay(self, row: int, file: str) -> Image.Image | None:
        """The map as it was drawn when the photo was still there."""
        try:
            with Image.open(self._run.overlay(row, file)) as picture:
                return picture.convert("RGB")
        except OSError:
            return None


def _open(path: Path) -> Image.Image | None:
    """The photo with at least twice as many pixels as are shown; None where it cannot be opened any more."""

    def least(width: int, height: int) -> tuple[float, float]:
        scale = 2 * PICTURE_SIDE / max(width, height)
        return scale * width, scale * height

    try:
        return open_reduced(path, least, load_truncated=True).image
    except (PcnError, OSError):
        return None


def _shrink(photo: Image.Image, placement: Placement) -> tuple[Image.Image, Placement]:
    """The photo as large as it is shown, so that lines keep their width, and where the input lies on it then."""
    width, height = display_size(placement, longest=PICTURE_SIDE)
    across, down = width / placement.width, height / placement.height
    left, top, right, bottom = placement.box
    box = (left * across, top * down, right * across, bottom * down)
    small = photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small, replace(placement, width=width, height=height, box=box)


def _read_run(path: Path) -> tuple[tuple[str, ...], ByPhoto]:
    """The classes of a run and what it said of its test photos."""
    run = open_run(path)
    record = read_record(run)
    if "evaluate" not in record.stages or not (run.predictions.is_file() and run.split.is_file()):
        unfinished = record.kind == "train" and "train" not in record.stages
        hint = command("finetune", "--resume", path) if unfinished else command("evaluate", path)
        if record.kind == "predict":
            hint = "measure labelled photos with `pcn evaluate RUN --images PHOTOS`"
        raise RunError(f"{path} holds no evaluation", hint)
    hashes = {row.file: row.sha256 for row in read_split(run)}
    found: defaultdict[tuple[str, str], list[Prediction]] = defaultdict(list)
    try:
        predictions, classes = read_predictions(run.predictions)
        if any(prediction.multi_label for prediction in predictions):
            message = f"the photos of {path} may have several labels, and such runs are not compared"
            raise DataError(message, "look at the metrics.json of both")
        for prediction in predictions:
            found[hashes[prediction.file], prediction.label].append(prediction)
    except (KeyError, ValueError) as error:
        raise RunError(f"{run.predictions} is damaged: {error}", command("evaluate", path)) from error
    return classes, found


def _inputs(predictions: Sequence[Prediction], own: Sequence[str], classes: Sequence[str], *, seed: int) -> SingleLabel:
    """The predictions of a model whose classes are in the order `own`, brought into the order of `classes`."""
    order = [own.index(name) for name in classes]
    probabilities = np.array([prediction.probabilities for prediction in predictions])[:, order]
    return SingleLabel([prediction.label for prediction in predictions], probabilities, classes, seed=seed)


def _flips(pairs: Sequence[tuple[Prediction, Prediction]]) -> list[Flip]:
    """The photos that get two answers: those that the second alone has right, then the first alone, then neither."""
    flips = [
        Flip(
            file=one.file,
            label=one.label,
            first=one.predicted,
            second=other.predicted,
            right="second" if other.correct else "first" if one.correct else "",
        )
        for one, other in pairs
        if one.predicted != other.predicted
    ]
    return sorted(flips, key=lambda flip: ("second", "first", "").index(flip.right))
