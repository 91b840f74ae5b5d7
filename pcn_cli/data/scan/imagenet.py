"""ImageNet's validation photos as they lie on disks, each with the number of its class among the 1,000 of ILSVRC.

Two forms: folders that are called after their synsets (n01440764/…), or all photos in one folder beside a file of the
truth: ILSVRC's numbers with the kit's meta.mat, Kaggle's LOC_val_solution.csv, a synset or a number from 0 on a line.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from timm.data import ImageNetInfo

from pcn_cli.data.scan.content import promises_image
from pcn_cli.data.scan.walk import check_folder, walk_folder
from pcn_cli.errors import DataError, command, shown
from pcn_cli.records.imagenet import WHOLE

CLASSES = 1000
TRUTHS = ("ILSVRC2012_validation_ground_truth.txt", "LOC_val_solution.csv")
META = "meta.mat"
_SYNSET = re.compile(r"n\d{8}")
_PHOTO = re.compile(r"ILSVRC2012_val_(\d{8})\.jpe?g", re.IGNORECASE)
_KIT = ("", "data", "ILSVRC2012_devkit_t12/data", "devkit/data")
_LARGEST_TRUTH = 64 * 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class ImageNetPhotos:
    """Files below `root`, in the order of their paths, and the class of each, 0 to 999; `form` says how it was told."""

    root: Path
    files: tuple[str, ...]
    targets: tuple[int, ...]
    form: str


def find_imagenet(folder: Path, truth: Path | None = None) -> ImageNetPhotos | None:
    """The photos of ImageNet in `folder`, or in its `val`; None where it holds other photos.

    Without a `truth` a flat folder's is looked for in it and in the four folders above.

    Raises:
        DataError: they are ImageNet's, but their truth is missing, or does not fit them.
    """
    check_folder(folder)
    names = _list_names(folder)
    if "val" in names and not any(map(_is_synset, names)) and (folder / "val").is_dir():
        folder, names = folder / "val", _list_names(folder / "val")
    folders = [name for name in names if (folder / name).is_dir()]
    if folders and all(map(_is_synset, folders)) and truth is None:
        return _read_folders(folder)
    photos = {name: int(match[1]) for name in names if (match := _PHOTO.fullmatch(name))}
    if not photos:
        return None
    found = truth or _find_beside(folder, TRUTHS)
    if found is None:
        kept = command("evaluate", "CARD", "--images", folder, "--labels", TRUTHS[0])
        raise DataError(f"{folder} holds photos of ImageNet without their truth: no {' or '.join(TRUTHS)}", kept)
    targets = _read_truth(found, photos)
    return ImageNetPhotos(root=folder, files=tuple(targets), targets=tuple(targets.values()), form=found.name)


@cache
def synsets() -> tuple[str, ...]:
    """The 1,000 synsets in the order of the classes, which is that of their names."""
    return tuple(ImageNetInfo().label_names())


def _list_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names of 50,000 files, not as many paths
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def _is_synset(name: str) -> bool:
    return _SYNSET.fullmatch(name) is not None


def _read_folders(folder: Path) -> ImageNetPhotos | None:
    numbers = {name: number for number, name in enumerate(synsets())}
    found = {}
    for file, obstacle in walk_folder(folder).items():
        synset = file.partition("/")[0]
        if not obstacle and synset in numbers and promises_image(file):
            found[file] = numbers[synset]
    if not found:
        return None
    return ImageNetPhotos(root=folder, files=tuple(found), targets=tuple(found.values()), form="synset folders")


def _find_beside(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the files `names` in the folder or up to four above, also where ILSVRC's kit has them."""
    absolute = folder.absolute()
    places = [place / inner for place in (absolute, *absolute.parents[:4]) for inner in _KIT]
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def _read_truth(path: Path, photos: dict[str, int]) -> dict[str, int]:
    """The class of each photo, by name; `photos` are their numbers, from 1."""
    if path.stat().st_size > _LARGEST_TRUTH:
        raise DataError(f"{path} is too large for a file of {WHOLE:,} classes")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text") from error
    rows = [line.replace(",", " ").split() for line in lines if line.strip()]
    if not rows:
        raise DataError(f"{path} is empty")
    if all(len(row) == 1 for row in rows):
        if max(photos.values()) > len(rows):
            raise DataError(f"{path} has {len(rows):,} lines, and there is a photo number {max(photos.values()):,}")
        words = {name: rows[number - 1][0] for name, number in photos.items()}
    else:
        named = {Path(row[0]).stem.lower(): row[1] for row in rows if len(row) > 1}
        words = {name: named.get(Path(name).stem.lower(), "") for name in photos}
        if missing := [name for name, word in words.items() if not word]:
            raise DataError(f"{path} does not name {missing[0]}, nor {len(missing) - 1:,} other photos of the folder")
    classes = _number_words(path, {row[-1 if len(row) == 1 else 1] for row in rows}, set(words.values()))
    return {name: classes[word] for name, word in words.items()}


def _number_words(path: Path, known: set[str], used: set[str]) -> dict[str, int]:
    """The class that each of the `used` words of a file means: a synset, or a number; `known` are all of its words.

    ILSVRC's own numbers, from 1, are in an order of its own, not in that of the classes.
    """
    numbers = {name: number for number, name in enumerate(synsets())}
    if not all(word.isdecimal() for word in used):
        if strange := sorted(used - numbers.keys()):
            raise DataError(f"{path} names {shown(strange[0])}, which is none of ImageNet's {CLASSES:,} classes")
        return {word: numbers[word] for word in used}
    if "0" in known:
        meant = {word: int(word) for word in used}
    else:
        kit = _find_beside(path.parent, (META,))
        if kit is None:
            raise DataError(
                f"the numbers of {path} are ILSVRC's own, and the {META} that says which class each means is not there",
                f"put the kit's {META} beside {path.name}",
            )
        order = _read_kit(kit)
        meant = {word: numbers.get(order.get(int(word), ""), CLASSES) for word in used}
    if strange := sorted(word for word, number in meant.items() if not 0 <= number < CLASSES):
        raise DataError(f"{path} holds the number {shown(strange[0])}, which means none of {CLASSES:,} classes")
    return meant


def _read_kit(path: Path) -> dict[int, str]:
    """ILSVRC's number → synset, from the meta.mat of its development kit."""
    try:
        rows = loadmat(path, squeeze_me=True, variable_names=["synsets"])["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}
    except (MatReadError, KeyError, ValueError, TypeError, IndexError, OSError, NotImplementedError) as error:
        raise DataError(f"{path} is not the {META} of ILSVRC's kit: {error}") from error
