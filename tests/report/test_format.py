from dataclasses import replace
from pathlib import Path

import pytest

from pcn_cli.records.metrics import Metric, Words
from pcn_cli.report import format as words


def test_shares_are_read_in_percent_and_losses_are_not():
    metric = Metric(value=0.875, n=8, method="", ci_low=0.5, ci_high=0.96)
    assert words.measured(metric) == "87.5\N{NO-BREAK SPACE}%"
    assert words.interval(metric) == "(50.0–96.0)"
    metric = replace(metric, words=Words(title="log-loss", unit="number"))
    assert words.measured(metric) == "0.875"
    assert words.interval(metric) == "(0.500–0.960)"


def test_an_unknown_number_is_a_dash_and_an_unknown_interval_nothing():
    assert words.percent(None) == words.percent(float("nan")) == words.number(None) == "–"
    assert words.interval(Metric(value=0.5, n=2, method="")) == ""


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("accuracy", "Accuracy"),
        ("macro F1", "Macro F1"),
        ("top-5 accuracy", "Top-5 accuracy"),
        ("log-loss", "Log-loss"),
        ("per_class", "Per class"),
        ("ECE at T = 1", "ECE at T = 1"),
        ("90 % sets: set size", "90\N{NO-BREAK SPACE}% sets: set size"),
    ],
)
def test_a_title_becomes_a_heading(key, title):
    assert words.heading(key) == title


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pcn finetune /home/anna/flowers --lr 3e-4", "pcn finetune …/flowers --lr 3e-4"),
        ("--model timm:local-dir:/srv/models/mobilenet", "--model timm:local-dir:…/mobilenet"),
        ("cannot open '/home/anna/my photos/a b.jpg'", "cannot open '…/a b.jpg'"),
        (r"labels: C:\Users\anna\labels.csv", "labels: …/labels.csv"),
        ("see https://example.org/a/b and roses/or/tulips", "see https://example.org/a/b and roses/or/tulips"),
        ("1/2 of them, 3 / 4", "1/2 of them, 3 / 4"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_name(text, shown):
    assert words.hide_paths(text) == shown


def test_the_home_folder_is_never_named():
    assert str(Path.home()) not in words.hide_paths(f"run in {Path.home()} and {Path.home()}/photos/set 1")


def test_files_are_named_below_the_folder_they_share():
    assert words.display_names(["a/1.jpg", "b/2.jpg"]) == ["a/1.jpg", "b/2.jpg"]
    assert words.display_names(["/home/x/a/1.jpg", "/home/x/b/2.jpg", "c.jpg"]) == ["a/1.jpg", "b/2.jpg", "c.jpg"]
    assert words.display_names([r"C:\x\a\1.jpg", r"D:\y\2.jpg"]) == ["1.jpg", "2.jpg"]
    assert words.display_names(["/home/x/only.jpg"]) == ["only.jpg"]


def test_bytes_that_are_no_text_are_shown_as_such():
    assert words.clean("a\udcffb") == "a\N{REPLACEMENT CHARACTER}b"


def test_a_link_to_the_gallery_carries_any_name():
    assert words.gallery_link(label="a&b=c#d", predicted="é +") == "#gallery?label=a%26b%3Dc%23d&predicted=%C3%A9%20%2B"
