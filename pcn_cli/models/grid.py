"""Where the patches of a timm backbone lie on the picture."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from pcn_cli.models.backbone import feature_map
from pcn_cli.records.model import PatchGrid

# So faint that every activation is at its slope around 0 and no gate moves: the gradient is the geometry alone.
_FAINT = 1e-12
_STEP, _ENOUGH = 64, 160  # pixels


@torch.inference_mode(mode=False)
@torch.enable_grad()
def measure_patch_grid(backbone: nn.Module, input_size: tuple[int, int, int]) -> PatchGrid:
    """Where the patches of `backbone` lie on an input of (C, H, W) pixels.

    A copy whose kernels pass on their middle only sends the gradient of one patch back to the pixels that it is centred
    on, whatever the padding. Where that is not to be had, patches are taken to tile the input.
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
    if min(rows, columns) < 2:
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
            parameter.copy_(torch.zeros_like(parameter) if name.endswith("bias") else _middle(parameter))
    return skeleton


def _middle(weight: Tensor) -> Tensor:
    if weight.ndim != 4:  # matrices average, LayerScale passes on
        return torch.full_like(weight, 1 / weight.shape[1]) if weight.ndim == 2 else torch.ones_like(weight)
    middle = torch.zeros_like(weight)
    height, width = weight.shape[2:]
    rows, columns = (slice((size - 1) // 2, size // 2 + 1) for size in (height, width))
    middle[:, :, rows, columns] = 1 / weight.shape[1]
    return middle
