"""The report as one file that holds its data and pictures itself: for sending, and for what takes files only."""

import base64
from pathlib import Path

from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import write_bytes
from pcn_cli.report.content import ReportContent
from pcn_cli.report.page import render_page
from pcn_cli.report.page_data import as_block
from pcn_cli.report.write import OnPicture, OpenPhoto, build_view

MOST_BYTES = 25_000_000  # what mail programs still take
MANY_BYTES = 15_000_000
_KINDS = {".webp": "image/webp", ".svg": "image/svg+xml"}


def write_single_report(
    path: Path,
    content: ReportContent,
    *,
    open_photo: OpenPhoto,
    thumbnail: int = 384,
    on_picture: OnPicture | None = None,
) -> Path:
    """`path`, where the page takes the place of an older one in one step; no picture is larger than a thumbnail.

    The arguments are those of `write_report`.

    Raises:
        RecipeError: the page would be larger than `MOST_BYTES`; nothing is written.
        ResourceError: the file cannot be written.
    """
    sink = MemorySink(len(content.predictions))
    report = build_view(
        content,
        put=sink.put,
        put_data=sink.put_data,
        open_photo=open_photo,
        thumbnail=thumbnail,
        most_large=0,
        on_picture=on_picture,
    )
    # Those of the rows are drawn by the script; all others stand in the page.
    drawn = {name: sink.pictures[name] for name in (f"img/{number}.webp" for number in report.pictures)}
    blocks = sink.blocks | {"pictures": as_block(drawn)}
    sources = {name: f"data:{_KINDS[Path(name).suffix]};base64,{text}" for name, text in sink.pictures.items()}
    page = render_page(report, blocks=blocks, pictures=sources).encode("utf-8")
    sink.refuse_above(len(page))
    write_bytes(path, page)
    return path


class MemorySink:
    """The files of a report in memory, up to `MOST_BYTES`: pictures as base64 by path, data as JSON by name."""

    def __init__(self, predictions: int) -> None:
        self.pictures: dict[str, str] = {}
        self.blocks: dict[str, str] = {}
        self._predictions, self._size = predictions, 0

    def put(self, name: str, content: bytes) -> None:
        """Hold a picture."""
        self.pictures[name] = base64.b64encode(content).decode("ascii")
        self._grow(len(self.pictures[name]))

    def put_data(self, name: str, value: object) -> None:
        """Hold data."""
        self.blocks[name] = as_block(value)
        self._grow(len(self.blocks[name]))

    def refuse_above(self, size: int) -> None:
        """Raises RecipeError where a page of `size` bytes is too large."""
        if size > MOST_BYTES:
            most = f"{MOST_BYTES / 1e6:.0f} MB"
            raise RecipeError(
                f"--single-file: this report of {self._predictions:,} pictures is larger than {most}",
                "leave --single-file out, and send the whole folder report/ instead",
            )

    def _grow(self, size: int) -> None:
        self._size += size
        self.refuse_above(self._size)
