"""The process that decodes photos for a scan: a path in JSON on each line in, its facts in JSON on each line out.

A process of its own keeps a decoder's crash, its memory and its noise on stderr away from the command, and needs
neither `fork` nor a guarded main module.
"""

import base64
import hashlib
import io
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pcn_cli.data.load.open_image import UnreadablePhotoError, decode_with_mode, read_bytes
from pcn_cli.data.similar.sketch import draw_sketch

READY = b"ready\n"


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What decoding one file told: upright size in pixels, content hash, mode, or the reason why there is none.

    `sketch` is the picture in a few pixels (`data/sketch.py`), as base64 because it travels in JSON. `is_image` is
    False where the content does not even begin like a supported image.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    mode: str = ""
    sketch: str = ""
    reason: str = ""
    is_image: bool = True


def inspect_file(path: Path) -> FileFacts:
    """The facts of the file at `path`, read and decoded once; never raises for a bad file."""
    try:
        content = read_bytes(path)
        picture, mode = decode_with_mode(io.BytesIO(content))
    except UnreadablePhotoError as error:
        return FileFacts(reason=error.reason, is_image=error.is_image)
    return FileFacts(
        width=picture.width,
        height=picture.height,
        sha256=hashlib.sha256(content).hexdigest(),
        mode=mode,
        sketch=base64.b64encode(draw_sketch(picture)).decode("ascii"),
    )


def main() -> None:
    """Answer until the other side closes."""
    # Ctrl-C reaches the whole process group; the command decides when we end, by closing our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between our answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    answers.write(READY.decode())
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(asdict(inspect_file(Path(json.loads(line))))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
