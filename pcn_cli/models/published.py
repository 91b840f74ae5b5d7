"""PatchConvNet's weight files: the sizes that have a name, the published names of tensors and the way to ours.

The layout is that of facebookresearch/deit, `patchconvnet_models.py`. Only names and shapes are read here; files are
opened elsewhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pcn_cli.errors import ModelError

# Cards are read without torch too: what is not there is said before it is imported.
if TYPE_CHECKING:
    from torch import Tensor

# Width, depth, LayerScale at the start: the authors' own, but nano's. Its 16 blocks are stable without LayerScale, and
# from random numbers it learns sooner with 1 than with 0.1.
SIZES = {
    "nano": (192, 16, 1.0),
    "s60": (384, 60, 1e-4),
    "s120": (384, 120, 1e-6),
    "b60": (768, 60, 1e-6),
    "b120": (768, 120, 1e-6),
    "l60": (1024, 60, 1e-6),
    "l120": (1024, 120, 1e-6),
}


# Name in timm → size, and whether there is a token for each class. A size of one's own begins as s60.
ARCHITECTURES = {"patchconvnet": ("s60", False)} | {
    f"patchconvnet_{size}{words}": (size, class_tokens)
    for size in SIZES
    for words, class_tokens in (("", False), ("_multi", True))
}

_MOST_BLOCKS = 1000


@dataclass(frozen=True, kw_only=True)
class PatchConvNetSpec:
    """Which PatchConvNet: what a card says of its network, and what the tensors of a file tell."""

    embed_dim: int
    depth: int
    num_classes: int = 1000
    class_tokens: bool = False

    @property
    def size(self) -> str | None:
        """The name of its size (`s60`); None where it has none."""
        return next((name for name, size in SIZES.items() if size[:2] == (self.embed_dim, self.depth)), None)

    @property
    def name(self) -> str:
        """The short name (`s60`, `b120`, `s60-multi` …), or `embed_dim 64, depth 3` where there is none."""
        if self.size:
            return self.size + ("-multi" if self.class_tokens else "")
        return f"embed_dim {self.embed_dim}, depth {self.depth}" + (", class tokens" if self.class_tokens else "")

    @property
    def architecture(self) -> str:
        """Its name in timm; `patchconvnet` where its size has no name."""
        return f"patchconvnet_{self.size}" + ("_multi" if self.class_tokens else "") if self.size else "patchconvnet"

    @property
    def settings(self) -> dict[str, Any]:
        """What tells it from others of its kind, by timm's words."""
        return {"embed_dim": self.embed_dim, "depth": self.depth, "class_tokens": self.class_tokens}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Published name → shape of every tensor, in the published order."""
        import torch

        from pcn_cli.models.patchconvnet import PatchConvNet

        with torch.device("meta"):  # no memory is taken
            network = PatchConvNet(**self.settings | {"depth": 1}, num_classes=self.num_classes)
        network.blocks.extend([network.blocks[0]] * (self.depth - 1))  # one block under all names: much faster
        return {name: tuple(tensor.shape) for name, tensor in to_published(network.state_dict()).items()}

    @classmethod
    def recognise(cls, tensors: Mapping[str, "Tensor"]) -> tuple[dict[str, "Tensor"], Self]:
        """The tensors by our names, and the network that they make up; they may come by published names or ours.

        Raises:
            ModelError: they make up none; the message names what is missing, unexpected or of another shape.
        """
        ours = "pooling.cls_token" in tensors
        published = to_published(tensors) if ours else tensors
        spec = cls.tell({name: tuple(tensor.shape) for name, tensor in published.items()})
        return dict(tensors) if ours else from_published(tensors), spec

    @classmethod
    def tell(cls, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """The network that tensors of these published names and shapes make up; refused as `recognise` refuses."""
        token, head = shapes.get("cls_token", ()), shapes.get("head.weight", ())
        if len(token) != 3 or token[2] < 8 or token[2] % 8:
            found = f"cls_token of shape {token}" if token else "no cls_token"
            names = ", ".join(list(shapes)[:2])
            raise ModelError(
                f"not a PatchConvNet: {found} among {len(shapes)} tensors ({names} …), "
                "expected cls_token of (1, 1, width)"
            )
        class_tokens = "head.0.weight" in shapes
        blocks = {block[1] for name in shapes if (block := re.match(r"blocks\.(\d+)\.", name))}
        # What is compared below grows with these numbers, which a file may choose as it likes.
        if len(blocks) > _MOST_BLOCKS or (class_tokens and token[1] > len(shapes)):
            found = f"{len(blocks):,} blocks and {token[1]:,} class tokens in {len(shapes):,} tensors"
            raise ModelError(f"not a PatchConvNet: {found}")
        if not class_tokens and not head:
            raise ModelError(f"no classifier (head.weight) among {len(shapes)} tensors")
        spec = cls(
            embed_dim=token[2],
            depth=len(blocks),
            num_classes=token[1] if class_tokens else head[0],
            class_tokens=class_tokens,
        )
        if problems := tensor_problems(shapes, spec.shapes()):
            raise ModelError(f"not a PatchConvNet, though close to {spec.name}: {problems}")
        return spec


def tensor_problems(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    """What is missing, unexpected or of another shape, the first three of it; empty where nothing is."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unexpected" for name in found if name not in expected]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    more = len(problems) - 3
    return "; ".join(problems[:3]) + (f"; and {more} more" if more > 0 else "")


