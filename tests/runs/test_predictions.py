import csv
import json
from dataclasses import replace
from pathlib import Path

from pcn_cli.records.codec import field_names
from pcn_cli.records.predictions import AttentionNumbers, HidingNumbers, Prediction
from pcn_cli.runs.predictions import read_predictions, write_jsonl, write_predictions

CLASSES = ("=oak", "center_y", "p_yew")
NUMBERS = AttentionNumbers(**{name: 0.5 + number for number, name in enumerate(field_names(AttentionNumbers))})
HIDING = HidingNumbers(
    deletion_auc=0.25,
    insertion_auc=0.75,
    srg=0.5,
    random_gain=0.4,
    comprehensiveness=0.3,
    sufficiency=-0.1,
    flip_fraction=0.35,
    look_evidence_spearman=0.6,
    hidden_top="=oak",
    hidden_p=0.5,
    kept_p=0.8,
    random_hidden_p=0.7,
)


def invent() -> list[Prediction]:
    known = Prediction(
        file="a.jpg",
        predicted="p_yew",
        confidence=0.7,
        probabilities=(0.1, 0.2, 0.7),
        attention=NUMBERS,
        split="test",
        label="=oak",
        hiding=HIDING,
    )
    never = replace(HIDING, random_gain=None, flip_fraction=None, look_evidence_spearman=None)
    return [known, replace(known, file="b.jpg", hiding=never), replace(known, file="c.jpg", hiding=None)]


def test_predictions_come_back_with_what_hiding_does(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", invent(), CLASSES)
    assert read_predictions(tmp_path / "p.csv") == (tuple(invent()), CLASSES)


def test_a_table_of_an_older_version_is_read(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", invent(), CLASSES)
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = [row[: -len(field_names(HidingNumbers))] for row in csv.reader(file)]
    with (tmp_path / "old.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    found, classes = read_predictions(tmp_path / "old.csv")
    assert classes == CLASSES
    assert found == tuple(replace(one, hiding=None) for one in invent())


def test_lines_of_json_have_the_same_keys_whether_anything_was_hidden(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "p.jsonl", invent(), CLASSES)
    known, never, nothing = (json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines())
    assert known.keys() == never.keys() == nothing.keys()
    assert (known["srg"], known["hidden_top"], known["flip_fraction"]) == (0.5, "=oak", 0.35)
    assert (never["srg"], never["flip_fraction"], nothing["srg"]) == (0.5, None, None)
