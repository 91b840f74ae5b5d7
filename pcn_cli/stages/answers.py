"""What predict answers, draws and copies for photos that somebody named, whatever gave the numbers; needs no torch."""

import filecmp
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from pcn_cli.attention.maps import lift_maps
from pcn_cli.attention.overlay import draw_evidence, draw_overlay
from pcn_cli.data.boxes.cut import cut_named, refuse_idle_crops
from pcn_cli.data.image_paths import gather_images
from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.data.scan.doubts import describe_truncated
from pcn_cli.data.scan.unlabelled import name_some
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import explaining_refusal, replacing, write_with
from pcn_cli.files.names import free_path, holding_folders, refuse_inside, safe_name
from pcn_cli.recipe.schema import Look, PredictOptions
from pcn_cli.records.model import ModelConfig, PatchGrid, Placement
from pcn_cli.records.predictions import FULL_LIFT, Decision

UNKNOWN = "unknown"
UNLIKE, UNSURE = "unlike anything learned", "unsure"
_NOT_SURE = "not sure"
_EVIDENCE_OF_ONE = "--map evidence has no meaning with a model that may give a photo several labels"


@dataclass(frozen=True, kw_only=True)
class NamedPhotos:
    """The photos that were named, in their order, and what may not be written into: `folders` and what `holds` them.

    Where boxes are answered in their place, `paths` are of the crops, `boxes` are left, top, right and bottom in pixels
    of the photo (None where it cannot be read), and the crops have `names`.
    """

    paths: tuple[Path, ...]
    folders: tuple[Path, ...]
    holders: frozenset[Path]
    names: tuple[str, ...] = ()
    boxes: tuple[tuple[int, int, int, int] | None, ...] = ()

    def name(self, index: int) -> str:
        """What an answer calls the photo or crop."""
        return self.names[index] if self.names else str(self.paths[index])


@contextmanager
def naming_photos(
    images: str | Path | Sequence[str | Path], asked: PredictOptions, *, on_note: Callable[[str], None]
) -> Iterator[NamedPhotos]:
    """A context with the photos that `images` name, or with the crops of `asked.crop_boxes`, which lie there meanwhile.

    Raises:
        DataError: no image was named, or what `cut_named` refuses. Otherwise what `name_photos` raises.
    """
    photos = name_photos(images, asked)
    if asked.crop_boxes is None:
        refuse_idle_crops(asked)
        yield photos
        return
    folder = photos.folders[0] if len(photos.folders) == 1 else None
    with TemporaryDirectory(prefix="pcn-crops-", ignore_cleanup_errors=True) as place:
        crops, note = cut_named(photos.paths, folder, asked, into=Path(place))
        names, paths, boxes = zip(*crops, strict=True)
        on_note(f"{len(crops):,} boxes of {len(photos.paths):,} photos are answered")
        if note:
            on_note(note)
        yield replace(photos, paths=paths, names=names, boxes=boxes)


def name_photos(images: str | Path | Sequence[str | Path], asked: PredictOptions) -> NamedPhotos:
    """The photos that `images` name: files, folders and globs.

    Raises:
        DataError: no image was named. RecipeError: an option of `asked` has no effect beside the others.
        ResourceError: a folder to write into is one that holds photos, or lies in one.
    """
    if asked.overlay is None and asked.overlay_map is not None:
        raise RecipeError(f"--map {asked.overlay_map} has no effect without --overlay", "add --overlay DIR")
    if asked.overlay is None and asked.look != "spotlight":
        raise RecipeError(f"--look {asked.look} has no effect without --overlay", "add --overlay DIR")
    if asked.look != "spotlight" and asked.overlay_map == "evidence":
        raise RecipeError(f"--look {asked.look} has no effect with --map evidence", "leave one of the two out")
    sources = [os.fspath(source) for source in ([images] if isinstance(images, str | Path) else images)]
    paths = gather_images(sources)
    named = [Path(source) for source in sources if os.path.isdir(source)]  # noqa: PTH112 - never raises
    photos = NamedPhotos(paths=tuple(paths), folders=tuple(named), holders=holding_folders(paths))
    for option, target in _targets(asked).items():
        refuse_inside(target, photos.folders, photos.holders, option=option)
    return photos


