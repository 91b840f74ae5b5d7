"""features.npz: the mean tokens of photos with their names, content hashes, labels and parts; no pickled object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import write_with
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.records.predictions import PhotoFeatures

_TEXTS = ("file", "label", "split", "sha256")


def write_features(path: Path, rows: Sequence[SplitRow], features: np.ndarray) -> None:
    """Put features (N, C) of the photos `rows` at `path`, as float16: rounding moves no neighbour."""
    arrays: dict[str, Any] = {f"{name}s": _encode([getattr(row, name) for row in rows]) for name in _TEXTS}
    arrays["features"] = features.astype(np.float16)
    arrays["multi_label"] = np.array(any(row.multi_label for row in rows))
    write_with(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_features(path: Path) -> PhotoFeatures:
    """What `write_features` put there, to half precision.

    Raises:
        RunError: the file is damaged, or none of ours.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # numpy leaves its own file open
            texts = [_decode(arrays[f"{name}s"]) for name in _TEXTS]
            features, several = arrays["features"].astype(np.float32), bool(arrays["multi_label"])
        columns = list(zip(*texts, features, strict=True))  # a ValueError where one is shorter
        features = features.reshape(len(columns), -1)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise RunError(f"{path} is damaged: {error}", "bring it back from a copy, or train again") from error
    rows = (
        SplitRow(file=file, label=label, split=cast("Part", part), sha256=digest, multi_label=several)
        for file, label, part, digest, _ in columns
    )
    return PhotoFeatures(rows=tuple(rows), features=features)


def _encode(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode("utf-8", "surrogateescape") for text in texts], dtype=np.bytes_)


def _decode(column: np.ndarray) -> list[str]:
    return [text.decode("utf-8", "surrogateescape") for text in column.tolist()]
