"""The report as one folder that opens from disk: index.html, data/*.js, img/*.webp, figures/*.svg.

Files are named by number, never by class or photo. Memory does not grow with the number of pictures, apart from about
a kilobyte for each.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image

from pcn_cli.errors import PcnError
from pcn_cli.files.folder import replacing_folder
from pcn_cli.report.content import ReportContent
from pcn_cli.report.page import render_page
from pcn_cli.report.page_data import Details, as_script, columns
from pcn_cli.report.pages.health import files_of, list_pairs
from pcn_cli.report.view_model import Picture, ReportView, Row, Rows, build_rows

OpenPhoto = Callable[[str], Image.Image]
OnPicture = Callable[[int, int], None]
Put = Callable[[str, bytes], None]
_Name = TypeVar("_Name")
LARGE = 1024  # pixels of the longer side in the view of one prediction, where the photo is large enough
MOST_LARGE = 400  # predictions that get a large picture, mistakes and the least sure first
PAIR_SIDE = 384
SMALL_QUALITY = 72  # nearly a fifth smaller than at 80; there are thousands of them


def write_report(
    folder: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    on_picture: OnPicture | None = None,
) -> Path:
    """The path of the report's index.html; the folder takes the place of an older report in one step.

    A photo that cannot be opened any more stays in the report without its picture, and the page says so.

    Args:
        folder: where the report goes.
        content: what it shows.
        open_photo: gives the upright picture of a prediction's `file`; may raise PcnError or OSError.
        thumbnail: longer side of the pictures in pixels.
        on_picture: called with (done, total).

    Raises:
        ResourceError: the folder cannot be written.
    """
    with replacing_folder(folder) as new:
        report = build_view(
            content,
            put=new.put,
            put_data=lambda name, value: new.put(f"data/{name}.js", as_script(name, value)),
            open_photo=open_photo,
            thumbnail=thumbnail,
            most_large=MOST_LARGE,
            on_picture=on_picture,
        )
        new.put("index.html", render_page(report).encode("utf-8"))
    return folder / "index.html"


def build_view(
    content: ReportContent,
    *,
    put: Put,
    put_data: Callable[[str, object], None],
    open_photo: OpenPhoto,
    thumbnail: int,
    most_large: int,
    on_picture: OnPicture | None,
) -> ReportView:
    """What the page is to be drawn from, once everything beside it was written.

    `put` takes a picture at its path in the report, `put_data` a value under the name by which the page loads it.
    """
    rows = build_rows(content)
    large = {row.number for row in rows.urgent(most_large)}
    pictures: dict[int, Picture] = {}
    for row in rows.all:
        picture = _put_picture(put, row, open_photo, thumbnail=thumbnail, large=row.number in large)
        if picture is not None:
            pictures[row.number] = picture
        if on_picture is not None:
            on_picture(row.number + 1, len(rows.all))
    details = Details(content, rows)
    for number, chunk in details.chunks():
        put_data(f"detail-{number}", chunk)
    put_data("classes", details.means.plain(rows.names))
    report = ReportView(
        content=content,
        rows=rows,
        pictures=pictures,
        overlays=frozenset(_put_overlays(put, content, rows, thumbnail)),
        figures=dict(_put_figures(put, content)),
        pair_pictures=_put_pairs(put, content, {rows.all[n].source: f"img/{n}.webp" for n in pictures}, open_photo),
        full_lift=details.look.top,
        full_evidence=details.evidence.top,
    )
    put_data("rows", columns(report))
    return report


def as_webp(picture: Image.Image, *, longest: int, quality: int = 80) -> tuple[bytes, tuple[int, int]]:
    """The picture with its longer side at most `longest` pixels, never enlarged, as (WebP file, (width, height)).

    It is made anew from pixels, so that nothing of the file's metadata travels along.
    """
    scale = min(1.0, longest / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    pixels = picture.convert("RGB")
    if scale < 1:
        pixels = pixels.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # A new picture holds pixels only: no EXIF (which may say where it was taken), no profile, no comment.
    bare = Image.new("RGB", (width, height))
    bare.paste(pixels)
    file = BytesIO()
    bare.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue(), (width, height)


def _put_picture(put: Put, row: Row, open_photo: OpenPhoto, *, thumbnail: int, large: bool) -> Picture | None:
    try:
        with open_photo(row.source) as photo:
            small, (width, height) = as_webp(photo, longest=thumbnail, quality=SMALL_QUALITY)
            # A large picture that is hardly larger would only cost space.
            big = as_webp(photo, longest=LARGE)[0] if large and max(photo.size) > 1.25 * thumbnail else None
    except (PcnError, OSError):
        return None
    put(f"img/{row.number}.webp", small)
    if big is not None:
        put(f"img/{row.number}-large.webp", big)
    return Picture(width=width, height=height, large=big is not None)


def _put_overlays(put: Put, content: ReportContent, rows: Rows, thumbnail: int) -> Iterator[int]:
    """The numbers of the rows whose overlay was put, for readers without JavaScript."""
    for row in rows.front:
        path = content.overlays.get(row.source)
        if path is not None and (overlay := _open_as_webp(Image.open, path, longest=thumbnail)):
            put(f"img/{row.number}-map.webp", overlay)
            yield row.number


def _put_pairs(put: Put, content: ReportContent, known: dict[str, str], open_photo: OpenPhoto) -> dict[str, str]:
    """The pictures of the pairs by file: those already `known` by file, new ones of the others."""
    files = list(files_of(list_pairs(content.scan)))
    paths = {file: known[file] for file in files if file in known}
    for number, file in enumerate(file for file in files if file not in known):
        if picture := _open_as_webp(open_photo, file, longest=PAIR_SIDE):
            paths[file] = f"img/pair-{number}.webp"
            put(paths[file], picture)
    return paths


def _open_as_webp(open_: Callable[[_Name], Image.Image], name: _Name, *, longest: int) -> bytes | None:
    """The picture as WebP; None where it cannot be opened."""
    try:
        with open_(name) as picture:
            return as_webp(picture, longest=longest)[0]
    except (PcnError, OSError):
        return None


def _put_figures(put: Put, content: ReportContent) -> Iterator[tuple[str, str]]:
    """The charts by name, each with its path in the report."""
    for number, (name, svg) in enumerate(content.figures.items()):
        path = f"figures/{number}.svg"
        put(path, svg.encode("utf-8", "replace"))
        yield name, path
