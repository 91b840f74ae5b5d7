"""What a person sees while it runs: stages with their number and time, few choices, bars that cannot be misread."""

import io
import re

import pytest
from rich.console import Console

from pcn_cli.cli import console as speaker
from pcn_cli.cli import live
from pcn_cli.cli.bars import Bars
from pcn_cli.cli.console import duration, say_wrapped, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.records.metrics import Finding
from pcn_cli.records.run import EpochRow


@pytest.fixture
def screen(monkeypatch) -> Console:
    """A terminal of 60 columns in place of standard output and error; `screen.file` holds what it shows."""
    made = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=60, highlight=False)
    for module in (speaker, live):
        monkeypatch.setattr(module, "console", made)
    monkeypatch.setattr(speaker, "out", made)
    monkeypatch.setattr(say_wrapped, "__kwdefaults__", {**say_wrapped.__kwdefaults__, "screen": made})
    return made


def lines(screen: Console) -> list[str]:
    """What stays on the screen, without what moves the cursor."""
    return [re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", line) for line in screen.file.getvalue().splitlines()]


def test_stages_are_numbered_and_a_part_of_one_is_no_stage(capsys):
    with LiveProgress() as callback:
        callback.on_plan(("scan", "train"))
        callback.on_stage("scan")
        callback.on_stage("train")
        callback.on_stage("calibrate")
        assert callback._bars.doing == "2/2 train: calibrate"
    assert [line for line in capsys.readouterr().err.splitlines() if line] == ["1/2 scan", "2/2 train"]


def test_choices_are_folded_unless_all_is_to_be_said(capsys, monkeypatch):
    def choose(*stages: str) -> str:
        with LiveProgress() as callback:
            callback.on_plan(stages)
            callback.on_stage("scan")
            callback.on_choice("train.tune", "probe", "no accelerator")
            callback.on_choice("train.balance", "none", "even")
            callback.on_choice("data.crop_pct", 0.875, "the model's own")
            callback.on_stage("train")
        return capsys.readouterr().err

    folded = choose("scan", "train")
    assert "tune: probe" in folded
    assert "crop_pct" not in folded
    assert "balance" not in folded
    assert "2 more choices" in folded
    assert folded.index("2 more choices") < folded.index("\n2/2 train")
    assert "more choices" not in choose()  # a command without stages leaves no run that would hold them
    monkeypatch.setattr(speaker.verbosity, "verbose", True)
    told = choose()
    assert "data.crop_pct: 0.875" in told
    assert "train.balance: none" in told
    assert "more choices" not in told


def test_long_words_of_a_finding_are_wrapped_and_its_evidence_is_cut(screen):
    with LiveProgress() as callback:
        evidence = " ".join(f"photo-{number}.jpg," for number in range(60))
        callback.on_finding(Finding(severity="note", title="Sixty", evidence=evidence, remedy="Look at them."))
    own = [line for line in lines(screen) if "photo" in line]
    assert 2 <= len(own) <= live._MOST_LINES
    assert own[-1].endswith("…")
    assert max(map(len, lines(screen))) <= 60
    assert all(word.rstrip(",").endswith((".jpg", "…")) for line in own for word in line.split())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3900, "1 h 5 min"), (90000, "25 h 0 min")],
)
def test_lengths_of_time_are_said_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_bar_says_what_is_past_and_what_is_left(screen):
    bars = Bars()
    bars.begin("1/4 scan")
    task = bars.add_task("reading", total=10, note="")
    bars.update(task, completed=5)
    screen.print(bars.get_renderable())
    text = screen.file.getvalue()
    assert "1/4 scan, 0 s so far" in text
    assert "50%" in text
    assert "so far" in text.splitlines()[-1]
    assert "-:--" not in text


def test_what_nobody_sees_is_not_counted(monkeypatch):
    """A thousand photos took half a second of the processor for bars that were not drawn."""
    callback = LiveProgress()
    monkeypatch.setattr(callback._bars, "update", lambda *_, **__: pytest.fail("a bar was moved"))
    for done in range(3):
        callback.on_progress("reading", done, 2)
    monkeypatch.undo()
    callback._bars.disable = False
    callback.on_progress("reading", 1, 2)
    assert [task.completed for task in callback._bars.tasks] == [1]
    callback.on_progress("reading", 2, 2)
    assert not callback._bars.tasks


def test_an_epoch_is_one_line_that_fits_eighty_columns(capsys):
    row = EpochRow(
        phase="probe", epoch=40, step=1, lr=1e-3, train_loss=0.5, val_loss=0.4, val_accuracy=0.71, val_macro_f1=0.7,
        seconds=1, images_per_second=1e6, memory_mb=1e5,
    )  # fmt: skip
    LiveProgress().on_epoch(row, 40)
    (line,) = capsys.readouterr().err.splitlines()
    assert "accuracy 71.0%  F1 70.0%  loss 0.4000" in line
    assert len(line) <= 80


def test_a_table_breaks_no_name_on_a_terminal_and_has_a_line_for_each_row_in_a_pipe(screen, monkeypatch):
    name = "daisy/" + "x" * 80 + "_end.jpg"
    show_table(("photo", "label", "p#"), [(name, "a long label of several words", "50.0%")])
    own = [line for line in lines(screen) if "_end.jpg" in line]
    assert len(own) == 1
    assert own[0].startswith("…")
    piped = Console(file=io.StringIO(), width=60, color_system=None)
    monkeypatch.setattr(speaker, "out", piped)
    show_table(("photo", "label", "p#"), [(name, "a long label of several words", "50.0%")])
    assert [line.split() for line in piped.file.getvalue().splitlines()][1][0] == name
    assert len(piped.file.getvalue().splitlines()) == 2
