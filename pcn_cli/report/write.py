"""The report as one folder that opens from disk: index.html, data/*.js, img/*.webp, figures/*.svg; or as one file.

Files are named by number, never by class or photo. Memory does not grow with the number of pictures of a folder, apart
from about a kilobyte for each. One file holds its data and pictures itself: for sending, and for what takes files only.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import write_bytes
from pcn_cli.files.folder import replacing_folder
from pcn_cli.files.threads import in_threads
from pcn_cli.report.content import ReportContent
from pcn_cli.report.page import render_page
from pcn_cli.report.page_data import Details, alike_by_file, as_block, as_script, columns
from pcn_cli.report.pages.health import files_of, list_pairs
from pcn_cli.report.pages.index import PAGES
from pcn_cli.report.pictures import KeptPictures, OpenPhoto, PhotoPictures, Size, as_webp
from pcn_cli.report.view_model import Picture, ReportView, Row, Rows, build_rows

OnPicture = Callable[[int, int], None]
Put = Callable[[str, bytes], None]
LARGE = 1024  # pixels of the longer side in the view of one prediction, where the photo is large enough
MOST_LARGE = 400  # predictions that get a large picture, mistakes and the least sure first
PAIR_SIDE = 384
ALIKE_SIDE = 176
MOST_EXPLAINED, FEW_EXPLAINED = 1000, 200  # predictions whose like photos are shown, in a folder and in one file
CARD_SIDE, NEAR_SIDE = 640, 192  # pixels of the desk's pictures, and of those beside them
SMALL_QUALITY = 72  # nearly a fifth smaller than at 80; there are thousands of them
MOST_BYTES = 25_000_000  # of one file: what mail programs still take
MANY_BYTES = 15_000_000
_KINDS = {".webp": "image/webp", ".svg": "image/svg+xml"}


def write_report(
    folder: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    on_picture: OnPicture | None = None,
    kept: KeptPictures | None = None,
) -> Path:
    """The path of the report's index.html; the folder takes the place of an older report in one step.

    A photo that cannot be opened any more stays in the report without its picture, and the page says so.

    Args:
        open_photo: gives the upright picture of a prediction's `file`; may raise PcnError or OSError; threads share it.
        thumbnail: longer side of the pictures in pixels.
        on_picture: called with (done, total).
        kept: pictures of photos that need not be made again.

    Raises:
        ResourceError: the folder cannot be written.
    """
    with replacing_folder(folder) as put:
        report = build_view(
            content,
            put,
            lambda name, value: put(f"data/{name}.js", as_script(name, value)),
            PhotoPictures(open_photo=open_photo, kept=kept),
            thumbnail=thumbnail,
            on_picture=on_picture,
            most_large=MOST_LARGE,
        )
        put("index.html", render_page(report).encode("utf-8"))
    return folder / "index.html"


def write_single_report(
    path: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    on_picture: OnPicture | None = None,
    kept: KeptPictures | None = None,
) -> Path:
    """`path`, where the page takes the place of an older one in one step; no picture is larger than a thumbnail.

    The arguments are those of `write_report`.

    Raises:
        RecipeError: the page would be larger than `MOST_BYTES`; nothing is written.
        ResourceError: the file cannot be written.
    """
    sink = MemorySink(len(content.predictions))
    photos = PhotoPictures(open_photo=open_photo, kept=kept)
    report = build_view(content, sink.put, sink.put_data, photos, thumbnail=thumbnail, on_picture=on_picture)
    # Those of the rows are drawn by the script; all others stand in the page.
    alike = (f"img/alike-{number}.webp" for number in report.alike_pictures.values())
    own = (*(f"img/{number}.webp" for number in report.pictures), *alike)
    drawn = {name: sink.pictures[name] for name in own}
    blocks = sink.blocks | {"pictures": as_block(drawn)}
    sources = {name: f"data:{_KINDS[Path(name).suffix]};base64,{text}" for name, text in sink.pictures.items()}
    page = render_page(report, blocks=blocks, pictures=sources).encode("utf-8")
    sink.refuse_above(len(page))
    write_bytes(path, page)
    return path


def build_view(
    content: ReportContent,
    put: Put,
    put_data: Callable[[str, object], None],
    photos: PhotoPictures,
    *,
    thumbnail: int,
    on_picture: OnPicture | None,
    most_large: int = 0,
) -> ReportView:
    """What the page is to be drawn from, once everything beside it was written.

    `put` takes a picture at its path in the report, `put_data` a value under the name by which the page loads it.
    """
    rows = build_rows(content)
    large = {row.number for row in rows.urgent(most_large)}
    pictures: dict[int, Picture] = {}

    def draw(row: Row) -> Drawn | None:
        return _draw_picture(row, photos, thumbnail=thumbnail, large=row.number in large)

    for row, drawn in zip(rows.all, in_threads(draw, rows.all), strict=True):
        if drawn is not None:
            pictures[row.number] = drawn.picture
            put(f"img/{row.number}.webp", drawn.small)
            if drawn.large is not None:
                put(f"img/{row.number}-large.webp", drawn.large)
        if on_picture is not None:
            on_picture(row.number + 1, len(rows.all))
    alike = _put_alike(put, content, rows, photos, most=MOST_EXPLAINED if most_large else FEW_EXPLAINED)
    details = Details(content, rows, alike_pictures=alike)
    for number, chunk in details.chunks():
        put_data(f"detail-{number}", chunk)
    put_data("classes", details.means.plain(rows.names))
    # For readers without JavaScript.
    overlays = frozenset(
        row.number
        for row in rows.front
        if (path := content.overlays.get(row.prediction.file))
        and _put_overlay(put, f"img/{row.number}-map.webp", path, longest=thumbnail)
    )
    figures = {name: f"figures/{number}.svg" for number, name in enumerate(content.figures)}
    for name, svg in content.figures.items():
        put(figures[name], svg.encode("utf-8", "replace"))
    known = {rows.all[number].prediction.file: f"img/{number}.webp" for number in pictures}
    report = ReportView(
        content=content,
        rows=rows,
        pictures=pictures,
        overlays=overlays,
        figures=figures,
        alike_pictures=alike,
        pair_pictures=_put_pairs(put, content, known, photos),
        desk_pictures=_put_desk(put, content, known, photos),
        full_lift=details.look.top,
        full_evidence=details.evidence.top,
    )
    put_data("rows", columns(report))
    for page in PAGES:
        if page.data is not None and (value := page.data(report)) is not None:
            put_data(page.name, value)
    return report


class MemorySink:
    """The files of a report in memory, up to `MOST_BYTES`: pictures as base64 by path, data as JSON by name."""

    def __init__(self, predictions: int) -> None:
        self.pictures: dict[str, str] = {}
        self.blocks: dict[str, str] = {}
        self._predictions, self._size = predictions, 0

    def put(self, name: str, content: bytes) -> None:
        """Hold a picture."""
        self._hold(self.pictures, name, base64.b64encode(content).decode("ascii"))

    def put_data(self, name: str, value: object) -> None:
        """Hold data."""
        self._hold(self.blocks, name, as_block(value))

    def refuse_above(self, size: int) -> None:
        """Raises RecipeError where a page of `size` bytes is too large."""
        if size > MOST_BYTES:
            most = f"{MOST_BYTES / 1e6:.0f} MB"
            raise RecipeError(
                f"--single-file: this report of {self._predictions:,} pictures is larger than {most}",
                "leave --single-file out, and send the whole folder report/ instead",
            )

    def _hold(self, held: dict[str, str], name: str, text: str) -> None:
        held[name] = text
        self._size += len(text)
        self.refuse_above(self._size)


class Drawn(NamedTuple):
    """A prediction's pictures as WebP files, and what the page says of them."""

    picture: Picture
    small: bytes
    large: bytes | None


