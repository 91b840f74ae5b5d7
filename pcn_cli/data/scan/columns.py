"""Which columns of a table name the photo, its label and its part.

`file` and `label` (or `labels`, for several) are taken at once. Other usual names are taken where they leave no choice,
and that is said; so is a table with a column of 0 and 1, or True and False, for each class.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from operator import itemgetter

from pcn_cli.data.scan.content import promises_image
from pcn_cli.data.scan.part_names import asks_of_part, read_parts
from pcn_cli.data.scan.table import Table
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.photos import SEVERAL

# As letters without case, spaces, dashes and underscores; the more telling first.
_FILE_NAMES = (
    *("file", "filename", "filepath", "filepaths", "files", "filenames", "path", "paths", "imagepath", "imgpath"),
    *("imagefile", "imagefilename", "imagename", "imgname", "image", "images", "img", "photo", "picture", "photoname"),
    *("imageid", "imgid", "photoid", "id", "name"),
)
_LABEL_NAMES = (
    *("label", "labels", "class", "classname", "classlabel", "labelname", "category", "categoryname", "target"),
    *("species", "breed", "diagnosis", "groundtruth", "tag", "y"),
)
_SPLIT_NAMES = ("split", "subset", "partition", "set", "dataset", "usage", "phase")
_IDS = ("classid", "labelid", "categoryid")
# What pandas, R and people put before the rows.
_INDEX = re.compile(r"(?:index|idx|row|row ?names?|#|unnamed: [\d.]+)?", re.IGNORECASE)
_ONE_HOT = re.compile(r"[01](\.0*)?|true|false", re.IGNORECASE)
_SURELY = 3  # columns of which one alone is 1 in every row
_SAMPLE, _SAMPLED = 200, 200_000  # rows that are looked at to tell columns apart; of many columns fewer, for the cells
_MOST_PARTS = 100  # words in a column of parts
_MOST_TOLD, _MOST_LETTERS = 20, 100  # columns in a message, and letters of each
_HINT = "the first line must be: file,label (and split,group where you have them)"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The numbers of the columns that are read; `one_hot` are those of the classes, in the place of `label`.

    A photo is of those that hold one of the words `yes`.
    """

    file: int
    label: int | None = None
    one_hot: tuple[int, ...] = ()
    yes: frozenset[str] = frozenset()
    split: int | None = None
    group: int | None = None
    multi_label: bool = False
    assumptions: tuple[str, ...] = ()

    def ones(self, cells: Sequence[str]) -> list[int]:
        """The numbers of the columns of the classes that a row's photo is of."""
        return _ones(cells, self.one_hot, self.yes)

    @property
    def used(self) -> frozenset[int | None]:
        """The numbers of all columns that are read."""
        return frozenset((self.file, self.label, self.split, self.group, *self.one_hot))


def choose_columns(
    table: Table,
    labelling: Labelling,
    *,
    group_column: str = "group",
    names_photo: Callable[[str], bool] = lambda _cell: False,
) -> Columns:
    """The columns of `table` to read: those that `labelling` names, otherwise those whose names leave no choice.

    `names_photo` tells whether a cell names a photo that is there.

    Raises:
        DataError: a column is missing, stands there twice, or could be one of several.
        RecipeError: a column that `labelling` names is not there.
    """
    file = _named(table, labelling.file_column, "--file-column")
    label = _named(table, labelling.label_column, "--label-column")
    file = _find_file(table, names_photo, without=label) if file is None else file
    split, group = _find_split(table), table.find(group_column)
    beside = [n for n, name in enumerate(table.header) if _INDEX.fullmatch(name) or asks_of_part(name)]
    taken = {file, split, group, *beside}
    rest = [n for n in range(len(table.header)) if n not in taken]
    one_hot, yes = _find_one_hot(table, rest) if label is None and file is not None else ((), frozenset())
    ones = [_ones(cells, one_hot, yes) for _, cells in table.rows]
    sums = set(map(len, ones))
    if len(one_hot) < _SURELY or sums != {1}:  # a class may be called species, or tag
        label = _find_label(table, rest) if label is None else label
        one_hot = () if label is not None else one_hot
    if file is not None and labelling.file_column is None and _letters(table.header[file]) not in _FILE_NAMES:
        _refuse_headless(table, table.header[file], names_photo)
    missing = [*(["file"] if file is None else []), *(["label"] if label is None and not one_hot else [])]
    if file is None or missing:
        flags = " ".join(f"--{name}-column NAME" for name in missing)
        hint = f"{_HINT}; or say which column it is with {flags}" if table.header else _HINT
        raise DataError(f"{table.place}: no column {' and no column '.join(missing)}; found {_found(table)}", hint)
    _refuse_twice(table, [n for n in (file, label, split, group, *one_hot) if n is not None])
    said = []
    if table.header[file].casefold() != "file" and labelling.file_column is None:
        said.append(f"photos are named by the column {table.header[file]}")
    if (
        label is not None
        and table.header[label].casefold() not in ("label", SEVERAL)
        and labelling.label_column is None
    ):
        said.append(f"labels are the column {table.header[label]}")
    if split is not None and table.header[split].casefold() != "split":
        said.append(f"parts are the column {table.header[split]}")
    if one_hot:
        kind = "one class each" if sums == {1} else "several labels, or none"
        given = {n for own in ones for n in own}
        idle = [table.header[n] for n in one_hot if n not in given]
        never = f"; no photo is {_name_some(idle)}, so that cannot be learned" if idle else ""
        said.append(f"labels are the {len(one_hot)} columns of 0 and 1, {kind}{never}")
    return Columns(
        file=file,
        label=label,
        one_hot=one_hot,
        yes=yes,
        split=split,
        group=group,
        multi_label=(label is not None and table.header[label].casefold() == SEVERAL)
        or (bool(one_hot) and sums != {1}),
        assumptions=tuple(f"{table.path.name}: {one}" for one in said),
    )


