"""Export: the model of a run as one file for other runtimes, written only once it answered as the model does.

What is compared is what lies there in the end: the file, and the program beside it, which resizes the photos.
"""

import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from pcn_cli.data.image_paths import gather_images
from pcn_cli.data.load.open_image import open_reduced, takes_much_memory
from pcn_cli.errors import DataError, ModelError, ResourceError, RunError, command
from pcn_cli.files.atomic import check_place, explaining_refusal, replacing, write_text, write_with
from pcn_cli.files.names import holding_folders, refuse_inside
from pcn_cli.metrics.parity import Outputs, Parity, compare_outputs, stack_outputs
from pcn_cli.metrics.unlike import NEAREST
from pcn_cli.models.export import WRITERS, Remembered, trace_answers
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.model import ModelConfig
from pcn_cli.runs.rundir import RunDir, find_maker, slug
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import read_recipe, read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.exported.facts import make_facts, runner_name, runner_source
from pcn_cli.stages.inference.load import LoadedModel, model_source, open_model
from pcn_cli.stages.inference.score import score_photos

Format = Literal["onnx", "openvino", "torch"]
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
PHOTOS = 200
BATCHES = (1, 2, 7)
_ELSEWHERE = "name another folder with --output FOLDER"
_LIGHT = 2048  # pixels of the longer side
_RESIZED = 16  # photos that are compared in a second size as well
_AT_ONCE = 8
_NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino"), "torch": ()}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The file that was written, the program beside it that answers photos with it, and how alike their answers are."""

    path: Path
    runner: Path
    parity: Parity


@checked
def export(
    model: str | Path | None = None,
    *,
    to: Format = "onnx",
    images: str | Path | None = None,
    output: str | Path | None = None,
    offline: bool = False,
    mirror: str | None = None,
    callback: Callback | None = None,
) -> Exported:
    """One file with the network of `model`, its temperature, thresholds, map and facts, and a program beside it.

    Args:
        model: a run, the latest when None; with `images` also a model folder or a card.
        to: ONNX, OpenVINO's IR (whose weights lie beside it as `.bin`), or PyTorch's `.pt2`.
        images: the photos to compare on, instead of up to 200 of the run's validation photos.
        output: the folder to write into; otherwise RUN/export.

    Raises:
        ModelError: the file does not give the same answers; nothing is written then.
        RunError: there is no such run. DataError: there are no photos to compare on.
        ResourceError: a library is missing, or the folder cannot be written.
    """
    callback = callback or Callback()
    _require_libraries(to)
    source = model_source(model)
    run = find_maker(source)
    folder = Path(output) if output is not None else _choose_folder(source, run)
    photos = _choose_photos(run, images)
    roots = [Path(images)] if images is not None and Path(images).is_dir() else []
    roots += [Path(read_record(run).photos)] if run else []
    refuse_inside(folder, roots, holding_folders(photos))
    check_place(folder, elsewhere=_ELSEWHERE)
    name = f"{slug(run.root.resolve().name if run else Path(source).name)}{SUFFIXES[to]}"
    if output is not None:  # what lies in the run's own folder is of this model, whatever the run is called by now
        _refuse_other_program(folder / runner_name(name), name)
    fetch = Fetcher(offline=offline, mirror=mirror, callback=callback)
    opened = _decoding_in_full(open_model(source, fetch=fetch, precision="float32"))
    opened = replace(opened, load_truncated=run is not None and read_recipe(run).data.load_truncated)
    remembered = _remembered(opened)
    card = run.model_card if run else Path(source) / RunDir.model_card.name.rpartition("/")[2]
    facts = make_facts(
        opened.config, card.read_text(encoding="utf-8") if card.is_file() else "", remembers=remembered is not None
    )
    with tempfile.TemporaryDirectory(prefix="pcn-export-") as made:
        path, runner = Path(made) / name, Path(made) / runner_name(name)
        callback.on_note(f"writing {name}")
        with explaining_refusal(path):
            WRITERS[path.suffix](path, trace_answers(opened.network, opened.config, remembered), facts)
            write_text(runner, runner_source(name))
        parity = prove(opened, path, photos, callback=callback)
        if parity.problems:
            raise ModelError(
                f"the exported {name} does not answer as the model does: {'; '.join(parity.problems)}",
                "nothing was written; another format may do: --to torch" if to != "torch" else "nothing was written",
            )
        # The file itself comes last: who finds it finds what it needs.
        for one in filter(Path.is_file, (runner, path.with_suffix(".bin"), path)):
            with replacing(folder / one.name, elsewhere=_ELSEWHERE) as part:
                shutil.copyfile(one, part)
    return Exported(path=folder / name, runner=folder / runner.name, parity=parity)


