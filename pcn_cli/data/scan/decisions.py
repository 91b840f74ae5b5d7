"""Decisions of a person as a table, and what they make of the photos of a scan; the photos are only read.

What cannot be followed is told together, each with its line; nothing of the table is left out in silence.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from pcn_cli.data.scan.class_names import clean_name
from pcn_cli.data.scan.label_studio import read_annotations
from pcn_cli.data.scan.labels import Candidate
from pcn_cli.data.scan.table import read_table
from pcn_cli.errors import DataError, shown
from pcn_cli.files.atomic import rearm_cell
from pcn_cli.records.decisions import VERDICTS, Decision, Verdict
from pcn_cli.records.photos import SEPARATOR, Photo, SkippedFile, join_labels

REMOVED = "removed by a decision"
_COLUMNS = ("file", "sha256", "label", "decision", "new_label", "folder")
_MOST = 10  # problems in a message
_HINT = f"a table of decisions has the columns file,decision,new_label; a decision is one of {', '.join(VERDICTS)}"


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What was decided: `earlier` in runs that this one begins with, and `new` in the table that was named.

    Of the earlier ones those are passed over whose photo is gone or has another label by now.
    """

    earlier: tuple[Decision, ...] = ()
    new: tuple[Decision, ...] = ()

    @property
    def all(self) -> tuple[Decision, ...]:
        """One decision for each photo, the new one where there are two, about the label that the photo came with."""
        merged = {one.photo: one for one in self.earlier}
        by_file = {one.file: one.photo for one in self.earlier}  # what is typed may have no hash
        for one in self.new:
            before = merged.pop(one.photo if one.sha256 else by_file.get(one.file, one.photo), None)
            if before and before.decision == "add" and one.decision in ("keep", "change"):
                one = replace(before, new_label=one.new_label or before.new_label)
            elif before and one.decision == "keep":
                one = before
            elif before:
                one = replace(one, label=before.label or one.label)
            merged[one.photo] = one
        return tuple(merged.values())


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """The decisions in the table at `path`, in its order; or in an export of Label Studio, if it is called .json.

    Raises:
        DataError: it cannot be read, lacks a column, or holds rows that decide nothing or two things about a photo.
    """
    if path.suffix.lower() == ".json":
        return read_annotations(path)
    table = read_table(path)
    places = {name: table.find(name.replace("_", " ")) or table.find(name) for name in _COLUMNS}
    places["file"] = table.find("file")
    if places["decision"] is None and table.find("starred") is not None:
        raise DataError(f"{path} holds stars and notes, and no decisions", "save the table on the report's page Desk")
    if missing := [name for name in ("file", "decision") if places[name] is None]:
        raise DataError(f"{table.place}: there is no column {missing[0]}", _HINT)
    decisions, problems = list[Decision](), list[str]()
    seen: dict[str, Decision] = {}
    for line, cells in table.rows:
        row = {name: _cell(cells, place) for name, place in places.items()}
        problem = _find_fault(row)
        if not problem:
            one = _decision_of(row)
            other = seen.setdefault(one.photo, one)
            if other is one:
                decisions.append(one)
            elif other != one:
                problem = f"{row['file']} was decided about before, in another way"
        if problem:
            problems.append(f"line {line}: {problem}")
    _refuse(path, problems)
    return tuple(decisions)


def added_files(decisions: Decisions, *, root: Path) -> list[Candidate]:
    """The photos to add, by their paths from the photos folder `root`, as far as they are there."""
    found = [(one, _place_of(one)) for one in decisions.all if one.decision == "add"]
    return [Candidate(file=_below(place, root), label=one.new_label) for one, place in found if place.is_file()]


def apply_decisions(
    photos: Sequence[Photo], decisions: Decisions, *, root: Path, multi_label: bool
) -> tuple[list[Photo], list[SkippedFile]]:
    """The photos as they were decided to be, and those that were removed; `photos` hold the added ones as well.

    Raises:
        DataError: a decision names a photo that is not there or was changed, or a class that no photo has.
    """
    added = {_below(_place_of(one), root): one for one in decisions.all if one.decision == "add"}
    known = Photos(photos, added)
    own = [photo.label for photo in photos if photo.file not in added]
    names = {name for label in own for name in _names(label, several=multi_label)}
    for one in decisions.earlier:
        known.follow(one, None if _wrong_class(one, names, several=multi_label) else known.find(one))
    problems = []
    for one in decisions.new:
        problem = _wrong_class(one, names, several=multi_label) or known.refuse(one)
        if problem:
            problems.append(problem)
        else:
            known.follow(one, known.find(one))
    _refuse("the table of decisions", problems)
    kept = [
        replace(photo, label=join_labels(_names(photo.label, several=True)) if multi_label else photo.label)
        for photo in known.photos.values()
    ]
    return sorted(kept, key=lambda photo: photo.file), [
        SkippedFile(file=file, reason=REMOVED) for file in known.removed
    ]


