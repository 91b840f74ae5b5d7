"""What PatchConvNet and the pooled backbones share: everything behind the tokens, and what can be asked of it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from pcn_cli.models.layers import trunc_normal_
from pcn_cli.models.pooling import AttentionPooling
from pcn_cli.records.model import PatchGrid
from pcn_cli.tensors.network import Attended


class AttentionNetwork(nn.Module):
    """A network whose tokens (B, C, h, w) are pooled by attention, then normed and classified.

    `pooling_prefixes` begin the names of all parameters behind the tokens; `head_hidden_size` is the width that the
    head sees. With `mirror` it answers, but does not learn, from an image and its mirror image together.
    """

    pooling: AttentionPooling
    norm: nn.Module
    head: nn.Module
    pooling_prefixes: tuple[str, ...]
    num_classes: int
    class_tokens: bool
    num_features: int
    head_hidden_size: int
    mirror: bool = False

    def forward_trunk(self, images: Tensor) -> Tensor:
        """The tokens (B, C, h, w) of images (B, in_chans, H, W) as they are, channels-last in memory."""
        raise NotImplementedError

    def forward_features(self, images: Tensor) -> Tensor:
        """The tokens (B, C, h, w) of images (B, in_chans, H, W), channels-last in memory."""
        if self.mirror and not self.training:
            return mirrored(self.forward_trunk, images)
        return self.forward_trunk(images)

    def extra_repr(self) -> str:
        """What is not to be seen by the layers."""
        return "mirror" if self.mirror else ""

    def project(self, tokens: Tensor) -> Tensor:
        """The tokens as the pooling wants them, (B, d, h, w)."""
        return tokens

    def finish(self, cls: Tensor) -> Tensor:
        """The features (…, T, F) that the head sees of pooled tokens (…, T, d)."""
        features: Tensor = self.norm(cls)
        return features

    def measure_patch_grid(self, height: int, width: int) -> PatchGrid:
        """Where the patches lie on an input of that many pixels."""
        raise NotImplementedError

    @cached_property
    def patch_grid(self) -> PatchGrid:
        """Where the patches lie; where nobody set it, measured at the input size of `pretrained_cfg`."""
        size = getattr(self, "pretrained_cfg", {}).get("input_size") or (3, 224, 224)
        return self.locate_patches(*size[-2:])

    def locate_patches(self, height: int, width: int) -> PatchGrid:
        """Where the patches lie on an input of that many pixels, mirrored where the network mirrors.

        There a column is the mean of two that lie a little apart, as a first patch does not lie as far from the left
        as the last from the right; together they lie symmetrically.
        """
        grid = self.measure_patch_grid(height, width)
        if not self.mirror:
            return grid
        parameter, training = next(self.parameters()), self.training
        with torch.no_grad():
            images = torch.zeros(1, 3, height, width, device=parameter.device, dtype=parameter.dtype)
            columns = self.eval().forward_trunk(images).shape[3]
        self.train(training)
        return replace(grid, offset_x=(width - (columns - 1) * grid.stride) / 2)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B, num_classes) of images (B, in_chans, H, W)."""
        return self.forward_head(self.forward_features(images))

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """The logits for tokens (B, C, h, w); with `pre_logits` what the head would see, (B, F) or (B, K, F)."""
        return self._classify(self.pooling(self.project(tokens)).tokens, pre_logits)

    def attend(self, images: Tensor, *, values: bool = True) -> Attended:
        """The logits and where they came from; without `values` it costs no more than the logits."""
        return self.attend_tokens(self.forward_features(images), values=values)

    def attend_tokens(self, tokens: Tensor, *, values: bool = True) -> Attended:
        """The logits and where they came from, for tokens (B, C, h, w)."""
        projected = self.project(tokens)
        pooled = self.pooling(projected)
        grid = (tokens.shape[2], tokens.shape[3])
        formed = self.pooling.value(projected) if values else pooled.tokens[:, :0]
        return Attended(self._classify(pooled.tokens), pooled.weights, formed, grid)

    @property
    def looks_evenly(self) -> bool:
        """Whether the pooling gives every patch the same weight, so that where it looks says nothing."""
        return self.pooling.looks_evenly

    def shifted_features(self, tokens: Tensor, shift: Tensor) -> Tensor:
        """What the head would see (B, F) of tokens (B, C, h, w), were `shift` (d,) added to the one query."""
        return self._classify(
            self.pooling.finish(self.pooling.mix_shifted(self.project(tokens), shift)), pre_logits=True
        )

    def tail(self, pooled: Tensor) -> Tensor:
        """The logits once the weighted sum of values (…, T, d) is known: hiding patches is closed form."""
        return self._classify(self.pooling.finish(pooled))

    def class_tail(self, pooled: Tensor, classes: Tensor) -> Tensor:
        """With class tokens, the logits (B, S, k) of `classes` (B, k) from their weighted sums (B, S, k, d) alone."""
        tokens = self.finish(self.pooling.finish(pooled, classes[:, None]))
        logits: Tensor = self.head(tokens, classes[:, None])
        return logits

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Start a new head for `num_classes` (0: none); with class tokens also new tokens.

        Raises:
            ValueError: `global_pool` asks for another pooling; the attention pooling is the network.
        """
        if global_pool not in (None, "token"):
            raise ValueError(f"the pooling cannot be changed to {global_pool!r}")
        reference = next(self.parameters())
        self.num_classes = num_classes
        head = make_head(self.head_hidden_size, num_classes, class_tokens=self.class_tokens)
        self.head = head.to(reference.device, reference.dtype)
        if self.class_tokens and num_classes:
            self.pooling.reset_class_tokens(num_classes)

    def _classify(self, cls: Tensor, pre_logits: bool = False) -> Tensor:
        features = self.finish(cls)  # (…, T, F)
        if not self.class_tokens:
            features = features.squeeze(-2)
        logits: Tensor = features if pre_logits else self.head(features)
        return logits


def mirrored(trunk: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The mean of the tokens (B, C, h, w) that `trunk` gives of images and of their mirror images, turned back."""
    turned = trunk(images.flip(3).contiguous(memory_format=torch.channels_last)).flip(3)
    return ((trunk(images) + turned) / 2).contiguous(memory_format=torch.channels_last)


class ClassTokenHead(nn.Module):
    """Every class's own linear map of its own token: (B, K, d) → (B, K)."""

    def __init__(self, embed_dim: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, 1, embed_dim))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        trunc_normal_(self.weight, std=0.02)

    def forward(self, tokens: Tensor, classes: Tensor | None = None) -> Tensor:
        """The logits; with `classes` (…, k) of these alone, whose tokens (…, k, d) are."""
        if classes is None:
            return (tokens * self.weight[:, 0]).sum(-1) + self.bias
        return (tokens * self.weight[classes, 0]).sum(-1) + self.bias[classes]


def make_head(embed_dim: int, num_classes: int, *, class_tokens: bool = False) -> nn.Module:
    """A new head, truncated normal 0.02 and bias 0; nothing for 0 classes."""
    if num_classes == 0:
        return nn.Identity()
    if class_tokens:
        return ClassTokenHead(embed_dim, num_classes)
    head = nn.Linear(embed_dim, num_classes)
    trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head
