"""The data that the page loads: columns of all predictions for filters and tiles, and the details of each of them.

In a folder every piece is a classic script with one call, `pcnData("name", "…")`, whose second argument is JSON inside
a string: a page opened from disk may load scripts but may not fetch files, and a browser runs nothing of it but
JSON.parse. In a page that holds everything, JSON stands in blocks that no browser runs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.codec import field_names
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import Alike, AttentionNumbers, Prediction
from pcn_cli.report.content import ReportContent
from pcn_cli.report.encoded_maps import (
    MeanMaps,
    as_text,
    curves_as_text,
    encode_look,
    encode_signed,
    magnitude_bins,
    new_lift_scale,
    new_signed_scale,
)
from pcn_cli.report.format import clean
from pcn_cli.report.pages.gallery import find_filters
from pcn_cli.report.view_model import ReportView, Row, Rows

DETAILS = 200  # predictions per data/detail-N.js
BINS = 32
DIGITS = 5
SPREADS = ("image_share", "effective_patches", "gini", "mass50", "mass80", "border_share")
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def as_script(name: str, value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """The script file that hands `value` to the page under `name`; a ValueError where a number is not finite."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # The outer string is pure ASCII, so that no encoding and no line separator can break out of it.
    return f"pcnData({_literal(name)},{_literal(text)});\n".encode("ascii")


