"""Every artifact comes back from a run as it was written; what is damaged is named."""

import json
from pathlib import Path

import pytest

from pcn_cli.data.boxes.read import read_boxes
from pcn_cli.errors import RunError
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.photos import Box, Photo, Scan, Tie
from pcn_cli.records.predictions import FoldAnswer, Suspect
from pcn_cli.records.run import EpochRow
from pcn_cli.runs import store
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import (
    CURVES,
    HISTORY,
    METRICS,
    NEIGHBOURS,
    PER_CLASS,
    SCAN,
    SUSPECTS,
    Json,
    Table,
    read_answers,
    write_answers,
    write_boxes,
    write_scan,
)

TABLES = [artifact for artifact in vars(store).values() if isinstance(artifact, Table)]
DOCUMENTS = [artifact for artifact in vars(store).values() if isinstance(artifact, Json)]

BOX = Box(file="=cat/a, b.jpg", label="cat", xmin=0, ymin=1, xmax=4, ymax=1, width=5, height=2)


def test_boxes_come_back_by_file_as_they_were_written(tmp_path: Path) -> None:
    other = Box(file="b.jpg", label="dog", xmin=0, ymin=0, xmax=0, ymax=0, width=1, height=1)
    write_boxes(tmp_path / "boxes.csv", [BOX, other, BOX])
    assert read_boxes(tmp_path / "boxes.csv") == {BOX.file: [BOX, BOX], "b.jpg": [other]}


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (PER_CLASS, ClassRow(label="=a", precision=None, recall=0.1, f1=0.25, average_precision=None, support=7)),
        (SUSPECTS, Suspect(rank=1, file="'a", split="", label="", suggested="b", p_label=1e-9, p_suggested=0.9)),
        (NEIGHBOURS, Tie(kind="alike", file="a", label="-", part="val", other="b", other_label="x", other_part="test")),
        (
            HISTORY,
            EpochRow(
                phase="probe", epoch=1, step=3, lr=1e-3, train_loss=1.0, val_loss=0.5, val_accuracy=1.0,
                val_macro_f1=0.0, seconds=2.5, images_per_second=9.0, memory_mb=100.0,
            ),
        ),
    ],
)  # fmt: skip
def test_rows_come_back_from_a_table_as_they_were(tmp_path: Path, table: Table, row: object) -> None:
    run = RunDir(tmp_path)
    assert table.read(run) == ()
    table.write(run, [row, row])
    assert table.read(run) == (row, row)


def test_a_table_of_an_older_version_lacks_a_column(tmp_path: Path) -> None:
    (tmp_path / "per_class.csv").write_text("label,precision,recall,f1,support\na,,0.5,0.5,3\n")
    assert PER_CLASS.read(RunDir(tmp_path)) == (ClassRow(label="a", precision=None, recall=0.5, f1=0.5, support=3),)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.place.name)
def test_a_damaged_table_is_named(tmp_path: Path, table: Table) -> None:
    (tmp_path / table.place.name).write_text("mood\nbright\n")
    with pytest.raises(RunError, match=f"{table.place.name} is damaged: not a {table.kind.__name__}"):
        table.read(RunDir(tmp_path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.place.name)
def test_json_that_is_missing_or_damaged_is_named(tmp_path: Path, document: Json) -> None:
    run, path = RunDir(tmp_path), tmp_path / document.place.name
    assert document.find(run) is None
    with pytest.raises(RunError, match=f"has no {document.place.name}"):
        document.read(run)
    path.parent.mkdir(exist_ok=True)
    for text in ("3", "{", ""):
        path.write_text(text)
        with pytest.raises(RunError, match=f"{document.place.name} is damaged"):
            document.find(run)


def test_every_artifact_is_defined_once() -> None:
    names = [artifact.place.name for artifact in (*TABLES, *DOCUMENTS)]
    assert len(set(names)) == len(names) >= 12


def test_metrics_come_back_by_name_and_keys_of_a_newer_version_are_left_out(tmp_path: Path) -> None:
    metrics = {"accuracy": Metric(value=0.5, n=4, method="wilson")}
    METRICS.write(RunDir(tmp_path), metrics)
    assert METRICS.read(RunDir(tmp_path)) == metrics
    (tmp_path / "curves.json").write_text(json.dumps({"before": [], "after": [], "mood": "bright"}))
    assert CURVES.read(RunDir(tmp_path)).before == ()


def test_a_scan_of_the_first_version_has_no_near_duplicates(tmp_path: Path) -> None:
    photo = Photo(file="a.jpg", label="a", width=1, height=1, sha256="0")
    write_scan(RunDir(tmp_path), Scan(root="/p", layout="table", photos=(photo,)))
    plain = json.loads((tmp_path / "scan.json").read_text())
    assert plain["classes"] == {"a": 1}
    del plain["near_duplicates"], plain["alike"], plain["multi_label"]
    (tmp_path / "scan.json").write_text(json.dumps(plain))
    assert SCAN.read(RunDir(tmp_path)) == Scan(root="/p", layout="table", photos=(photo,))


def test_the_answers_of_folds_come_back(tmp_path: Path) -> None:
    answer = FoldAnswer(file="a.jpg", label="a", fold=2, predicted="b", probabilities=(0.25, 0.75))
    assert read_answers(RunDir(tmp_path).folds) == ()
    write_answers(RunDir(tmp_path).folds, [answer], ("a", "b"))
    assert read_answers(RunDir(tmp_path).folds) == (answer,)


@pytest.mark.parametrize("artifact", DOCUMENTS, ids=lambda one: one.place.name)
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 20_000, "[NaN]"])
def test_a_document_that_is_none_is_told_as_damaged(artifact: Json, text: str, tmp_path: Path) -> None:
    path = artifact.place.of(RunDir(tmp_path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(RunError, match="is damaged"):
        artifact.read(RunDir(tmp_path))
