"""A timm model as a backbone: built by name, its map of features, where that lies, and what is behind it."""

import copy
from collections.abc import Callable
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from pcn_cli.errors import ModelError
from pcn_cli.records.model import PatchGrid

# Settings of timm.create_model that would fetch, open or reshape something.
NOT_FOR_BACKBONES = frozenset(
    {
        "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable",
        "exportable", "no_jit", "features_only", "num_classes", "global_pool", "model_name",
    }
)  # fmt: skip
_LOOK_SIZE = 96  # pixels of the picture that shows which map a backbone gives
# So faint that every activation is at its slope around 0 and no gate moves: the gradient is the geometry alone.
_FAINT = 1e-12
_STEP, _ENOUGH = 64, 160  # pixels


def feature_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """The last map of features (B, C, h, w) of images (B, 3, H, W): what average pooling would see.

    Raises:
        ValueError: it gives none. ModelError: images of this size are not for it.
    """
    height, width = images.shape[-2:]
    try:
        features = cast("Callable[[Tensor], Tensor]", backbone.forward_features)(images)
    except AssertionError as error:  # how timm refuses a size
        found = f"{type(backbone).__name__} takes no photos of {width} × {height} pixels: {error}"
        raise ModelError(found, "leave --size out") from error
    if isinstance(features, Tensor) and is_sequence(backbone) and features.ndim == 3:
        tokens = features[:, count_prefix(backbone) :]  # (B, N, C); those in front belong to no place
        rows = round((tokens.shape[1] * height / width) ** 0.5)
        if rows and tokens.shape[1] % rows == 0:
            return tokens.reshape(tokens.shape[0], rows, -1, tokens.shape[2]).permute(0, 3, 1, 2)
    if not isinstance(features, Tensor) or features.ndim != 4:
        raise ValueError(f"{type(backbone).__name__} gives no grid of features to pool")
    return features.permute(0, 3, 1, 2) if is_nhwc(backbone) else features


def one_patch(backbone: nn.Module, pooled: Tensor) -> Tensor:
    """Pooled tokens (B, C) as the backbone gives features of one patch: its own pooling leaves them as they are.

    In a sequence the tokens in front of the patches are equal to it, for some backbones pool by them.
    """
    if is_sequence(backbone):
        return pooled[:, None].expand(-1, count_prefix(backbone) + 1, -1)  # (B, prefix + 1, C)
    grid = pooled[:, None, None]  # (B, 1, 1, C)
    return grid if is_nhwc(backbone) else grid.permute(0, 3, 1, 2)


def is_sequence(backbone: nn.Module) -> bool:
    """Whether the backbone's patches are a sequence, as those of a plain vision transformer."""
    return hasattr(backbone, "num_prefix_tokens")


def count_prefix(backbone: nn.Module) -> int:
    """How many tokens, such as a class token, stand in front of the patches of a sequence."""
    return int(getattr(backbone, "num_prefix_tokens", 0))


def is_nhwc(backbone: nn.Module) -> bool:
    """Whether the backbone keeps channels last in its shapes."""
    return getattr(backbone, "output_fmt", "NCHW") == "NHWC"


def make_backbone(name: str, settings: dict[str, Any], in_chans: int, drop_path_rate: float) -> nn.Module:
    """A timm model without weights and classifier; a ValueError where there is none of that name and settings."""
    if not timm.is_model(name) or name.startswith(("attention_pooled", "patchconvnet")):
        raise ValueError(f"timm has no backbone called {name!r} to put attention pooling on")
    if forbidden := NOT_FOR_BACKBONES & settings.keys():
        raise ValueError(f"backbone_args must not set {', '.join(sorted(forbidden))}")
    if drop_path_rate:
        settings["drop_path_rate"] = drop_path_rate
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_chans, **settings)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be built with {settings or 'its defaults'}: {error}") from error
    return backbone


def look_size(backbone: nn.Module) -> tuple[int, int]:
    """Height and width of a small picture that the backbone takes."""
    config = getattr(backbone, "pretrained_cfg", {})
    height, width = config["input_size"][-2:] if config.get("fixed_input_size") else (_LOOK_SIZE, _LOOK_SIZE)
    return height, width


