"""Embed: what a model's trunk makes of photos, as numbers for other programs, each with the hash of its photo."""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pcn_cli.data.image_paths import gather_images
from pcn_cli.data.scan.doubts import describe_truncated
from pcn_cli.errors import DataError, RecipeError, ResourceError, command
from pcn_cli.files.atomic import check_place, sha256_of, write_with
from pcn_cli.files.names import holding_folders, refuse_inside
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.inference.score import score_photos

_BATCH_SIZE = 32


@checked
def embed(
    images: str | Path | Sequence[str | Path],
    *,
    output: str | Path = "embeddings.npz",
    model: str | Path | None = None,
    load_truncated: bool = False,
    device: str | None = None,
    offline: bool = False,
    mirror: str | None = None,
    callback: Callback | None = None,
) -> dict[str, np.ndarray]:
    """The arrays that `output` then holds: a .npz, which numpy.load reads without pickle, or a .parquet.

    `files` (N,) are the photos as they were named, `sha256` (N,) the hashes of their content, `features` (N, C) float32
    the mean tokens, `predicted` (N,) and `confidence` (N,) the answers, `classes` (K,) the names of the model's
    classes. What cannot be read is told and left out; with `load_truncated` a truncated photo counts as far as it goes.
    A .parquet has a row for each photo, and the classes as JSON in the metadata of its schema.

    Raises:
        DataError: no image was named, or none could be read. RecipeError: `output` is neither .npz nor .parquet.
        ResourceError: it lies in a folder of the photos, or pyarrow is not installed.
    """
    target, callback = Path(output), callback or Callback()
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        message = f"--output {target}: embeddings are written as .npz or .parquet"
        raise RecipeError(message, "name a file such as embeddings.npz")
    if write is _write_parquet and importlib.util.find_spec("pyarrow") is None:
        raise ResourceError(f"--output {target} needs pyarrow", "pip install 'pcn-cli[parquet]'")
    sources = [images] if isinstance(images, str | Path) else list(images)
    paths = gather_images([str(source) for source in sources])
    refuse_inside(target, [Path(source) for source in sources if Path(source).is_dir()])
    refuse_inside(target.parent, (), holding_folders(paths))
    check_place(target.parent, elsewhere="name another file with --output FILE")
    opened = open_model(model, fetch=Fetcher(offline=offline, mirror=mirror, callback=callback), device=device)
    opened = replace(opened, load_truncated=load_truncated)
    unread, scored = list[str](), []
    for one in score_photos(
        opened,
        Path(),
        [str(path) for path in paths],
        batch_size=_BATCH_SIZE,
        workers=0,
        on_unreadable=lambda index, reason: unread.append(f"{paths[index]} ({reason})"),
    ):
        scored.append(one)
        callback.on_progress("embedding", len(scored) + len(unread), len(paths))
    if unread:
        callback.on_note(f"{len(unread):,} of {len(paths):,} images could not be read: {', '.join(unread[:3])}")
    if truncated := describe_truncated({one.prediction.file: one.missing for one in scored}):
        callback.on_note(truncated)
    if not scored:
        raise DataError(f"none of the {len(paths):,} images could be read", command("inspect", *map(str, sources[:1])))
    arrays = {
        "files": np.array([one.prediction.file for one in scored]),
        "sha256": np.array([sha256_of(paths[one.index]) for one in scored]),
        "features": np.array([one.features for one in scored], dtype=np.float32),
        "predicted": np.array([one.prediction.predicted for one in scored]),
        "confidence": np.array([one.prediction.confidence for one in scored], dtype=np.float32),
        "classes": np.array(opened.config.classes, dtype=np.str_),
    }
    write_with(target, lambda file: write(file, arrays))
    return arrays


def _write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    np.savez(file, allow_pickle=False, **arrays)


def _write_parquet(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """A row for each photo; the features are lists of one length."""
    import pyarrow as pa  # an extra, which others need not have
    from pyarrow import parquet

    features = arrays["features"]
    columns = {name: pa.array(arrays[name]) for name in ("files", "sha256", "predicted", "confidence")}
    columns["features"] = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    classes = json.dumps(arrays["classes"].tolist())
    parquet.write_table(pa.table(columns).replace_schema_metadata({"classes": classes}), file)


_WRITERS: dict[str, Callable[[BinaryIO, Mapping[str, np.ndarray]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
