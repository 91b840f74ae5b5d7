"""Static charts for the run folder: PNG and SVG, the same bytes for the same numbers, one accent colour.

Drawn on matplotlib's Figure without pyplot's global state. Class names are shown as they are: `$` is no formula,
control and invisible characters are replaced, long names are cut in the middle.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from pcn_cli.files.atomic import write_with
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import ClassRow
from pcn_cli.records.run import EpochRow

ACCENT = "#0f6e6e"
MOST_NAMED = 120  # classes beyond which names and numbers are too small to read
INK, QUIET, FAINT = "#22292f", "#7b868f", "#e3e7ea"
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#cfe3e2", "#5fa3a1", ACCENT, "#0a4b4c"])
_PREFERRED = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")
FONTS = tuple(family for family in _PREFERRED if family in {font.name for font in fontManager.ttflist})
MISSING = "▯"  # what no font of this machine can draw: an empty box, nothing is hidden
_STYLE = {
    "font.family": list(FONTS),
    "svg.hashsalt": "pcn",  # ids inside an SVG do not change from run to run
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "text.parse_math": False,  # a class called $x^2$ is not a formula
}


def draw_confusion(matrix: NDArray[np.int64], classes: Sequence[str], *, stem: Path) -> tuple[Path, Path]:
    """The confusion matrix as `<stem>.png` and `<stem>.svg`: shade = share of the true class, number = photos.

    `matrix` (K, K) has counts, its rows are the true classes.
    """
    count = len(classes)
    named = count <= MOST_NAMED
    names = [show_name(name, longest=28) for name in classes] if named else []
    cell = float(np.clip(9 / count, 0.17, 0.85)) if named else 14 / count  # inches
    letters = max(map(len, names), default=0)
    turned = 0.08 * letters > cell
    width, height = (count * cell + 0.8 + 0.085 * letters * beside for beside in (True, turned))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        # The square root shows one mistake in fifty, which an even scale leaves white.
        axes.imshow(shares, cmap=SHADES, norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
        axes.tick_params(length=0, labelsize=float(np.clip(26 * cell, 5.5, 10)), labelcolor=INK)
        axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0)
        axes.set_yticks(range(len(names)), names)
        axes.spines[:].set_visible(False)
        if named:  # lines between the cells, and the numbers of those that hold photos
            borders = np.arange(count + 1) - 0.5
            axes.set_xticks(borders, minor=True)
            axes.set_yticks(borders, minor=True)
            axes.grid(which="minor", color=FAINT, linewidth=0.6)
            axes.tick_params(which="minor", length=0)
            size = min(10.0, 34 * cell)
            size = min(size, size * 4 / len(str(matrix.max())))
            for row, column in np.argwhere(matrix):
                color = "white" if shares[row, column] > 0.3 else INK
                shown = axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color)
                shown.set(fontsize=size, in_layout=False)  # within its cell: thousands need not be measured twice
        axes.set_xlabel("predicted", labelpad=8)
        axes.set_ylabel("true", labelpad=8)
        return _save(figure, stem)


def draw_history(rows: Sequence[EpochRow], *, stem: Path) -> tuple[Path, Path]:
    """The training curves, loss beside accuracy, as `<stem>.png` and `<stem>.svg`; a line parts probe and tuning."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        loss, quality = figure.subplots(1, 2)
        _draw_curves(loss, rows, {"training": [r.train_loss for r in rows], "validation": [r.val_loss for r in rows]})
        loss.set_title("Loss")
        scores = {"macro-F1": [r.val_macro_f1 for r in rows], "accuracy": [r.val_accuracy for r in rows]}
        _draw_curves(quality, rows, scores)
        quality.set_title("Validation")
        quality.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        return _save(figure, stem)


