"""What can be refused before torch is imported and before a photo is opened: places, tables and devices.

The stages refuse all of it themselves, in the same words; this is so that nobody waits for it.
"""

import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcn_cli.data.scan.walk import check_folder
from pcn_cli.errors import DataError, ModelError, ResourceError
from pcn_cli.files.names import refuse_inside
from pcn_cli.models.cached import refuse_missing
from pcn_cli.models.download import is_offline
from pcn_cli.recipe.load import load_recipe, read_flags
from pcn_cli.recipe.schema import WEIGHTS, Recipe
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import refuse_occupied

_KINDS = ("cuda", "mps", "cpu")
# Names of cards begin like this; which of them there are stands in models/zoo.py, which takes torch to read.
_CARD = re.compile(r"(nano|[sbl]\d|patchconvnet).*")
_LOCAL, _TIMM, _HUB = "timm:local-dir:", "timm:", "hf:"


def refuse_early(
    *,
    photos: str | Path | None = None,
    output: str | Path | None = None,
    models: Sequence[str | Path] = (),
    tables: Sequence[str | Path | None] = (),
    device: str | None = None,
    weights: Sequence[str | None] = (),
    offline: bool = False,
) -> None:
    """Refuse a missing photo folder, an occupied output, model files or tables that are not there, no such device.

    `weights` name what is to be read beside the `models`; `offline` or PCN_OFFLINE refuses what is not in a cache.

    Raises:
        DataError: there is no such folder or table. ModelError: no such file. ResourceError: no such device, or the
            output lies among the photos. RunError: the output is taken. DownloadError: weights are missing, offline.
    """
    if photos is not None:
        check_folder(Path(photos))
    for table in tables:
        if table is not None and not Path(table).is_file():
            raise DataError(f"there is no table {table}")
    if output is not None:
        if photos is not None:
            refuse_inside(Path(output), [Path(photos)])
        refuse_occupied(RunDir(Path(output)))
    for model in models:
        _check_place(str(model))
    if device is not None:
        _check_device(device)
    named = [str(name) for name in weights if name is not None]
    if named and (offline or is_offline()):
        for name in named:
            refuse_missing(name)


def read_wishes(recipe: str | Path | None, settings: Sequence[str], options: Mapping[str, Any]) -> Recipe:
    """The recipe that `pcn finetune` is asked for with these options, of which WEIGHTS are none of the recipe.

    Raises:
        RecipeError: every problem of it.
    """
    flags = read_flags({name: value for name, value in options.items() if name not in WEIGHTS and name != "model"})
    models = options.get("model") or (None,)
    return load_recipe(recipe, settings=settings, flags={**flags, "model.name": models[0]}).recipe


def _check_place(model: str) -> None:
    """Refuse a model that can only be a path and leads nowhere, or is neither a path nor like the name of a card."""
    if model.startswith(_LOCAL):
        place = model.removeprefix(_LOCAL)
    elif model.startswith(_TIMM):
        place = model.removeprefix(_TIMM).partition(":")[2]
    elif model.startswith(_HUB):
        place = ""
    else:
        path = Path(model)
        place = model if len(path.parts) > 1 or path.suffix in (".pth", ".pt", ".safetensors", ".onnx", ".xml") else ""
        if not place and not _CARD.fullmatch(model.strip().lower()) and not path.exists():
            hint = f"for a network of timm write timm:{model}; `pcn models list` names the others"
            raise ModelError(f"there is no model called {model!r}", hint)
    if place and not Path(place).expanduser().exists():
        listing = "pcn runs" if Path(place).parts[0] == "runs" else "pcn models list"
        raise ModelError(f"there is no file or folder {place}", listing)


def _check_device(name: str) -> None:
    """Refuse a device that cannot be here; whether one that can really is, torch knows."""
    kind, _, number = name.partition(":")
    if kind not in _KINDS or (number and not number.isdecimal()):
        raise ResourceError(f"there is no kind of device called {name!r}", "use cuda, cuda:1, mps or cpu")
    if (kind == "mps" and sys.platform != "darwin") or (kind == "cuda" and not _computes_on_cuda()):
        why = "this PyTorch has no CUDA" if kind == "cuda" else "only machines of Apple have it"
        raise ResourceError(f"the device {name} is not here: {why}", "leave --device out to use what is here")


def _computes_on_cuda() -> bool:
    """Whether the installed torch can use CUDA or ROCm at all, told without importing it."""
    found = importlib.util.find_spec("torch")
    version = Path(found.origin).with_name("version.py") if found and found.origin else None
    if version is None or not version.is_file():
        return True
    spec = importlib.util.spec_from_file_location("torch_version", version)
    if spec is None or spec.loader is None:
        return True
    facts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(facts)
    return bool(getattr(facts, "cuda", None) or getattr(facts, "hip", None))
