"""A pyramid of features for segmentation and detection: strides 4, 8, 16 and 32 from four depths of one constant grid.

The depths (a third, half, two thirds, all) and the kinds of steps are those of XCiT's published code for a trunk of the
same stride (El-Nouby et al. 2021, arXiv:2106.09681); PatchConvNet's own was never released. Here cells of stride s
are centred on pixels 0, s, 2s …, where the trunk has its tokens and torchvision's RoIAlign looks for them: hence
kernels of 3 instead of 2. Normed per photo, since batches are small.
"""

from collections import OrderedDict
from math import gcd

from timm.models import FeatureInfo
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pcn_cli.models.patchconvnet import PatchConvNet

STRIDES = (4, 8, 16, 32)
_SHARES = (1 / 3, 1 / 2, 2 / 3, 1)  # of the depth


class Pyramid(nn.Module):
    """Four levels of a PatchConvNet, by timm's interface: a list of maps, and `feature_info` that tells of them.

    `pyramid(images)` is a list of (B, d, ceil(H/s), ceil(W/s)) for s in STRIDES, of images (B, 3, H, W) of any size.
    It takes the trunk over: what stood behind its last block is dropped.

    Args:
        trunk: a PatchConvNet with or without trained weights, such as `pcn_cli.load_model(RUN)`.
        out_indices: which levels to give, 0 to 3.
    """

    def __init__(self, trunk: PatchConvNet, *, out_indices: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        super().__init__()
        self.taps = choose_taps(len(trunk.blocks))
        trunk.prune_intermediate_layers(list(self.taps))
        self.trunk, width = trunk, trunk.embed_dim
        self.levels = nn.ModuleList(
            [
                nn.Sequential(_double(width), _norm(width), nn.GELU(), _double(width)),
                _double(width),
                nn.Identity(),
                nn.MaxPool2d(3, stride=2, padding=1),
            ]
        )
        self.out_indices = tuple(range(len(STRIDES))[one] for one in out_indices)
        info = [{"num_chs": width, "reduction": s, "module": f"levels.{i}"} for i, s in enumerate(STRIDES)]
        self.feature_info = FeatureInfo(info, out_indices=self.out_indices)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The levels of `out_indices`, finest first."""
        height, width = images.shape[-2:]
        taken = self.trunk.forward_intermediates(images, list(self.taps), intermediates_only=True)
        by_depth = dict(zip(dict.fromkeys(self.taps), taken, strict=True))  # shallow trunks are tapped twice in a place
        maps = []
        for level in self.out_indices:
            cells = self.levels[level](by_depth[self.taps[level]])
            # Doubling knows whole tokens only; beyond the picture's last cell there is nothing.
            maps.append(cells[..., : -(-height // STRIDES[level]), : -(-width // STRIDES[level])])
        return maps

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the trunk's activations twice to save memory."""
        self.trunk.set_grad_checkpointing(enable)


class DetectionBackbone(nn.Module):
    """A pyramid behind a feature pyramid network (Lin et al. 2017), as torchvision's detectors want their backbones.

    `backbone(images)` is an OrderedDict of maps with `out_channels` channels: "0" to "3" at strides 4 to 32, "pool" at
    64.
    """

    def __init__(self, pyramid: Pyramid, *, out_channels: int = 256) -> None:
        super().__init__()
        self.body, self.out_channels = pyramid, out_channels
        self.fpn = FeaturePyramidNetwork(pyramid.feature_info.channels(), out_channels, extra_blocks=LastLevelMaxPool())

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """The maps by name, finest first."""
        levels = OrderedDict((str(place), level) for place, level in enumerate(self.body(images)))
        maps: OrderedDict[str, Tensor] = self.fpn(levels)
        return maps


def choose_taps(depth: int) -> tuple[int, int, int, int]:
    """The blocks, from 0, whose outputs make the levels: 19, 29, 39 and 59 of 60."""
    first, second, third, last = (max(1, round(depth * share)) - 1 for share in _SHARES)
    return first, second, third, last


def _double(width: int) -> nn.ConvTranspose2d:
    """Twice the stride: cell i becomes cell 2i, and the one between two cells is made of both."""
    return nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(width, 32), width)
