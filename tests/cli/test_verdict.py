"""The last lines of a training: a sentence, at most three figures, what to type next."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from pcn_cli.cli import browser, verdict
from pcn_cli.cli import console as speaker
from pcn_cli.metrics.definitions import described
from pcn_cli.records.metrics import Candidate, ClassRow, Metric, weakest_class
from pcn_cli.stages.finetune import Outcome


def class_row(label: str, recall: float | None, support: int) -> ClassRow:
    return ClassRow(label=label, precision=None, recall=recall, f1=None, support=support)


ACCURACY = Metric(value=0.77, n=200, method="", ci_low=0.707, ci_high=0.823)
OUTCOME = Outcome(
    run=Path("runs/two words-1"),
    report=Path("runs/two words-1/report/index.html"),
    metrics=described({"accuracy": ACCURACY, "baseline_majority": Metric(value=0.2, n=200, method="")}),
    per_class=(class_row("roses", 0.7, 40), class_row("tulips", 0.9, 40), class_row("rare", 0.0, 3)),
    candidates=(Candidate(name="probe", val_log_loss=1, kept=True), Candidate(name="tuned", val_log_loss=2)),
    suspects=95,
)


@pytest.fixture
def shown(monkeypatch):
    """What the verdict on an outcome looks like on a terminal of 80 columns."""

    def show(outcome: Outcome, *, terminal: bool = True) -> str:
        screen = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=80, highlight=False)
        for module in (verdict, speaker):
            monkeypatch.setattr(module, "out", screen)
        verdict.show_verdict(outcome, seconds=65)
        return screen.file.getvalue()

    return show


def test_the_verdict_is_a_sentence_and_three_figures(shown, capsys):
    text = shown(OUTCOME)
    assert text.startswith("Right on 154 of 200 test photos: 77.0% (70.7% to 82.3%).\n")
    assert "most frequent class would give 20.0%" in text
    rows = [line.split("  ") for line in text.splitlines() if line.startswith("  ")]
    assert "roses, 28 of 40 found" in text
    assert "probe, compared with tuned" in text
    assert "95 photos" in text
    assert rows
    assert "report: runs/two words-1/report/index.html" in text
    assert "done in 1 min 5 s" in capsys.readouterr().err


def test_what_to_type_next_can_be_typed(shown):
    typed = [line.strip() for line in shown(OUTCOME).splitlines() if line.strip().startswith("pcn ")]
    assert 1 < len(typed) <= 3
    for line in typed:
        assert "runs/two words-1" in shlex.split(line)
    assert "next" not in shown(OUTCOME, terminal=False)


def test_a_threshold_is_told_by_what_it_answers(shown):
    more = {
        "threshold_coverage": Metric(value=0.41, n=200, method=""),
        "threshold_accuracy": Metric(value=0.976, n=82, method=""),
    }
    text = shown(Outcome(**{**vars(OUTCOME), "metrics": OUTCOME.metrics | described(more)}))
    assert "answers 41.0% by itself, right on 97.6% of those" in text


def test_the_weakest_class_is_one_that_is_measured_well_enough():
    assert weakest_class(OUTCOME.per_class).label == "roses"
    assert weakest_class((class_row("a", 0.5, 3), class_row("b", 0.2, 3))).label == "b"
    assert weakest_class((class_row("a", 1.0, 30),)) is None
    assert weakest_class(()) is None


@pytest.mark.parametrize("desktop", [True, False])
def test_a_page_is_opened_where_there_is_a_desktop(monkeypatch, tmp_path, capsys, desktop):
    opened: list[str] = []
    monkeypatch.setattr(browser, "has_desktop", lambda: desktop)
    monkeypatch.setattr(browser.webbrowser, "open", lambda address: opened.append(address) or True)
    browser.open_in_browser(tmp_path / "a b.html")
    assert opened == ([(tmp_path / "a b.html").as_uri()] if desktop else [])
    assert ("no desktop" in capsys.readouterr().err) is not desktop


def test_a_desktop_is_told_by_its_screen(monkeypatch):
    monkeypatch.setattr(browser.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not browser.has_desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert browser.has_desktop()


def test_a_notebook_shows_the_headline_the_classes_and_the_report():
    hostile = class_row("<script>x</script>", 0.5, 30)
    page = Outcome(**{**vars(OUTCOME), "per_class": (*OUTCOME.per_class, hostile)})._repr_html_()
    assert "accuracy 77.0% (70.7% to 82.3%) on 200 test photos" in page
    assert "<td>roses</td><td>70.0%</td><td>40</td>" in page
    assert "<script>" not in page
    assert 'two%20words-1/report/index.html">the report</a>' in page
    assert "only planned" in Outcome(run=Path("r"))._repr_html_()