def as_block(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """`value` as text between the tags of a script of type application/json, which it cannot end.

    A ValueError where a number is not finite.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


def _literal(text: str) -> str:
    return json.dumps(text).translate(_UNSAFE)


def columns(report: ReportView) -> dict[str, object]:
    """The content of data/rows.js: what filters, sorting and tiles need of every prediction."""
    content, rows, predictions = report.content, report.rows, report.content.predictions
    pictures = [report.pictures.get(row.number) for row in rows.all]
    unlike = [None if one.unlike is None else _plain(one.unlike) for one in predictions]
    parts = [one.split for one in predictions]
    identity = json.dumps([content.run, *(row.file for row in rows.all)])
    return {
        "names": rows.names,
        "labelled": rows.labelled > 0,
        "full": round(report.full_lift, 3),
        "fullEvidence": float(f"{report.full_evidence:.4g}"),
        "firstMap": "look" if content.look_decides else "evidence",
        "looksEvenly": content.looks_evenly,
        "classTokens": content.class_tokens,
        "details": DETAILS,
        "file": [row.file for row in rows.all],
        **_label_columns(report),
        "confidence": [_plain(one.confidence) for one in predictions],
        "loss": [_plain(row.loss) for row in rows.all],
        "mass50": [_plain(one.attention.mass50) for one in predictions],
        "border": [_plain(one.attention.border_share) for one in predictions],
        "srg": [_plain(one.hiding.srg) if one.hiding else None for one in predictions],
        **({"unlike": unlike} if any(value is not None for value in unlike) else {}),
        "part": parts[0] if len(set(parts)) == 1 else parts,
        "mapped": [int(one.file in content.map_places) for one in predictions],
        "width": [picture.width if picture else 0 for picture in pictures],
        "height": [picture.height if picture else 0 for picture in pictures],
        "large": [int(picture.large) if picture else 0 for picture in pictures],
        # What tells this report from others on one disk, for decisions that the browser keeps.
        "id": hashlib.sha256(identity.encode("ascii")).hexdigest()[:16],
        "filters": {one.name: one.rows for one in find_filters(content, rows) if one.name not in ("wrong", "right")},
        "numbers": field_names(AttentionNumbers),
        "spreads": find_spreads(predictions),
    }


def _label_columns(report: ReportView) -> dict[str, object]:
    """Places among the names: one each and −1 where there is no label; of several labels a list, and null."""
    rows, index = report.rows.all, report.rows.places
    if report.content.multi_label:
        label = [None if row.labels is None else sorted(index[name] for name in row.labels) for row in rows]
        predicted = [sorted(index[name] for name in row.predicted_labels) for row in rows]
        return {"several": True, "label": label, "predicted": predicted}
    return {
        "several": False,
        "label": [index[row.label] if row.label else -1 for row in rows],
        "predicted": [index[row.predicted] for row in rows],
    }


def _plain(value: float | None) -> float | None:
    """The number rounded for the page; None where it is not finite."""
    return round(value, DIGITS) if value is not None and abs(value) < float("inf") else None


def find_spreads(predictions: Sequence[Prediction]) -> dict[str, object]:
    """By the number's name: the smallest, the largest, and how many pictures lie in each of `BINS` even steps.

    A number is left out that no picture has, or that is the same for all as far as the page shows it.
    """
    numbers: dict[str, list[float]] = {"confidence": [one.confidence for one in predictions]}
    numbers |= {name: [getattr(one.attention, name) for one in predictions] for name in SPREADS}
    numbers["srg"] = [one.hiding.srg for one in predictions if one.hiding]
    spreads: dict[str, object] = {}
    for name, values in sorted(numbers.items()):
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)].round(DIGITS)
        if known.size and known.min() < known.max():
            counts, edges = np.histogram(known, BINS)
            spreads[name] = [round(float(edges[0]), DIGITS), round(float(edges[-1]), DIGITS), counts.tolist()]
    return spreads


def alike_by_file(content: ReportContent) -> dict[str, dict[str, list[Alike]]]:
    """The training photos that are like each photo, by their class: what it was taken for comes first."""
    found: dict[str, dict[str, list[Alike]]] = {}
    for one in content.artifacts.rows(Alike):
        found.setdefault(one.file, {}).setdefault(one.label, []).append(one)
    taken = {prediction.file: prediction.predicted for prediction in content.predictions}
    return {file: dict(sorted(own.items(), key=lambda item: item[0] != taken.get(file))) for file, own in found.items()}


class Details:
    """What the page shows of one prediction alone; the scales of the maps grow while they are written one by one."""

    def __init__(self, content: ReportContent, rows: Rows, *, alike_pictures: Mapping[str, int]) -> None:
        self._content, self._rows, self._pictures = content, rows, alike_pictures
        self._alike = alike_by_file(content)
        self.look, self.evidence, self.means = new_lift_scale(), new_signed_scale(), MeanMaps()

    def chunks(self) -> Iterator[tuple[int, list[object]]]:
        """The details by the number of their file, `DETAILS` predictions each."""
        for first in range(0, len(self._rows.all), DETAILS):
            yield first // DETAILS, [self._detail(row) for row in self._rows.all[first : first + DETAILS]]

    def _detail(self, row: Row) -> dict[str, object]:
        detail = {
            "top": [[self._rows.places[name], round(p, DIGITS)] for name, p in row.top],
            "numbers": [_plain(getattr(row.prediction.attention, name)) for name in field_names(AttentionNumbers)],
            "facts": [*file_facts(row.prediction.file, self._content), *_unlike(row)],
        }
        if hiding := row.prediction.hiding:
            # What is predicted once half of the look is hidden, how surely, and how probable the prediction stays with
            # only that half kept, and with as many patches hidden at random.
            p = (hiding.hidden_p, hiding.kept_p, hiding.random_hidden_p)
            detail["hidden"] = [self._rows.places[clean(hiding.hidden_top)], *map(_plain, p)]
            detail["flips"] = _plain(hiding.flip_fraction)
        if alike := self._alike.get(row.prediction.file):
            detail["alike"] = [
                [self._rows.places.get(clean(label), -1), [self._of_training(one) for one in own]]
                for label, own in alike.items()
            ]
        return detail | self._maps(row)

    def _of_training(self, alike: Alike) -> list[object]:
        """A training photo that is like another: the number of its picture, or null, its name and the likeness."""
        return [self._pictures.get(alike.other), clean(alike.other), round(alike.likeness, 3)]

    def _maps(self, row: Row) -> dict[str, object]:
        """The look, the evidence as [place of the class, largest value, bytes] each, and the two curves.

        Where classes have tokens of their own also the looks of these classes, as bytes each.
        """
        maps, at = self._content.maps, self._content.map_places.get(row.prediction.file)
        if maps is None or at is None:
            return {}
        bytes_ = encode_look(maps.looks[at])
        self.look.add(bytes_)
        if not self._content.looks_evenly:
            self.means.add(row.label or row.predicted, bytes_)
        look = placed_look(bytes_, maps.placements[at], maps.patch_grid)
        if maps.evidence is None or maps.evidence_classes is None or maps.deletion is None or maps.insertion is None:
            return look
        self.evidence.add(magnitude_bins(maps.evidence[at]))
        encoded = zip(maps.evidence_classes[at].tolist(), map(encode_signed, maps.evidence[at]), strict=True)
        return {
            **look,
            "evidence": [[place, top, as_text(signed)] for place, (top, signed) in encoded],
            "curves": curves_as_text(maps.deletion[at], maps.insertion[at]),
            **({} if maps.class_looks is None else {"looks": [as_text(encode_look(x)) for x in maps.class_looks[at]]}),
        }


def placed_look(bytes_: NDArray[np.uint8], at: Placement, patch_grid: PatchGrid) -> dict[str, object]:
    """The map's bytes, its grid (h, w), and where patch columns and rows lie as shares of the picture's sides.

    Patch (r, c) is centred at (x + c · dx, y + r · dy); `seen` is what the network saw (left, top, right, bottom).
    """
    left, upper, right, lower = at.box
    # Shares of the picture: the browser then needs no pixels of the original.
    per_x = (right - left) / at.input_width / at.width
    per_y = (lower - upper) / at.input_height / at.height
    start = [left / at.width + patch_grid.left * per_x, upper / at.height + patch_grid.offset * per_y]
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


def _unlike(row: Row) -> list[tuple[str, str]]:
    """How far the picture lies from what was learned, where the model remembers that."""
    distance = row.prediction.unlike
    if distance is None:
        return []
    verdict = "unlike anything learned" if distance > 1 else "like what was learned"
    return [("Likeness", f"{verdict}: {distance:.2f} of the distance allowed")]


def file_facts(file: str, content: ReportContent) -> list[tuple[str, str]]:
    """What is known of a picture's file: pairs of a fact's name and its words."""
    photo = content.scan.files.get(file) if content.scan else None
    if photo is not None:
        mode = f", {photo.mode}" if photo.mode else ""
        facts = [("Pixels", f"{photo.width:,} × {photo.height:,}{mode}"), ("SHA-256", photo.sha256[:12])]
        return [*facts, ("Group", clean(photo.group))] if photo.group else facts
    if content.maps is not None and file in content.map_places:
        seen = content.maps.placements[content.map_places[file]]
        return [("Pixels", f"{seen.width:,} × {seen.height:,}")]
    return []