class Photos:
    """The photos by file while decisions are followed, those `added` among them."""

    def __init__(self, photos: Iterable[Photo], added: dict[str, Decision]) -> None:
        self.photos, self.removed, self._added = {photo.file: photo for photo in photos}, list[str](), added
        self._by_hash: defaultdict[str, list[str]] = defaultdict(list)
        for photo in self.photos.values():
            self._by_hash[photo.sha256].append(photo.file)

    def find(self, one: Decision) -> list[Photo]:
        """The photos that a decision means: its file, or those of its content; none where the content is another."""
        same = [file for file in self._by_hash.get(one.sha256, ()) if file in self.photos]
        files = [one.file] if one.file in self.photos and (not one.sha256 or one.file in same) else same
        return [self.photos[file] for file in files]

    def refuse(self, one: Decision) -> str:
        """Why a decision cannot be followed; "" where it can."""
        found = self.find(one)
        if one.decision == "add":
            return (
                ""
                if found or any(one is other for other in self._added.values() if self._is_there(other))
                else (f"{one.file}: there is no such photo in {one.folder or 'the folder where this was typed'}")
            )
        if not found:
            changed = one.file in self.photos
            return f"{one.file}: {'is another photo by now' if changed else 'is not among the photos'}"
        label = found[0].label
        if one.label and label not in (one.label, one.new_label):
            return f"{one.file}: is labelled {label} by now, and was decided about as {one.label}"
        return ""

    def follow(self, one: Decision, found: Sequence[Photo] | None) -> None:
        """Let a decision be so for the photos that were found, unless they have another label than it knew."""
        for photo in found or ():
            if one.decision != "add" and one.label and photo.label not in (one.label, one.new_label):
                continue
            if one.decision == "remove":
                self.removed.append(photo.file)
                del self.photos[photo.file]
            elif one.decision == "change":
                self.photos[photo.file] = replace(photo, label=one.new_label)

    def _is_there(self, one: Decision) -> bool:
        return any(other is one and file in self.photos for file, other in self._added.items())


def count_decisions(decisions: Iterable[Decision]) -> str:
    """How many there are of each kind, in words."""
    counts = Counter(one.decision for one in decisions)
    words: dict[Verdict, tuple[str, str]] = {
        "change": ("label", "corrected"),
        "remove": ("photo", "removed"),
        "add": ("photo", "added"),
        "keep": ("label", "confirmed"),
    }
    return ", ".join(
        f"{counts[verdict]:,} {thing}{'' if counts[verdict] == 1 else 's'} {done}"
        for verdict, (thing, done) in words.items()
        if counts[verdict]
    )


def _cell(cells: Sequence[str], place: int | None) -> str:
    return "" if place is None or place >= len(cells) else rearm_cell(cells[place].strip())


def _find_fault(row: dict[str, str]) -> str:
    """What is wrong with a row; "" where nothing is."""
    decision = row["decision"].casefold()
    if not row["file"] and not row["sha256"]:
        return "names no photo"
    if decision not in VERDICTS:
        return f"{row['file']}: the decision is {shown(row['decision'])}, which is none of {', '.join(VERDICTS)}"
    if decision in ("change", "add") and not row["new_label"]:
        return f"{row['file']}: {decision} needs a new_label"
    return ""


def _decision_of(row: dict[str, str]) -> Decision:
    verdict: Verdict = next(one for one in VERDICTS if one == row["decision"].casefold())
    new = clean_name(row["new_label"]) if verdict in ("change", "add") else ""
    return Decision(
        file=row["file"].replace("\\", "/"),
        sha256=row["sha256"].lower(),
        label=row["label"],
        decision=verdict,
        new_label=new,
        folder=row["folder"],
    )


def _names(label: str, *, several: bool) -> list[str]:
    return [name for name in label.split(SEPARATOR) if name] if several else [label]


def _wrong_class(one: Decision, names: set[str], *, several: bool) -> str:
    if one.decision not in ("change", "add"):
        return ""
    for name in _names(one.new_label, several=several):
        if name not in names:
            near = get_close_matches(name, sorted(names), n=1)
            hint = f"; {near[0]} is near" if near else "; a new class needs a folder of photos first"
            return f"{one.file}: there is no class {name}{hint}"
    return ""


def _place_of(one: Decision) -> Path:
    return Path(os.path.normpath(Path(one.folder).absolute() / one.file))


def _below(place: Path, root: Path) -> str:
    """The path from the photos folder, through its parents where need be; absolute on another drive."""
    try:
        return Path(os.path.relpath(place, root)).as_posix()
    except ValueError:
        return place.as_posix()


def _refuse(table: Path | str, problems: Sequence[str]) -> None:
    if problems:
        more = [f"and {len(problems) - _MOST:,} more"] if len(problems) > _MOST else []
        raise DataError("\n  ".join([f"{table} has rows that cannot be followed:", *problems[:_MOST], *more]), _HINT)
