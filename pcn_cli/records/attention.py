"""The maps of every picture of a run as numbers."""

from dataclasses import dataclass

import numpy as np

from pcn_cli.records.model import PatchGrid, Placement

FULL_LIFT = 8.0  # times an even spread: a look drawn at full strength, unless the maps at hand go higher


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Look maps (n, h, w), each ≥ 0 and summing to 1, with a placement each, in the order of `files`.

    `evidence` (n, k, h, w) is by how much hiding each patch lowers the logit of the k = min(3, classes) most probable
    classes, whose numbers in the model's order are `evidence_classes` (n, k), the predicted one first; the difference
    of two is their contrast. `deletion` and `insertion` (n, 21) are the probability of the predicted class with the
    share 0, 0.05 … 1 of the patches hidden, or alone kept, the most looked-at first. All four are None together, in
    runs of older versions. `class_looks` (n, k, h, w) are the looks of these classes' own tokens, where they have any.
    """

    files: tuple[str, ...]
    looks: np.ndarray
    placements: tuple[Placement, ...]
    patch_grid: PatchGrid
    evidence: np.ndarray | None = None
    evidence_classes: np.ndarray | None = None
    deletion: np.ndarray | None = None
    insertion: np.ndarray | None = None
    class_looks: np.ndarray | None = None
