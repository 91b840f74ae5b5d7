"""The report as one folder that opens from disk: index.html, data/*.js, img/*.webp, figures/*.svg.

Files are named by number, never by class or photo. Memory does not grow with the number of pictures, apart from a few
hundred bytes for each.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from pcn_cli.errors import PcnError
from pcn_cli.files.folder import NewFolder, replacing_folder
from pcn_cli.records.model import PatchGrid
from pcn_cli.records.predictions import AttentionNumbers
from pcn_cli.report.chunks import chunk
from pcn_cli.report.content import LookMap, ReportContent
from pcn_cli.report.draft import Draft, Figure, Picture
from pcn_cli.report.lookmaps import ScaleTop, as_text, encode_look
from pcn_cli.report.page import render_page
from pcn_cli.report.pictures import as_webp
from pcn_cli.report.rows import Row, Rows, build_rows
from pcn_cli.report.words import metric_title

OpenPhoto = Callable[[str], Image.Image]
DETAILS = 200  # predictions per data/detail-N.js


def write_report(
    folder: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    large: int = 1024,
    large_limit: int = 400,
    on_picture: Callable[[int, int], None] | None = None,
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
    rows = build_rows(content)
    with replacing_folder(folder) as new:
        sizes = {row.number: large for row in rows.urgent(large_limit)}
        pictures: dict[int, Picture] = {}
        for row in rows.all:
            picture = _put_picture(new, row, open_photo, thumbnail=thumbnail, large=sizes.get(row.number, 0))
            if picture is not None:
                pictures[row.number] = picture
            if on_picture is not None:
                on_picture(row.number + 1, len(rows.all))
        top = ScaleTop()
        for number, details in _detail_chunks(content, rows, top):
            new.put(f"data/detail-{number}.js", chunk(f"detail-{number}", details))
        draft = Draft(
            content=content,
            rows=rows,
            pictures=pictures,
            overlays=frozenset(row.number for row in rows.front if _put_overlay(new, row, content, thumbnail)),
            figures=tuple(_put_figures(new, content)),
            full_lift=top.value,
        )
        new.put("data/rows.js", chunk("rows", _columns(draft)))
        new.put("index.html", render_page(draft).encode("utf-8"))
    return folder / "index.html"


def _put_picture(new: NewFolder, row: Row, open_photo: OpenPhoto, *, thumbnail: int, large: int) -> Picture | None:
    try:
        with open_photo(row.source) as photo:
            small, (width, height) = as_webp(photo, longest=thumbnail)
            # A large picture that is hardly larger would only cost space.
            big = as_webp(photo, longest=large)[0] if large and max(photo.size) > 1.25 * thumbnail else None
    except (PcnError, OSError):
        return None
    new.put(f"img/{row.number}.webp", small)
    if big is not None:
        new.put(f"img/{row.number}-large.webp", big)
    return Picture(width=width, height=height, large=big is not None)


def _put_overlay(new: NewFolder, row: Row, content: ReportContent, thumbnail: int) -> bool:
    path = content.overlays.get(row.source)
    if path is None:
        return False
    try:
        with Image.open(path) as overlay:
            new.put(f"img/{row.number}-map.webp", as_webp(overlay, longest=thumbnail)[0])
    except OSError:
        return False
    return True


def _put_figures(new: NewFolder, content: ReportContent) -> Iterator[Figure]:
    for number, (name, svg) in enumerate(content.figures.items()):
        path = f"figures/{number}.svg"
        new.put(path, svg.encode("utf-8", "replace"))
        yield Figure(name=name, title=metric_title(name), path=path)


def _detail_chunks(content: ReportContent, rows: Rows, top: ScaleTop) -> Iterator[tuple[int, list[object]]]:
    index = {name: number for number, name in enumerate(rows.names)}
    for first in range(0, len(rows.all), DETAILS):
        yield (
            first // DETAILS,
            [
                {
                    "top": [[index[name], round(p, 5)] for name, p in row.top],
                    "numbers": [_plain(getattr(row.attention, name)) for name in AttentionNumbers.names()],
                    **placed_look(content.looks.get(row.source), content.patch_grid, top),
                }
                for row in rows.all[first : first + DETAILS]
            ],
        )


def placed_look(look: LookMap | None, patch_grid: PatchGrid, top: ScaleTop) -> dict[str, object]:
    """The map's bytes, its grid (h, w), and where patch columns and rows lie as shares of the picture's sides.

    Patch (r, c) is centred at (x + c · dx, y + r · dy); `seen` is what the network saw (left, top, right, bottom).
    """
    if look is None:
        return {}
    bytes_ = encode_look(look.values)
    top.add(bytes_)
    at = look.placement
    left, upper, right, lower = at.box
    # Shares of the picture: the browser then needs no pixels of the original.
    per_x = (right - left) / at.input_width / at.width
    per_y = (lower - upper) / at.input_height / at.height
    start = [left / at.width + patch_grid.offset * per_x, upper / at.height + patch_grid.offset * per_y]
    step = [patch_grid.stride * per_x, patch_grid.stride * per_y]
    seen = [left / at.width, upper / at.height, right / at.width, lower / at.height]
    return {
        "map": as_text(bytes_),
        "grid": list(bytes_.shape),
        "start": [round(share, 6) for share in start],
        "step": [round(share, 6) for share in step],
        "seen": [round(share, 5) for share in seen],
        "size": [at.width, at.height],
    }


def _columns(draft: Draft) -> dict[str, object]:
    """What filters, sorting and tiles need of every prediction, as columns."""
    rows, index = draft.rows, {name: number for number, name in enumerate(draft.rows.names)}
    pictures = [draft.pictures.get(row.number) for row in rows.all]
    return {
        "names": rows.names,
        "labelled": rows.labelled,
        "full": round(draft.full_lift, 3),
        "details": DETAILS,
        "file": [row.file for row in rows.all],
        **_label_columns(draft, index),
        "confidence": [_plain(row.confidence) for row in rows.all],
        "loss": [_plain(row.loss) for row in rows.all],
        "mass50": [_plain(row.attention.mass50) for row in rows.all],
        "border": [_plain(row.attention.border_share) for row in rows.all],
        "mapped": [int(row.source in draft.content.looks) for row in rows.all],
        "width": [picture.width if picture else 0 for picture in pictures],
        "height": [picture.height if picture else 0 for picture in pictures],
        "large": [int(picture.large) if picture else 0 for picture in pictures],
    }


def _label_columns(draft: Draft, index: Mapping[str, int]) -> dict[str, object]:
    """Places among the names: one each and −1 where there is no label; of several labels a list, and null."""
    rows = draft.rows.all
    if draft.content.multi_label:
        label = [None if row.labels is None else [index[name] for name in row.labels] for row in rows]
        return {"several": True, "label": label, "predicted": [[index[name] for name in row.answers] for row in rows]}
    return {
        "several": False,
        "label": [index[row.label] if row.label else -1 for row in rows],
        "predicted": [index[row.predicted] for row in rows],
    }


def _plain(value: float | None) -> float | None:
    """The number rounded for the page; None where it is not finite."""
    return round(value, 5) if value is not None and abs(value) < float("inf") else None
