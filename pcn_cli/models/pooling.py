"""Attention pooling: the layer that takes the place of average pooling, and whose weights are the maps.

Touvron et al. 2021, arXiv:2112.13692. The query is a learned constant, so the keys and values of single patches are
never formed unless somebody asks: scores are tokens · (Wkᵀ q), and the pooled value is Wv (Σ a_j token_j).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcn_cli.models.layers import trunc_normal_

LAYER_NORM_EPS = 1e-6
MLP_RATIO = 3
TOKEN_STD = 0.02  # of a class token at its start, or of the part that is a class's own


class Pooled(NamedTuple):
    """What the pooling gives: tokens (B, T, d) and their weights over the keys (B, T, N+1) or (B, T, N)."""

    tokens: Tensor
    weights: Tensor


class AttentionPooling(nn.Module):
    """One attention layer whose only queries are learned class tokens, then a small MLP on those tokens.

    With one class token, the token is a key and value beside the patches. With `class_tokens`, one per class, keys and
    values are the patches alone. One head; branches scaled by gamma_1 and gamma_2; never drop-path.

    It begins as the authors' does, with both gammas at `layer_scale`. Where that is None it begins as average pooling:
    no query, no MLP, k, v and proj pass on what they get, values are not normed, and a single class token is 0. What
    comes out is the average of the raw tokens times N / (N + 1), because the class token is a key too.

    With `rank` what q, k, v and proj learn has that rank and the MLP that many hidden channels: 10 · d · rank numbers
    instead of 10 · d².
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        class_tokens: int | None = None,
        layer_scale: float | None = 1e-4,
        drop_rate: float = 0.0,
        rank: int | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.token_is_key = class_tokens is None
        self.averages = averages = layer_scale is None
        scale, mlp_scale = (1 / (rank or embed_dim), embed_dim**-0.5) if averages else (1.0, 1.0)  # see `ScaledLinear`
        self.cls_token = nn.Parameter(torch.zeros(1, class_tokens or 1, embed_dim))
        self.gamma_1 = nn.Parameter(torch.full((embed_dim,), 1.0 if layer_scale is None else layer_scale))
        self.gamma_2 = nn.Parameter(torch.full((embed_dim,), layer_scale or 0.0))
        self.norm1 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.q = ScaledLinear(embed_dim, embed_dim, scale=scale, rank=rank)
        self.k = ScaledLinear(embed_dim, embed_dim, scale=scale, residual=averages, rank=rank)
        self.v = ScaledLinear(embed_dim, embed_dim, scale=scale, residual=averages, rank=rank)
        self.proj = ScaledLinear(embed_dim, embed_dim, scale=scale, residual=averages, rank=rank)
        self.norm2 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        hidden = rank or MLP_RATIO * embed_dim
        self.fc1 = ScaledLinear(embed_dim, hidden, scale=mlp_scale)
        self.fc2 = ScaledLinear(hidden, embed_dim, scale=mlp_scale)
        self.drop = nn.Dropout(drop_rate)
        for layer in (self.fc1, self.fc2):
            layer.draw(std=0.02)
        for layer in (self.q, self.k, self.v, self.proj):
            layer.draw(std=0.0 if self.averages else 0.02)
        if self.averages and self.cls_token.shape[1] == 1:
            nn.init.zeros_(self.cls_token)
        else:  # several tokens that are all alike would never look apart
            trunc_normal_(self.cls_token, std=TOKEN_STD)

    @torch.no_grad()
    def start_averaging(self) -> None:
        """Become average pooling of the tokens, normed where values are: uniform weights, everything else passes on."""
        for layer in (self.q, self.k, self.v, self.proj):
            layer.weight.zero_()
            layer.bias.zero_()
            if not (layer.residual or layer is self.q):
                layer.weight.fill_diagonal_(1.0)
        for norm in (self.norm1, self.norm2):
            norm.reset_parameters()
        self.cls_token.zero_()
        self.gamma_1.fill_(1.0)
        self.gamma_2.zero_()

    @property
    @torch.no_grad()
    def looks_evenly(self) -> bool:
        """Whether every patch has the same weight, whatever it shows: it is average pooling."""
        query = self.q(self.norm1(self.cls_token))[0]
        return not bool((self.k.transposed(query) * self.norm1.weight).any())

    @torch.no_grad()
    def shift_query(self, shift: Tensor) -> None:
        """Add `shift` (d,) to the query of every class token."""
        self.q.bias.add_(shift / self.q.scale)

    def mix_shifted(self, tokens: Tensor, shift: Tensor) -> Tensor:
        """The weighted sum of values (B, 1, d) of the grid (B, d, h, w), were `shift` (d,) added to the one query.

        It is what `forward` makes, with gradients in `shift` alone and few passes over the tokens: the LayerNorm is
        worked into the sums.
        """
        patches = self._flatten(tokens)
        means = patches.mean(dim=-1)  # (B, N)
        squares = torch.linalg.vector_norm(patches, dim=-1).square() / self.embed_dim  # var_mean takes 13 times as long
        inverse = ((squares - means.square()).clamp(min=0) + LAYER_NORM_EPS).rsqrt()
        normed_cls = self.norm1(self.cls_token)
        query = (self.q(normed_cls)[0, 0] + shift) * self.embed_dim**-0.5
        direction = self.k.transposed(query)  # (d,)
        scaled = self.norm1.weight * direction
        scores = (patches @ scaled - means * scaled.sum()) * inverse + self.norm1.bias @ direction
        own = (normed_cls[0] @ direction).expand(len(patches), 1)
        weights = torch.cat([own, scores], dim=1).softmax(dim=-1)  # the key's bias changes nothing
        own, others = weights[:, :1], weights[:, 1:]
        if self.averages:
            mixed = own * self.cls_token[0] + torch.bmm(others[:, None], patches)[:, 0]
        else:
            others = others * inverse
            normed = torch.bmm(others[:, None], patches)[:, 0] - (others * means).sum(1, keepdim=True)
            mixed = own * normed_cls[0] + self.norm1.weight * normed + (1 - own) * self.norm1.bias
        value: Tensor = self.v(mixed[:, None])
        return value

    def reset_class_tokens(self, count: int) -> None:
        """Put `count` new class tokens in place of those there are."""
        self.cls_token = nn.Parameter(spread_class_tokens(self.cls_token.detach(), count))

    def forward(self, tokens: Tensor) -> Pooled:
        """The class tokens after looking at the grid (B, d, h, w), and how they looked."""
        patches = self._flatten(tokens)
        normed, normed_cls = self.norm1(patches), self.norm1(self.cls_token)
        weights = self._weigh(normed, normed_cls)
        # Average pooling sees raw tokens: a LayerNorm before the values would change what is averaged.
        keys, cls = (patches, self.cls_token) if self.averages else (normed, normed_cls)
        mixed = self._mix(weights, keys, cls)
        return Pooled(self.finish(self.v(mixed, bias_share=weights.sum(-1, keepdim=True))), weights)

    def value(self, tokens: Tensor) -> Tensor:
        """The values of all keys: (B, d, h, w) → (B, N+1, d), class token first, or (B, N, d) with class tokens."""
        keys = self._flatten(tokens)
        if self.token_is_key:
            keys = torch.cat([self.cls_token.expand(len(keys), -1, -1), keys], dim=1)
        values: Tensor = self.v(keys if self.averages else self.norm1(keys))
        return values

    def finish(self, pooled: Tensor, classes: Tensor | None = None) -> Tensor:
        """The class tokens (…, T, d) once the weighted sum of values is known; the tail of every what-if.

        With `classes` (…, k) the weighted sums (…, k, d) are those of these class tokens.
        """
        own = self.cls_token[0] if classes is None else self.cls_token[0][classes]
        cls: Tensor = own + self.gamma_1 * self.drop(self.proj(pooled))
        if _all_zero(self.gamma_2):  # as a probe leaves it that only learned where to look
            return cls
        hidden = self.drop(F.gelu(self.fc1(self.norm2(cls))))
        finished: Tensor = cls + self.gamma_2 * self.drop(self.fc2(hidden))
        return finished

    def _flatten(self, tokens: Tensor) -> Tensor:
        # (B, d, h, w) channels-last → (B, N, d), a view; float32 where mixed precision made less of them.
        return tokens.flatten(2).transpose(1, 2).to(self.norm1.weight.dtype)

    def _weigh(self, patches: Tensor, cls: Tensor) -> Tensor:
        query = self.q(cls)[0]  # (T, d)
        with torch.autocast(patches.device.type, enabled=False):  # maps keep float32 in mixed precision
            query = query.to(patches.dtype) * self.embed_dim**-0.5
            direction = self.k.transposed(query)  # (T, d): Wkᵀ q
            scores = (patches @ direction.T).transpose(1, 2)  # (B, N, T) → (B, T, N)
            if self.token_is_key:
                own = (
                    (cls[0].to(direction.dtype) * direction).sum(-1).expand(patches.shape[0], 1, 1)
                )  # len() would fix it in an export
                scores = torch.cat([own, scores], dim=2)
            # The key's bias adds the same to every score of a query; softmax takes it out again.
            scores = scores + (query * self.k.scale * self.k.bias).sum(-1)[:, None]
            weights: Tensor = scores.float().softmax(dim=-1).to(patches.dtype)
        return weights

    def _mix(self, weights: Tensor, patches: Tensor, cls: Tensor) -> Tensor:
        with torch.autocast(patches.device.type, enabled=False):
            weights = weights.to(patches.dtype)
            if not self.token_is_key:
                return weights @ patches
            return weights[:, :, :1] * cls.to(patches.dtype) + weights[:, :, 1:] @ patches  # (B, 1, d)


