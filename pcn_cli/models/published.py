"""The names of the published weight files, and the way to our own names and back, without loss.

The layout is that of facebookresearch/deit, `patchconvnet_models.py`. Only names and shapes are read here; files are
opened elsewhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pcn_cli.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the tensors of a PatchConvNet tell: its width, depth, number of classes and kind of class token."""

    embed_dim: int
    depth: int
    num_classes: int
    class_tokens: bool = False

    @property
    def name(self) -> str:
        """The short name (`s60`, `b120`, `s60-multi` …), or `embed_dim 64, depth 3` where there is none."""
        known = KNOWN_SIZES.get((self.embed_dim, self.depth))
        plain = known or f"embed_dim {self.embed_dim}, depth {self.depth}"
        kind = ("-multi" if known else ", class tokens") if self.class_tokens else ""
        return plain + kind


KNOWN_SIZES: dict[tuple[int, int], str] = {
    (192, 16): "nano",
    (384, 60): "s60",
    (384, 120): "s120",
    (768, 60): "b60",
    (768, 120): "b120",
    (1024, 60): "l60",
    (1024, 120): "l120",
}

_BLOCK = {
    "gamma_1": "gamma",
    "norm1": "norm",
    "attn.qkv_pos.0": "conv_pw",
    "attn.qkv_pos.2": "conv_dw",
    "attn.qkv_pos.4.conv_reduce": "se.conv_reduce",
    "attn.qkv_pos.4.conv_expand": "se.conv_expand",
    "attn.qkv_pos.5": "conv_pwl",
}
_POOLING = {
    "gamma_1": "gamma_1",
    "gamma_2": "gamma_2",
    "norm1": "norm1",
    "attn.q": "q",
    "attn.k": "k",
    "attn.v": "v",
    "attn.proj": "proj",
    "norm2": "norm2",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}
_STEM = {f"proj.{2 * i}.0": str(i) for i in range(4)}


