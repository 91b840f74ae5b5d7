"""The report as one file that holds its data and pictures itself: for sending, and for what takes files only."""

import base64
from pathlib import Path

from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import write_bytes
from pcn_cli.report.chunks import block
from pcn_cli.report.content import ReportContent
from pcn_cli.report.page import render_page
from pcn_cli.report.write import OnPicture, OpenPhoto, fill

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
    most_bytes: int = MOST_BYTES,
) -> Path:
    """`path`, where the page takes the place of an older one in one step; no picture is larger than a thumbnail.

    The other arguments are those of `write_report`.

    Raises:
        RecipeError: the page would be larger than `most_bytes`; nothing is written.
        ResourceError: the file cannot be written.
    """
    held = Held(most_bytes, len(content.predictions))
    draft = fill(
        held, content, open_photo=open_photo, thumbnail=thumbnail, large=0, large_limit=0, on_picture=on_picture
    )
    # Those of the rows are drawn by the script; all others stand in the page.
    drawn = {name: held.pictures[name] for name in (f"img/{number}.webp" for number in draft.pictures)}
    held.put_data("pictures", drawn)
    sources = {name: f"data:{_KINDS[Path(name).suffix]};base64,{text}" for name, text in held.pictures.items()}
    page = render_page(draft, blocks=held.blocks, pictures=sources).encode("utf-8")
    held.refuse_above(len(page))
    write_bytes(path, page)
    return path


class Held:
    """The files of a report in memory, up to `most_bytes`: pictures as base64 by path, data as JSON by name."""

    def __init__(self, most_bytes: int, predictions: int) -> None:
        self.pictures: dict[str, str] = {}
        self.blocks: dict[str, str] = {}
        self._most, self._predictions, self._size = most_bytes, predictions, 0

    def put(self, name: str, content: bytes) -> None:
        """Hold a picture."""
        self.pictures[name] = base64.b64encode(content).decode("ascii")
        self._grow(len(self.pictures[name]))

    def put_data(self, name: str, value: object) -> None:
        """Hold data."""
        self.blocks[name] = block(value)
        if name != "pictures":  # these were counted as they came
            self._grow(len(self.blocks[name]))

    def refuse_above(self, size: int) -> None:
        """Raises RecipeError where a page of `size` bytes is too large."""
        if size > self._most:
            most = f"{self._most / 1e6:.0f} MB"
            raise RecipeError(
                f"--single-file: this report of {self._predictions:,} pictures is larger than {most}",
                "leave --single-file out, and send the whole folder report/ instead",
            )

    def _grow(self, size: int) -> None:
        self._size += size
        self.refuse_above(self._size)
