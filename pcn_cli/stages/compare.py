"""Compare: two runs on the test photos that both have measured, told by their content."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.errors import DataError, PcnError, RunError, command
from pcn_cli.files.atomic import write_text
from pcn_cli.metrics.comparison import find_differences, mcnemar, tell_verdict
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.evaluation import Comparison, Flip
from pcn_cli.records.predictions import Prediction
from pcn_cli.report.comparison import FlipPictures, render_comparison
from pcn_cli.report.write import as_webp
from pcn_cli.runs.predictions import read_predictions
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import read_split

MOST_SHOWN = 60  # photos of each kind on the page
PICTURE_SIDE = 288
ByPhoto = dict[tuple[str, str], list[Prediction]]  # by the hash of the photo's content and its label


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
    names = Path(first).name, Path(second).name
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
    )


def write_comparison(comparison: Comparison, output: str | Path | None = None) -> Path:
    """The path of a page with the photos that the runs answer differently, the maps of both side by side.

    It is `output`, or lies beside the second run.

    Raises:
        ResourceError: it cannot be written.
    """
    runs = open_run(comparison.first), open_run(comparison.second)
    names = [run.root.resolve().name for run in runs]
    page = Path(output) if output else runs[1].root.parent / f"compare-{names[0]}-{names[1]}.html"
    overlays = [_find_overlays(run) for run in runs]
    hashes = {row.file: row.sha256 for row in read_split(runs[0])}
    root, counts, shown = photo_root(runs[0]), Counter[str](), list[FlipPictures]()
    for flip in comparison.flips:
        counts[flip.right] += 1
        if counts[flip.right] > MOST_SHOWN:
            continue
        photo = (hashes[flip.file], flip.label)
        pictures = [_draw(own.get(photo), root / flip.file) for own in overlays]
        shown.append(FlipPictures(flip=flip, first=pictures[0], second=pictures[1]))
    write_text(page, render_comparison(comparison, shown))
    return page


def _find_overlays(run: RunDir) -> dict[tuple[str, str], Path]:
    """Where the map of each photo is drawn, by the hash of its content and its label; not all have one."""
    hashes = {row.file: row.sha256 for row in read_split(run)}
    predictions, _ = read_predictions(run.predictions)
    paths = {
        (hashes[one.file], one.label): run.overlay(index, one.file)
        for index, one in enumerate(predictions)
        if one.file in hashes
    }
    return {photo: path for photo, path in paths.items() if path.is_file()}


def _draw(overlay: Path | None, photo: Path) -> bytes | None:
    """The drawn map, or where there is none the photo itself; None where neither can be opened."""
    try:
        with Image.open(overlay) if overlay else open_reduced(photo).image as picture:
            return as_webp(picture, longest=PICTURE_SIDE)[0]
    except (PcnError, OSError):
        return None


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