# Published layer → ours; # is a block's number.
_OURS = {
    "cls_token": "pooling.cls_token",
    **{f"patch_embed.proj.{2 * i}.0": f"stem.{i}" for i in range(4)},
    "blocks.#.gamma_1": "blocks.#.gamma",
    "blocks.#.norm1": "blocks.#.norm",
    "blocks.#.attn.qkv_pos.0": "blocks.#.conv_pw",
    "blocks.#.attn.qkv_pos.2": "blocks.#.conv_dw",
    "blocks.#.attn.qkv_pos.4.conv_reduce": "blocks.#.se.conv_reduce",
    "blocks.#.attn.qkv_pos.4.conv_expand": "blocks.#.se.conv_expand",
    "blocks.#.attn.qkv_pos.5": "blocks.#.conv_pwl",
    **{f"blocks_token_only.0.{name}": f"pooling.{name}" for name in ("gamma_1", "gamma_2", "norm1", "norm2")},
    **{f"blocks_token_only.0.attn.{name}": f"pooling.{name}" for name in ("q", "k", "v", "proj")},
    **{f"blocks_token_only.0.mlp.{name}": f"pooling.{name}" for name in ("fc1", "fc2")},
    "norm": "norm",
    "head": "head",
}
_PUBLISHED = {ours: published for published, ours in _OURS.items()}
_CLASS_HEAD = re.compile(r"head\.(\d+)\.(?:weight|bias)")


def from_published(state_dict: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Our names → the same tensors; the linear layers of class tokens become one tensor of shape (K, 1, d)."""
    numbers = {name: int(head[1]) for name in state_dict if (head := _CLASS_HEAD.fullmatch(name))}
    ours = {_rename(name, _OURS, "the published"): state_dict[name] for name in state_dict if name not in numbers}
    if numbers:
        heads = [(f"head.{k}.weight", f"head.{k}.bias") for k in range(len(set(numbers.values())))]
        missing = [name for pair in heads for name in pair if name not in state_dict]
        if missing:
            raise ModelError(f"not the published layout: {missing[0]} is missing")
        import torch

        ours["head.weight"] = torch.stack([state_dict[weight] for weight, _ in heads])  # K × (1, d) → (K, 1, d)
        ours["head.bias"] = torch.cat([state_dict[bias] for _, bias in heads])  # K × (1,) → (K,)
    return ours


def to_published(state_dict: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Published names → the same tensors, in the published order."""
    weight, bias = state_dict.get("head.weight"), state_dict.get("head.bias")
    heads: dict[str, Tensor] = {}
    if weight is not None and bias is not None and weight.ndim == 3:  # class tokens: (K, 1, d) and (K,)
        for k in range(len(weight)):
            heads |= {f"head.{k}.weight": weight[k], f"head.{k}.bias": bias[k : k + 1]}
    names = [name for name in state_dict if not (heads and name.startswith("head."))]
    names.sort(key="pooling.cls_token".__ne__)  # it comes first in the published order; the rest is in ours
    return {_rename(name, _PUBLISHED, "our"): state_dict[name] for name in names} | heads


def _rename(name: str, names: Mapping[str, str], layout: str) -> str:
    """`name` by the other layout's word for its layer; a ModelError where there is none."""
    leaf = next((leaf for leaf in (".weight", ".bias") if name.endswith(leaf)), "")
    layer = name.removesuffix(leaf)
    number = re.match(r"blocks\.(\d+)\.", layer)
    renamed = names.get(re.sub(r"^blocks\.\d+\.", "blocks.#.", layer))
    if renamed is None:
        raise ModelError(f"not {layout} layout: {name} is no name of a PatchConvNet")
    return (renamed.replace("#", number[1]) if number else renamed) + leaf
