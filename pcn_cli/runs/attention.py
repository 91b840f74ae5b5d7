"""attention.npz: the maps of every prediction as numbers, with where they lie on the photo."""

from pathlib import Path

import numpy as np

from pcn_cli.files.atomic import write_with
from pcn_cli.records.attention import AttentionMaps
from pcn_cli.records.model import PatchGrid, Placement


def write_attention(path: Path, maps: AttentionMaps) -> None:
    """Put `maps` at `path` without pickled objects; maps and curves are stored as float16."""
    first = maps.placements[0]
    arrays = {
        "files": np.array([file.encode("utf-8", "surrogateescape") for file in maps.files], dtype=np.bytes_),
        "look": maps.looks.astype(np.float16),
        "photo_size": np.array([(p.width, p.height) for p in maps.placements], dtype=np.int32),
        "box": np.array([p.box for p in maps.placements], dtype=np.float64),
        "input_size": np.array((first.input_width, first.input_height), dtype=np.int32),
        "patch_grid": np.array((maps.patch_grid.stride, maps.patch_grid.offset), dtype=np.float64),
    }
    found = {name: getattr(maps, name) for name in _HIDING}
    arrays |= {name: values.astype(_HIDING[name]) for name, values in found.items() if values is not None}
    write_with(path, lambda part: np.savez_compressed(part, allow_pickle=False, **arrays))


def read_attention(path: Path) -> AttentionMaps:
    """The maps and curves that `write_attention` was given, to half precision."""
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
        return AttentionMaps(
            files=files,
            looks=arrays["look"].astype(np.float32),
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
