"""Patches hidden in the pixels rather than in the pooling: blurred to about one colour each."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pcn_cli.attention.geometry import map_to_photo, whole_input
from pcn_cli.records.model import PatchGrid


def blur_patches(images: Tensor, hidden: NDArray[np.bool_], *, patch_grid: PatchGrid) -> Tensor:
    """The images (B, 3, H, W) with the pixels of hidden patches (B, h, w) blurred.

    A pixel belongs to the patch whose centre is nearest.
    """
    height, width = images.shape[2:]
    placement = whole_input(width, height)
    masks = [
        map_to_photo(
            one.astype(np.float32), patch_grid=patch_grid, placement=placement, size=(width, height), smooth=False
        ).values
        > 0.5
        for one in hidden
    ]
    coarse = F.adaptive_avg_pool2d(images, hidden.shape[1:])
    blurred = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(torch.from_numpy(np.stack(masks)).to(images.device)[:, None], blurred, images)