class Answers:
    """The answers to the named photos, in their order, as `rows`; overlays and copies are written as they are asked.

    Raises:
        RecipeError: an option of `asked` has no meaning with a model that gives several labels.
        ResourceError: a folder to write into is one that holds photos, or cannot be made.
    """

    def __init__(self, photos: NamedPhotos, asked: PredictOptions, config: ModelConfig) -> None:
        _refuse_meaningless(asked, config)
        if asked.sort_into is not None:
            withholds = config.selection is not None or asked.min_confidence is not None or asked.refuse_unlike
            for label in (*config.classes, *((withheld_label(config.classes),) if withholds else ())):
                target = Path(asked.sort_into) / safe_name(label)
                refuse_inside(target, photos.folders, photos.holders, option="--sort-into")
        for option, target in _targets(asked).items():  # once nothing else is refused, and before the first answer
            with explaining_refusal(target, elsewhere=f"name another folder with {option} DIR"):
                target.mkdir(parents=True, exist_ok=True)
        self._photos, self._asked, self._config = photos, asked, config
        self._taken: set[Path] = set()
        self._sorted_before = _list_sorted(asked.sort_into)
        self._elsewhere: list[Path] = []  # copies of these photos that an earlier command sorted under another label
        self.rows = [self._called(index, no_answer("", config)) for index in range(len(photos.paths))]

    def refuse(self, index: int, reason: str) -> None:
        """Answer why a photo could not be read."""
        self.rows[index].update(error=reason)

    def add(
        self,
        index: int,
        prediction: Decision,
        *,
        look: np.ndarray,
        placement: Placement,
        evidence: np.ndarray | None,
        missing: float | None = None,
        picture: np.ndarray | None = None,
    ) -> None:
        """Answer a photo with its `look` (h, w), or the `evidence` (h, w) to draw in its place.

        `missing` is about the share of its rows that a truncated photo lacks, `picture` (H, W, 3) uint8 what is drawn
        on, where the photo was opened for that already.
        """
        asked, path = self._asked, self._photos.paths[index]
        answer = answer_of(
            prediction,
            self._config,
            top=asked.top,
            min_confidence=asked.min_confidence,
            refuse_unlike=asked.refuse_unlike,
        )
        answer |= {} if missing is None else {"missing": missing}
        self.rows[index] = answer = self._called(index, answer)
        if asked.overlay is not None:
            target = free_path(Path(asked.overlay), f"{path.stem}.png", self._taken, replace=True)
            grid = self._config.patch_grid
            photo = path if picture is None else Image.fromarray(picture)
            save_overlay(
                target, photo, look, placement=placement, patch_grid=grid, drawing=asked.look, evidence=evidence
            )
        if asked.sort_into is not None:
            self._sort(path, Path(asked.sort_into) / safe_name(answer["label"]))

    @property
    def notes(self) -> list[str]:
        """What a person should know of the answers as a whole."""
        notes = [describe_truncated({row["file"]: row.get("missing") for row in self.rows})]
        if self._elsewhere:
            named = name_some([f"{place.parent.name}/{place.name}" for place in self._elsewhere])
            notes.append(f"also in {self._asked.sort_into} under another label, from an earlier time: {named}")
        return list(filter(None, notes))

    def _sort(self, path: Path, folder: Path) -> None:
        """Copy the photo into the folder of its label, unless an earlier command did."""
        before = [place for place in self._sorted_before.get(path.name, ()) if filecmp.cmp(place, path, shallow=False)]
        self._elsewhere += [place for place in before if place.parent != folder]
        if any(place.parent == folder for place in before):
            return
        copy = free_path(folder, path.name, self._taken)
        with replacing(copy) as part:
            shutil.copyfile(path, part)

    def _called(self, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer with the name of what it is of, and with the box of a crop."""
        boxes = self._photos.boxes
        return answer | {"file": self._photos.name(index)} | ({"box": boxes[index]} if boxes else {})


def _list_sorted(folder: Path | str | None) -> dict[str, list[Path]]:
    """The copies by their names that earlier commands sorted into `folder`."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for place in sorted(Path(folder).glob("*/*")) if folder is not None else ():
        if place.is_file():
            found[place.name].append(place)
    return found


def save_overlay(
    target: Path,
    photo: Path | Image.Image,
    look: np.ndarray,
    *,
    placement: Placement,
    patch_grid: PatchGrid,
    drawing: Look,
    full: float = FULL_LIFT,
    evidence: np.ndarray | None = None,
) -> None:
    """Put at `target` the photo with what the network looked at, or with the `evidence` (h, w) for its answer."""
    # Whether it may be truncated was asked before.
    picture = open_reduced(photo, load_truncated=True).image if isinstance(photo, Path) else photo
    if evidence is not None:
        drawn = draw_evidence(picture, evidence, patch_grid=patch_grid, placement=placement)
    else:
        maps = lift_maps(look)
        drawn = draw_overlay(picture, maps, patch_grid=patch_grid, placement=placement, look=drawing, full=full)
    # Level 1 is hardly larger than 6 and takes a third of the time; what can be drawn again need not wait for the disk.
    write_with(target, lambda file: drawn.save(file, format="PNG", compress_level=1), durable=False)


def withheld_label(classes: Sequence[str]) -> str:
    """What a less sure photo is called instead of its class: `unknown`, or another word where a class is called so."""
    taken = {safe_name(name).casefold() for name in classes}
    words = (UNKNOWN, _NOT_SURE, *(f"{_NOT_SURE} {number}" for number in range(2, len(taken) + 2)))
    return next(word for word in words if word not in taken)


def no_answer(file: str, config: ModelConfig) -> dict[str, Any]:
    """What is said of a file that was not scored, or not yet."""
    if config.multi_label:
        return {"file": file, "labels": (), "confidence": None, "unlike": None, "top": (), "error": None}
    given = {"file": file, "label": None, "confidence": None, "unknown": False, "reason": "", "unlike": None}
    return given | {"top": (), "sets": (), "error": None}


def answer_of(
    prediction: Decision,
    config: ModelConfig,
    *,
    top: int,
    min_confidence: float | None = None,
    refuse_unlike: bool = False,
) -> dict[str, Any]:
    """What the model says of one file, the most probable labels first.

    A less sure answer than `min_confidence` is withheld; without it the model's own threshold decides. With
    `refuse_unlike` no label is given to a photo that is unlike anything the model learned.
    """
    pairs = zip(prediction.probabilities, config.classes, strict=True)
    ordered = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    least = dict(zip(config.classes, config.cuts, strict=True)) if config.multi_label else {}

    def tell(pairs: Iterable[tuple[float, str]]) -> tuple[dict[str, Any], ...]:
        return tuple({"label": label, "p": p} | ({"least": least[label]} if least else {}) for p, label in pairs)

    given = {"confidence": prediction.confidence, "unlike": prediction.unlike, "top": tell(ordered[:top])}
    answer = no_answer(prediction.file, config) | given
    if config.multi_label:
        named = prediction.predicted_labels
        return answer | {"labels": tell(pair for pair in ordered if pair[1] in named)}
    unknown = bool(prediction.unknown) if min_confidence is None else prediction.confidence < min_confidence
    unknown = unknown or (refuse_unlike and prediction.is_unlike)
    reason = UNLIKE if prediction.is_unlike else UNSURE if unknown else ""
    sets = tuple(
        {"level": one.level, "labels": tuple(label for p, label in ordered if p >= one.least_probability)}
        for one in config.conformal
        if one.least_probability is not None
    )
    label = withheld_label(config.classes) if unknown else prediction.predicted
    return answer | {"label": label, "unknown": unknown, "reason": reason, "sets": sets}


def refuse_idle_memory(asked: PredictOptions, model: str | Path, *, remembers: bool) -> None:
    """Refuse `--refuse-unlike` where the model cannot tell what is unlike anything it learned."""
    if asked.refuse_unlike and not remembers:
        raise RecipeError(
            f"--refuse-unlike has no effect with {model}: it remembers too little of the photos that it learned from",
            "train again, with twenty validation photos at least, or leave it out",
        )


def _targets(asked: PredictOptions) -> dict[str, Path]:
    """The folders to write into, by the option that names them."""
    given = (("--overlay", asked.overlay), ("--sort-into", asked.sort_into))
    return {option: Path(target) for option, target in given if target is not None}


def _refuse_meaningless(asked: PredictOptions, config: ModelConfig) -> None:
    if asked.refuse_unlike and config.multi_label:
        raise RecipeError(
            "--refuse-unlike has no meaning with a model that may give a photo several labels",
            "leave it out; the column unlike of --csv tells it",
        )
    if asked.sort_into is not None and config.multi_label:
        raise RecipeError(
            "--sort-into has no meaning with a model that may give a photo several labels",
            "pcn predict … --csv > labels.csv lists them",
        )
    if asked.min_confidence is not None and config.multi_label:
        raise RecipeError(
            "--min-confidence has no meaning with a model that may give a photo several labels",
            "pcn predict … --json tells the threshold of each label",
        )
    if asked.overlay_map == "evidence" and config.multi_label:
        raise RecipeError(_EVIDENCE_OF_ONE, "leave --map out")
