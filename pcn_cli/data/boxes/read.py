"""Boxes as tools write them: a table with a row for each, the JSON of COCO, and that of MegaDetector.

All that is wrong is named at once. A file of more than a megabyte is read by a process of its own with bounds, which
hands over the boxes of the photos that are asked for.
"""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pcn_cli.data.boxes.documents import read_document
from pcn_cli.data.boxes.found import AT_ONCE, EDGES, Found, FoundBox, PassedOver, Question, read_share
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import iterate_rows
from pcn_cli.files.child import child_pipes, hear, say
from pcn_cli.files.machine import limit_process, unsearched
from pcn_cli.records.codec import field_names
from pcn_cli.records.photos import Box

MOST_BOXES, MOST_OF_PHOTO = 1_000_000, 1000
_MOST_PROBLEMS, _MOST_TOLD = 1000, 10  # the file is read no further; in a message
_MOST_CATEGORIES, _MOST_OTHERS = 10_000, 200_000  # photos that were not asked for, of a category; COCO has 123,000
_MOST_BYTES, _MOST_LINES = 128 * 2**20, 1_200_000  # of a table
_APART = 2**20  # bytes of a file that a process of its own reads
_MEMORY, _SECONDS = 800_000_000, 60  # of that process; the seconds are of computing
TABLE_HINT = f"a table of boxes has the columns {', '.join(field_names(Box))}, in pixels"
_JSON_HINT = (
    'a .json of boxes is COCO\'s, with "images", "annotations" and "categories", or MegaDetector\'s, with "images" that'
    ' have "detections"'
)


