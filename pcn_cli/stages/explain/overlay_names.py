"""Where the overlay of a prediction lies in the run."""

from pathlib import Path

from pcn_cli.files.names import safe_name
from pcn_cli.runs.rundir import RunDir


def overlay_path(run: RunDir, index: int, file: str) -> Path:
    """The overlay of the photo in row `index` (from 0) of predictions.csv."""
    return run.overlays / f"{index:05}-{safe_name(Path(file).stem)}.png"