def spread_class_tokens(tokens: Tensor, count: int) -> Tensor:
    """`count` class tokens (1, count, d): each the mean of `tokens` (1, T, d) plus a small part drawn for it."""
    own = torch.empty(1, count, tokens.shape[2], dtype=tokens.dtype)
    trunc_normal_(own, std=TOKEN_STD)
    return tokens.mean(dim=1, keepdim=True) + own.to(tokens.device)


def _all_zero(*parameters: Tensor) -> bool:
    """Whether what these multiply adds nothing to an answer; never where their gradients or the graph are wanted."""
    learning = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in parameters)
    if learning or torch.compiler.is_compiling():
        return False
    return not any(bool(parameter.any()) for parameter in parameters)


class ScaledLinear(nn.Linear):
    """A linear layer scale · (W x + b), to which `residual` adds x; with scale 1 an ordinary one.

    With `rank` W is the product of `weight` (out, rank) and `down` (rank, in), as in LoRA (Hu et al. 2021,
    arXiv:2106.09685): `weight` alone begins at 0, so that both can learn.

    Adam moves every entry of W by about the learning rate and all in step, so one step changes an output of a dense
    layer by up to d times the rate: a wide pooling that starts as something good is lost in a few steps, and its map
    collapses on one patch. A scale of 1/d makes that the rate itself, and weight decay draws the map back to its start.
    Measured on 600 photos with 1280 channels: validation log-loss 0.33 rather than 0.50.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        scale: float = 1.0,
        residual: bool = False,
        rank: int | None = None,
    ) -> None:
        self.scale = scale
        self.residual = residual
        super().__init__(rank or in_features, out_features)
        self.down = nn.Linear(in_features, rank, bias=False) if rank else nn.Identity()

    def draw(self, *, std: float) -> None:
        """Start anew: `std` is that of scale · W; no bias."""
        if std:
            trunc_normal_(self.weight, std=std / self.scale, a=-2 / self.scale, b=2 / self.scale)
        else:
            nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, bias_share: Tensor | None = None) -> Tensor:
        """The map of x (…, d), with `bias_share` (…, 1) of the bias where x is a sum whose weights add up to that."""
        if self.residual and _all_zero(self.weight, self.bias):
            return x
        mapped = F.linear(self.down(x), self.weight, self.bias if bias_share is None else None)
        if bias_share is not None:
            mapped = mapped + bias_share * self.bias
        if self.scale != 1:
            mapped = self.scale * mapped
        return mapped + x if self.residual else mapped

    def transposed(self, query: Tensor) -> Tensor:
        """Mᵀ q for queries (T, d), where M is the whole map without its bias."""
        pulled = self.scale * (query @ self.weight.to(query.dtype))
        if isinstance(self.down, nn.Linear):
            pulled = pulled @ self.down.weight.to(query.dtype)
        return query + pulled if self.residual else pulled
