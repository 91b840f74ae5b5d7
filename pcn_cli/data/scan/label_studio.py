"""Decisions as Label Studio exports them, and photos as it imports them: its JSON, with choices of one class each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from pcn_cli.errors import DataError
from pcn_cli.records.decisions import Decision
from pcn_cli.records.desk import Desk

_HINT = "export the project as JSON; its tasks were made by `pcn predict PHOTOS --queue 200`"


def make_tasks(desk: Desk, *, model: str) -> list[dict[str, Any]]:
    """A task for each card of the desk, with the answer of the model as its prediction."""
    return [
        {
            "data": {
                # As Label Studio serves local files, below the folder that its storage names.
                "image": f"/data/local-files/?d={quote(f'{desk.folder}/{card.file}', errors='surrogateescape')}",
                "file": card.file,
                "sha256": card.sha256,
                "folder": desk.folder,
            },
            "predictions": [
                {
                    "model_version": model,
                    "score": card.p_looks_like,
                    "result": [
                        {
                            "from_name": "label",
                            "to_name": "image",
                            "type": "choices",
                            "value": {"choices": [card.looks_like]},
                        }
                    ],
                }
            ],
        }
        for card in desk.cards
    ]


def make_view(classes: Sequence[str]) -> str:
    """The labelling interface that goes with the tasks."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    head = '<View>\n  <Image name="image" value="$image"/>\n  <Choices name="label" toName="image" choice="single">\n'
    return f"{head}{choices}  </Choices>\n</View>\n"


def read_annotations(path: Path) -> tuple[Decision, ...]:
    """The labels that were given in an export; tasks without an annotation, or skipped ones, decide nothing.

    Raises:
        DataError: the file is no such export, or a photo has several labels or none of its facts.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        return tuple(one for task in tasks for one in _decide(task))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is no export of Label Studio that can be followed: {error!r}", _HINT) from error


def _decide(task: dict[str, Any]) -> list[Decision]:
    given = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    results = [one for one in (given[-1]["result"] if given else []) if one["type"] == "choices"]
    if not results:
        return []
    (label,) = results[0]["value"]["choices"]
    data = task["data"]
    folder, file = str(data.get("folder", "")), str(data["file"])
    digest = str(data.get("sha256", "")).lower()
    return [Decision(file=file, sha256=digest, folder=folder, decision="add", new_label=str(label))]
