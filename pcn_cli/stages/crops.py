"""Where crops lie while a run is planned, and in the run: a run with crops holds the photos that it answers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pcn_cli.files.atomic import explaining_refusal
from pcn_cli.recipe.schema import Labelling
from pcn_cli.runs.rundir import RUNS, RunDir


@contextmanager
def crops_folder(labelling: Labelling | None, output: str | Path | None) -> Iterator[Path | None]:
    """A context with a folder beside the run that will be, gone at its end unless it was kept; None without boxes.

    Raises:
        ResourceError: it cannot be made there.
    """
    if labelling is None or labelling.crop_boxes is None:
        yield None
        return
    parent = Path(output).absolute().parent if output else RUNS.absolute()
    made = not parent.exists()
    with explaining_refusal(parent):
        parent.mkdir(parents=True, exist_ok=True)
        # Crops may be many: on the disk of the run, into which they are only renamed.
        scratch = TemporaryDirectory(prefix=".crops-", dir=parent, ignore_cleanup_errors=True)
    try:
        with scratch as place:
            yield Path(place) / RunDir.crops.name
    finally:
        if made:
            with suppress(OSError):  # what is not empty is somebody's
                parent.rmdir()


def keep_crops(crops: Path | None, run: RunDir) -> None:
    """Let the crops be the run's."""
    if crops is not None:
        with explaining_refusal(run.crops):
            shutil.move(crops, run.crops)
