"""Predict with a file that `pcn export` wrote: the answers of `pcn predict`, by another runtime than torch."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcn_cli.attention.maps import attention_numbers
from pcn_cli.data.load.open_image import UnreadablePhotoError, open_reduced
from pcn_cli.data.load.preprocessing import Evaluation, Prepared, place_input
from pcn_cli.errors import ModelError, RecipeError, ResourceError
from pcn_cli.recipe.arguments import with_predict_options
from pcn_cli.recipe.schema import PREDICT, PredictOptions
from pcn_cli.records.model import ModelConfig, Placement, Preprocessing
from pcn_cli.records.photos import join_labels
from pcn_cli.records.predictions import Prediction
from pcn_cli.stages.answers import Answers, naming_photos, refuse_idle_memory
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.exported.facts import read_facts
from pcn_cli.stages.exported.loaders import LOADERS, Compute

SUFFIXES = (".onnx", ".xml")
EXTRAS = {".onnx": "onnx", ".xml": "openvino"}
CONVERTER = "openvino.tools.ovc"
_OF_TORCH = ("workers", "device", "precision", "engine")
_EVIDENCE = "--map evidence has no meaning with an exported file, which holds the look alone"


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A file that pcn export wrote, opened: `compute` gives its outputs, `config` is what it says of itself.

    It `remembers` what it learned from, where it can tell what is unlike that.
    """

    compute: Compute
    config: ModelConfig
    remembers: bool


class _Opened(NamedTuple):
    """A photo's place, what the graph takes of it, and what is said of it beside the answer."""

    place: int
    pixels: np.ndarray
    placement: Placement
    missing: float | None
    picture: np.ndarray | None


def is_exported(model: object) -> bool:
    """Whether `model` is called like a file that is predicted with without torch."""
    return model is not None and Path(str(model)).suffix.lower() in SUFFIXES


def open_exported(path: Path) -> ExportedModel:
    """The exported file at `path`.

    Raises:
        ModelError: it is not there, damaged, or not of pcn. ResourceError: its runtime is not installed.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}", "pcn export RUN makes one")
    suffix = path.suffix.lower()
    try:
        compute, facts = LOADERS[suffix](path)
    except ImportError as error:
        extra = EXTRAS[suffix]
        raise ResourceError(
            f"{error.name} is not installed, which opens {path}", f"pip install 'pcn-cli[{extra}]'"
        ) from error
    except Exception as error:  # runtimes raise errors of many kinds
        words = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} is damaged, or no file that pcn export wrote: {words}", "pcn export RUN") from error
    if sys.modules.get(CONVERTER, path) is None:  # the loader did without it; whoever wants it later is to find it
        del sys.modules[CONVERTER]
    return ExportedModel(compute=compute, config=read_facts(facts, path), remembers=bool(facts.get("remembers")))


@with_predict_options
def predict_exported(
    images: str | Path | Sequence[str | Path],
    *,
    callback: Callback | None = None,
    **options: Any,  # noqa: ANN401 - many types
) -> list[dict[str, Any]]:
    """The answers of `stages.predict.predict`, where `model` is a file that `pcn export` wrote.

    Raises:
        RecipeError: an option is about torch, or about what the file does not hold. Otherwise what `predict` raises.
    """
    asked, callback = PredictOptions(**options), callback or Callback()
    for name in _OF_TORCH:
        if getattr(asked, name) != PREDICT[name].default:
            raise RecipeError(f"--{name} has no effect with an exported file", f"leave --{name} out")
    if asked.overlay_map == "evidence":
        raise RecipeError(_EVIDENCE, "leave --map out, or name the run with --model")
    with naming_photos(images, asked, on_note=callback.on_note) as photos:
        model = open_exported(Path(str(asked.model)))
        refuse_idle_memory(asked, str(asked.model), remembers=model.remembers)
        answers = Answers(photos, asked, model.config)
        for prediction, look, opened in _score(model, photos.paths, asked, answers.refuse):
            answers.add(
                opened.place,
                prediction,
                look=look,
                placement=opened.placement,
                evidence=None,
                missing=opened.missing,
                picture=opened.picture,
            )
            callback.on_progress("predicting", opened.place + 1, len(photos.paths))
        for note in answers.notes:
            callback.on_note(note)
        return answers.rows


def as_input(prepared: Prepared, preprocessing: Preprocessing) -> np.ndarray:
    """What the graph takes of a prepared photo: (H, W, 3), or (H, W, 4) with 0 in the fourth channel of padding."""
    if preprocessing.fit != "pad":
        return prepared.pixels
    left, top, right, bottom = prepared.window
    inside = np.zeros((*prepared.pixels.shape[:2], 1), np.uint8)
    inside[top:bottom, left:right] = 255
    return np.concatenate([prepared.pixels, inside], axis=2)


def _score(
    model: ExportedModel, paths: Sequence[Path], asked: PredictOptions, on_unreadable: Callable[[int, str], None]
) -> Iterator[tuple[Prediction, np.ndarray, _Opened]]:
    """Each photo's prediction, look (h, w) and facts, in the order of `paths`."""
    config, waiting = model.config, list[_Opened]()
    size = config.preprocessing
    prepare = Evaluation(preprocessing=size)
    for index, path in enumerate(paths):
        try:
            photo = open_reduced(path, prepare.least, load_truncated=asked.load_truncated)
        except UnreadablePhotoError as error:
            on_unreadable(index, error.reason)
        else:
            placed = place_input(size, *photo.size)
            picture = np.asarray(photo.show()) if asked.overlay is not None and photo.is_vast else None
            waiting.append(_Opened(index, as_input(prepare(photo), size), placed, photo.missing, picture))
        if waiting and (len(waiting) == asked.batch_size or index + 1 == len(paths)):
            outputs = model.compute(np.stack([one.pixels for one in waiting]))
            for opened, p, decision, look, share, unlike in zip(waiting, *outputs, strict=True):
                predicted, confidence = _decide(p, decision, config)
                prediction = Prediction(
                    file=str(paths[opened.place]),
                    predicted=predicted,
                    confidence=confidence,
                    probabilities=tuple(p.tolist()),
                    multi_label=config.multi_label,
                    attention=attention_numbers(
                        look, float(share), patch_grid=config.patch_grid, placement=opened.placement
                    ),
                    unknown=None if config.withholds(confidence) is None else bool(decision < 0),
                    unlike=float(unlike) if model.remembers else None,
                )
                yield prediction, look, opened
            waiting.clear()


def _decide(p: np.ndarray, decision: np.ndarray, config: ModelConfig) -> tuple[str, float]:
    """The answer, withheld or not, and how sure it is."""
    if not config.multi_label:
        best = int(p.argmax())
        return config.classes[best], float(p[best])
    given = decision > 0
    names = join_labels(name for name, own in zip(config.classes, given, strict=True) if own)
    return names, float(np.where(given, p, 1 - p).min())
