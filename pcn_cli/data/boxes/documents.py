"""The boxes in the JSON of COCO and of MegaDetector, entry by entry; what else is in them is only passed over.

COCO: Lin et al. 2014, arXiv:1405.0312; MegaDetector's batch output has boxes as shares of the photo's sides, a category
and a confidence, and says nothing of what kind of animal it is.
"""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Required, TypedDict

import msgspec

from pcn_cli.data.boxes.found import (
    AT_ONCE,
    Found,
    FoundBox,
    PassedOver,
    Question,
    read_corners,
    read_file_name,
    read_share,
)
from pcn_cli.errors import shown
from pcn_cli.files.reading import parse_json, read_bytes

MOST_BYTES = 512 * 2**20
MOST_ENTRIES = 1_200_000  # images and boxes together, or categories; COCO's largest file has 978,000
_BEYOND = 0.01  # of a photo's side, by which a share may be above 1 or below 0
_NUMBER = re.compile("0|-?[1-9][0-9]{0,99}")
_EXPLAINED = 16 * 2**20  # bytes; of what msgspec does not take, as much is read by json, which says more and takes more


class _Document(TypedDict, total=False):
    images: Required[list[msgspec.Raw]]
    annotations: list[msgspec.Raw] | None
    categories: list[msgspec.Raw]
    detection_categories: Any


class _Image(TypedDict, total=False):
    id: Any
    file_name: Any
    width: Any
    height: Any


class _Annotation(TypedDict, total=False):
    """Most may be of photos that are not asked for: their boxes stay bytes."""

    image_id: Any
    category_id: Any
    bbox: msgspec.Raw
    score: Any
    iscrowd: Any


class _Category(TypedDict, total=False):
    id: Any
    name: Any


class _Looked(TypedDict, total=False):
    file: Any
    detections: Any


_IMAGE, _ANNOTATION, _BOX, _CATEGORY, _LOOKED = (
    msgspec.json.Decoder(kind) for kind in (_Image, _Annotation, Any, _Category, _Looked)
)
_LONGEST_BOX = 10_000  # bytes of four numbers
_LONGEST_ENTRY = 16 * 2**20  # bytes; of a mask as large as a photo COCO has some hundred kilobytes


def read_document(path: Path, question: Question) -> Iterator[Found]:
    """Each box of the file at `path` that is asked for, or what is wrong with it, and how many others there are.

    Raises:
        ValueError: it is no JSON, or none of boxes. OSError: it cannot be opened.
    """
    document = _open(path)
    _refuse_many(len(document.get("categories", ())), "categories")
    _refuse_many(len(document["images"]) + len(document.get("annotations") or ()))
    if document.get("annotations") is not None:
        return _read_coco(document, question)
    return _read_detections(document, question)


def _refuse_many(count: int, what: str = "images and boxes") -> None:
    if count > MOST_ENTRIES:
        raise ValueError(f"it has more than {MOST_ENTRIES:,} {what}")


def _open(path: Path) -> dict[str, Any]:
    """What the file holds of a `_Document`; entries of its lists are still bytes, to be read by `_read_entry`."""
    whole = read_bytes(path, most=MOST_BYTES)
    content = memoryview(whole)[len(codecs.BOM_UTF8) * whole.startswith(codecs.BOM_UTF8) :]
    try:
        return dict(msgspec.json.decode(content, type=_Document))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except msgspec.DecodeError as error:
        if len(content) > _EXPLAINED:
            raise ValueError(str(error)) from error
        return _check_document(parse_json(content.tobytes()))


