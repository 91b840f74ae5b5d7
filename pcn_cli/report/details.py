"""What the page shows of one prediction: probable classes, numbers, facts of the file, and the maps on the picture."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.codec import field_names
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionNumbers
from pcn_cli.report.classmaps import MeanMaps
from pcn_cli.report.columns import DETAILS, plain
from pcn_cli.report.content import ReportContent
from pcn_cli.report.filefacts import file_facts
from pcn_cli.report.format import clean
from pcn_cli.report.lookmaps import ScaleTop, as_text, encode_look
from pcn_cli.report.rows import Row, Rows
from pcn_cli.report.signedmaps import SignedTop, curves_as_text, encode_signed


@dataclass(frozen=True)
class Tally:
    """What is gathered over all maps while they are written one by one."""

    look: ScaleTop = field(default_factory=ScaleTop)
    evidence: SignedTop = field(default_factory=SignedTop)
    means: MeanMaps = field(default_factory=MeanMaps)


def detail_chunks(content: ReportContent, rows: Rows, tally: Tally) -> Iterator[tuple[int, list[object]]]:
    """The parts of the details by number, `DETAILS` predictions each; the maps are counted in `tally`."""
    index = {name: number for number, name in enumerate(rows.names)}
    for first in range(0, len(rows.all), DETAILS):
        yield (
            first // DETAILS,
            [
                {
                    "top": [[index[name], round(p, 5)] for name, p in row.top],
                    "numbers": [plain(getattr(row.attention, name)) for name in field_names(AttentionNumbers)],
                    "facts": file_facts(row, content),
                    **_what_if(row, index),
                    **_look_of(row, content, tally),
                    **_hidden_of(row, content, tally),
                }
                for row in rows.all[first : first + DETAILS]
            ],
        )


def _what_if(row: Row, index: Mapping[str, int]) -> dict[str, object]:
    """What is predicted once half of the look is hidden, how surely, and the prediction's other probabilities.

    Those are with only that half kept, and with as many patches hidden at random.
    """
    if row.hiding is None:
        return {}
    hidden = row.hiding
    return {
        "hidden": [
            index[clean(hidden.hidden_top)],
            plain(hidden.hidden_p),
            plain(hidden.kept_p),
            plain(hidden.random_hidden_p),
        ],
        "flips": plain(hidden.flip_fraction),
    }


def _look_of(row: Row, content: ReportContent, tally: Tally) -> dict[str, object]:
    look = content.looks.get(row.source)
    if look is None:
        return {}
    bytes_ = encode_look(look.values)
    tally.look.add(bytes_)
    tally.means.add(row.label or row.predicted, bytes_)
    return placed_look(bytes_, look.placement, content.patch_grid)


def _hidden_of(row: Row, content: ReportContent, tally: Tally) -> dict[str, object]:
    """The evidence as [place of the class, largest value, bytes] each, and the two curves; nothing without a look.

    Where classes have tokens of their own also the looks of these classes, as bytes each.
    """
    hidden = content.hidden.get(row.source)
    if hidden is None or row.source not in content.looks:
        return {}
    tally.evidence.add(hidden.evidence)
    encoded = [encode_signed(values) for values in hidden.evidence]
    looks = [] if hidden.class_looks is None else [as_text(encode_look(look)) for look in hidden.class_looks]
    return {
        "evidence": [
            [place, top, as_text(bytes_)] for place, (top, bytes_) in zip(hidden.classes, encoded, strict=True)
        ],
        "curves": curves_as_text(hidden.deletion, hidden.insertion),
        **({"looks": looks} if looks else {}),
    }


def placed_look(bytes_: NDArray[np.uint8], at: Placement, patch_grid: PatchGrid) -> dict[str, object]:
    """The map's bytes, its grid (h, w), and where patch columns and rows lie as shares of the picture's sides.

    Patch (r, c) is centred at (x + c · dx, y + r · dy); `seen` is what the network saw (left, top, right, bottom).
    """
    left, upper, right, lower = at.box
    # Shares of the picture: the browser then needs no pixels of the original.
    per_x = (right - left) / at.input_width / at.width
    per_y = (lower - upper) / at.input_height / at.height
    start = [left / at.width + patch_grid.offset * per_x, upper / at.height + patch_grid.offset * per_y]
    step = [patch_grid.stride * per_x, patch_grid.stride * per_y]
    seen = [left / at.width, upper / at.height, right / at.width, lower / at.height]
    return {
        "map": as_text(bytes_),
        "grid": list(bytes_.shape),
        "start": [round(share, 6) for share in start],
        "step": [round(share, 6) for share in step],
        "seen": [round(share, 5) for share in seen],
        "size": [at.width, at.height],
    }