def prove(model: LoadedModel, path: Path, photos: Sequence[Path], *, callback: Callback) -> Parity:
    """How alike the answers of `model` are to those of the file at `path` with the program beside it, on `photos`.

    Some photos come in a second size too; the file gets batches of 1, 2 and 7. Photos that cannot be opened are left
    out, truncated ones unless the model sees such.

    Raises:
        DataError: none can be opened.
    """
    with tempfile.TemporaryDirectory(prefix="pcn-sizes-") as folder:
        copies = (Path(folder) / f"copy-{number}.png" for number in itertools.count())
        truncated = model.load_truncated
        own = [_make_plain(photo, copy, load_truncated=truncated) for photo, copy in zip(photos, copies, strict=False)]
        files = [str(one.absolute()) for one in (*own, *_resize_some(own[:_RESIZED], Path(folder)))]
        unreadable = set[int]()
        scored = []
        for one in score_photos(
            model,
            Path(),
            files,
            batch_size=_AT_ONCE,
            workers=0,
            on_unreadable=lambda index, _: unreadable.add(index),
        ):
            scored.append(one)
            callback.on_progress("answering", len(scored), len(files))
        if not scored:
            raise DataError("none of the photos to compare on can be opened", "name others with --images PHOTOS")
        files = [file for index, file in enumerate(files) if index not in unreadable]
        expected = Outputs(
            probabilities=np.array([one.prediction.probabilities for one in scored]),
            decisions=np.array(
                [_decision(one.prediction.predicted_labels, one.prediction.unknown, model.config) for one in scored]
            ),
            maps=np.stack([one.look for one in scored]),
            unlike=np.array([one.prediction.unlike or 0.0 for one in scored]),
        )
        places, found, problem = _answer_in_batches(path, files, model.config, callback=callback)
    if found is None:
        return Parity(
            photos=len(files), largest_difference=1.0, other_answers=0, least_correlation=0.0, problems=(problem,)
        )
    again = Outputs(
        probabilities=expected.probabilities[places],
        decisions=expected.decisions[places],
        maps=expected.maps[places],
        unlike=expected.unlike[places],
    )
    return replace(compare_outputs(again, found, model.config), photos=len(files))


def _answer_in_batches(
    path: Path, files: Sequence[str], config: ModelConfig, *, callback: Callback
) -> tuple[list[int], Outputs | None, str]:
    """Which of `files` came, what the exported file said of them, classes in the model's order; or what went wrong."""
    program = _import_program(path.with_name(runner_name(path.name)))
    batch: list[int] = []
    try:
        compute, facts = program.load(path)
        if set(facts["classes"]) != set(config.classes):
            return [], None, f"its classes are {', '.join(facts['classes'])}"
        columns = [facts["classes"].index(name) for name in config.classes]
        places, answers = list[int](), list[Sequence[np.ndarray]]()
        for batch in _batches(len(files)):
            pictures = [program.prepare(program.open_photo(files[place]), facts["preprocessing"]) for place in batch]
            p, decision, maps, _, unlike = compute(np.stack(pictures))
            # By name, as whoever reads the file does.
            decision = decision[:, columns] if config.multi_label else _renumber(decision, facts["classes"], config)
            answers.append((p[:, columns], decision, maps, unlike))
            places += batch
            callback.on_progress("comparing", min(len(places), len(files)), len(files))
    except Exception as error:  # noqa: BLE001 - runtimes raise errors of many kinds, and each of them is a refusal
        words = " ".join(str(error).split())[:200]
        return [], None, f"at a batch of {len(batch)} it fails: {type(error).__name__}: {words}"
    counts = [(len(one), len(answer[0])) for one, answer in zip(_batches(len(files)), answers, strict=True)]
    if other := next(((asked, got) for asked, got in counts if asked != got), None):
        return [], None, f"of a batch of {other[0]} photos it answers {other[1]}"
    return places, stack_outputs(answers), ""


def _batches(count: int) -> Iterator[list[int]]:
    """Batches of 1, 2, 7, 1, … of `count` photos, from the first again at the end, until each photo and size came."""
    place = 0
    for number, size in enumerate(itertools.cycle(BATCHES)):
        if place >= count and number >= len(BATCHES):
            return
        yield [one % count for one in range(place, place + size)]
        place += size


