"""Photos of two parts that look like one scene are told, and stay where they are."""

import json

import numpy as np

import pcn_cli
from pcn_cli.files.atomic import read_csv
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import NEIGHBOURS
from pcn_cli.stages.train.tokens import tie_neighbours


def test_only_pairs_across_parts_are_kept_and_they_come_back(tmp_path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (60, 16)).astype(np.float32)
    features[5], features[7] = features[3] + 0.01, features[4] + 0.01
    parts = ["train"] * 5 + ["test"] + ["train"] * 54
    rows = [
        SplitRow(file=f"{n}.jpg", label="a" if n < 30 else "b", split=part, sha256=str(n))
        for n, part in enumerate(parts)
    ]
    run = RunDir(tmp_path)
    assert NEIGHBOURS.read(run) == ()
    NEIGHBOURS.write(run, tie_neighbours(rows, features, np.arange(60)))
    (tie,) = NEIGHBOURS.read(run)
    assert (tie.kind, tie.part, tie.file, tie.other_part, tie.other) == ("alike", "train", "3.jpg", "test", "5.jpg")


def test_a_run_tells_its_pairs_and_leaves_the_parts_as_they_are(photo_folder, tiny_weights, monkeypatch) -> None:
    monkeypatch.setattr("pcn_cli.stages.train.tokens.find_neighbours", lambda *_: [(0, 30), (0, 1)])
    settings = ["train.probe_epochs=1", "explain.overlays=0"]
    run = RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=settings).run)
    (pair,) = read_csv(run.neighbours)  # the other pair trains
    (finding,) = (f for f in json.loads(run.findings.read_text()) if "one scene" in f["title"])
    assert finding["severity"] == "warning"
    assert finding["evidence"] == f"train {pair['file']} ≈ {pair['other_part']} {pair['other']}."
    parts = {row["file"]: row["split"] for row in read_csv(run.split)}
    assert (parts[pair["file"]], parts[pair["other"]]) == ("train", pair["other_part"])
