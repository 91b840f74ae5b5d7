"""Confusions: the matrix whose every cell opens its pictures, and the most frequent mistakes."""

from dataclasses import dataclass
from math import ceil

from pcn_cli.report.pages.page import Page
from pcn_cli.report.rows import Rows
from pcn_cli.report.view_model import Draft

MOST_NAMES = 30  # a larger matrix can be neither read nor held in the page
MOST_PAIRS = 30
SHADES = 8


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Pictures labelled `label` and taken for `predicted`; `shade` 0 … SHADES is the share of the label's pictures."""

    label: str
    predicted: str
    count: int
    shade: int


def view_confusions(draft: Draft) -> dict[str, object] | None:
    """The values of templates/confusions.html; None without labels, and where photos may have several."""
    rows = draft.rows
    if not rows.labelled or draft.content.multi_label:
        return None
    pairs = sorted(((c, k) for k, c in rows.cells.items() if k[0] != k[1]), key=lambda pair: (-pair[0], pair[1]))
    support = {name: sum(c for (label, _), c in rows.cells.items() if label == name) for name in rows.names}
    return {
        "names": rows.names,
        "matrix": build_matrix(rows, support) if len(rows.names) <= MOST_NAMES else None,
        "support": support,
        "pairs": [(label, predicted, count) for count, (label, predicted) in pairs[:MOST_PAIRS]],
        "more_pairs": max(0, len(pairs) - MOST_PAIRS),
    }


def build_matrix(rows: Rows, support: dict[str, int]) -> list[list[Cell]]:
    """One row per label, one cell per predicted class, in the order of the names."""
    return [
        [
            Cell(
                label=label,
                predicted=predicted,
                count=rows.cells[label, predicted],
                shade=ceil(SHADES * rows.cells[label, predicted] / max(1, support[label])),
            )
            for predicted in rows.names
        ]
        for label in rows.names
    ]


CONFUSIONS = Page(name="confusions", title="Confusions", view=view_confusions)
