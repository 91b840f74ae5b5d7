"""overlays/: pictures of where the network looked, the most uncertain photos first."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pcn_cli.attention.maps import full_lift, lift_maps
from pcn_cli.files.threads import in_threads
from pcn_cli.recipe.schema import ExplainSection
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.answers import save_overlay
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
            one.look,
            placement=one.placement,
            patch_grid=model.config.patch_grid,
            drawing=explain.look,
            full=full,
            evidence=evidence,
        )

    for done, _ in enumerate(in_threads(draw, rows), start=1):
        callback.on_progress("drawing overlays", done, len(rows))
