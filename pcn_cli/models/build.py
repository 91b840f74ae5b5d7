"""Our networks, built by what a file may say of them, filled with its tensors, and given other classes."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from pcn_cli.errors import ModelError, shown
from pcn_cli.models.head import AttentionNetwork
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.pooling import spread_class_tokens
from pcn_cli.models.published import ARCHITECTURES, SIZES, tensor_problems
from pcn_cli.records.model import ModelConfig, Pooling, Preprocessing
from pcn_cli.tensors.private import import_timm

CONFIG, WEIGHTS = "config.json", "model.safetensors"  # a model folder's files
CONFIG_BYTES = 2**24  # a hundred thousand classes by name take half of that
_HEADER_BYTES = 2**23  # of a safetensors file: the names and shapes of a hundred thousand tensors
_LARGEST_SETTING, _LONGEST_SETTING = 2**14, 1000  # a number, a list or text that a file may set of a network

# Buffers that a network makes for itself: they carry no knowledge, and not every writer keeps them.
_MADE = ("num_batches_tracked", "relative_position_index", "relative_coords_table", "attn_mask")


def register_network(create: Callable[..., AttentionNetwork], **settings: object) -> None:
    """Make `create` known to timm, and let a config.json set `settings` of it; their values are its defaults."""
    create.settings = settings  # type: ignore[attr-defined]
    import_timm().models.register_model(create)


def _read_settings(architecture: str) -> Mapping[str, Any]:
    """What a config.json may set of a network of ours, with the defaults."""
    if architecture in ARCHITECTURES:
        return patchconvnet_settings(architecture)
    timm = import_timm()

    import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering

    settings: Mapping[str, Any] | None = None
    if timm.is_model(architecture) and "." not in architecture:
        settings = getattr(timm.model_entrypoint(architecture), "settings", None)
    if settings is None:
        raise ModelError(f"there is no network called {architecture!r} here", "pcn models list")
    return settings


def timm_cfg(preprocessing: Preprocessing, num_classes: int, licence: str) -> dict[str, Any]:
    """How a network wants its photos, and what its head tells apart, in the words of timm's `pretrained_cfg`."""
    return {
        "input_size": (3, preprocessing.height, preprocessing.width),
        "interpolation": preprocessing.interpolation,
        "crop_pct": preprocessing.crop_pct if preprocessing.fit == "crop" else 1.0,
        "crop_mode": {"crop": "center", "pad": "border", "squash": "squash"}[preprocessing.fit],
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "num_classes": num_classes,
        "classifier": "head",
        "license": licence.lower(),
    }


