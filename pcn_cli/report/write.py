"""The report as one folder that opens from disk: index.html, data/*.js, img/*.webp, figures/*.svg.

Files are named by number, never by class or photo. Memory does not grow with the number of pictures, apart from about
a kilobyte for each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from pcn_cli.errors import PcnError
from pcn_cli.files.folder import NewFolder, replacing_folder
from pcn_cli.report.chunks import chunk
from pcn_cli.report.columns import columns
from pcn_cli.report.content import ReportContent
from pcn_cli.report.details import Tally, detail_chunks
from pcn_cli.report.filters import find_marks
from pcn_cli.report.format import metric_title
from pcn_cli.report.page import render_page
from pcn_cli.report.pairs import PairList, files_of, list_pairs
from pcn_cli.report.pictures import as_webp
from pcn_cli.report.rows import Row, Rows, build_rows
from pcn_cli.report.view_model import Draft, Figure, Picture

OpenPhoto = Callable[[str], Image.Image]
OnPicture = Callable[[int, int], None]
PAIR_SIDE = 384
SMALL_QUALITY = 72  # nearly a fifth smaller than at 80; there are thousands of them


class Sink(Protocol):
    """Where the files of a report go."""

    def put(self, name: str, content: bytes) -> None:
        """Take a picture at its path in the report."""

    def put_data(self, name: str, value: object) -> None:
        """Take data under the name by which the page loads it."""


def write_report(
    folder: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    large: int = 1024,
    large_limit: int = 400,
    on_picture: OnPicture | None = None,
) -> Path:
    """The path of the report's index.html; the folder takes the place of an older report in one step.

    A photo that cannot be opened any more stays in the report without its picture, and the page says so.

    Args:
        folder: where the report goes.
        content: what it shows.
        open_photo: gives the upright picture of a prediction's `file`; may raise PcnError or OSError.
        thumbnail: longer side of the pictures in pixels.
        large: longer side of the pictures in the view of one prediction, where the photo is large enough.
        large_limit: how many predictions get a large picture, mistakes and the least sure first.
        on_picture: called with (done, total).

    Raises:
        ResourceError: the folder cannot be written.
    """
    with replacing_folder(folder) as new:
        sink = FolderSink(new)
        draft = fill(
            sink,
            content,
            open_photo=open_photo,
            thumbnail=thumbnail,
            large=large,
            large_limit=large_limit,
            on_picture=on_picture,
        )
        sink.put("index.html", render_page(draft).encode("utf-8"))
    return folder / "index.html"


@dataclass(frozen=True)
class FolderSink:
    """The files of a report in a folder being filled."""

    folder: NewFolder

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        self.folder.put(name, content)

    def put_data(self, name: str, value: object) -> None:
        """Write data as a script that the page can load from disk."""
        self.folder.put(f"data/{name}.js", chunk(name, value))


def fill(
    sink: Sink,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int,
    large: int,
    large_limit: int,
    on_picture: OnPicture | None,
) -> Draft:
    """What the page is to be drawn from, once everything beside it has gone to `sink`."""
    rows = build_rows(content)
    sizes = {row.number: large for row in rows.urgent(large_limit)}
    pictures: dict[int, Picture] = {}
    for row in rows.all:
        picture = _put_picture(sink, row, open_photo, thumbnail=thumbnail, large=sizes.get(row.number, 0))
        if picture is not None:
            pictures[row.number] = picture
        if on_picture is not None:
            on_picture(row.number + 1, len(rows.all))
    tally = Tally()
    for number, details in detail_chunks(content, rows, tally):
        sink.put_data(f"detail-{number}", details)
    sink.put_data("classes", tally.means.plain(rows.names))
    pairs = list_pairs(content.scan)
    draft = Draft(
        content=content,
        rows=rows,
        pictures=pictures,
        overlays=frozenset(row.number for row in rows.front if _put_overlay(sink, row, content, thumbnail)),
        figures=tuple(_put_figures(sink, content)),
        full_lift=tally.look.value,
        full_evidence=tally.evidence.value,
        marks=find_marks(content, rows),
        pairs=pairs,
        seen=_put_pairs(sink, pairs, rows, pictures, open_photo),
    )
    sink.put_data("rows", columns(draft))
    return draft


def _put_picture(new: Sink, row: Row, open_photo: OpenPhoto, *, thumbnail: int, large: int) -> Picture | None:
    try:
        with open_photo(row.source) as photo:
            small, (width, height) = as_webp(photo, longest=thumbnail, quality=SMALL_QUALITY)
            # A large picture that is hardly larger would only cost space.
            big = as_webp(photo, longest=large)[0] if large and max(photo.size) > 1.25 * thumbnail else None
    except (PcnError, OSError):
        return None
    new.put(f"img/{row.number}.webp", small)
    if big is not None:
        new.put(f"img/{row.number}-large.webp", big)
    return Picture(width=width, height=height, large=big is not None)


def _put_overlay(new: Sink, row: Row, content: ReportContent, thumbnail: int) -> bool:
    path = content.overlays.get(row.source)
    if path is None:
        return False
    try:
        with Image.open(path) as overlay:
            new.put(f"img/{row.number}-map.webp", as_webp(overlay, longest=thumbnail)[0])
    except OSError:
        return False
    return True


def _put_pairs(
    new: Sink, pairs: tuple[PairList, ...], rows: Rows, pictures: dict[int, Picture], open_photo: OpenPhoto
) -> dict[str, str]:
    """The pictures of the pairs by file: those of the rows where they are there, new ones of the others."""
    seen = {row.source: f"img/{row.number}.webp" for row in rows.all if row.number in pictures}
    for number, file in enumerate(file for file in files_of(pairs) if file not in seen):
        try:
            with open_photo(file) as photo:
                new.put(f"img/pair-{number}.webp", as_webp(photo, longest=PAIR_SIDE)[0])
        except (PcnError, OSError):
            continue
        seen[file] = f"img/pair-{number}.webp"
    return {file: seen[file] for file in files_of(pairs) if file in seen}


def _put_figures(new: Sink, content: ReportContent) -> Iterator[Figure]:
    for number, (name, svg) in enumerate(content.figures.items()):
        path = f"figures/{number}.svg"
        new.put(path, svg.encode("utf-8", "replace"))
        yield Figure(name=name, title=metric_title(name), path=path)
