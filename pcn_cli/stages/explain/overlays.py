"""overlays/: pictures of where the network looked, the most uncertain photos first."""

from collections.abc import Sequence
from pathlib import Path

from pcn_cli.attention.maps import full_lift, lift_maps
from pcn_cli.attention.overlay import draw_evidence, draw_overlay
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.files.atomic import write_with
from pcn_cli.recipe.schema import ExplainSection, Look
from pcn_cli.records.model import ModelConfig, PatchGrid
from pcn_cli.records.predictions import FULL_LIFT
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.score import Scored


def draw_overlays(
    run: RunDir,
    scored: Sequence[Scored],
    *,
    root: Path,
    config: ModelConfig,
    explain: ExplainSection,
    callback: Callback,
) -> None:
    """Draw at most `explain.overlays` photos into the run, all on one scale."""
    full = full_lift(lift_maps(one.look) for one in scored)
    rows = sorted(range(len(scored)), key=lambda row: (scored[row].prediction.confidence, row))[: explain.overlays]
    for done, row in enumerate(rows, start=1):
        one = scored[row]
        save_overlay(
            run.overlay(row, one.prediction.file),
            root / one.prediction.file,
            one,
            patch_grid=config.patch_grid,
            look=explain.look,
            full=full,
        )
        callback.on_progress("drawing overlays", done, len(rows))


def save_overlay(
    target: Path, photo: Path, scored: Scored, *, patch_grid: PatchGrid, look: Look, full: float = FULL_LIFT
) -> None:
    """Put at `target` the photo with what the network looked at."""
    picture = draw_overlay(
        open_photo(photo),
        lift_maps(scored.look),
        patch_grid=patch_grid,
        placement=scored.placement,
        look=look,
        full=full,
    )
    write_with(target, lambda part: picture.save(part, format="PNG"))


def save_evidence(target: Path, photo: Path, scored: Scored, *, patch_grid: PatchGrid) -> None:
    """Put at `target` the photo with what spoke for the predicted class and what against it."""
    if scored.hidden is None:
        raise ValueError("evidence was not computed")
    picture = draw_evidence(
        open_photo(photo), scored.hidden.evidence[0], patch_grid=patch_grid, placement=scored.placement
    )
    write_with(target, lambda part: picture.save(part, format="PNG"))
