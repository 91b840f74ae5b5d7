"""Batch norms folded into the convolutions before them, for networks that only answer.

With fixed statistics a batch norm is a factor and a summand for each channel, which the convolution's own weights can
hold: Jacob et al. 2018, arXiv:1712.05877, section 3.2. What comes out differs by rounding alone, and a pass over the
whole map is saved for each norm.
"""

import copy
from collections import Counter
from typing import cast

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pcn_cli.models.backbone import look_size

# Exactly these: what inherits from them may compute something else, such as weights that are standardised first.
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)

Pairs = list[tuple[nn.Conv2d, nn.BatchNorm2d]]


@torch.inference_mode(mode=False)
def fold_norms(network: nn.Module) -> nn.Module:
    """A copy of `network` in evaluation mode that answers the same with fewer layers; itself where no norm can go.

    A norm is folded where a convolution's output is its input and has no other use; those of timm keep their
    activation. The copy is not for training: it has other parameters, and none of them wants a gradient.
    """
    if not any(_is_fixed(module) for module in network.modules()):
        return network
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    pairs = _find_pairs(folded)
    if not pairs:
        return network
    rest: dict[nn.Module, nn.Module] = {}
    for convolution, norm in pairs:
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
        )
        rest[norm] = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
    for name, module in list(folded.named_modules(remove_duplicate=False)):
        if module in rest:
            folded.set_submodule(name, rest[module])
    return folded.eval()


def _is_fixed(module: nn.Module) -> bool:
    """Whether it is a batch norm that has statistics of its own."""
    return type(module) in _NORMS and cast("nn.BatchNorm2d", module).running_mean is not None


@torch.enable_grad()
def _find_pairs(network: nn.Module) -> Pairs:
    """The convolutions of a network in evaluation mode, each with the norm that alone sees what it gives.

    Seen by a small picture on its way: what autograd would walk back through is what the network is made of.
    """
    made: dict[nn.Module, list[Node | None]] = {}
    seen: dict[nn.Module, list[Node | None]] = {}

    def note_made(module: nn.Module, _: object, output: Tensor) -> None:
        made.setdefault(module, []).append(output.grad_fn)

    def note_seen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.setdefault(module, []).append(inputs[0].grad_fn)

    hooks = [
        module.register_forward_hook(note_made)
        if type(module) in _CONVOLUTIONS
        else module.register_forward_pre_hook(note_seen)
        for module in network.modules()
        if type(module) in _CONVOLUTIONS or _is_fixed(module)
    ]
    reference = next(network.parameters())
    height, width = look_size(getattr(network, "backbone", network))
    images = torch.zeros(1, 3, height, width, device=reference.device, dtype=reference.dtype, requires_grad=True)
    uses = _count_uses(network(images))
    for hook in hooks:
        hook.remove()
    makers = {nodes[0]: module for module, nodes in made.items() if len(nodes) == 1 and uses[nodes[0]] == 1}
    return [
        (cast("nn.Conv2d", makers[nodes[0]]), cast("nn.BatchNorm2d", norm))
        for norm, nodes in seen.items()
        if len(nodes) == 1 and nodes[0] in makers
    ]


def _count_uses(output: Tensor) -> Counter[Node | None]:
    """How often each step that led to `output` is looked at by a later one."""
    uses: Counter[Node | None] = Counter()
    waiting, met = [output.grad_fn], {output.grad_fn}
    while waiting:
        node = waiting.pop()
        for before, _ in node.next_functions if node is not None else ():
            uses[before] += 1
            if before not in met:
                met.add(before)
                waiting.append(before)
    uses[None] = 0  # a step that autograd does not know is no convolution of ours
    return uses
