"""Files of boxes as an enemy or an accident makes them: so many entries, or so many bytes in one of them."""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

HEADER = "file,label,xmin,ymin,xmax,ymax,width,height\n"
PHOTO = '{"id":0,"file_name":"0.png","width":32,"height":32}'
SEEN = '{"category":"1","conf":0.9,"bbox":[0.1,0.2,0.3,0.4]}'


def make_boxes(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """What each file is, and the file, which is gone when the next one is asked for; `count` is of its entries."""
    for name, parts in _documents(count).items():
        yield from _write(folder / "boxes.json", name, parts)
    for name, parts in _tables(count).items():
        yield from _write(folder / "boxes.csv", name, parts)


def _write(path: Path, name: str, parts: Iterable[str]) -> Iterator[tuple[str, Path]]:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(parts)
    yield f"{path.suffix[1:]}: {name}", path
    path.unlink()


def _documents(count: int) -> dict[str, Iterable[str]]:
    entries, most = range(count), count * 500  # bytes: half a gigabyte, for a million
    gone = [f'{{"id":{n},"file_name":"gone/photo {n}.jpg","width":{n + 1},"height":32}}' for n in range(count // 8)]
    return {
        "so many boxes of one photo": _coco([PHOTO], (_box(n, 0) for n in entries)),
        "of one that is not there": _coco([PHOTO.replace("0.png", "gone.png")], (_box(n, 0) for n in entries)),
        "of many that are not there": _coco(gone, (_box(n, n % (count // 8)) for n in entries)),
        "of as many": _coco((f'{{"id":{n},"file_name":"{n}.jpg"}}' for n in entries), (_box(n, n) for n in entries)),
        "of no image": _coco([], (_box(n, n) for n in entries)),
        "of one image id": _coco((PHOTO for _ in entries), [_box(0, 0)]),
        "boxes that are none": _coco([PHOTO], (f'{{"image_id":0,"category_id":1,"bbox":"{n}"}}' for n in entries)),
        "crowds": _coco([PHOTO], ('{"iscrowd":1}' for _ in entries)),
        "empty annotations": _coco([PHOTO], ("{}" for _ in range(count * 17))),
        "empty images": _coco(("{}" for _ in range(count * 17)), [_box(0, 0)]),
        "long names": _coco((f'{{"id":{n},"file_name":"{"x" * 440}{n}"}}' for n in entries), [_box(0, 0)]),
        "categories": _coco([PHOTO], [_box(0, 0)], (f'{{"id":{n},"name":"class {n}"}}' for n in entries)),
        "long polygons": _filled(_coco([PHOTO], [_box(0, 0, ',"segmentation":[[@1]]')]), "1.5,2,", most // 6),
        "many polygons": _coco([PHOTO], (_box(n, 0, f',"segmentation":[[{"1.5," * 100}2]]') for n in range(900))),
        "a box of many numbers": _filled(_coco([PHOTO], [_box(0, 0).replace("[", "[@")]), "1,", most // 3),
        "a box of many lists": _filled(_coco([PHOTO], [_box(0, 0).replace("[", "[@")]), "[],", most // 4),
        "a long number": _filled(_coco([PHOTO], [_box(0, 0).replace("[", "[@1")]), "9", most),
        "numbers beyond any": _coco([PHOTO], (_box(n, 0).replace("[1", "[1e999") for n in entries)),
        "a long text": _filled(_coco([PHOTO], [_box(0, 0, ',"info":"@"')]), "x", most),
        "a long text of escapes": _filled(_coco([PHOTO], [_box(0, 0, ',"info":"@"')]), "\\u00e9", most // 7),
        "deep lists": _filled(["@"], "[", most),
        "deep detections": _seen([f'{{"file":"0.png","detections":{"[" * 900}{"]" * 900}}}']),
        "many keys": chain(['{"images":[]'], (f',"k{n}":1' for n in range(count * 20)), ["}"]),
        "no number": _seen(
            [f'{{"file":"0.png","detections":[{SEEN.replace("0.9", "NaN")}]}}' for _ in range(count // 9)]
        ),
        "NUL bytes": _filled(["@"], "\0", most),
        "spaces": _filled(["@"], " ", most),
        "images without detections": _seen(f'{{"file":"gone/{n}.jpg","detections":[]}}' for n in entries),
        "a detection in each image": _seen(f'{{"file":"gone/{n}.jpg","detections":[{SEEN}]}}' for n in entries),
        "detections in half as many": _seen(
            f'{{"file":"gone/{n}.jpg","detections":[{SEEN}]}}' for n in range(count // 2)
        ),
        "an image again and again": _seen(f'{{"file":"0.png","detections":[{SEEN}]}}' for _ in entries),
        "a category in each": _seen(
            f'{{"file":"0.jpg","detections":[{SEEN.replace("1", str(n), 1)}]}}' for n in entries
        ),
        "detections that are none": _seen(f'{{"file":"{n}.jpg","detections":{{"a":[1e999]}}}}' for n in entries),
    }


def _tables(count: int) -> dict[str, Iterable[str]]:
    entries, most = range(count), count * 130
    return {
        "so many boxes of one photo": chain([HEADER], ("0.png,a,1,2,3,4,32,32\n" for _ in entries)),
        "of as many that are not there": chain([HEADER], (f"gone/{n}.jpg,a,1,2,3,4,32,32\n" for n in entries)),
        "rows that are no boxes": chain([HEADER], ("0.png,a,1,x,3,4,32,32\n" for _ in entries)),
        "a row of many cells": _filled([HEADER, "@"], ",", most),
        "a row over many lines": _filled([HEADER, "@"], '"\n",', most // 4),
        "many columns": [
            f"{HEADER.strip()}{',x' * count}\n",
            *(f"0.png,a,1,2,3,4,32,32{',x' * count}\n" for _ in "abc"),
        ],
        "a long cell": _filled([HEADER, "@"], "x", most),
        "empty lines": _filled([HEADER, "@"], "\n", most),
        "short rows": _filled([HEADER, "@"], "a\n", most // 2),
        "more bytes than are read": _filled([HEADER, "@"], "x", most * 2),
    }


def _box(number: int, image: int, more: str = "") -> str:
    return f'{{"id":{number},"image_id":{image},"category_id":1,"bbox":[1,2.5,3,4]{more}}}'


def _coco(images: Iterable[str], annotations: Iterable[str], categories: Iterable[str] = ()) -> Iterator[str]:
    yield '{"images":['
    yield from _listed(images)
    yield '],"annotations":['
    yield from _listed(annotations)
    yield '],"categories":['
    yield from _listed(categories or ['{"id":1,"name":"a"}'])
    yield "]}"


def _seen(images: Iterable[str]) -> Iterator[str]:
    yield '{"images":['
    yield from _listed(images)
    yield "]}"


def _listed(entries: Iterable[str]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        yield f",{entry}" if number else entry


def _filled(parts: Iterable[str], filling: str, count: int) -> Iterator[str]:
    """The parts with so many fillings in the place of the @, some at a time."""
    before, after = "".join(parts).split("@")
    yield before
    yield from repeat(filling * 1000, count // 1000)
    yield after