@dataclass(frozen=True, kw_only=True)
class Others:
    """Photos that were not asked for: how many (where there are very many, `at_least`), and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()

    @property
    def at_least(self) -> bool:
        """Whether there may be more than were counted."""
        return self.count >= _MOST_OTHERS


@dataclass(frozen=True, kw_only=True)
class FoundBoxes:
    """What a file of boxes holds.

    `boxes` are the sure ones of photos that are asked for, in the file's order. Of all photos, `counts` has how many
    boxes are of each category, `sure` how many of these are sure, and `others` what else has sure ones; there None
    stands for all categories.
    """

    boxes: tuple[FoundBox, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    sure: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str | None, Others] = field(default_factory=dict)


@dataclass(slots=True)
class _Tally:
    """How many boxes are of a category, how many of them are sure, and what photos that are not asked for have such."""

    count: int = 0
    sure: int = 0
    others: dict[str, None] = field(default_factory=dict)


def find_boxes(path: Path, *, names: Collection[str] | None = None, least: float = 0.0) -> FoundBoxes:
    """The boxes in the file at `path`, a table or JSON if it is called so, that are at least `least` sure.

    Only those of photos called by one of `names`, as `last_name` gives them, are kept; without them all are. Of a table
    the columns label, width and height may be missing.

    Raises:
        DataError: no such file, another format, or what is no box; the message names it.
    """
    return _find(path, Question(names=names, least=least))


def read_boxes(path: Path, *, names: Collection[str] | None = None) -> dict[str, list[Box]]:
    """The boxes of each photo, by its path below the photos folder, in whole pixels; `names` as of `find_boxes`.

    Decimals are rounded, and what reaches a pixel or two beyond the photo is cut off, as annotation tools write both.

    Raises:
        DataError: no such file, a column is missing, or rows hold no box; the message names them.
    """
    boxes = dict[str, list[Box]]()
    for one in _find(path, Question(names=names, whole=True)).boxes:
        assert one.size is not None  # noqa: S101 - it was checked
        boxes.setdefault(one.file, []).append(one.place(one.size))
    return boxes


def refuse(words: str, problems: Sequence[str], hint: str, *, more: int = 0, at_least: bool = False) -> None:
    """Raise a DataError with the first of the problems, if there are any; so many `more` are not among them."""
    if problems:
        untold = len(problems[_MOST_TOLD:]) + more
        words_of_more = f"and {'at least ' * at_least}{untold:,} more"
        lines = [words, *problems[:_MOST_TOLD], *([words_of_more] if untold else [])]
        raise DataError("\n  ".join(lines), hint)


def _find(path: Path, question: Question) -> FoundBoxes:
    if not path.is_file():
        raise DataError(f"no such table of boxes: {path}")
    try:
        apart = path.stat().st_size > _APART
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if apart:
        return _find_apart(path, question)
    boxes = list[FoundBox]()
    return _make(boxes, _gather(path, question, boxes.append))


def _make(boxes: Iterable[FoundBox], told: Mapping[str, Any]) -> FoundBoxes:
    others = {category: Others(count=count, first=tuple(first)) for category, count, first in told["others"]}
    return FoundBoxes(boxes=tuple(boxes), counts=told["counts"], sure=told["sure"], others=others)


def _gather(path: Path, question: Question, keep: Callable[[FoundBox], object]) -> dict[str, Any]:
    """The counts of `FoundBoxes`, as JSON can hold them; `keep` is called with each of its boxes.

    Raises:
        DataError: what `find_boxes` says.
    """
    is_json = _is_json(path)
    hint = _JSON_HINT if is_json else TABLE_HINT
    try:
        found = read_document(path, question) if is_json else _read_table(path, question)
        problems, told = _choose(found, path, question, keep)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", hint) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        words = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise DataError(words, hint) from error
    refuse(f"{path} has {'entries' if is_json else 'rows'} that are no boxes:", problems, hint)
    return told


def _choose(
    found: Iterable[Found], path: Path, question: Question, keep: Callable[[FoundBox], object]
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with boxes, and what `_gather` gives; a DataError as soon as they are too many."""
    problems, hint = list[str](), "take out those that are not sure"
    numbers, tallies, total = Counter[str](), dict[str, _Tally](), 0

    def count(category: str, sure: int, unsure: int) -> _Tally:
        nonlocal total
        total += sure + unsure
        tally = tallies.setdefault(category, _Tally())
        for number, most, what in ((total, MOST_BOXES, "boxes"), (len(tallies), _MOST_CATEGORIES, "categories")):
            if number > most:
                raise DataError(f"{path} has more than {most:,} {what}", hint)
        tally.count += sure + unsure
        tally.sure += sure
        return tally

    for one in found:
        if problem := _find_problem(one) if question.whole or isinstance(one, str) else "":
            problems.append(problem)
            if len(problems) == _MOST_PROBLEMS:
                break
        if isinstance(one, PassedOver) and (one.files or one.unsure):
            tally = count(one.category, len(one.files), one.unsure)
            if len(tally.others) < _MOST_OTHERS:
                tally.others.update(dict.fromkeys(one.files))
        elif isinstance(one, FoundBox):
            is_sure = question.is_sure(one.confidence)
            count(one.category, is_sure, not is_sure)
            numbers[one.file] += 1
            if numbers[one.file] > MOST_OF_PHOTO:
                words = f"{numbers[one.file]:,} boxes of {one.file}, at most {MOST_OF_PHOTO:,} of a photo are read"
                raise DataError(f"{path} has {words}", hint)
            if is_sure and not problems:
                keep(one._replace(number=numbers[one.file]))
    others: dict[str | None, dict[str, None]] = {category: tally.others for category, tally in tallies.items()}
    others[None] = others[next(iter(others))] if len(others) == 1 else dict.fromkeys(chain(*others.values()))
    told = [(category, len(files), list(islice(files, _MOST_TOLD))) for category, files in others.items()]
    counts, sure = (
        {category: getattr(tally, name) for category, tally in tallies.items()} for name in ("count", "sure")
    )
    return problems, {"counts": counts, "sure": sure, "others": told}


