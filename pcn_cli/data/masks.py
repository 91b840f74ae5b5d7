"""Masks of photos: a PNG by the photo's name, in which what is not 0 is the object.

A vast one is decoded by a process of its own with bounds: it gets the path and answers with a line of JSON and a bit
for each pixel.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.data.load.open_image import MAX_PIXELS, takes_much_memory
from pcn_cli.errors import DataError
from pcn_cli.files.child import child_pipes, hear, hear_bytes, say
from pcn_cli.files.machine import limit_process

_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "RGB")
_MOST_TOLD = 10
_BAND = 256  # rows
_MEMORY, _SECONDS = 900_000_000, 20  # of the process; the seconds are of computing
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
    if takes_much_memory(path):
        return _read_apart(path)
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return np.concatenate(list(_bands(picture)))
    except Exception as error:  # damaged bytes make a decoder raise nearly anything
        raise _unreadable(path, error) from error


def _bands(picture: Image.Image) -> Iterator[NDArray[np.bool_]]:
    """Rows of the mask, from above: where there is something."""
    picture.load()
    for top in range(0, picture.height, _BAND):
        values = np.asarray(picture.crop((0, top, picture.width, min(top + _BAND, picture.height))))
        yield np.asarray(values.any(axis=2) if values.ndim == 3 else values != 0)


def _unreadable(path: Path, why: object) -> DataError:
    return DataError(f"{path} cannot be read as a PNG: {why}", _HINT)


def _read_apart(path: Path) -> NDArray[np.bool_]:
    with child_pipes(__name__) as (to, back):
        try:
            say(to, os.fspath(path))
            told = hear(back)
            if "reason" in told:
                raise _unreadable(path, told["reason"])
            width, height = told["size"]
            mask, across = np.empty((height, width), dtype=np.bool_), -(-width // 8)
            for top in range(0, height, _BAND):
                rows = min(_BAND, height - top)
                bits = np.frombuffer(hear_bytes(back, rows * across), np.uint8).reshape(rows, across)
                mask[top : top + rows] = np.unpackbits(bits, axis=1, count=width)
        except (OSError, ValueError) as error:  # it ended in the middle of a word
            raise _unreadable(path, "it takes more memory or time than a photo may") from error
        return mask


def answer() -> None:
    """Decode the mask that standard input names; runs in the process with bounds."""
    limit_process(memory=_MEMORY, seconds=_SECONDS)
    said = sys.stdout.buffer
    try:
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        with Image.open(Path(hear(sys.stdin.buffer)), formats=("PNG",)) as picture:
            picture.load()
            say(said, {"size": picture.size})
            for band in _bands(picture):
                said.write(np.packbits(band, axis=1).tobytes())
    except Exception as error:  # noqa: BLE001 - damaged bytes make a decoder raise nearly anything
        say(said, {"reason": str(error) or type(error).__name__})
    said.flush()


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