def _ones(cells: Sequence[str], columns: Sequence[int], yes: Collection[str]) -> list[int]:
    """Those of the columns, none or several, in which a row holds one of the words; by few steps for each cell."""
    return list(compress(columns, map(yes.__contains__, itemgetter(*columns)(cells)))) if columns else []


def _named(table: Table, name: str | None, flag: str) -> int | None:
    """The column that the user named, if he did."""
    if name is None:
        return None
    found = table.find(name)
    if found is None:
        raise RecipeError(f"{flag} {name}: {table.place} has no such column; found {_found(table)}")
    return found


def _find_file(table: Table, names_photo: Callable[[str], bool], *, without: int | None) -> int | None:
    """The column `file`, otherwise the one whose cells name most photos; of equals that with the more telling name.

    A name with its ending counts before any number of ids: numbers of rows look like those of photos.
    """
    if (exact := table.find("file")) is not None:
        return exact
    ranked, sample = [], min(_SAMPLE, _SAMPLED // max(len(table.header), 1))
    for number, name in enumerate(table.header):
        letters = _letters(name)
        if number == without or letters in _LABEL_NAMES:
            continue
        cells = [cells[number].strip() for _, cells in islice(table.rows, sample) if len(cells) > number]
        named = [cell for cell in cells if names_photo(cell)]
        share, by_ids = len(named) / max(len(cells), 1), not any(map(promises_image, named))
        rank = _FILE_NAMES.index(letters) if letters in _FILE_NAMES else len(_FILE_NAMES)
        if letters in _FILE_NAMES or share > 0.5:
            ranked.append((by_ids, -round(share, 1), rank, number))
    return min(ranked)[-1] if ranked else None


def _find_label(table: Table, rest: Sequence[int]) -> int | None:
    """The column `label` or `labels`, another usual name, or the only column that is left."""
    exact = [number for name in ("label", SEVERAL) if (number := table.find(name)) is not None]
    if len(exact) > 1:
        hint = f"keep {SEVERAL} where a photo may have several, with ; between them, otherwise label"
        raise DataError(f"{table.place}: a column label and a column {SEVERAL}", hint)
    usual = [number for number in rest if _letters(table.header[number]) in _LABEL_NAMES]
    ids = [number for number in rest if _letters(table.header[number]) in _IDS]
    found = exact or usual or ids or ([*rest] if len(rest) == 1 else [])
    if len(found) > 1:
        names = " or ".join(table.header[number] for number in found)
        hint = f"name one: --label-column {table.header[found[0]]!r}"
        raise DataError(f"{table.place}: the label could be {names}", hint)
    return found[0] if found else None


def _find_one_hot(table: Table, rest: Sequence[int]) -> tuple[tuple[int, ...], frozenset[str]]:
    """The columns of the classes, where all that are left hold only 0 and 1, or True and False; and the words for 1."""
    if len(rest) < 2 or not table.rows:
        return (), frozenset()
    known, pick = set[str](), itemgetter(*rest)
    for _, cells in table.rows:
        new = set(pick(cells)) - known if len(cells) > rest[-1] else {""}
        if not all(_ONE_HOT.fullmatch(cell.strip()) for cell in new):
            return (), frozenset()
        known |= new
    return tuple(rest), frozenset(cell for cell in known if cell.strip().casefold().startswith(("1", "t")))


def _find_split(table: Table) -> int | None:
    """The column `split`, or one of another usual name all of whose cells name parts."""
    if (exact := table.find("split")) is not None:
        return exact
    for number, name in enumerate(table.header):
        if _letters(name) in _SPLIT_NAMES:
            cells = {cells[number].strip() for _, cells in table.rows if len(cells) > number} - {""}
            if 0 < len(cells) <= _MOST_PARTS and cells == read_parts(cells).keys():
                return number
    return None


def _refuse_headless(table: Table, cell: str, names_photo: Callable[[str], bool]) -> None:
    if names_photo(cell):
        raise DataError(f"{table.place}: this is no header, {cell} is a photo", _HINT)


def _refuse_twice(table: Table, numbers: Sequence[int]) -> None:
    lower = [name.casefold() for name in table.header]
    counts = Counter(lower)
    for number in numbers:
        if counts[lower[number]] > 1:
            raise DataError(f"{table.place}: the column {lower[number]} stands there twice", _HINT)


def _found(table: Table) -> str:
    return _name_some(table.header).casefold() or "nothing"


def _name_some(names: Sequence[str]) -> str:
    """The first names, each cut where it is long, and how many more there are."""
    some = ", ".join(name if len(name) <= _MOST_LETTERS else f"{name[:_MOST_LETTERS]}…" for name in names[:_MOST_TOLD])
    return f"{some} and {len(names) - _MOST_TOLD:,} more" if len(names) > _MOST_TOLD else some


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
