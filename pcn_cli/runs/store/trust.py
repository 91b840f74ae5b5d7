"""trust.json: what was checked of the maps."""

import json
from pathlib import Path

from pcn_cli.files.atomic import write_json
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.evaluation import Trust


def write_trust(path: Path, trust: Trust) -> None:
    """Put the checks at `path`."""
    write_json(path, to_plain(trust))


def read_trust(path: Path) -> Trust | None:
    """The checks that `write_trust` put there; None where there is no such file, as in older runs."""
    return from_plain(Trust, json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
