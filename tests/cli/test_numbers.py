"""One run, all its numbers: console, metrics.json, tables, curves and report say the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, f1_score, log_loss

from pcn_cli.files.atomic import read_csv
from pcn_cli.runs.predictions import read_predictions

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
CLASSES = ("blue", "green", "red")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Noise of three tints, so faint that a small network mistakes some: enough photos for everything to be fitted."""
    rng = np.random.default_rng(0)
    for channel, label in enumerate(CLASSES):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(50):
            pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += rng.integers(0, 40, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


def numbers_in(plain: object) -> Iterator[float]:
    """Every number in JSON values."""
    if isinstance(plain, dict):
        plain = list(plain.values())
    if isinstance(plain, list):
        for item in plain:
            yield from numbers_in(item)
    elif isinstance(plain, str):
        yield from (float(text.replace(",", "")) for text in NUMBER.findall(plain))
    elif isinstance(plain, int | float) and not isinstance(plain, bool):
        yield float(plain)


def written(values: Iterator[float]) -> set[str]:
    """The ways in which the values may be shown, their signs left aside as in NUMBER."""
    forms = set()
    for value in map(abs, values):
        forms |= {f"{100 * value:.1f}", f"{value:.3f}", f"{value:.4f}"}
        if value == int(value):
            forms.add(f"{int(value):,}")
    return forms


def test_every_number_is_the_same_everywhere(pcn, photos, tiny_model, tmp_path):
    result = pcn(
        "finetune", photos, "--model", tiny_model, "--tune", "probe", "--size", "32", "--output", "run",
        "--target-accuracy", "0.7", "--set", "split.val=0.24", "--set", "split.test=0.4",
        "--set", "train.probe_epochs=2", "--folds", "3", "--precision", "float32",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    run = tmp_path / "run"
    metrics, curves, candidates = (
        json.loads((run / f"{name}.json").read_text()) for name in ("metrics", "curves", "candidates")
    )
    per_class = read_csv(run / "per_class.csv")

    # The table of predictions gives the metrics.
    rows = read_csv(run / "predictions.csv")
    labels = np.array([row["label"] for row in rows])
    p = np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in rows])
    predicted, right = p.argmax(axis=1), np.array([row["correct"] == "1" for row in rows])
    values = {name: metric["value"] for name, metric in metrics.items()}
    assert [CLASSES[k] for k in predicted] == [row["predicted"] for row in rows]
    assert values["accuracy"] == accuracy_score(labels, [row["predicted"] for row in rows])
    assert values["macro_f1"] == pytest.approx(f1_score(labels, [row["predicted"] for row in rows], average="macro"))
    assert values["log_loss"] == pytest.approx(log_loss(labels, p, labels=CLASSES))
    assert values["brier"] == pytest.approx(brier_score_loss(labels, p, labels=CLASSES))
    given = p.max(axis=1) >= values["threshold"]
    assert [row["unknown"] for row in rows] == [str(int(not one)) for one in given]
    assert {row["unknown"] for row in rows} == {"0", "1"}
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert [line["unknown"] for line in lines] == [row["unknown"] == "1" for row in rows]
    assert [one.unknown for one in read_predictions(run / "predictions.csv")[0]] == [not one for one in given]
    assert read_predictions(run / "predictions.csv")[1] == CLASSES
    assert values["threshold_coverage"] == pytest.approx(given.mean())
    assert values["threshold_accuracy"] == pytest.approx(right[given].mean())
    (level, _) = curves["conformal"]
    held = p >= level["least_probability"]
    assert values["conformal_90_set_size"] == pytest.approx(held.sum(axis=1).mean())
    assert "conformal_95_coverage" not in metrics
    for row in per_class:
        own, column = labels == row["label"], CLASSES.index(row["label"])
        assert float(row["recall"]) == pytest.approx(right[own].mean())
        assert float(row["average_precision"]) == pytest.approx(average_precision_score(own, p[:, column]))

    # So does the table of the folds.
    answers = read_csv(run / "folds.csv")
    own, given = [row["label"] for row in answers], [row["predicted"] for row in answers]
    p = np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in answers])
    assert [CLASSES[k] for k in p.argmax(axis=1)] == given
    assert values["cross_validated_accuracy"] == accuracy_score(own, given)
    assert values["cross_validated_macro_f1"] == pytest.approx(f1_score(own, given, average="macro"))
    assert values["cross_validated_log_loss"] == pytest.approx(log_loss(own, p, labels=CLASSES))
    shares = [np.mean([r["label"] == r["predicted"] for r in answers if r["fold"] == n]) for n in ("1", "2", "3")]
    assert values["cross_validated_accuracy_spread"] == pytest.approx(np.std(shares, ddof=1))

    # The model's config says the same of the temperature as the numbers do.
    config = json.loads((run / "model" / "config.json").read_text())
    assert config["temperature"] == values["temperature"] == curves["temperature"]
    assert config["selection"] == curves["selection"]
    assert config["selection"]["threshold"] == values["threshold"]
    assert config["conformal"] == curves["conformal"]

    suspects = [list(row.values()) for row in read_csv(run / "suspects.csv")]
    trust = json.loads((run / "trust.json").read_text())
    slices = json.loads((run / "slices.json").read_text())
    told = [metrics, curves, candidates, trust, slices, [list(row.values()) for row in per_class], suspects]
    known = written(numbers_in([told, len(suspects), max(len(suspects) - 8, 0)]))  # eight are named
    known |= {f"{one['expected']:.1f}" for one in slices["slices"]}
    # Every number on the console is one of them, and every metric stands there.
    tables = result.stdout.decode().partition("report: ")[0]
    unknown = [text for text in NUMBER.findall(tables) if text not in known | {"90", "95"}]
    assert unknown == []
    for name, metric in metrics.items():
        assert written(iter([metric["value"]])) & set(NUMBER.findall(tables)), name
    assert "not enough photos" in tables

    # So is every number in the tables of the report.
    html = (run / "report" / "index.html").read_text(encoding="utf-8").partition('<details class="epochs">')[0]
    for page in ("overview", "classes", "confidence"):
        section = re.search(rf'<section class="page" id="{page}".*?</section>', html, re.DOTALL)[0]
        cells = re.findall(r'<td class="figure">(.*?)</td>', section, re.DOTALL)
        shown = NUMBER.findall(" ".join(re.sub(r"<[^>]*>", " ", cell) for cell in cells))
        assert len(shown) > 8, page
        assert [text for text in shown if text not in known] == [], page
    overview = re.search(r"<h2>All figures</h2>.*?</table>", html, re.DOTALL)[0]
    for name, metric in metrics.items():
        if not name.startswith("baseline"):
            assert written(iter([metric["value"]])) & set(NUMBER.findall(re.sub(r"<[^>]*>", " ", overview))), name