def _renumber(decision: np.ndarray, names: Sequence[str], config: ModelConfig) -> np.ndarray:
    """Numbers of classes as `config` has them, of those that `names` has; −1 stays."""
    numbers = np.array([*(config.classes.index(name) for name in names), -1])
    return np.asarray(numbers[decision])


def _decision(labels: Sequence[str], unknown: bool | None, config: ModelConfig) -> Any:  # noqa: ANN401 - one or K
    """The answer of a prediction as the exported graph gives it."""
    if config.multi_label:
        return [int(name in labels) for name in config.classes]
    return -1 if unknown else config.classes.index(labels[0])


def _resize_some(photos: Sequence[Path], folder: Path) -> Iterator[Path]:
    """The photos in another size and shape, as files in `folder`; those that cannot be opened are left out."""
    for number, photo in enumerate(photos):
        try:
            image = open_reduced(photo).image
        except DataError:
            continue
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 4 // 3)), Image.Resampling.BILINEAR)
        yield _save(image, folder / f"{number:02}.png")


def _make_plain(photo: Path, target: Path, *, load_truncated: bool) -> Path:
    """The photo, or a copy at `target` that the program can open, which decodes without bounds and whole photos alone.

    It is smaller where the photo takes much memory, and of what there is of a truncated one with `load_truncated`.
    """
    is_vast = takes_much_memory(photo)
    if not (is_vast or load_truncated):
        return photo
    try:
        opened = open_reduced(photo, (lambda *_: (_LIGHT, _LIGHT)) if is_vast else None, load_truncated=load_truncated)
    except DataError:
        return photo  # it is left out
    if is_vast:
        opened.image.thumbnail((_LIGHT, _LIGHT))
    return _save(opened.image, target) if is_vast or opened.missing is not None else photo


def _save(image: Image.Image, target: Path) -> Path:
    write_with(target, partial(image.save, format="PNG", compress_level=1), durable=False)
    return target


def _import_program(path: Path) -> ModuleType:
    """The program at `path` as a module; nothing of it runs."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - it is a Python file
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def _decoding_in_full(model: LoadedModel) -> LoadedModel:
    """The model with photos decoded in full, as the exported file gets them; reduced ones differ by fractions."""
    full = replace(model.config.preprocessing, draft=0)
    return replace(model, config=replace(model.config, preprocessing=full))


def _remembered(model: LoadedModel) -> Remembered | None:
    """What the model remembers of the photos that it learned from, where it can tell what is unlike them."""
    learned = model.learned
    if learned is None or learned.bound is None:
        return None
    return Remembered(torch.from_numpy(learned.features), max(learned.bound, 1e-9), NEAREST)


def _choose_photos(run: RunDir | None, images: str | Path | None) -> list[Path]:
    """Up to PHOTOS photos to compare on, those of the run's validation part unless `images` are named."""
    if images is not None:
        paths = gather_images([str(images)])
        return [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, PHOTOS).astype(int))]
    if run is None or not run.split.is_file():
        raise DataError("a model that is no run has no validation photos to compare on", "add --images PHOTOS")
    root = photo_root(run)
    if not root.is_dir():
        raise RunError(
            f"the photos of {run.root} are not at {root} any more",
            command("export", run.root, "--images", "PHOTOS"),
        )
    rows = sorted((row for row in read_split(run) if row.split == "val"), key=lambda row: row.sha256)
    if not rows:
        raise DataError(f"{run.root} has no validation photos to compare on", "add --images PHOTOS")
    return [root / row.file for row in rows[:PHOTOS]]


def _choose_folder(source: str, run: RunDir | None) -> Path:
    return run.export if run else Path(f"{slug(Path(source).name)}-export")


def _refuse_other_program(path: Path, name: str) -> None:
    """Refuse to replace a program that answers with another model than `name` in any format, or is the user's own."""
    if not path.is_file():
        return
    with explaining_refusal(path):
        if f'with_name("{Path(name).stem}.' not in path.read_text(encoding="utf-8", errors="replace"):
            raise ResourceError(f"{path} belongs to another model", _ELSEWHERE)


def _require_libraries(to: Format) -> None:
    """Refuse a format whose libraries are not there, before anything is computed."""
    missing = [name for name in _NEEDS[to] if importlib.util.find_spec(name) is None]
    if missing:
        raise ResourceError(f"--to {to} needs {', '.join(missing)}", f"pip install 'pcn-cli[{to}]'")
