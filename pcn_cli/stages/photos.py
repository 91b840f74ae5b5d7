"""The photos of a run: scanned, split, checked for leaks, found again unchanged."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pcn_cli.data.boxes.crop_folder import TABLE, cut_photos
from pcn_cli.data.boxes.cut import refuse_idle_crops
from pcn_cli.data.scan.decisions import Decisions, read_decisions
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.data.similar.leaks import find_ties
from pcn_cli.data.split import check_split, number_groups, split_scan
from pcn_cli.errors import DataError, RecipeError, RunError, command
from pcn_cli.files.folder import SCAN_CACHE, cache_folder
from pcn_cli.metrics.findings import Observations, findings
from pcn_cli.recipe.choose import choose_split
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import FailOn, Labelling, Recipe
from pcn_cli.records.photos import PARTS, Part, Scan, SplitRow
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import photo_root, require
from pcn_cli.runs.store import DECISIONS, read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.earlier_runs import find_start, read_known_parts

_NAMES: dict[Part, str] = {"train": "training", "val": "validation", "test": "the test"}


def scan_folder(
    photos: Path,
    *,
    labelling: Labelling | None = None,
    group_by: str | None = None,
    only: Part | None = None,
    decisions: Decisions | None = None,
    crops: Path | None = None,
    remember: bool = True,
    callback: Callback | None = None,
) -> Scan:
    """What `photos` holds, or one part of it; nothing is written among them.

    Each file is read, and decoded if no earlier scan that was to `remember` saw the same bytes.

    Where `labelling` names boxes, these are cut out into the new folder `crops`, and are what there is; without it they
    are looked at and gone.
    """
    callback = callback or Callback()
    looking = partial(
        scan_photos,
        only=only,
        decisions=decisions,
        seen=cache_folder(SCAN_CACHE) / "photos.sqlite",
        remember=remember,
        on_progress=callback.on_progress,
    )
    if labelling is not None and labelling.crop_boxes is not None:
        with TemporaryDirectory(prefix="pcn-crops-") if crops is None else nullcontext(crops) as place:
            scan = _scan_crops(photos, labelling, Path(place), group_by, looking, callback)
    else:
        if labelling is not None:
            refuse_idle_crops(labelling)
        scan = looking(photos, labelling=labelling, group_by=group_by)
    for text in scan.assumptions:
        callback.on_note(text)
    if scan.multi_label:
        counts = [len(scan.labels_of(photo)) for photo in scan.photos]
        several, none = sum(count > 1 for count in counts), counts.count(0)
        unlabelled = f", {none:,} have none" if none else ""
        callback.on_note(f"multi-label: {several:,} of {len(counts):,} photos have several labels{unlabelled}")
    return scan


def _scan_crops(
    photos: Path,
    labelling: Labelling,
    place: Path,
    group_by: str | None,
    looking: Callable[[Path], Scan],
    callback: Callback,
) -> Scan:
    """The boxes in the place of their photos, as they lie in `place`; what is among the photos is told of as well."""
    root = photos.absolute()
    cut = cut_photos(root, labelling, into=place, group_by=group_by, on_progress=callback.on_progress)
    name = Path(str(labelling.crop_boxes)).name
    callback.on_note(f"{cut.boxes:,} boxes of {cut.photos:,} photos are cut out, by {name}")
    if cut.note:
        callback.on_note(cut.note)
    scan = looking(place)
    return replace(
        scan,
        root=str(root),
        unreadable=tuple(sorted((*cut.unreadable, *scan.unreadable), key=lambda one: one.file)),
        ignored=(*cut.ignored, *(one for one in scan.ignored if one.file != TABLE)),
        doubts=(*cut.doubts, *scan.doubts),
    )


def gather_decisions(recipe: Recipe) -> Decisions:
    """What a person decided about the photos: in the table that the recipe names, and for runs that it begins with."""
    asked, start = recipe.split.split_from, find_start(recipe)
    run = start or (open_run(asked) if asked else None)
    new = read_decisions(Path(recipe.data.decisions)) if recipe.data.decisions else ()
    if recipe.data.decisions and not new:
        raise DataError(f"{recipe.data.decisions} decides nothing", "decide about a photo first, or leave it out")
    return Decisions(earlier=DECISIONS.read(run) if run else (), new=new)


def split_photos(scan: Scan, loaded: LoadedRecipe) -> tuple[tuple[SplitRow, ...], Recipe, dict[str, str]]:
    """Each photo with its part, none of them empty, and the recipe with the shares that were chosen, and why."""
    own_parts = {photo.split for photo in scan.photos if photo.split}
    recipe, reasons = choose_split(loaded, len(scan.photos), own_parts=own_parts)
    recipe, known = _know_parts(scan, recipe, reasons, own_parts=bool(own_parts))
    rows = split_scan(scan, seed=recipe.seed, val=recipe.split.val or 0.0, test=recipe.split.test or 0.0, known=known)
    for part, name in _NAMES.items():
        if not any(row.split == part for row in rows):
            sets = len(set(number_groups(rows, scan.near_duplicates).tolist()))
            what = f", {sets} that differ," if sets < len(rows) else ""
            raise DataError(
                f"no photo is left for {name}: {len(rows)} photos{what} are too few to be divided",
                "add photos: every class needs at least three that differ; copies, bursts and groups stay together",
            )
    return rows, recipe, reasons


def _know_parts(
    scan: Scan, recipe: Recipe, reasons: dict[str, str], *, own_parts: bool
) -> tuple[Recipe, dict[str, Part]]:
    """The parts that photos had in an earlier run, by SHA-256, and the recipe that names it; the reason is added."""
    asked = recipe.split.split_from
    if asked and own_parts:
        raise RecipeError("--split-from: has no effect: the photos come with parts of their own", "leave it out")
    start = find_start(recipe)
    if own_parts or not (asked or start):
        return recipe, {}
    run = open_run(asked) if asked else start
    assert run is not None  # noqa: S101 - one of the two is
    known = read_known_parts(run)
    kept = sum(photo.sha256 in known for photo in scan.photos)
    if not asked and kept:
        recipe = recipe.replace({"split.split_from": str(run.root)})
        words = f"{kept:,} of {len(scan.photos):,} photos keep the part that they had in the run that --model names"
        reasons["split.split_from"] = words
    return recipe, known


def describe_parts(rows: Sequence[SplitRow], scan: Scan) -> str:
    """How many photos there are, of how many classes, and what for, in one line."""
    counts = Counter(row.split for row in rows)
    words: dict[Part, str] = {"train": "to learn from", "val": "to choose by", "test": "to test"}
    parts = ", ".join(f"{counts[part]:,} {words[part]}" for part in PARTS if counts[part])
    unreadable = f"; {len(scan.unreadable):,} could not be read" if scan.unreadable else ""
    return f"{len(rows):,} photos in {len(scan.classes):,} classes: {parts}{unreadable}"


def read_unchanged(run: RunDir, *, photos: Path | None = None) -> tuple[SplitRow, ...]:
    """The split of the run; a RunError lists photos that are not what they were, at most ten of them.

    Where the folder has moved, `photos` is its new place.
    """
    require(run, run.split, "start again with `pcn finetune PHOTOS`")
    rows = read_split(run)
    root = photos or photo_root(run)
    problems = check_split(rows, root)
    if problems:
        listed = [*problems[:10], *([f"… and {len(problems) - 10} more"] if len(problems) > 10 else [])]
        if not root.is_dir():
            moved = command("evaluate", run.root, "--photos", "FOLDER")
            raise RunError(f"the photos of {run.root} are not at {root} any more", f"where they have moved: {moved}")
        raise RunError(
            "\n  ".join([f"the photos of {run.root} have changed since its split:", *listed]),
            f"put them back, or start a new run with {command('finetune', root, '--recipe', run.recipe)}",
        )
    return rows


def check_leaks(rows: Sequence[SplitRow], scan: Scan) -> Observations:
    """Photos in two parts, pictures under two labels, what was left out, and classes that a part has no photo of."""
    found: dict[Part, set[str]] = {
        part: {name for row in rows if row.split == part for name in row.labels} for part in PARTS
    }
    everywhere = set[str]().union(*found.values())
    # Where nothing trains, a model from elsewhere is measured, and every part is the user's own.
    own_parts = scan.own_parts if found["train"] else frozenset(PARTS)
    return Observations(
        leaks=find_ties(rows, scan.near_duplicates, differ="split"),
        conflicts=find_ties(rows, scan.near_duplicates, differ="label"),
        alike=scan.alike,
        multi_label=any(row.multi_label for row in rows),
        doubts=scan.doubts,
        left_out=scan.left_out,
        own_parts=own_parts,
        missing={part: sorted(everywhere - found[part]) for part in PARTS if part in ("train", *own_parts)}
        if found["train"]
        else {},
    )


def refuse_leaks(check: Observations, fail_on: FailOn | None) -> None:
    """Raise a DataError where there are leaks and `fail_on` is "leak"."""
    if fail_on == "leak" and check.leaks:
        finding = findings(Observations(leaks=check.leaks))[0]
        hint = "take them out of one part, let pcn divide the photos, or leave --fail-on out"
        raise DataError(f"{finding.title}: {finding.evidence}", hint)
