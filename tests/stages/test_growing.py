"""A run that begins with another one: known photos are not computed again, and old and new classes are told apart."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.files.atomic import read_csv
from pcn_cli.files.folder import PICTURE_CACHE, TOKEN_CACHE, cache_folder
from pcn_cli.runs.features import read_features
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.runs import TOKENS, clean_runs
from pcn_cli.stages.train import tokens

SMALL = {
    "tune": "probe",
    "settings": ["data.size=64", "explain.checks=0", "explain.overlays=0", "report.picture_cache=0"],
}


class Notes(Callback):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


@pytest.fixture
def computed(monkeypatch):
    """The files whose tokens were computed, by part."""
    seen, share = [], tokens.share_tokens

    def spy(model, rows, context, **options):
        seen.extend(row.file for row in rows)
        return share(model, rows, context, **options)

    monkeypatch.setattr(tokens, "share_tokens", spy)
    return seen


def add_photos(folder, label, numbers, channel):
    (folder / label).mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 120, (48, 56, 3), dtype=np.uint8)
        pixels[..., channel] += 100
        Image.fromarray(pixels).save(folder / label / f"{number:02}.jpg", quality=90)


def test_a_run_grows_by_a_class_and_loses_one(photo_folder, computed):
    first = RunDir(pcn_cli.finetune(photo_folder, model="nano", **SMALL).run)
    known = {row.sha256: row for row in read_split(first)}
    assert sorted(computed) == sorted(row.file for row in known.values())
    computed.clear()
    add_photos(photo_folder, "yellow", range(50, 58), slice(0, 2))
    add_photos(photo_folder, "red", range(60, 62), 0)
    told = Notes()
    plan = pcn_cli.finetune(photo_folder, model=first.root, dry_run=True, **SMALL).plan
    assert plan.plain()["known"] == sum(plan.known.values()) == len(known)
    assert plan.seconds() < replace(plan, known={}).seconds()
    outcome = pcn_cli.finetune(photo_folder, model=first.root, callback=told, **SMALL)
    grown = RunDir(outcome.run)
    rows = read_split(grown)
    fresh = [row for row in rows if row.sha256 not in known]
    assert len(fresh) == 10
    assert sorted(computed) == sorted(row.file for row in fresh)
    assert (
        f"tokens of {len(known)} photos are known from earlier runs; those of 10 new photos are computed" in told.notes
    )
    assert all(known[row.sha256].split == row.split for row in rows if row.sha256 in known)
    before, now = (
        dict(zip((row.sha256 for row in found.rows), found.features, strict=True))
        for found in map(read_features, (first.features, grown.features))
    )
    assert all(np.array_equal(before[digest], now[digest]) for digest in known)
    assert (outcome.change.new_classes, outcome.change.photos) == (("yellow",), len(read_csv(first.predictions)))
    own = [row for row in rows if row.split == "test" and row.label == "yellow"]
    assert f"new class yellow: {outcome.change.new_right} of {len(own)}" in outcome.change.sentence
    assert "old classes " in outcome.change.sentence
    # A class less: nothing is computed at all, and the rest is measured on the same photos.
    computed.clear()
    for path in (photo_folder / "blue").iterdir():
        path.unlink()
    (photo_folder / "blue").rmdir()
    less = pcn_cli.finetune(photo_folder, model=grown.root, callback=told, **SMALL)
    assert computed == []
    assert less.change.dropped_classes == ("blue",)
    left = [row for row in read_csv(grown.predictions) if row["label"] != "blue"]
    assert less.change.photos == len(left)
    assert "dropped: blue" in less.change.sentence
    assert cache_folder(TOKEN_CACHE).is_dir()
    assert not cache_folder(PICTURE_CACHE).exists()
    assert TOKENS in [one.name for one in clean_runs(really=True)]
    assert not cache_folder(TOKEN_CACHE).exists()
