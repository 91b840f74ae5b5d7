"""The convolutional half of PatchConvNet: stem, trunk block, squeeze-excite.

Grids are (B, C, h, w) and channels-last in memory, so that LayerNorm sees a view and nothing is copied.
"""

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6


class Stem(nn.ModuleList):
    """Four 3×3 convolutions of stride 2, GELU between them: (B, 3, H, W) → (B, d, ceil(H/16), ceil(W/16))."""

    def __init__(self, embed_dim: int, in_chans: int = 3) -> None:
        widths = (in_chans, embed_dim // 8, embed_dim // 4, embed_dim // 2, embed_dim)
        super().__init__(
            nn.Conv2d(widths[i], widths[i + 1], 3, stride=2, padding=1, bias=False) for i in range(len(widths) - 1)
        )
        # torch's own start shrinks the picture to a hundredth on its way, where GELU is a straight line.
        for convolution in self.children():
            nn.init.kaiming_normal_(convolution.get_parameter("weight"), nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """The tokens that enter the trunk; no activation after the last convolution."""
        first, *others = self
        tokens: Tensor = first(images)
        for convolution in others:
            tokens = convolution(F.gelu(tokens))
        return tokens


class Block(nn.Module):
    """x + drop_path(gamma · f(LN(x))) with f: 1×1 → GELU → depthwise 3×3 → GELU → squeeze-excite → 1×1."""

    def __init__(self, embed_dim: int, *, layer_scale: float, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dim,), layer_scale))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.conv_pw = nn.Conv2d(embed_dim, embed_dim, 1)
        self.conv_dw = nn.Conv2d(embed_dim, embed_dim, 3, padding=1, groups=embed_dim)
        self.se = SqueezeExcite(embed_dim)
        self.conv_pwl = nn.Conv2d(embed_dim, embed_dim, 1)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """The grid one block deeper, of the same shape."""
        x = self.norm(tokens.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # views: memory is channels-last
        x = F.gelu(self.conv_pw(x))
        x = F.gelu(self.conv_dw(x))
        x = self.conv_pwl(self.se(x))
        branch: Tensor = self.drop_path(self.gamma[:, None, None] * x)
        return tokens + branch


class SqueezeExcite(nn.Module):
    """x · sigmoid(conv(relu(conv(mean of x over the grid))))."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(embed_dim, embed_dim // 4, 1)
        self.conv_expand = nn.Conv2d(embed_dim // 4, embed_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The grid with its channels weighed by what the whole picture holds."""
        squeezed = x.mean((2, 3), keepdim=True)
        gate: Tensor = self.conv_expand(F.relu(self.conv_reduce(squeezed)))
        return x * gate.sigmoid()
