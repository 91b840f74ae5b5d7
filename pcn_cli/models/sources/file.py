"""A weight file of a PatchConvNet: `.pth`, `.pt` or `.safetensors`, whose tensors tell which it is."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pcn_cli.errors import ModelError
from pcn_cli.models.build import fill_model, make_model, read_tensors
from pcn_cli.models.published import PatchConvNetSpec, count_numbers
from pcn_cli.models.sources.base import Loaded, Source, class_names
from pcn_cli.models.unpickle import read_pth
from pcn_cli.models.weights import Fetcher, import_weights
from pcn_cli.records.model import ModelConfig, Preprocessing


class FileSource(Source):
    """The network whose weights a file holds."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        self._pickled = path.suffix in (".pth", ".pt")

    def config(self) -> ModelConfig:
        """What the tensors tell; nothing is converted or kept."""
        if self._pickled:
            return _config(PatchConvNetSpec.recognise(read_pth(self.path))[1])
        return _config(_recognise(self.path)[1])

    def count_parameters(self) -> int:
        """By the file's header; for a `.pth` by its size."""
        return self.path.stat().st_size // 4 if self._pickled else count_stored(self.path)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        """The network with the file's weights; a `.pth` is converted into the cache once."""
        path = import_weights(self.path).path if self._pickled else self.path
        tensors, spec = _recognise(path)
        config = _config(spec)
        model = make_model(config.architecture, spec.num_classes, config.model_args, **options)
        fill_model(model, tensors, str(path))
        return model, config


def count_stored(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return count_numbers(file.get_slice(name).get_shape() for name in file.keys())  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def _recognise(path: Path) -> tuple[dict[str, Any], PatchConvNetSpec]:
    tensors = read_tensors(path)
    if any(name.startswith("backbone.") for name in tensors):
        raise ModelError(f"{path} belongs to a model folder", f"name the folder: {path.parent}")
    return PatchConvNetSpec.recognise(tensors)


def _config(spec: PatchConvNetSpec) -> ModelConfig:
    return ModelConfig(
        architecture=spec.architecture,
        model_args={} if spec.size else spec.settings,
        classes=class_names(spec.num_classes),
        preprocessing=Preprocessing(height=224, width=224),
    )
