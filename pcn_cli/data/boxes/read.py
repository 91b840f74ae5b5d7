"""Boxes as tools write them: a table with a row for each, the JSON of COCO, and that of MegaDetector.

All that is wrong is named at once. COCO: Lin et al. 2014, arXiv:1405.0312; MegaDetector's batch output has boxes as
shares of the photo's sides, a category and a confidence, and says nothing of what kind of animal it is.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pcn_cli.errors import DataError, shown
from pcn_cli.files.atomic import iterate_csv
from pcn_cli.files.reading import read_json
from pcn_cli.records.codec import field_names
from pcn_cli.records.photos import Box

MOST_BYTES = 512 * 2**20
MOST_BOXES, MOST_OF_PHOTO = 1_000_000, 1000
BEYOND = 2  # pixels: counting from 1, or an edge behind the last pixel
_MOST_TOLD = 10  # problems in a message
_EDGES = ("xmin", "ymin", "xmax", "ymax")
TABLE_HINT = f"a table of boxes has the columns {', '.join(field_names(Box))}, in pixels"
_JSON_HINT = (
    'a .json of boxes is COCO\'s, with "images", "annotations" and "categories", or MegaDetector\'s, with "images" that'
    ' have "detections"'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundBox:
    """A box as a file has it; `number` counts those of its photo in the file, from 1.

    `edges` are left, top, right and bottom, the latter two behind the last pixel: in pixels, or in `shares` of the
    photo's sides. `size` is the photo's width and height, where the file tells them; `category` and `confidence` are
    a detector's, and no label.
    """

    file: str
    number: int = 0
    label: str = ""
    edges: tuple[float, float, float, float]
    shares: bool = False
    size: tuple[int, int] | None = None
    category: str = ""
    confidence: float | None = None

    def place(self, size: tuple[int, int]) -> Box:
        """The box in whole pixels of a photo of that width and height; what reaches a little beyond it is cut off.

        Raises:
            ValueError: it does not lie in the photo, or the photo is not of the size that the file tells.
        """
        if self.size is not None and self.size != size:
            told, found = ("×".join(map(str, one)) for one in (self.size, size))
            raise ValueError(f"{self.file}: its boxes are on {told} pixels, and the photo has {found}")
        scale = (*size, *size) if self.shares else (1, 1, 1, 1)
        edges = [round(edge * by) for edge, by in zip(self.edges, scale, strict=True)]
        inclusive = [edges[0], edges[1], edges[2] - 1, edges[3] - 1]
        for place, (value, side) in enumerate(zip(inclusive, (*size, *size), strict=True)):
            inside = min(max(value, 0), side - 1)
            inclusive[place] = inside if abs(value - inside) <= BEYOND else value
        sides = dict(zip(("width", "height"), size, strict=True))
        box = Box(file=self.file, label=self.label, **dict(zip(_EDGES, inclusive, strict=True)), **sides)
        box.check()
        return box


def find_boxes(path: Path) -> tuple[FoundBox, ...]:
    """The boxes in the file at `path`, in its order: a table, or JSON if it is called so.

    Of a table the columns label, width and height may be missing.

    Raises:
        DataError: no such file, another format, or what is no box; the message names it.
    """
    found = _find(path, whole=False)
    refuse(_words(path), [one for one in found if isinstance(one, str)], _hint(path))
    return tuple(one for one in found if not isinstance(one, str))


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """The boxes of each photo, by its path below the photos folder, in whole pixels.

    Decimals are rounded, and what reaches a pixel or two beyond the photo is cut off, as annotation tools write both.

    Raises:
        DataError: no such file, a column is missing, or rows hold no box; the message names them.
    """
    boxes, problems = dict[str, list[Box]](), list[str]()
    for one in _find(path, whole=True):
        if isinstance(one, str):
            problems.append(one)
            continue
        try:
            if one.size is None:
                raise ValueError(f"{one.file}: the file does not tell the photo's width and height")  # noqa: TRY301
            boxes.setdefault(one.file, []).append(one.place(one.size))
        except ValueError as error:
            problems.append(str(error))
    refuse(_words(path), problems, _hint(path))
    return boxes


def _find(path: Path, *, whole: bool) -> list[FoundBox | str]:
    """Each box, or what is wrong with it, in the file's order; a table needs all columns to be `whole`."""
    if not path.is_file():
        raise DataError(f"no such table of boxes: {path}")
    try:
        document = read_json(path, most=MOST_BYTES) if _is_json(path) else None
        boxes = _read_document(document) if _is_json(path) else _read_table(path, whole=whole)
        return list(_count(_gather(boxes), path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", _hint(path)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        words = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise DataError(words, _hint(path)) from error


def _count(found: Iterable[FoundBox | str], path: Path) -> Iterator[FoundBox | str]:
    """The boxes with their numbers; a DataError as soon as they are too many."""
    numbers, hint = Counter[str](), "take out those that are not sure"
    for count, one in enumerate(found, start=1):
        if count > MOST_BOXES:
            raise DataError(f"{path} has more than {MOST_BOXES:,} boxes", hint)
        if isinstance(one, str):
            yield one
            continue
        numbers[one.file] += 1
        if numbers[one.file] > MOST_OF_PHOTO:
            told = f"{numbers[one.file]:,} boxes of {one.file}, at most {MOST_OF_PHOTO:,} of a photo are read"
            raise DataError(f"{path} has {told}", hint)
        yield replace(one, number=numbers[one.file])


def refuse(words: str, problems: Sequence[str], hint: str) -> None:
    """Raise a DataError with the first of the problems, if there are any."""
    if problems:
        more = [f"and {len(problems) - _MOST_TOLD:,} more"] if len(problems) > _MOST_TOLD else []
        raise DataError("\n  ".join([words, *problems[:_MOST_TOLD], *more]), hint)


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _hint(path: Path) -> str:
    return _JSON_HINT if _is_json(path) else TABLE_HINT


def _words(path: Path) -> str:
    return f"{path} has {'entries' if _is_json(path) else 'rows'} that are no boxes:"


def _gather(boxes: Iterator[Callable[[], FoundBox]]) -> Iterator[FoundBox | str]:
    """The boxes, or what is wrong with each that cannot be read."""
    for read in boxes:
        try:
            yield read()
        except ValueError as error:
            yield str(error)


def _read_table(path: Path, *, whole: bool) -> Iterator[Callable[[], FoundBox]]:
    wanted = field_names(Box) if whole else ("file", *_EDGES)
    for row in iterate_csv(path):
        if missing := next((name for name in wanted if name not in row), None):
            raise ValueError(f"{path} has no column {missing!r}")
        yield partial(_read_row, row)


def _read_row(row: Mapping[str, str]) -> FoundBox:
    file = row["file"].strip()
    if not file:
        raise ValueError("a row names no photo")
    left, top, right, bottom = (_whole(row, name) for name in _EDGES)
    size = tuple(_whole(row, name) for name in ("width", "height") if row.get(name, "").strip())
    certain = row.get("confidence", "").strip()
    return FoundBox(
        file=file.replace("\\", "/"),
        label=row.get("label", "").strip(),
        edges=(left, top, right + 1, bottom + 1),
        size=(size[0], size[1]) if len(size) == 2 else None,
        confidence=_share(certain, f"{file}: confidence") if certain else None,
    )


def _whole(row: Mapping[str, str], name: str) -> int:
    """The whole number nearest to a cell."""
    try:
        return round(float(row[name]))
    except (ValueError, OverflowError) as error:  # no number, or none that is finite
        raise ValueError(f"{row['file']}: {name} is {row[name]!r}, which is no number of pixels") from error


def _read_document(document: Any) -> Iterator[Callable[[], FoundBox]]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise ValueError('there is no list of "images" in it')  # noqa: TRY004 - of a file, told as such
    images = [image for image in document["images"] if isinstance(image, dict)]
    if len(images) < len(document["images"]):
        raise ValueError('its "images" are not all objects')
    if isinstance(document.get("annotations"), list):
        return _read_coco(document, images)
    if any("detections" in image for image in images):
        return _read_detections(document, images)
    raise ValueError("it holds neither COCO's annotations nor MegaDetector's detections")


def _read_coco(document: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> Iterator[Callable[[], FoundBox]]:
    categories = document.get("categories", [])
    if not isinstance(categories, list):
        raise ValueError('its "categories" are no list')  # noqa: TRY004 - of a file, told as such
    names = {str(one.get("id")): one.get("name") for one in categories if isinstance(one, dict)}
    by_id = {str(image.get("id")): image for image in images}
    annotations = [one for one in document["annotations"] if not (isinstance(one, dict) and one.get("iscrowd"))]
    return (
        lambda one=one, number=number: _read_annotation(one, number, by_id, names)  # type: ignore[misc]
        for number, one in enumerate(annotations, start=1)
    )


def _read_annotation(
    one: Any,  # noqa: ANN401 - whatever JSON holds
    number: int,
    images: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, Any],
) -> FoundBox:
    if not isinstance(one, dict):
        raise ValueError(f"annotation {number} is {shown(one)}")  # noqa: TRY004 - of a file, told as such
    image = images.get(str(one.get("image_id")))
    if image is None:
        raise ValueError(f"annotation {number} is of the image {shown(one.get('image_id'))}, which is not in the file")
    file, name = _text(image.get("file_name"), "file_name"), names.get(str(one.get("category_id")))
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{file}: there is no category {shown(one.get('category_id'))}")
    width, height = image.get("width"), image.get("height")
    size = (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None
    score = one.get("score")
    return FoundBox(
        file=file,
        label=name.strip(),
        edges=_corners(one.get("bbox"), file),
        size=size,
        confidence=None if score is None else _share(score, f"{file}: score"),
    )


def _read_detections(
    document: Mapping[str, Any], images: Sequence[Mapping[str, Any]]
) -> Iterator[Callable[[], FoundBox]]:
    names = document.get("detection_categories")
    names = names if isinstance(names, dict) else {}
    for image in images:
        detections = image.get("detections")  # null, with a failure, where the photo could not be read
        for one in detections if isinstance(detections, list) else ():
            yield lambda image=image, one=one: _read_detection(image, one, names)  # type: ignore[misc]


def _read_detection(image: Mapping[str, Any], one: Any, names: Mapping[str, Any]) -> FoundBox:  # noqa: ANN401
    file = _text(image.get("file"), "file")
    if not isinstance(one, dict):
        raise ValueError(f"{file}: a detection is {shown(one)}")  # noqa: TRY004 - of a file, told as such
    category = str(one.get("category"))
    edges = _corners(one.get("bbox"), file)
    if any(not -0.01 <= edge <= 1.01 for edge in edges):
        raise ValueError(f"{file}: the box {shown(one.get('bbox'))} is not in shares of the photo, 0 to 1")
    return FoundBox(
        file=file,
        edges=tuple(min(max(edge, 0.0), 1.0) for edge in edges),  # type: ignore[arg-type]
        shares=True,
        category=str(names.get(category, category)),
        confidence=_share(one.get("conf"), f"{file}: conf"),
    )


def _corners(box: Any, file: str) -> tuple[float, float, float, float]:  # noqa: ANN401 - whatever JSON holds
    """Left, top, right and bottom of [x, y, width, height]."""
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"{file}: the box is {shown(box)}, which is not [x, y, width, height]")
    x, y, width, height = (_number(value, f"{file}: the box {shown(box)}") for value in box)
    if width <= 0 or height <= 0:
        raise ValueError(f"{file}: the box {shown(box)} has no pixels")
    return x, y, x + width, y + height


def _number(value: Any, what: str) -> float:  # noqa: ANN401 - whatever the file holds
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what} holds {shown(value)}, which is no number")
    return number


def _share(value: Any, what: str) -> float:  # noqa: ANN401 - whatever the file holds
    number = _number(value, what)
    if not 0 <= number <= 1:
        raise ValueError(f"{what} is {shown(value)}, which is not between 0 and 1")
    return number


def _text(value: Any, name: str) -> str:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"an image has the {name} {shown(value)}")
    return value.replace("\\", "/")
