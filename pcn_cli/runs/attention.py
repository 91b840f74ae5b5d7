"""attention.npz: the maps of every prediction as numbers, with where they lie on the photo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcn_cli.files.atomic import write_with
from pcn_cli.records.model import PatchGrid, Placement


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Look maps (n, h, w), each ≥ 0 and summing to 1, with a placement each, in the order of `files`.

    `evidence` (n, k, h, w) is by how much hiding each patch lowers the logit of the k = min(3, classes) most probable
    classes, whose numbers in the model's order are `evidence_classes` (n, k), the predicted one first; the difference
    of two is their contrast. `deletion` and `insertion` (n, 21) are the probability of the predicted class with the
    share 0, 0.05 … 1 of the patches hidden, or alone kept, the most looked-at first. All four are None together, in
    runs of older versions. `class_looks` (n, k, h, w) are the looks of these classes' own tokens, where they have any.
    """

    files: tuple[str, ...]
    maps: np.ndarray
    placements: tuple[Placement, ...]
    patch_grid: PatchGrid
    evidence: np.ndarray | None = None
    evidence_classes: np.ndarray | None = None
    deletion: np.ndarray | None = None
    insertion: np.ndarray | None = None
    class_looks: np.ndarray | None = None


def write_looks(path: Path, looks: Looks) -> None:
    """Put `looks` at `path` without pickled objects; maps and curves are stored as float16."""
    first = looks.placements[0]
    arrays = {
        "files": np.array([file.encode("utf-8", "surrogateescape") for file in looks.files], dtype=np.bytes_),
        "look": looks.maps.astype(np.float16),
        "photo_size": np.array([(p.width, p.height) for p in looks.placements], dtype=np.int32),
        "box": np.array([p.box for p in looks.placements], dtype=np.float64),
        "input_size": np.array((first.input_width, first.input_height), dtype=np.int32),
        "patch_grid": np.array((looks.patch_grid.stride, looks.patch_grid.offset), dtype=np.float64),
    }
    found = {name: getattr(looks, name) for name in _HIDING}
    arrays |= {name: values.astype(_HIDING[name]) for name, values in found.items() if values is not None}
    write_with(path, lambda part: np.savez_compressed(part, allow_pickle=False, **arrays))


def read_looks(path: Path) -> Looks:
    """The maps and curves that `write_looks` was given, to half precision."""
    with np.load(path, allow_pickle=False) as arrays:
        input_width, input_height = (int(side) for side in arrays["input_size"])
        placements = tuple(
            Placement(
                width=int(width), height=int(height), input_width=input_width, input_height=input_height, box=tuple(box)
            )
            for (width, height), box in zip(arrays["photo_size"], arrays["box"].tolist(), strict=True)
        )
        stride, offset = (float(value) for value in arrays["patch_grid"])
        files = tuple(name.decode("utf-8", "surrogateescape") for name in arrays["files"].tolist())
        return Looks(
            files=files,
            maps=arrays["look"].astype(np.float32),
            placements=placements,
            patch_grid=PatchGrid(stride=stride, offset=offset),
            **{name: _widen(arrays[name]) for name in _HIDING if name in arrays},
        )


_HIDING = {
    "evidence": np.float16,
    "evidence_classes": np.int32,
    "deletion": np.float16,
    "insertion": np.float16,
    "class_looks": np.float16,
}


def _widen(values: np.ndarray) -> np.ndarray:
    """Half precision as single; whole numbers as they are."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
