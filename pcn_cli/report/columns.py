"""What filters, sorting and tiles need of every prediction, as columns."""

import hashlib
import json
from collections.abc import Mapping

from pcn_cli.records.codec import field_names
from pcn_cli.records.predictions import AttentionNumbers
from pcn_cli.report.spreads import find_spreads
from pcn_cli.report.view_model import Draft

DETAILS = 200  # predictions per data/detail-N.js


def columns(draft: Draft) -> dict[str, object]:
    """The content of data/rows.js."""
    rows, index = draft.rows, {name: number for number, name in enumerate(draft.rows.names)}
    pictures = [draft.pictures.get(row.number) for row in rows.all]
    return {
        "names": rows.names,
        "labelled": rows.labelled,
        "full": round(draft.full_lift, 3),
        "fullEvidence": float(f"{draft.full_evidence:.4g}"),
        "firstMap": "look" if draft.content.look_decides else "evidence",
        "classTokens": draft.content.class_tokens,
        "details": DETAILS,
        "file": [row.file for row in rows.all],
        **_label_columns(draft, index),
        "confidence": [plain(row.confidence) for row in rows.all],
        "loss": [plain(row.loss) for row in rows.all],
        "mass50": [plain(row.attention.mass50) for row in rows.all],
        "border": [plain(row.attention.border_share) for row in rows.all],
        "srg": [plain(row.hiding.srg) if row.hiding else None for row in rows.all],
        "mapped": [int(row.source in draft.content.looks) for row in rows.all],
        "width": [picture.width if picture else 0 for picture in pictures],
        "height": [picture.height if picture else 0 for picture in pictures],
        "large": [int(picture.large) if picture else 0 for picture in pictures],
        "id": _identity(draft),
        "marks": {mark.name: mark.rows for mark in draft.marks if mark.name not in ("wrong", "right")},
        "numbers": field_names(AttentionNumbers),
        "spreads": find_spreads(rows),
    }


def _label_columns(draft: Draft, index: Mapping[str, int]) -> dict[str, object]:
    """Places among the names: one each and −1 where there is no label; of several labels a list, and null."""
    rows = draft.rows.all
    if draft.content.multi_label:
        label = [None if row.labels is None else [index[name] for name in row.labels] for row in rows]
        return {"several": True, "label": label, "predicted": [[index[name] for name in row.answers] for row in rows]}
    return {
        "several": False,
        "label": [index[row.label] if row.label else -1 for row in rows],
        "predicted": [index[row.predicted] for row in rows],
    }


def _identity(draft: Draft) -> str:
    """What tells this report from others on the same disk, for decisions that the browser keeps."""
    files = json.dumps([draft.content.run, *(row.file for row in draft.rows.all)])
    return hashlib.sha256(files.encode("ascii")).hexdigest()[:16]


def plain(value: float | None) -> float | None:
    """The number rounded for the page; None where it is not finite."""
    return round(value, 5) if value is not None and abs(value) < float("inf") else None
