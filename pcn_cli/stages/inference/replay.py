"""Replay: a model scores the pictures again that it scored when it was saved, and the scores are compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from pcn_cli.data.drawing import make_synthetic_picture
from pcn_cli.data.image_paths import find_by_hash
from pcn_cli.errors import ModelError
from pcn_cli.files.atomic import sha256_of, write_json, write_with
from pcn_cli.files.reading import read_json
from pcn_cli.models.build import WEIGHTS
from pcn_cli.models.sources.folder import load_model_folder
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import Replay, ReplayPhoto
from pcn_cli.records.photos import SplitRow
from pcn_cli.stages.inference.load import LoadedModel
from pcn_cli.stages.inference.score import score_photos

REPLAY = "replay.json"
PHOTOS = 16
# Largest difference of two log-probabilities that is taken for the same answer. Measured on tuned nano and mobilenetv2:
# other batch sizes, threads and kernels move them by at most 3e-6, an input mean that is 0.001 off by at least 4e-3.
TOLERANCE = 1e-3
_LEAST = 1e-9  # smaller probabilities are alike to everybody
_BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay found: how many pictures were compared, and how far their log-probabilities are apart at most.

    `photos` of the `known` ones were found; where none was, `synthetic` is true. `expected` and `found` are the hashes
    of the weights. `problem` is empty where all agrees.
    """

    known: int
    expected: str
    found: str
    photos: int = 0
    synthetic: bool = False
    largest_difference: float | None = None
    tolerance: float = TOLERANCE
    problem: str = ""


def record_replay(folder: Path, rows: Sequence[SplitRow], *, root: Path) -> None:
    """Let the model in `folder` score up to 16 of the validation `rows`, and keep the scores beside it."""
    model = _load(folder)
    # Those with the smallest hashes: a choice that depends on nothing else.
    chosen = sorted({row.sha256: row for row in rows}.values(), key=lambda row: row.sha256)[:PHOTOS]
    scores = _score(model, root, [row.file for row in chosen])
    replay = Replay(
        weights_sha256=sha256_of(folder / WEIGHTS),
        classes=model.config.classes,
        photos=tuple(
            ReplayPhoto(file=row.file, bytes=(root / row.file).stat().st_size, sha256=row.sha256, scores=tuple(one))
            for row, one in zip(chosen, scores.tolist(), strict=True)
        ),
        synthetic_seed=0,
        synthetic_scores=tuple(_score_synthetic(model, seed=0)[0].tolist()),
    )
    write_json(folder / REPLAY, to_plain(replay))


def replay_model(folder: Path, *, images: Path | None) -> Replayed:
    """Whether the model in `folder` still says what it said, on the photos found in `images` or a made-up picture.

    Raises:
        ModelError: the folder keeps nothing to replay, or is damaged. DataError: `images` is no folder.
    """
    replay = read_replay(folder)
    found = sha256_of(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else "no file"
    result = Replayed(known=len(replay.photos), expected=replay.weights_sha256, found=found)
    if found != replay.weights_sha256:
        return replace(result, problem=f"{WEIGHTS} was changed: its sha256 is {found}, written was {result.expected}")
    model = _load(folder)
    config = model.config
    if set(config.classes) != set(replay.classes):
        known, named = ", ".join(replay.classes), ", ".join(config.classes)
        return replace(result, problem=f"its classes are {named}, written were {known}")
    places = find_by_hash(images, replay.photos) if images else {}
    photos = [photo for photo in replay.photos if photo.sha256 in places]
    if images and photos:
        now = _score(model, images, [places[photo.sha256] for photo in photos])
        then = np.array([photo.scores for photo in photos])
    else:
        now = _score_synthetic(model, seed=replay.synthetic_seed)
        then = np.array([replay.synthetic_scores])
    columns = [config.classes.index(name) for name in replay.classes]
    logarithms = [np.log(np.maximum(scores, _LEAST)) for scores in (now[:, columns], then)]
    difference = float(np.abs(logarithms[0] - logarithms[1]).max())
    problem = "" if difference <= TOLERANCE else f"its log-probabilities differ by up to {difference:.2g}"
    return replace(result, photos=len(photos), synthetic=not photos, largest_difference=difference, problem=problem)


def read_replay(folder: Path) -> Replay:
    """What the model in `folder` keeps to be replayed; ModelError where that is nothing, or damaged."""
    path = folder / REPLAY
    try:
        return from_plain(Replay, read_json(path))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} has no {REPLAY}, so there is nothing to replay", "models that pcn finetune writes have one"
        ) from error
    except (ValueError, AttributeError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}", "bring it back from a copy, or train again") from error


def _load(folder: Path) -> LoadedModel:
    """The model, always on the CPU so that the same numbers can be had anywhere."""
    network, config = load_model_folder(folder)
    # Its photos are known by their content: if they are truncated, they were so when it was made.
    return LoadedModel(network=network, config=config, device=torch.device("cpu"), load_truncated=True)


def _score(model: LoadedModel, root: Path, files: Sequence[str]) -> np.ndarray:
    """Probabilities (N, K) as predict gives them."""
    scored = score_photos(model, root, files, batch_size=_BATCH_SIZE, workers=0)
    return np.array([one.prediction.probabilities for one in scored]).reshape(-1, len(model.config.classes))


def _score_synthetic(model: LoadedModel, *, seed: int) -> np.ndarray:
    with TemporaryDirectory(prefix="pcn-replay-") as folder:
        picture = make_synthetic_picture(seed)
        write_with(Path(folder) / "synthetic.png", partial(picture.save, format="PNG"), durable=False)
        return _score(model, Path(folder), ["synthetic.png"])
