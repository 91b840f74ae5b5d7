"""The maps beside the masks of the objects: one number per photo for each map and each guess."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pcn_cli.attention.localisation import OnMask, even_on_mask, find_peak, hits_mask, map_on_mask, middle_on_mask
from pcn_cli.data.masks import read_mask
from pcn_cli.metrics.trust import check_masks
from pcn_cli.records.evaluation import TrustCheck
from pcn_cli.records.model import PatchGrid
from pcn_cli.stages.inference.score import Scored


def compare_with_masks(
    scored: Sequence[Scored], masks: Mapping[str, Path], patch_grid: PatchGrid
) -> tuple[TrustCheck, ...]:
    """The checks of the photos that have a mask with something on it; () where there is none."""
    found: dict[str, dict[str, list[float]]] = {"pointing": {}, "energy": {}, "overlap": {}}
    for one in scored:
        mask = read_mask(masks[one.prediction.file]) if one.prediction.file in masks else None
        if mask is None or not mask.any():
            continue
        maps = {"look": one.look} | ({"evidence": one.hidden.evidence[0]} if one.hidden else {})
        for name, values in maps.items():
            on_mask = map_on_mask(values, mask, patch_grid=patch_grid, placement=one.placement)
            hit = hits_mask(*find_peak(values, patch_grid=patch_grid, placement=one.placement), mask)
            _note(found, name, hit, on_mask)
        height, width = mask.shape
        _note(found, "center", hits_mask(width / 2, height / 2, mask), middle_on_mask(mask, one.placement))
        _note(found, "random", float(mask.mean()), even_on_mask(mask, one.placement))
    return check_masks(found) if found["pointing"] else ()


def _note(found: dict[str, dict[str, list[float]]], name: str, pointing: float, on_mask: OnMask) -> None:
    for key, value in (("pointing", float(pointing)), ("energy", on_mask.energy), ("overlap", on_mask.overlap)):
        found[key].setdefault(name, []).append(value)
