"""Reports of photos that may have several labels: chips, no confusions, a threshold beside each class."""

from dataclasses import replace
from math import log
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pcn_cli.metrics.definitions import described
from pcn_cli.records.metrics import Candidate, Metric
from pcn_cli.records.model import ClassThreshold
from pcn_cli.records.predictions import Prediction
from pcn_cli.report.content import ReportContent
from pcn_cli.report.view_model import build_rows
from pcn_cli.report.write import write_report

# label, prediction, probabilities of birch, maple, oak
ANSWERS = (
    ("birch;oak", "birch;oak", (0.9, 0.1, 0.8)),
    ("birch;oak", "oak", (0.4, 0.1, 0.8)),
    ("", "", (0.1, 0.1, 0.1)),
    ("maple", "", (0.1, 0.4, 0.1)),
    ("", "maple", (0.1, 0.7, 0.1)),
)


@pytest.fixture
def several(invent) -> ReportContent:
    """A report of five pictures of which two have two labels, and two none."""
    base = invent(len(ANSWERS))
    predictions = [
        Prediction(
            file=one.file, split="test", label=label, predicted=predicted, probabilities=p, confidence=0.6,
            attention=one.attention, multi_label=True,
        )
        for one, (label, predicted, p) in zip(base.predictions, ANSWERS, strict=True)
    ]  # fmt: skip
    precision = Metric(value=0.8, n=5, method="mean", ci_low=0.6, ci_high=0.9)
    guess = Metric(value=0.3, n=5, method="shares", ci_low=0.2, ci_high=0.4)
    curves = replace(
        base.confidence,
        coverage=None,
        selection=None,
        conformal=(),
        thresholds=tuple(ClassThreshold(label=name, threshold=0.37, photos=3, f1=0.7) for name in base.classes),
    )
    return replace(
        base,
        predictions=tuple(predictions),
        majority="",
        metrics=described({"mean_average_precision": precision, "baseline_prior_average_precision": guess}),
        candidates=(Candidate(name="probe", val_log_loss=0.3, mean_average_precision=precision, kept=True),),
        confidence=curves,
        scan=replace(base.scan, photos={"train": 9, "test": 5}),
    )


def test_a_picture_is_right_when_all_its_labels_are(several):
    rows = build_rows(several)
    assert [row.correct for row in rows.all] == [True, False, True, False, False]
    assert (rows.right, rows.labelled, rows.names) == (2, 5, several.classes)
    assert [(row.label, row.predicted) for row in rows.all[1:4]] == [
        ("birch, oak", "oak"),
        ("none", "none"),
        ("maple", "none"),
    ]
    assert rows.all[3].loss == pytest.approx(-(log(0.9) + log(0.4) + log(0.9)) / 3)
    unlabelled = replace(several, predictions=(replace(several.predictions[0], split="", label=""),))
    assert (build_rows(unlabelled).all[0].correct, build_rows(unlabelled).labelled) == (None, False)


@pytest.mark.parametrize(
    ("label", "predicted"), [("", "none"), ("none", ""), ("birch;oak", "birch, oak"), ("birch, oak", "birch;oak")]
)
def test_labels_are_compared_as_sets_and_never_as_words(several, label, predicted):
    classes = ("birch", "birch, oak", "maple", "none", "oak")
    one = replace(several.predictions[0], label=label, predicted=predicted, probabilities=(0.5,) * 5)
    same = replace(one, predicted=label)
    rows = build_rows(replace(several, classes=classes, predictions=(one, same), maps=None))
    assert [row.correct for row in rows.all] == [one.correct, same.correct] == [False, True]


def test_the_page_says_what_several_labels_mean(several, photo, tmp_path):
    page = write_report(tmp_path / "report", several, open_photo=photo).read_text(encoding="utf-8")
    assert "All labels right on 2 of 5" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "80.0\N{NO-BREAK SPACE}% <small>mean average precision" in page
    assert "how frequent each class is" in page
    assert "37.0\N{NO-BREAK SPACE}%" in page
    assert 'data-page="confusions"' not in page
    assert 'data-page="confidence"' not in page
    assert '<span class="chip">birch</span>' in page


def test_labels_are_chips_and_each_of_them_finds_its_pictures(several, photo, visit, tmp_path):
    index: Path = write_report(tmp_path / "report", several, open_photo=photo)
    seen = visit(index, "#gallery?label=birch")
    expect(seen.page.locator("#tiles .tile")).to_have_count(2)
    expect(seen.page.locator('#tiles [data-row="0"] .predicted .chip')).to_have_text(["birch", "oak"])
    expect(seen.page.locator('#tiles [data-row="0"] .verdict')).to_have_text("✓ right")
    expect(seen.page.locator('#tiles [data-row="1"] .verdict')).to_have_text("✕ labelled birch, oak")
    seen.go("#gallery?predicted=maple")
    expect(seen.page.locator("#tiles .tile")).to_have_count(1)
    seen.go("#gallery?show=right")
    expect(seen.page.locator("#tiles .tile")).to_have_count(2)
    seen.go("#gallery?photo=1")
    expect(seen.page.locator("#verdict")).to_have_text("✕ Wrong: labelled birch, oak")
    expect(seen.page.locator("#bars .chip:visible")).to_have_count(2)
    expect(seen.page.locator("#bars .first")).to_have_count(1)
    seen.go("#gallery?as=table")
    expect(seen.page.locator("#lines tr")).to_have_count(5)
    expect(seen.page.locator("#lines .predicted", has_text="none")).to_have_count(2)


@pytest.mark.parametrize("name", ["overview", "gallery", "classes", "training", "health"])
def test_every_page_of_several_labels_opens_without_a_complaint(several, photo, visit, tmp_path, name):
    seen = visit(write_report(tmp_path / "report", several, open_photo=photo), f"#{name}")
    expect(seen.page.locator("section.page.current")).to_have_attribute("id", name)
    expect(seen.page.locator("#trouble")).to_be_hidden()


def test_the_model_card_counts_photos_once_and_promises_no_single_class(several, photo, tmp_path):
    page = write_report(tmp_path / "report", several, open_photo=photo).read_text(encoding="utf-8")
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    assert "trained on 9 photos" in text
    assert "It knows 3 classes and says nothing of what else a picture shows." in text
    assert "takes every picture for one of them" not in text
