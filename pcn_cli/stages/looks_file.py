"""attention.npz: the look map of every prediction as numbers, with where it lies on the photo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcn_cli.files.atomic import write_with
from pcn_cli.records.model import PatchGrid
from pcn_cli.records.preprocessing import Placement


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Look maps (n, h, w), each ≥ 0 and summing to 1, with a placement each, in the order of `files`."""

    files: tuple[str, ...]
    maps: np.ndarray
    placements: tuple[Placement, ...]
    patch_grid: PatchGrid


def write_looks(path: Path, looks: Looks) -> None:
    """Put `looks` at `path` without pickled objects; maps are stored as float16."""
    first = looks.placements[0]
    arrays = {
        "files": np.array([file.encode("utf-8", "surrogateescape") for file in looks.files], dtype=np.bytes_),
        "look": looks.maps.astype(np.float16),
        "photo_size": np.array([(p.width, p.height) for p in looks.placements], dtype=np.int32),
        "box": np.array([p.box for p in looks.placements], dtype=np.float64),
        "input_size": np.array((first.input_width, first.input_height), dtype=np.int32),
        "patch_grid": np.array((looks.patch_grid.stride, looks.patch_grid.offset), dtype=np.float64),
    }
    write_with(path, lambda part: np.savez_compressed(part, allow_pickle=False, **arrays))


def read_looks(path: Path) -> Looks:
    """The maps that `write_looks` was given, to half precision."""
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
        maps = arrays["look"].astype(np.float32)
    return Looks(files=files, maps=maps, placements=placements, patch_grid=PatchGrid(stride=stride, offset=offset))
