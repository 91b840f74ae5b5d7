"""Networks that have forgotten what they learned: a map that shows it must change with them.

The parameter randomisation test of Adebayo et al. 2018, arXiv:1810.03292. The numbers of every tensor are shuffled
rather than drawn anew: they keep their size, so that nothing overflows in deep networks with frozen statistics.
"""

import copy

import torch
from torch import nn


def randomised(network: nn.Module, *, prefix: str = "", seed: int) -> nn.Module:
    """A copy in which the numbers of every parameter are shuffled, or of those alone whose names start with `prefix`.

    Raises:
        ValueError: no name does.
    """
    forgetful = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    chosen = [parameter for name, parameter in forgetful.named_parameters() if name.startswith(prefix)]
    if not chosen:
        raise ValueError(f"no parameter starts with {prefix!r}")
    with torch.no_grad():
        for parameter in chosen:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return forgetful