def inspect_backbone(backbone: nn.Module, in_chans: int) -> tuple[int, tuple[str, ...]]:
    """How many channels the map of features has, and the parts with parameters that act behind it."""
    called: set[nn.Module] = set()
    hooks = [m.register_forward_pre_hook(lambda module, _inputs: called.add(module)) for m in backbone.modules()]
    reference, training = next(backbone.parameters()), backbone.training
    images = torch.zeros(1, in_chans, *look_size(backbone), device=reference.device, dtype=reference.dtype)
    with torch.no_grad():
        channels = feature_map(backbone.eval(), images).shape[1]
    backbone.train(training)
    for hook in hooks:
        hook.remove()
    behind = {name: part for name, part in backbone.named_children() if called.isdisjoint(part.modules())}
    return channels, tuple(name for name, part in behind.items() if next(part.parameters(), None) is not None)


@torch.inference_mode(mode=False)
@torch.enable_grad()
def measure_patch_grid(backbone: nn.Module, input_size: tuple[int, int, int]) -> PatchGrid:
    """Where the patches of `backbone` lie on an input of (C, H, W) pixels.

    A copy whose kernels pass on their middle only sends the gradient of one patch back to the pixels that it is centred
    on, whatever the padding. Where that is not to be had, as in a transformer, patches are taken to tile the input.
    """
    channels, height, width = input_size
    if not getattr(backbone, "pretrained_cfg", {}).get("fixed_input_size"):
        # Twice the usual stride less is padded the same way at every layer, and sooner looked at.
        while min(height, width) - _STEP >= _ENOUGH:
            height, width = height - _STEP, width - _STEP
    skeleton = _middle_only(backbone)
    images = torch.full((1, channels, height, width), _FAINT, requires_grad=True)
    totals = feature_map(skeleton, images).sum(dim=(0, 1))  # (h, w)
    rows, columns = totals.shape
    tiles = PatchGrid(stride=width / columns, offset=width / columns / 2)
    if min(rows, columns) < 2 or is_sequence(backbone):  # attention mixes all patches
        return tiles
    row, column = (rows - 1) // 2, (columns - 1) // 2
    first = _center(totals[row, column], images)
    second = _center(totals[row + 1, column + 1], images)
    if first is None or second is None:
        return tiles
    strides = [second[0] - first[0], second[1] - first[1]]
    offsets = [first[0] - strides[0] * row, first[1] - strides[1] * column]
    if not all(0.5 < stride / tiles.stride < 1.5 for stride in strides):
        return tiles
    return PatchGrid(stride=round(sum(strides) / 2, 3), offset=round(sum(offsets) / 2, 3))


def _center(total: Tensor, images: Tensor) -> tuple[float, float] | None:
    """The (y, x) that the gradient of `total` is centred on, in continuous pixels; None where there is none."""
    (gradient,) = torch.autograd.grad(total, images, retain_graph=True)
    mass = gradient.abs().sum(dim=(0, 1))
    if not bool(torch.isfinite(mass).all()) or not bool(mass.sum() > 0):
        return None
    mass = mass / mass.sum()
    ys = torch.arange(mass.shape[0], dtype=mass.dtype) + 0.5
    xs = torch.arange(mass.shape[1], dtype=mass.dtype) + 0.5
    return float((mass.sum(1) * ys).sum()), float((mass.sum(0) * xs).sum())


def _middle_only(backbone: nn.Module) -> nn.Module:
    """A copy in which every kernel is an average over its middle, norms pass through, and maximum is average."""
    skeleton = copy.deepcopy(backbone).cpu().float().eval().requires_grad_(False)
    for parent in list(skeleton.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                settings = (cast("int", child.kernel_size), child.stride, cast("int", child.padding), child.ceil_mode)
                parent.add_module(name, nn.AvgPool2d(*settings))
            elif "norm" in type(child).__name__.lower() and all(p.ndim == 1 for p in child.parameters()):
                parent.add_module(name, nn.Identity())
    with torch.no_grad():
        for name, parameter in skeleton.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 4:
                rows, columns = (slice((size - 1) // 2, size // 2 + 1) for size in parameter.shape[2:])
                parameter.zero_()[:, :, rows, columns] = 1 / parameter.shape[1]
            elif parameter.ndim == 2:  # matrices average
                parameter.fill_(1 / parameter.shape[1])
            else:  # LayerScale passes on
                parameter.fill_(1)
    return skeleton
