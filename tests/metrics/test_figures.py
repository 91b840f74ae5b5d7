import math
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from pcn_cli.metrics.figures import (
    MISSING,
    draw_confusion,
    draw_history,
    draw_learning_curve,
    draw_per_class,
    show_name,
)
from pcn_cli.records.evaluation import CurveStep, LearningCurve
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.run import EpochRow

HOSTILE = (
    "$x^2$",
    "\\frac{$",
    "<script>alert(1)</script>",
    "--> ]]> & \"q\" 'q'",
    "=cmd|' /C calc'!A0",
    "a\nb\tc\x00\x1b[31m",
    "\u202egpj.exe",
    "日本語",
    "\udcff no text",
    "x" * 300,
    "",
    " ",
    "{} %s {0}",
)


def epoch(phase: str, number: int, loss: float) -> EpochRow:
    return EpochRow(
        phase=phase,
        epoch=number,
        step=number,
        lr=1e-3,
        train_loss=loss,
        val_loss=loss,
        val_accuracy=0.8,
        val_macro_f1=0.7,
        seconds=1.0,
        images_per_second=10.0,
        memory_mb=1.0,
    )


def rows(labels: tuple[str, ...]) -> list[ClassRow]:
    return [ClassRow(label=name, precision=0.5, recall=0.7, f1=0.58, support=9) for name in labels]


def check(paths: tuple[Path, Path]) -> None:
    """Both files can be read, and the drawing holds something."""
    png, svg = paths
    with Image.open(png) as image:
        image.load()
        assert min(image.size) > 100
        assert max(image.size) < 4_000
        assert len(image.convert("L").getcolors()) > 2
    tree = ET.fromstring(svg.read_text("utf-8"))
    assert not [node for node in tree.iter() if node.tag.endswith("script")]


@pytest.mark.parametrize("count", [2, 4])
def test_a_learning_curve_is_drawn_with_and_without_intervals(tmp_path: Path, count: int) -> None:
    figures = [Metric(value=0.9, n=9, method="")] + [Metric(value=0.5, n=9, method="", ci_low=0.2, ci_high=0.7)] * 3
    steps = tuple(
        CurveStep(draws=2**n, photos=4_000 // 2**n, figure=figures[n], classes={}) for n in reversed(range(count))
    )
    gain = Metric(value=0.4, n=9, method="")

    paths = draw_learning_curve(LearningCurve(figure="accuracy", steps=steps, gain=gain), stem=tmp_path / "curve")

    check(paths)


@pytest.mark.parametrize("count", [2, 5, 30, 100, 130])
def test_confusion_is_drawn_for_few_and_many_classes(tmp_path: Path, count: int) -> None:
    matrix = np.diag(np.full(count, 7)) + np.eye(count, k=1, dtype=np.int64)

    check(draw_confusion(matrix, [f"class number {i}" for i in range(count)], stem=tmp_path / "confusion"))


def test_hostile_names_are_shown_not_obeyed(tmp_path: Path) -> None:
    check(draw_confusion(np.eye(len(HOSTILE), dtype=np.int64), HOSTILE, stem=tmp_path / "a"))
    check(draw_per_class(rows(HOSTILE), stem=tmp_path / "b"))


def test_a_class_without_photos_does_not_break_the_confusion(tmp_path: Path) -> None:
    check(draw_confusion(np.array([[3, 1], [0, 0]]), ["a", "b"], stem=tmp_path / "confusion"))


def test_unmeasured_classes_and_missing_precision_are_drawn(tmp_path: Path) -> None:
    nothing = ClassRow(label="orchid", precision=None, recall=None, f1=None, support=0)

    check(draw_per_class([nothing], stem=tmp_path / "one"))
    check(draw_per_class([*rows(("daisy", "roses")), nothing], stem=tmp_path / "three"))
    check(draw_per_class(rows(tuple(map(str, range(200)))), stem=tmp_path / "many"))


def test_histories_of_any_length_and_phase_are_drawn(tmp_path: Path) -> None:
    probe = [epoch("probe", i, 1 / (i + 1)) for i in range(5)]
    tuned = [epoch("tune", i, 0.2 / (i + 1)) for i in range(3)]

    check(draw_history(probe[:1], stem=tmp_path / "one"))
    check(draw_history([*probe, *tuned], stem=tmp_path / "both"))
    check(draw_history([*probe, epoch("tune", 0, math.nan)], stem=tmp_path / "nan"))


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    first = draw_confusion(np.eye(3, dtype=np.int64), ["a", "b", "c"], stem=tmp_path / "first")
    second = draw_confusion(np.eye(3, dtype=np.int64), ["a", "b", "c"], stem=tmp_path / "second")

    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_drawing_leaves_no_figure_and_no_setting_behind(tmp_path: Path) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = dict(mpl.rcParams)
    draw_history([epoch("probe", 0, 1.0)], stem=tmp_path / "history")

    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_names_are_shortened_in_the_middle_and_undrawable_ones_boxed() -> None:
    assert show_name("a very long name of a class 12", longest=16) == "a very lon…ss 12"
    assert show_name("a\nb", longest=9) == f"a{MISSING}b"
    assert show_name("\u202eevil", longest=9) == f"{MISSING}evil"
    assert show_name("Fru\u0308hling $", longest=20) == "Frühling $"
