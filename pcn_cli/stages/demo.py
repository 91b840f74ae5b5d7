"""Demo: the whole way on photos that are drawn first, so that everything can be tried with no photos and no network."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcn_cli.data.drawing import draw_photos
from pcn_cli.errors import ResourceError
from pcn_cli.files.atomic import explaining_refusal
from pcn_cli.files.names import free_path
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Seed
from pcn_cli.records.metrics import Metric
from pcn_cli.records.photos import Part
from pcn_cli.runs.store import write_boxes
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.finetune import finetune

PER_CLASS: dict[Part, int] = {"train": 40, "val": 15, "test": 15}


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the demo came to: `peak_in_box` is the share of test photos whose strongest patch lies on the object."""

    accuracy: Metric
    peak_in_box: Metric
    peak_in_box_right: Metric | None
    boxes: Path
    run: Path
    report: Path
    seconds: float

    def plain(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "accuracy": self.accuracy.value,
            "n": self.accuracy.n,
            "peak_in_box": self.peak_in_box.value,
            "boxes": str(self.boxes),
            "run": str(self.run),
            "report": str(self.report),
            "seconds": self.seconds,
        }


@checked
def demo(
    output: str | Path | None = None, *, seed: Seed = 0, device: str | None = None, callback: Callback | None = None
) -> Demonstration:
    """A run of `nano` on drawn photos, in a new folder that holds all of it: photos/, boxes.csv and run/.

    The folder is `output`, or pcn-demo or the first free name after it.

    Raises:
        ResourceError: the folder exists.
    """
    started, callback = time.monotonic(), callback or Callback()
    folder = Path(output) if output else free_path(Path(), "pcn-demo", set())
    with explaining_refusal(folder, elsewhere="name a folder elsewhere: pcn demo --output FOLDER"):
        if folder.exists():
            raise ResourceError(f"{folder} exists already", "name another folder with --output, or leave it out")
        folder.mkdir(parents=True)
    callback.on_stage("draw photos")
    boxes = draw_photos(folder / "photos", PER_CLASS, seed=seed)
    write_boxes(folder / "boxes.csv", (box for box in boxes if box.file.startswith("test/")))
    outcome = finetune(
        folder / "photos",
        model="nano",
        recipe="demo",
        boxes=folder / "boxes.csv",
        output=folder / "run",
        seed=seed,
        device=device,
        callback=callback,
    )
    if outcome.report is None:
        raise RuntimeError("finetune wrote no report")
    return Demonstration(
        accuracy=outcome.metrics["accuracy"],
        peak_in_box=outcome.metrics["pointing_game"],
        peak_in_box_right=outcome.metrics.get("pointing_game_right"),
        boxes=folder / "boxes.csv",
        run=outcome.run,
        report=outcome.report,
        seconds=time.monotonic() - started,
    )