def tell_architecture(shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    """The network that tensors of these published names and shapes make up.

    Raises:
        ModelError: they make up none; the message names what is missing, unexpected or of another shape.
    """
    architecture = _guess(shapes)
    expected = published_shapes(architecture)
    found = {name: tuple(shape) for name, shape in shapes.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unexpected" for name in found if name not in expected]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise ModelError(f"not a PatchConvNet, though close to {architecture.name}: {_first(problems)}")
    return architecture


def published_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Published name → shape of every tensor of `architecture`, in the published order."""
    d, classes = architecture.embed_dim, architecture.num_classes
    widths = (3, d // 8, d // 4, d // 2, d)
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, classes if architecture.class_tokens else 1, d)}
    shapes |= {f"patch_embed.proj.{2 * i}.0.weight": (widths[i + 1], widths[i], 3, 3) for i in range(4)}
    block = {
        "gamma_1": (d,),
        **_affine("norm1", (d,)),
        **_affine("attn.qkv_pos.0", (d, d, 1, 1)),
        **_affine("attn.qkv_pos.2", (d, 1, 3, 3)),
        **_affine("attn.qkv_pos.4.conv_reduce", (d // 4, d, 1, 1)),
        **_affine("attn.qkv_pos.4.conv_expand", (d, d // 4, 1, 1)),
        **_affine("attn.qkv_pos.5", (d, d, 1, 1)),
    }
    for i in range(architecture.depth):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    pooling = {"gamma_1": (d,), "gamma_2": (d,), **_affine("norm1", (d,))}
    for name in ("attn.q", "attn.k", "attn.v", "attn.proj"):
        pooling |= _affine(name, (d, d))
    pooling |= _affine("norm2", (d,)) | _affine("mlp.fc1", (3 * d, d)) | _affine("mlp.fc2", (d, 3 * d))
    shapes |= {f"blocks_token_only.0.{name}": shape for name, shape in pooling.items()}
    shapes |= _affine("norm", (d,))
    if not architecture.class_tokens:
        return shapes | _affine("head", (classes, d))
    for k in range(classes):
        shapes |= _affine(f"head.{k}", (1, d))
    return shapes


def from_published(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names → the same tensors; the linear layers of class tokens become one tensor of shape (K, 1, d).

    Raises:
        ModelError: a name is none of the published ones.
    """
    ours = {_to_ours(name): tensor for name, tensor in state_dict.items() if not _CLASS_HEAD.fullmatch(name)}
    numbers = [int(head[1]) for name in state_dict if (head := _CLASS_HEAD.fullmatch(name))]
    if numbers:
        heads = [(f"head.{k}.weight", f"head.{k}.bias") for k in range(max(numbers) + 1)]
        missing = [name for pair in heads for name in pair if name not in state_dict]
        if missing:
            raise ModelError(f"not the published layout: {_first([f'{name} is missing' for name in missing])}")
        ours["head.weight"] = torch.stack([state_dict[weight] for weight, _ in heads])  # K × (1, d) → (K, 1, d)
        ours["head.bias"] = torch.cat([state_dict[bias] for _, bias in heads])  # K × (1,) → (K,)
    return ours


def to_published(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names → the same tensors, in the published order.

    Raises:
        ModelError: a name is none of ours.
    """
    weight, bias = state_dict.get("head.weight"), state_dict.get("head.bias")
    heads: dict[str, Tensor] = {}
    if weight is not None and bias is not None and weight.ndim == 3:  # class tokens: (K, 1, d) and (K,)
        for k in range(len(weight)):
            heads |= {f"head.{k}.weight": weight[k], f"head.{k}.bias": bias[k : k + 1]}
    names = [name for name in state_dict if not (heads and name.startswith("head."))]
    # The class token comes first in the published order; the rest is in ours.
    published = {_to_published(name): state_dict[name] for name in sorted(names, key="pooling.cls_token".__ne__)}
    return published | heads


def is_published(names: Mapping[str, object]) -> bool:
    """Whether these are published names rather than ours."""
    return "cls_token" in names or any(name.startswith(("patch_embed.", "blocks_token_only.")) for name in names)


_CLASS_HEAD = re.compile(r"head\.(\d+)\.(?:weight|bias)")
_LEAF = r"(?:\.(weight|bias))?"
# prefix, the names behind it, our prefix
_SECTIONS = (
    (r"patch_embed\.", _STEM, "stem."),
    (r"blocks\.(\d+)\.", _BLOCK, "blocks.{}."),
    (r"blocks_token_only\.0\.", _POOLING, "pooling."),
)
_ALIKE = {f"{layer}.{leaf}" for layer in ("norm", "head") for leaf in ("weight", "bias")}


def _to_ours(name: str) -> str:
    if name in _ALIKE:
        return name
    if name == "cls_token":
        return "pooling.cls_token"
    for prefix, layers, ours in _SECTIONS:
        if found := re.fullmatch(f"({prefix})({'|'.join(map(re.escape, layers))}){_LEAF}", name):
            *number, layer, leaf = found.groups()[1:]
            return ours.format(*number) + layers[layer] + (f".{leaf}" if leaf else "")
    raise ModelError(f"not the published layout: {name} is no name of a PatchConvNet")


def _to_published(name: str) -> str:
    if name in _ALIKE:
        return name
    if name == "pooling.cls_token":
        return "cls_token"
    for prefix, layers, ours in _SECTIONS:
        back = {mine: theirs for theirs, mine in layers.items()}
        start = re.escape(ours).replace(r"\{\}", r"(\d+)")
        if found := re.fullmatch(f"({start})({'|'.join(map(re.escape, back))}){_LEAF}", name):
            *number, layer, leaf = found.groups()[1:]
            theirs = prefix.replace(r"(\d+)", "{}").replace("\\", "").format(*number)
            return theirs + back[layer] + (f".{leaf}" if leaf else "")
    raise ModelError(f"not our layout: {name} is no name of a PatchConvNet")


def _guess(shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    token = tuple(shapes.get("cls_token", ()))
    if len(token) != 3 or token[2] < 8 or token[2] % 8:
        found = f"cls_token of shape {token}" if token else "no cls_token"
        raise ModelError(
            f"not a PatchConvNet: {found} among {len(shapes)} tensors, expected cls_token of (1, 1, width)"
        )
    blocks = {int(block[1]) for name in shapes if (block := re.match(r"blocks\.(\d+)\.", name))}
    class_tokens = "head.0.weight" in shapes
    head = tuple(shapes.get("head.weight", ()))
    if not class_tokens and not head:
        raise ModelError(f"no classifier (head.weight) among {len(shapes)} tensors")
    return Architecture(
        embed_dim=token[2],
        depth=len(blocks),
        num_classes=token[1] if class_tokens else head[0],
        class_tokens=class_tokens,
    )


def _affine(layer: str, weight: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.weight": weight, f"{layer}.bias": weight[:1]}


def _first(problems: list[str]) -> str:
    rest = len(problems) - 3
    return "; ".join(problems[:3]) + (f"; and {rest} more" if rest > 0 else "")