def _find_problem(one: Found) -> str:
    """What is wrong with what was found, or why a box does not lie in its photo."""
    try:
        if isinstance(one, FoundBox):
            one.check()
    except ValueError as error:
        return str(error)
    return one if isinstance(one, str) else ""


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _read_table(path: Path, question: Question) -> Iterator[Found]:
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"it holds {size:,} bytes, at most {_MOST_BYTES:,} are read")
    with path.open("rb") as file:
        lines = sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))
    if lines > _MOST_LINES:  # empty ones are passed over, which takes its time as well
        raise ValueError(f"it has {lines:,} lines, at most {_MOST_LINES:,} are read")
    wanted, rows = field_names(Box) if question.whole else ("file", *EDGES), iterate_rows(path)
    columns = {name: column for column, name in enumerate(next(rows, []))}
    missing = next((name for name in wanted if name not in columns), None)
    place, certain = (columns.get(name, -1) for name in ("file", "confidence"))
    unsure, others = 0, list[str]()
    for row in rows:
        if missing is not None:
            raise ValueError(f"{path} has no column {missing!r}")
        try:
            photo, share = row[place].strip(), row[certain].strip() if certain >= 0 else ""
            if not photo:
                raise ValueError("a row names no photo")  # noqa: TRY301
            confidence = read_share(share, photo, "confidence") if share else None
            if question.asks(photo):
                yield _read_row(row, columns, confidence)
            elif question.is_sure(confidence):
                others.append(photo.replace("\\", "/"))
                if len(others) == AT_ONCE:
                    yield PassedOver(others)
                    others = []
            else:
                unsure += 1
        except ValueError as error:
            yield str(error)
    yield PassedOver(others, unsure)


def _read_row(row: Sequence[str], columns: Mapping[str, int], confidence: float | None) -> FoundBox:
    left, top, right, bottom = (_whole(row, columns, name) for name in EDGES)
    size = tuple(_whole(row, columns, name) for name in ("width", "height") if _cell(row, columns, name))
    return FoundBox(
        row[columns["file"]].strip().replace("\\", "/"),
        (left, top, right + 1, bottom + 1),
        _cell(row, columns, "label"),
        (size[0], size[1]) if len(size) == 2 else None,
        confidence=confidence,
    )


def _cell(row: Sequence[str], columns: Mapping[str, int], name: str) -> str:
    """What a row holds in a column that may be missing."""
    return row[columns[name]].strip() if name in columns else ""


def _whole(row: Sequence[str], columns: Mapping[str, int], name: str) -> int:
    """The whole number nearest to a cell."""
    cell = row[columns[name]]
    try:
        return round(float(cell))
    except (ValueError, OverflowError) as error:  # no number, or none that is finite
        raise ValueError(f"{row[columns['file']]}: {name} is {cell!r}, which is no number of pixels") from error


def _find_apart(path: Path, question: Question) -> FoundBoxes:
    """What `_find` gives, read by a process of its own."""
    names = None if question.names is None else list(question.names)
    boxes, files = list[FoundBox](), dict[str, str]()
    try:
        with child_pipes(__name__) as (to, back):
            say(to, (str(path), names, question.least, question.whole))
            while not isinstance(told := hear(back), dict):
                for file, edges, label, size, *others in told:
                    own = files.setdefault(file, file), tuple(edges), label, size and tuple(size)
                    boxes.append(FoundBox(*own, *others))
    except BrokenPipeError as error:
        words = f"{path}: to read it takes more memory or time than a file of boxes may"
        raise DataError(words, "keep the boxes of fewer photos in it, and nothing beside them") from error
    if "refused" in told:
        raise DataError(told["refused"], told["hint"])
    return _make(boxes, told)


@unsearched()
def answer() -> None:
    """Say the boxes of the file that standard input names; runs in the process with bounds."""
    limit_process(memory=_MEMORY, seconds=_SECONDS)
    name, names, least, whole = hear(sys.stdin.buffer)
    question = Question(names=None if names is None else frozenset(names), least=least, whole=whole)
    said, waiting = sys.stdout.buffer, list[FoundBox]()

    def keep(one: FoundBox) -> None:
        waiting.append(one)
        if len(waiting) == AT_ONCE:
            say(said, waiting)
            waiting.clear()

    try:
        told = _gather(Path(name), question, keep)
    except DataError as error:
        told = {"refused": error.message, "hint": error.hint}
    except MemoryError:
        return
    say(said, waiting)
    say(said, told)