def draw_per_class(rows: Sequence[ClassRow], *, stem: Path) -> tuple[Path, Path]:
    """F1, precision and recall of the (at most 120) weakest classes, as `<stem>.png` and `<stem>.svg`."""
    ordered = sorted(rows, key=lambda row: (row.f1 is None, row.f1 or 0, row.label))[:MOST_NAMED]
    height = float(np.clip(14 / len(ordered), 0.19, 0.36))  # inches per class
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, height * len(ordered) + 1.1), layout="constrained")
        axes = figure.subplots()
        places = [float(place) for place in range(len(ordered))]
        axes.barh(places, [row.f1 or 0 for row in ordered], height=0.62, color="#cfe3e2", label="F1")
        for name, color in (("precision", "white"), ("recall", ACCENT)):
            shares = [getattr(row, name) for row in ordered]
            known = [(share, place) for share, place in zip(shares, places, strict=True) if share is not None]
            x, y = zip(*known, strict=True) if known else ((), ())
            axes.scatter(x, y, s=26, color=color, edgecolor=ACCENT, linewidth=1.2, zorder=3, clip_on=False, label=name)
        for place, row in zip(places, ordered, strict=True):
            note = str(row.support) if row.f1 is not None else "not measured"
            axes.text(1.035, place, note, va="center", fontsize=8.5, color=QUIET)
        axes.text(1.035, -0.95, "photos", va="center", fontsize=8.5, color=QUIET)
        axes.set_yticks(places, [show_name(row.label, longest=30) for row in ordered], color=INK)
        axes.tick_params(axis="y", length=0, labelsize=10 if height > 0.25 else 8)
        axes.set(xlim=(0, 1.02), ylim=(len(ordered) - 0.4, -0.6))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines[["left", "bottom"]].set_visible(False)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9, handletextpad=0.4)
        return _save(figure, stem)


def draw_learning_curve(curve: LearningCurve, *, stem: Path) -> tuple[Path, Path]:
    """What shares of the training photos taught, with 95 % intervals, as `<stem>.png` and `<stem>.svg`."""
    photos, figures = [step.photos for step in curve.steps], [step.figure for step in curve.steps]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.6), layout="constrained")
        axes = figure.subplots()
        for place, one in zip(photos, figures, strict=True):
            if one.ci_low is not None and one.ci_high is not None:
                axes.plot([place, place], [one.ci_low, one.ci_high], color="#cfe3e2", linewidth=6)
        axes.plot(photos, [one.value for one in figures], color=ACCENT, linewidth=2, marker="o", markersize=5)
        axes.set_xscale("log", base=2)
        axes.set_xticks(photos, [f"{number:,}" for number in photos])
        axes.set_xlabel("photos learned from")
        axes.set_title(f"Test {curve.figure.replace('_', ' ')}")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        return _save(figure, stem)


def show_name(name: str, *, longest: int) -> str:
    """`name` in at most `longest` characters, cut in the middle, on one line."""
    shown = ""
    for character in unicodedata.normalize("NFC", name):
        kind = unicodedata.category(character)
        # Control, invisible and turning (bidirectional) characters, halves of pairs, private and unassigned ones.
        plain = character if kind[0] != "C" and ord(character) in _drawable() else MISSING
        shown += " " if kind.startswith("Z") else plain
    tail = (longest - 1) // 3
    return shown if len(shown) <= longest else f"{shown[: longest - 1 - tail]}…{shown[-tail:]}"


@cache
def _drawable() -> frozenset[int]:
    return frozenset().union(*(get_font(findfont(FontProperties(family=family))).get_charmap() for family in FONTS))


def _draw_curves(axes: Axes, rows: Sequence[EpochRow], curves: dict[str, list[float]]) -> None:
    """The curves over the epochs, the last one in the accent colour, each named at its end, and the phases above."""
    epochs = np.arange(1, len(rows) + 1)
    ends = []
    for number, (name, values) in enumerate(curves.items(), start=1):
        color, width = (ACCENT, 2.0) if number == len(curves) else (QUIET, 1.4)
        for phase in dict.fromkeys(row.phase for row in rows):
            own = np.array([row.phase == phase for row in rows])
            axes.plot(epochs[own], np.array(values)[own], color=color, linewidth=width, marker="o", markersize=2.5)
        known = [value for value in values if np.isfinite(value)]
        if known:
            ends.append((known[-1], name, color))
    # Names to the right of the curves' ends, moved apart where they would touch.
    low, high = axes.get_ylim()
    lowest = -np.inf
    for value, name, color in sorted(ends):
        lowest = max(value, lowest + (high - low) * 0.075)
        end = (len(rows), lowest)
        axes.annotate(name, end, xytext=(8, 0), textcoords="offset points", va="center", color=color, fontsize=9)
    starts = [place for place, row in enumerate(rows) if place == 0 or row.phase != rows[place - 1].phase]
    for start in starts if len(starts) > 1 else ():
        if start:
            axes.axvline(start + 0.5, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        name, corner = rows[start].phase, (start + 0.62, 1)
        axes.annotate(name, corner, xycoords=("data", "axes fraction"), va="top", fontsize=8.5, color=QUIET)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlim(0.5, len(rows) + 0.5)
    axes.set_xlabel("epoch")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Two files without date or program name, so that the same numbers give the same bytes."""
    png, svg = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg"))
    write_with(png, lambda file: figure.savefig(file, format="png", dpi=160, metadata={"Software": None}))
    write_with(svg, lambda file: figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}))
    return png, svg
