"""overlays/: pictures of where the network looked, the most uncertain photos first."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from pcn_cli.attention.maps import full_lift, lift_maps
from pcn_cli.attention.overlay import draw_evidence, draw_overlay
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.files.atomic import write_with
from pcn_cli.files.threads import in_threads
from pcn_cli.recipe.schema import ExplainSection, Look
from pcn_cli.records.model import PatchGrid
from pcn_cli.records.predictions import FULL_LIFT
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import LoadedModel
from pcn_cli.stages.inference.score import Scored
from pcn_cli.tensors.network import Network


def draw_overlays(
    run: RunDir,
    scored: Sequence[Scored],
    *,
    root: Path,
    model: LoadedModel,
    explain: ExplainSection,
    callback: Callback,
) -> None:
    """Draw at most `explain.overlays` photos into the run, all on one scale.

    Where the model looks everywhere alike the evidence for its answers is drawn, if it is known.
    """
    evenly = cast("Network", model.network).looks_evenly
    full = full_lift(lift_maps(one.look) for one in scored)
    rows = sorted(range(len(scored)), key=lambda row: (scored[row].prediction.confidence, row))[: explain.overlays]

    def draw(row: int) -> None:
        one, file = scored[row], scored[row].prediction.file
        target = run.overlay(row, file)
        evidence = one.hidden.evidence[0] if evenly and one.hidden else None
        save_overlay(
            target,
            root / file,
            one,
            patch_grid=model.config.patch_grid,
            look=explain.look,
            full=full,
            evidence=evidence,
        )

    for done, _ in enumerate(in_threads(draw, rows), start=1):
        callback.on_progress("drawing overlays", done, len(rows))


def save_overlay(
    target: Path,
    photo: Path,
    scored: Scored,
    *,
    patch_grid: PatchGrid,
    look: Look,
    full: float = FULL_LIFT,
    evidence: np.ndarray | None = None,
) -> None:
    """Put at `target` the photo with what the network looked at, or with the `evidence` (h, w) for its answer."""
    picture, place = open_photo(photo), scored.placement
    if evidence is not None:
        drawn = draw_evidence(picture, evidence, patch_grid=patch_grid, placement=place)
    else:
        maps = lift_maps(scored.look)
        drawn = draw_overlay(picture, maps, patch_grid=patch_grid, placement=place, look=look, full=full)
    # Level 1 is hardly larger than 6 and takes a third of the time; what can be drawn again need not wait for the disk.
    write_with(target, lambda file: drawn.save(file, format="PNG", compress_level=1), durable=False)
