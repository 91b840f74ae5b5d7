"""Shift: whether new photos are like those that a run was measured on, what differs, and which show it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.data.looks import measure_looks
from pcn_cli.errors import PcnError
from pcn_cli.metrics.shift import (
    FEWEST,
    LEVEL,
    SHOWN,
    compare_photos,
    find_class_shifts,
    find_differing,
    tell_shift,
)
from pcn_cli.records.predictions import Prediction
from pcn_cli.records.shift import Differing, Shift
from pcn_cli.runs.features import read_features
from pcn_cli.runs.predictions import read_predictions
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import SHIFT

_LOOKED_AT = 200  # photos of each side whose light and shape are measured


def check_shift(
    run: RunDir, source: RunDir, predictions: Sequence[Prediction], features: Sequence[np.ndarray], *, root: Path
) -> Shift | None:
    """How the photos below `root`, answered in `predictions`, compare with those `source` was measured on.

    It is written into `run`. None where the run keeps no features of its model, as one whose trunk was tuned, or where
    the photos of one side are fewer than can be compared.
    """
    record = read_record(source)
    if not source.features.is_file() or record.kept == "tuned" or len(predictions) < FEWEST:
        return None
    known = read_features(source.features)
    places = [place for place, row in enumerate(known.rows) if row.split != "train"]
    if len(places) < FEWEST:
        return None
    p_value, speaks = compare_photos(known.features[places], np.array(features), seed=0)
    classes = _class_shifts(source, predictions)
    found, unlike = p_value < LEVEL or bool(classes), [one.is_unlike for one in predictions if one.unlike is not None]
    files = [one.file for one in predictions]
    shift = Shift(
        photos=len(predictions),
        reference=len(places),
        p_value=p_value,
        found=found,
        unlike=float(np.mean(unlike)) if unlike else None,
        differing=_differing(source, [known.rows[place].file for place in places], root, files) if found else (),
        classes=classes,
        shows=tuple(files[place] for place in np.argsort(-speaks, kind="stable")[:SHOWN]) if found else (),
        sentence="",
    )
    shift = replace(shift, sentence=tell_shift(shift))
    SHIFT.write(run, shift)
    return shift


def _differing(source: RunDir, known: Sequence[str], root: Path, files: Sequence[str]) -> tuple[Differing, ...]:
    photos, rng = photo_root(source), np.random.default_rng(0)
    sides = [
        [top / group[place] for place in rng.permutation(len(group))[:_LOOKED_AT]]
        for group, top in ((known, photos), (files, root))
    ]
    before, now = (measure_looks(paths, lambda path: open_reduced(path, load_truncated=True).image) for paths in sides)
    return find_differing(before, now)


def _class_shifts(source: RunDir, predictions: Sequence[Prediction]) -> tuple[Differing, ...]:
    """The classes answered more or less often than on the test photos of the run."""
    try:
        said, classes = read_predictions(source.predictions)
    except (PcnError, OSError, ValueError, KeyError, StopIteration):
        return ()
    return find_class_shifts([one.predicted for one in said], [one.predicted for one in predictions], classes)