def test_predict_declines_where_the_model_s_threshold_says_so(pcn, photos, tiny_model, tmp_path):
    words = ("finetune", photos, "--model", tiny_model, "--tune", "probe", "--size", "32", "--output", "run")
    settings = ("split.val=0.4", "train.probe_epochs=1")
    assert pcn(*words, *(word for text in settings for word in ("--set", text))).returncode == 0
    path = tmp_path / "run" / "model" / "config.json"
    config = json.loads(path.read_text())
    assert config["selection"] is None
    answers = json.loads(pcn("predict", photos, "--model", path.parent, "--json").stdout)
    assert not any(answer["unknown"] for answer in answers)
    told = json.loads(pcn("evaluate", "run", "--target-accuracy", "0.4", "--output", "wished", "--json").stdout)
    assert told["run"] == "wished"
    assert told["metrics"] == json.loads((tmp_path / "wished" / "metrics.json").read_text())
    assert json.loads((tmp_path / "wished" / "model" / "config.json").read_text())["selection"]["target"] == 0.4
    middle = sorted(answer["confidence"] for answer in answers)[75]
    config["selection"] = {"target": 0.9, "photos": 60, "threshold": middle, "answered": 40, "right": 36}
    config["conformal"] = [{"level": 0.9, "photos": 30, "least_probability": 0.3}]
    path.write_text(json.dumps(config))

    declined = json.loads(pcn("predict", photos, "--model", path.parent, "--json").stdout)
    for before, after in zip(answers, declined, strict=True):
        assert after["confidence"] == before["confidence"]
        assert after["top"] == before["top"]
        assert after["unknown"] == (after["confidence"] < middle)
        assert after["label"] == ("unknown" if after["unknown"] else before["label"])
        assert after["sets"] == [{"level": 0.9, "labels": [g["label"] for g in after["top"] if g["p"] >= 0.3]}]
    assert 70 <= sum(answer["unknown"] for answer in declined) <= 76

    (tmp_path / "labels.csv").write_bytes(pcn("predict", photos, "--model", path.parent, "--csv").stdout)
    assert [row["label"] for row in read_csv(tmp_path / "labels.csv")] == [answer["label"] for answer in declined]
    assert [row["unknown"] == "1" for row in read_csv(tmp_path / "labels.csv")] == [a["unknown"] for a in declined]
    unsure = next(answer for answer in declined if answer["unknown"])
    shown = pcn("predict", photos, "--model", path.parent).stdout.decode()
    (line,) = [line.split() for line in shown.splitlines() if line.split()[0] == unsure["file"]]
    assert line[1:4] == ["unknown", "perhaps", unsure["top"][0]["label"]]  # no confidence of knowing nothing


def test_a_target_that_nothing_reaches_is_said(pcn, photos, tiny_model, tmp_path):
    words = ("finetune", photos, "--model", tiny_model, "--tune", "probe", "--size", "32", "--output", "run")
    result = pcn(*words, "--target-accuracy", "1", "--set", "train.probe_epochs=1")
    assert result.returncode == 0, result.stderr
    assert b"no threshold reaches an accuracy of 100.0%" in result.stderr
    assert b"temperature 1: " in result.stderr
    findings = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert "No threshold reaches the wished accuracy of 100.0 %" in [finding["title"] for finding in findings]
    assert "The confidences are as the network gives them" in [finding["title"] for finding in findings]
