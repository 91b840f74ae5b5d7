"""Tensors on the disk: the one place that writes safetensors."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from pcn_cli.files.atomic import write_bytes


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None, elsewhere: str = ""
) -> None:
    """Put `tensors` at `path` as safetensors, in one step; they are on the CPU and share no memory.

    `elsewhere` is the hint where another place would help.

    Not through the library's own writer, whose full disk is no OSError, and whose files only their owner may read.

    Raises:
        ResourceError: disk full, read-only or no permission.
    """
    content = safetensors.torch.save(dict(tensors), None if metadata is None else dict(metadata))
    write_bytes(path, content, elsewhere=elsewhere)
