"""A PatchConvNet computed layer by layer as its authors describe it, in NCHW: what our own forms are measured against.

Touvron et al. 2021, arXiv:2112.13692. Keys and values of every patch are formed, LayerScale is a product of its own,
and the patches change between a sequence and a grid in every block. It has the parameters of the network it is made of.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcn_cli.models.patchconvnet import Block, PatchConvNet


class PublishedForm(nn.Module):
    """The logits (B, num_classes) of images (B, 3, H, W), for networks with a single class token."""

    def __init__(self, network: PatchConvNet) -> None:
        super().__init__()
        if network.class_tokens:
            raise ValueError("a token for each class is pooled in another way")
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        first, *others = self.network.stem.children()
        grid = first(images)
        for convolution in others:
            grid = convolution(F.gelu(grid))
        shape, tokens = grid.shape, grid.flatten(2).transpose(1, 2)  # (B, N, d)
        for block in self.network.blocks:
            tokens = _block(cast("Block", block), tokens, shape)
        logits: Tensor = self.network.head(self.network.norm(self._pool(tokens)))
        return logits

    def _pool(self, tokens: Tensor) -> Tensor:
        """The class token (B, d) after one attention layer over itself and the patches, and its MLP."""
        pooling = self.network.pooling
        cls = pooling.cls_token.expand(len(tokens), -1, -1)
        keys = pooling.norm1(torch.cat([cls, tokens], dim=1))  # (B, N+1, d)
        query = pooling.q(keys[:, :1]) * pooling.embed_dim**-0.5
        weights = (query @ pooling.k(keys).transpose(1, 2)).softmax(dim=-1)
        cls = cls + pooling.gamma_1 * pooling.drop(pooling.proj(weights @ pooling.v(keys)))
        hidden = pooling.drop(F.gelu(pooling.fc1(pooling.norm2(cls))))
        finished: Tensor = cls + pooling.gamma_2 * pooling.drop(pooling.fc2(hidden))
        return finished[:, 0]


def _block(block: Block, tokens: Tensor, shape: torch.Size) -> Tensor:
    """The tokens (B, N, d) one block deeper; `shape` is (B, d, h, w)."""
    x = block.norm(tokens).transpose(1, 2).reshape(shape)
    x = F.gelu(block.conv_dw(F.gelu(block.conv_pw(x))))
    x = block.conv_pwl(block.se(x)).reshape(*shape[:2], -1).transpose(1, 2)
    deeper: Tensor = tokens + block.drop_path(block.gamma * x)
    return deeper
