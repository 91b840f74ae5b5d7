"""Masks of photos: a PNG by the photo's name, in which what is not 0 is the object."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.data.load.open_image import MAX_PIXELS
from pcn_cli.errors import DataError

_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "RGB")
_MOST_TOLD = 10
_HINT = (
    "a mask is the PNG DIR/NAME.png of the photo NAME.jpg, in the size of the upright photo; what is not 0 is object"
)


def find_masks(folder: Path, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Path]:
    """The mask of each photo that has one; `sizes` are the photos' widths and heights by their paths.

    A mask lies at its photo's path below `folder`, or directly in it, where no two photos have that name.

    Raises:
        DataError: there is no such folder, no photo has a mask in it, or a mask is none, or not of its photo's size.
    """
    refuse_missing(folder)
    stems = [Path(file).stem for file in sizes]
    alone = {stem for stem, count in Counter(stems).items() if count == 1}
    found, problems = dict[str, Path](), list[str]()
    for file, size in sizes.items():
        places = (folder / Path(file).with_suffix(".png"), folder / f"{Path(file).stem}.png")
        own = places[0] if places[0].is_file() else places[1] if places[1].is_file() else None
        if own == places[1] and places[0] != places[1] and Path(file).stem not in alone:
            problems.append(f"{own}: could be of several photos called {Path(file).stem}")
        elif own is not None:
            found[file] = own
            problems += _find_fault(own, size)
    if problems:
        more = [f"and {len(problems) - _MOST_TOLD:,} more"] if len(problems) > _MOST_TOLD else []
        raise DataError("\n  ".join([f"{folder} has what are no masks:", *problems[:_MOST_TOLD], *more]), _HINT)
    if not found:
        example = next(iter(sizes), "NAME.jpg")
        raise DataError(f"no photo that was measured has a mask in {folder}", f"such as {Path(example).stem}.png")
    return found


def refuse_missing(folder: Path) -> None:
    """Raise a DataError where there is no such folder of masks."""
    if not folder.is_dir():
        raise DataError(f"there is no folder of masks {folder}", _HINT)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Where the object is, (H, W).

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            values = np.asarray(picture)
    except Exception as error:  # damaged bytes make a decoder raise nearly anything
        raise DataError(f"{path} cannot be read as a PNG: {error}", _HINT) from error
    return np.asarray(values.any(axis=2) if values.ndim == 3 else values != 0)


def _find_fault(path: Path, size: tuple[int, int]) -> list[str]:
    """What is wrong with a mask, by its header."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            found, mode = picture.size, picture.mode
    except Exception as error:  # noqa: BLE001 - damaged bytes make a decoder raise nearly anything
        return [f"{path.name} is no PNG ({type(error).__name__})"]
    if found != size or found[0] * found[1] > MAX_PIXELS:
        return [f"{path.name} has {found[0]}×{found[1]} pixels, and the photo {size[0]}×{size[1]}"]
    if mode not in _MODES:
        return [f"{path.name} is of the kind {mode}, and not one of {', '.join(_MODES)}"]
    return []