def _draw_picture(row: Row, photos: PhotoPictures, *, thumbnail: int, large: bool) -> Drawn | None:
    """The pictures; None where the photo cannot be opened any more."""
    sizes = [Size(thumbnail, SMALL_QUALITY)]
    if large:  # one that is hardly larger would only cost space
        sizes.append(Size(LARGE, above=1.25 * thumbnail))
    drawn = photos.draw(row.prediction.file, *sizes)
    if drawn is None:
        return None
    small, big = drawn[0], drawn[1].content if large else b""
    return Drawn(Picture(width=small.width, height=small.height, large=bool(big)), small.content, big or None)


def _put_alike(put: Put, content: ReportContent, rows: Rows, photos: PhotoPictures, *, most: int) -> dict[str, int]:
    """The numbers of the training photos' pictures by file: what the mistakes and the least sure are like."""
    alike, numbers = alike_by_file(content), dict[str, int]()
    for row in rows.urgent(most):
        for own in alike.get(row.prediction.file, {}).values():
            for one in own:
                numbers.setdefault(one.other, len(numbers))

    def draw(file: str) -> bytes | None:
        return _draw_one(photos, file, Size(ALIKE_SIDE, SMALL_QUALITY))

    drawn = dict(zip(numbers, in_threads(draw, numbers), strict=True))
    for file, picture in drawn.items():
        if picture is not None:
            put(f"img/alike-{numbers[file]}.webp", picture)
    return {file: number for file, number in numbers.items() if drawn[file] is not None}


def _put_pairs(put: Put, content: ReportContent, known: dict[str, str], photos: PhotoPictures) -> dict[str, str]:
    """The pictures of the pairs by file: those already `known` by file, new ones of the others."""
    files = files_of(list_pairs(content.scan))
    pictures = {file: known[file] for file in files if file in known}
    for number, file in enumerate(file for file in files if file not in known):
        drawn = _draw_one(photos, file, Size(PAIR_SIDE))
        if drawn is not None:
            pictures[file] = f"img/pair-{number}.webp"
            put(pictures[file], drawn)
    return pictures


def _put_desk(put: Put, content: ReportContent, known: dict[str, str], photos: PhotoPictures) -> dict[str, str]:
    """The pictures of the desk's photos and of their neighbours by file, new ones where there are none yet."""
    sides = {one.file: NEAR_SIDE for card in (content.desk.cards if content.desk else ()) for one in card.near}
    sides |= {card.file: CARD_SIDE for card in (content.desk.cards if content.desk else ())}
    files = [file for file in sides if file not in known]

    def draw(file: str) -> bytes | None:
        return _draw_one(photos, file, Size(sides[file], SMALL_QUALITY))

    pictures = {file: path for file, path in known.items() if file in sides}
    for number, (file, drawn) in enumerate(zip(files, in_threads(draw, files), strict=True)):
        if drawn is not None:
            pictures[file] = f"img/desk-{number}.webp"
            put(pictures[file], drawn)
    return pictures


def _draw_one(photos: PhotoPictures, file: str, size: Size) -> bytes | None:
    drawn = photos.draw(file, size)
    return drawn[0].content if drawn else None


def _put_overlay(put: Put, path: str, overlay: Path, *, longest: int) -> bool:
    """Whether the overlay could be opened, and was put."""
    try:
        with Image.open(overlay) as picture:
            content, _ = as_webp(picture, longest=longest)
    except OSError:
        return False
    put(path, content)
    return True
