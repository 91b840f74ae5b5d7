"""boxes.csv: where the object is in each photo."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pcn_cli.errors import DataError
from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.photos import Box

_COLUMNS = ", ".join(Box.names())


def write_boxes(path: Path, boxes: Iterable[Box]) -> None:
    """Put `boxes` at `path`."""
    write_csv(path, Box.names(), (box.cells() for box in boxes))


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """The boxes of each photo, by its path below the photos folder.

    Raises:
        DataError: no such file, a column is missing, or a row holds no box; the message says which.
    """
    if not path.is_file():
        raise DataError(f"no such table of boxes: {path}")
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    try:
        for row in read_csv(path):
            boxes[row["file"]].append(Box.from_cells(row))
    except KeyError as error:
        raise DataError(f"{path} has no column {error}", f"a table of boxes has the columns {_COLUMNS}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}", f"a row has the columns {_COLUMNS}, in whole pixels") from error
    return dict(boxes)