def _check_document(document: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise ValueError('there is no list of "images" in it')  # noqa: TRY004 - of a file, told as such
    if not isinstance(document.get("categories", []), list):
        raise ValueError('its "categories" are no list')  # noqa: TRY004 - of a file, told as such
    annotations = document.get("annotations")
    return document | {"annotations": annotations if isinstance(annotations, list) else None}


def _read_entry(entry: Any, decoder: msgspec.json.Decoder[Any]) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The entry, with what the decoder asks for of it, or whatever else it is."""
    if not isinstance(entry, msgspec.Raw):
        return entry
    if len(memoryview(entry)) > _LONGEST_ENTRY:
        raise ValueError(f"an entry has more than {_LONGEST_ENTRY >> 20} MB")
    try:
        return decoder.decode(entry)
    except msgspec.ValidationError:  # it is no object, or a number is beyond any float
        return parse_json(bytes(entry))


class _Photo(NamedTuple):
    """What COCO says of an image: its file (of any kind), its size, and whether boxes of it are asked for."""

    file: Any
    size: tuple[int, int] | None
    asked: bool


def _read_coco(document: Mapping[str, Any], question: Question) -> Iterator[Found]:
    labels, photos = _read_labels(document.get("categories", [])), _read_photos(document, question)
    number, unsure, others = 0, 0, list[str]()
    for entry in document["annotations"]:
        try:
            one = _read_entry(entry, _ANNOTATION)
            if not isinstance(one, dict):
                raise ValueError(f"annotation {number + 1} is {shown(one)}")  # noqa: TRY004, TRY301 - of a file
            if one.get("iscrowd"):
                continue
            if (photo := photos.get(_key(one.get("image_id")))) is None:
                image = shown(one.get("image_id"))
                raise ValueError(f"annotation {number + 1} is of the image {image}, which is not in the file")  # noqa: TRY301
            score = one.get("score")
            confidence = None if score is None else read_share(score, read_file_name(photo.file, "file_name"), "score")
            if photo.asked:
                yield _read_annotation(one, photo, labels, confidence)
            elif question.is_sure(confidence):
                others.append(photo.file)
                if len(others) == AT_ONCE:
                    yield PassedOver(others)
                    others = []
            else:
                unsure += 1
        except ValueError as error:
            yield str(error)
        number += 1
    yield PassedOver(others, unsure)


def _read_labels(categories: Sequence[Any]) -> dict[str, str]:
    read = [_read_entry(entry, _CATEGORY) for entry in categories]
    named = {str(one.get("id")): one.get("name") for one in read if isinstance(one, dict)}
    return {key: name.strip() for key, name in named.items() if isinstance(name, str) and name.strip()}


def _read_photos(document: Mapping[str, Any], question: Question) -> dict[int | str, _Photo]:
    """The images by the keys of their ids."""
    photos, sizes = dict[int | str, _Photo](), dict[tuple[int, int], tuple[int, int]]()
    for image in _iterate_images(document, _IMAGE):
        width, height, file = image.get("width"), image.get("height"), image.get("file_name")
        size = (
            (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None
        )
        size = size and sizes.setdefault(size, size)  # of a million images most have the same
        photos[_key(image.get("id"))] = _Photo(file, size, not isinstance(file, str) or question.asks(file))
    return photos


def _key(number: Any) -> int | str:  # noqa: ANN401 - whatever JSON holds
    """An id as it is compared: 7 and "7" are the same. A number is found among a million in half the time of a text."""
    if type(number) is int:
        return number
    return int(text) if _NUMBER.fullmatch(text := str(number)) else text


def _iterate_images(document: Mapping[str, Any], decoder: msgspec.json.Decoder[Any]) -> Iterator[dict[str, Any]]:
    for entry in document["images"]:
        image = _read_entry(entry, decoder)
        if not isinstance(image, dict):
            raise ValueError('its "images" are not all objects')  # noqa: TRY004 - of a file, told as such
        yield image


def _read_annotation(
    one: Mapping[str, Any], photo: _Photo, labels: Mapping[str, str], confidence: float | None
) -> FoundBox:
    file = read_file_name(photo.file, "file_name")
    label = labels.get(str(one.get("category_id")))
    if label is None:
        raise ValueError(f"{file}: there is no category {shown(one.get('category_id'))}")
    box = one.get("bbox")
    if isinstance(box, msgspec.Raw) and len(memoryview(box)) > _LONGEST_BOX:
        raise ValueError(f"{file}: the box has more than {_LONGEST_BOX:,} bytes")
    return FoundBox(file, read_corners(_read_entry(box, _BOX), file), label, photo.size, confidence=confidence)


def _read_detections(document: Mapping[str, Any], question: Question) -> Iterator[Found]:
    names = document.get("detection_categories")
    names = {key: str(name) for key, name in names.items()} if isinstance(names, dict) else {}
    looked, entries = False, len(document["images"])
    for image in _iterate_images(document, _LOOKED):
        looked |= "detections" in image
        detections = image.get("detections")  # null, with a failure, where the photo could not be read
        if not detections:
            continue
        try:
            file = read_file_name(image.get("file"), "file")
            if not isinstance(detections, list):
                raise ValueError(f"{file}: its detections are {shown(detections)}")  # noqa: TRY004, TRY301 - of a file
        except ValueError as error:
            yield str(error)
            continue
        entries += len(detections)
        _refuse_many(entries)
        asked = question.asks(file)
        for one in detections:
            try:
                yield _read_detection(file, one, names, question, asked=asked)
            except ValueError as error:
                yield str(error)
    if not looked:
        raise ValueError("it holds neither COCO's annotations nor MegaDetector's detections")


def _read_detection(
    file: str,
    one: Any,  # noqa: ANN401 - whatever JSON holds
    names: Mapping[str, str],
    question: Question,
    *,
    asked: bool,
) -> FoundBox | PassedOver:
    if not isinstance(one, dict):
        raise ValueError(f"{file}: a detection is {shown(one)}")  # noqa: TRY004 - of a file, told as such
    category = str(one.get("category"))
    category, confidence = names.get(category, category), read_share(one.get("conf"), file, "conf")
    if not asked:
        is_sure = question.is_sure(confidence)
        return PassedOver((file,) * is_sure, not is_sure, category)
    edges = read_corners(one.get("bbox"), file)
    if min(edges) < -_BEYOND or max(edges) > 1 + _BEYOND:
        raise ValueError(f"{file}: the box {shown(one.get('bbox'))} is not in shares of the photo, 0 to 1")
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in edges)
    return FoundBox(file, (left, top, right, bottom), shares=True, category=category, confidence=confidence)