def make_model(architecture: str, num_classes: int, model_args: Mapping[str, Any], **options: Any) -> AttentionNetwork:  # noqa: ANN401
    """A network of ours without weights; `model_args` are what a file says of it, `options` are timm's.

    Raises:
        ModelError: there is no such network, or these are no settings of it.
    """
    if unknown := model_args.keys() - _read_settings(architecture).keys():
        raise ModelError(f"{architecture} has no setting {', '.join(sorted(unknown))[:200]}")
    if not is_bounded(model_args):
        raise ModelError(
            f"{architecture} is not built with {shown(dict(model_args))}: a value is too large or too deep"
        )
    try:
        if architecture in ARCHITECTURES:
            return make_patchconvnet(architecture, num_classes, {**model_args, **options})
        timm = import_timm()  # which takes longer than many an answer, and a PatchConvNet needs nothing of it
        model: AttentionNetwork = timm.create_model(architecture, num_classes=num_classes, **model_args, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{architecture} cannot be built with {shown(dict(model_args))}: {error}") from error
    return model


def patchconvnet_settings(architecture: str) -> dict[str, Any]:
    """What a config.json may set of the PatchConvNet of that name, with the defaults."""
    size, class_tokens = ARCHITECTURES[architecture]
    embed_dim, depth, _ = SIZES[size]
    return {"embed_dim": embed_dim, "depth": depth, "class_tokens": class_tokens, "mirror": False}


def make_patchconvnet(architecture: str, num_classes: int, options: Mapping[str, Any]) -> PatchConvNet:
    """The PatchConvNet that timm would create by that name, with these `options` in the place of its own settings."""
    _, _, layer_scale = SIZES[ARCHITECTURES[architecture][0]]
    settings = {"layer_scale": layer_scale} | patchconvnet_settings(architecture)
    given = {name: value for name, value in options.items() if value is not None}  # as timm minds them
    network = PatchConvNet(num_classes=num_classes, **(settings | given))
    network.pretrained_cfg = {"first_conv": "stem.0", "classifier": "head", "num_classes": num_classes}
    return network


def is_bounded(value: object, depth: int = 4) -> bool:
    """Whether a network can be asked for with that value of a file: loops and memory grow with it."""
    if isinstance(value, (Mapping, list, tuple)):
        inner = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
        return depth > 0 and len(value) <= _LONGEST_SETTING and all(is_bounded(one, depth - 1) for one in inner)
    if isinstance(value, str):
        return len(value) <= _LONGEST_SETTING
    return value is None or (isinstance(value, (int, float)) and abs(value) <= _LARGEST_SETTING)


@contextmanager
def no_larger_than(tensors: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """A context in which a network that needs far more than `tensors` is refused while it is built."""
    # A network may make a classifier and replace it; what does not fit in the end is told by name then.
    parameters, numbers = 2 * len(tensors) + 64, 2 * sum(tensor.numel() for tensor in tensors.values()) + 2**22

    def count(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters, numbers
        parameters -= 1
        numbers -= 0 if parameter is None or isinstance(parameter, nn.UninitializedParameter) else parameter.numel()
        if min(parameters, numbers) < 0:
            raise ModelError(f"{where} does not fit the network: its settings ask for a much larger one")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating ones as float32; refused where one is not finite."""
    _check_header(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    for name, tensor in tensors.items():
        if tensor.is_complex() or (tensor.is_floating_point() and tensor.itemsize < 2):
            raise ModelError(f"{path} holds {str(tensor.dtype).removeprefix('torch.')} numbers: {shown(name)}")
    check_finite(tensors, str(path))
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _check_header(path: Path) -> None:
    """Refuse what is no regular file, or has a header out of all proportion."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    if size > _HEADER_BYTES:
        raise ModelError(f"{path} is damaged: its header is said to take {size:,} bytes")


def count_stored(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise a ModelError that names the first tensor with a number that is not finite, if there is one."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{where} holds numbers that are not finite: {name}")


def fill_model(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put `tensors` into `model`; a ModelError says which names or shapes differ.

    Counters and tables that a network makes for itself may be missing in the file, or stand there for nothing.
    """
    own = model.state_dict()
    used = {name: tensor for name, tensor in tensors.items() if name in own or not _is_made(name)}
    wanted = {name: tensor for name, tensor in own.items() if name in used or not _is_made(name)}
    found, expected = ({name: tuple(tensor.shape) for name, tensor in each.items()} for each in (used, wanted))
    if problems := tensor_problems(found, expected):
        raise ModelError(f"{where} does not fit the network: {problems}")
    model.load_state_dict(used, strict=False)


def _is_made(name: str) -> bool:
    return name.rpartition(".")[2] in _MADE


def pooling_of(config: ModelConfig) -> Pooling:
    """Whether the network of `config` has a single class token or one per class."""
    settings = {**_read_settings(config.architecture), **config.model_args}
    return "per-class" if settings["class_tokens"] else "single"


def change_pooling(
    model: AttentionNetwork, config: ModelConfig, pooling: Pooling, options: Mapping[str, Any]
) -> tuple[AttentionNetwork, ModelConfig]:
    """The network with `pooling`, and its facts; the same ones where it has that already.

    Every class token begins as the single one with a small part of its own, and keeps the class's row of the head; all
    other weights are taken over. What is lost is the single token's own key and value: class tokens see patches only.

    Raises:
        ModelError: the network has class tokens, and a single one is asked for.
    """
    if pooling_of(config) == pooling:
        return model, config
    if pooling == "single":
        raise ModelError(
            "the model has a token per class, which cannot become a single one",
            "leave --pooling out, or use --model s60",
        )
    arguments = config.model_args | {"class_tokens": True}
    changed = make_model(config.architecture, len(config.classes), arguments, **options)
    state = model.state_dict()
    state["pooling.cls_token"] = spread_class_tokens(state["pooling.cls_token"], len(config.classes))
    state["head.weight"] = state["head.weight"][:, None]  # (K, d) → (K, 1, d)
    changed.load_state_dict(state)
    return changed, replace(config, model_args=arguments)


def change_classes(model: AttentionNetwork, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Give `model` a head for the `new` classes: the old one with its rows moved where only the order differs."""
    if set(old) != set(new):
        model.reset_classifier(len(new))
        return
    order = [old.index(name) for name in new]
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(parameter[order])
        token = model.pooling.cls_token
        if token.shape[1] > 1:  # class tokens move with their classes
            token.copy_(token[:, order])
