"""What a table says of photos beside their label: the columns that nothing else reads, such as a camera or a site."""

from pathlib import Path

from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.listed_files import ListedFiles
from pcn_cli.data.scan.table import find_table, read_table
from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.errors import PcnError
from pcn_cli.recipe.schema import Labelling


def read_further_columns(root: Path, labelling: Labelling, *, group_by: str | None = None) -> dict[str, dict[str, str]]:
    """By the name of each such column what it says of each photo, by file; empty without a table that can be read.

    `labelling` and `group_by` are as the scan had them; cells without a text are left out.
    """
    if labelling.label_from is not None:
        return {}
    try:
        place = find_table(root, None if labelling.labels is None else Path(labelling.labels))
        if place is None:
            return {}
        entries = walk_folder(root)
        table = read_table(place.absolute(), files=len(entries))
        listed = ListedFiles(root, table.path, entries)
        grouped = group_by if group_by and table.find(group_by) is not None else "group"
        columns = choose_columns(table, labelling, group_column=grouped, names_photo=listed.knows)
    except (PcnError, OSError):  # it was there when the photos were divided, and is no more
        return {}
    found: dict[str, dict[str, str]] = {}
    written = [cells[columns.file] if columns.file < len(cells) else "" for _, cells in table.rows]
    places = listed.find(written)
    used = columns.used
    for number, name in enumerate(table.header):
        if number not in used and name:
            found[name] = {
                places[file].file: cells[number].strip()
                for file, (_, cells) in zip(written, table.rows, strict=True)
                if number < len(cells) and cells[number].strip()
            }
    return found
