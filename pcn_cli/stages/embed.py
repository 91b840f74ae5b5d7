"""Embed: what a model's trunk makes of photos, as numbers for other programs, each with the hash of its photo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcn_cli.data.image_paths import gather_images
from pcn_cli.errors import DataError, RecipeError, command
from pcn_cli.files.atomic import sha256_of, write_with
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
    device: str | None = None,
    offline: bool = False,
    mirror: str | None = None,
    callback: Callback | None = None,
) -> dict[str, np.ndarray]:
    """The arrays that `output`, a .npz, then holds; numpy.load reads it without pickle.

    `files` (N,) are the photos as they were named, `sha256` (N,) the hashes of their content, `features` (N, C) float32
    the mean tokens, `predicted` (N,) and `confidence` (N,) the answers. What cannot be read is told and left out.

    Raises:
        DataError: no image was named, or none could be read. RecipeError: `output` is no .npz.
        ResourceError: it lies in a folder of the photos.
    """
    target, callback = Path(output), callback or Callback()
    if target.suffix.lower() != ".npz":
        raise RecipeError(f"--output {target}: embeddings are written as .npz", "name a file such as embeddings.npz")
    sources = [images] if isinstance(images, str | Path) else list(images)
    paths = gather_images([str(source) for source in sources])
    refuse_inside(target, [Path(source) for source in sources if Path(source).is_dir()])
    refuse_inside(target.parent, (), holding_folders(paths))
    opened = open_model(model, fetch=Fetcher(offline=offline, mirror=mirror, callback=callback), device=device)
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
    if not scored:
        raise DataError(f"none of the {len(paths):,} images could be read", command("inspect", *map(str, sources[:1])))
    arrays = {
        "files": np.array([one.prediction.file for one in scored]),
        "sha256": np.array([sha256_of(paths[one.index]) for one in scored]),
        "features": np.array([one.features for one in scored], dtype=np.float32),
        "predicted": np.array([one.prediction.predicted for one in scored]),
        "confidence": np.array([one.prediction.confidence for one in scored], dtype=np.float32),
    }
    write_with(target, lambda file: np.savez(file, allow_pickle=False, **arrays))
    return arrays
