"""Which parameters learn and how fast: timm's parameter groups, layer decay, AdamW, cosine schedule, averaged weights.

The learning rate falls from head to stem by one factor per layer group, chosen from the end-to-end ratio: a fixed
per-layer 0.75 (a habit of 12-layer networks) would freeze the stem of a 60-block column.
"""

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pcn_cli.errors import ModelError
from pcn_cli.recipe.schema import Tune
from pcn_cli.tensors.network import Network
from pcn_cli.training.teacher import SECOND_HEAD

if TYPE_CHECKING:  # timm takes a second, for which what only answers need not wait
    from timm.scheduler import CosineLRScheduler

_FUSED = ("cpu", "cuda", "mps", "xpu")
EMA_HORIZON = 0.1  # share of the steps over which the weights are averaged


def choose_trainable(model: nn.Module, tune: Tune) -> list[str]:
    """The names of the parameters that `tune` lets learn; the others stop asking for gradients.

    `probe`: those with the network's pooling prefixes; `pooling`: the trunk's norms as well; `all`: all.
    """
    prefixes = _behind_tokens(model)
    norms = {
        f"{name}.{short}"
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        for short, _ in module.named_parameters(recurse=False)
    }
    chosen = []
    for name, parameter in model.named_parameters():
        learns = tune == "all" or name.startswith(prefixes) or (tune == "pooling" and name in norms)
        parameter.requires_grad_(learns)
        if learns:
            chosen.append(name)
    return chosen


def trunk_layer_decay(model: nn.Module, ratio: float) -> float:
    """The layer decay of timm for which the stem's learning rate is `ratio` times the head's."""
    last = max(_layers(model).values())
    if last < 1:
        raise ModelError(f"the group_matcher of {type(model).__name__} tells no layers apart")
    return float(ratio ** (1 / last))


def layer_scales(model: nn.Module, ratio: float) -> dict[str, float]:
    """The share of the learning rate that each parameter gets: 1 in the head, `ratio` in the stem, rising between.

    Raises:
        ModelError: the group_matcher does not order the network so; its layer decay would be a guess.
    """
    layers, decay = _layers(model), trunk_layer_decay(model, ratio)
    last = max(layers.values())
    scales = {name: decay ** (last - layer) for name, layer in layers.items()}
    prefixes = _behind_tokens(model)
    pooling = [scale for name, scale in scales.items() if name.startswith(prefixes)]
    trunk = [scale for name, scale in scales.items() if not name.startswith(prefixes)]
    ordered = pooling and trunk and max(pooling) == 1.0 and max(trunk) <= min(pooling)
    if not ordered or not math.isclose(min(trunk), ratio, rel_tol=1e-6):
        raise ModelError(f"the group_matcher of {type(model).__name__} does not order its layers from stem to head")
    return scales


def make_optimizer(model: nn.Module, *, lr: float, weight_decay: float, trunk_ratio: float = 1.0) -> torch.optim.AdamW:
    """AdamW over the parameters that ask for gradients, fused where the device has it.

    No weight decay on one-dimensional tensors (biases, norms, LayerScale) and class tokens. With `trunk_ratio` below
    1 the groups carry timm's `lr_scale`, which the schedule applies.
    """
    from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay

    spared = {*cast("Network", model).no_weight_decay(), "*cls_token"}
    if trunk_ratio < 1:
        scales = layer_scales(model, trunk_ratio)
        groups = param_groups_layer_decay(
            model, weight_decay, no_weight_decay_list=spared, layer_decay=trunk_layer_decay(model, trunk_ratio)
        )
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for group in groups:
            if any(scales[names[id(p)]] != group["lr_scale"] for p in group["params"]):
                raise ModelError(f"timm gave the layers of {type(model).__name__} other rates than they should have")
    else:
        groups = param_groups_weight_decay(model, weight_decay, no_weight_decay_list=spared)
    device = next(model.parameters()).device
    optimizer = create_optimizer_v2(
        groups, opt="adamw", lr=lr, weight_decay=weight_decay, betas=(0.9, 0.999), fused=device.type in _FUSED
    )
    return cast("torch.optim.AdamW", optimizer)


def make_schedule(optimizer: torch.optim.Optimizer, *, lr: float, steps: int, warmup: float) -> "CosineLRScheduler":
    """Linear warm-up over the share `warmup` of the steps, then a cosine to 0; call `step_update(n)` before step n ≥ 1.

    The cosine reaches 0 one step after the last, so that the last step still learns, and the first is not at rate 0.
    """
    from timm.scheduler import CosineLRScheduler

    for group in optimizer.param_groups:
        group["initial_lr"] = lr
    rising = min(round(warmup * steps), steps - 1)
    return CosineLRScheduler(
        optimizer, t_initial=steps + 1 - rising, warmup_t=rising, warmup_prefix=True, t_in_epochs=False
    )


def average_decay(steps: int) -> float:
    """How much of the average of the weights survives a step in a run of `steps`."""
    return min(0.9999, 1 - 1 / max(1.0, EMA_HORIZON * steps))


def fresh_norms(model: nn.Module) -> tuple[str, ...]:
    """The names of BatchNorms that never saw data: mean 0 and variance 1 everywhere."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and module.running_var is not None
        and not bool(module.running_mean.any())
        and bool((module.running_var == 1).all())
    )


def set_training_mode(model: nn.Module, *, learn_statistics: tuple[str, ...] = ()) -> None:
    """Training mode, with the statistics of BatchNorms frozen except those named.

    Pretrained statistics come from more photos than a fine-tuning set has, and with frozen ones a gradient
    accumulated over micro-batches is exactly that of the whole batch and one photo is batch enough. Scale and shift
    still learn.
    """
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and name not in learn_statistics:
            module.eval()


def _behind_tokens(model: nn.Module) -> tuple[str, ...]:
    """Parameter-name prefixes of everything behind the tokens, the head that learns from a teacher among it."""
    return (*cast("Network", model).pooling_prefixes, f"{SECOND_HEAD}.")


def _layers(model: nn.Module) -> dict[str, int]:
    from timm.models import group_parameters

    matcher = cast("Network", model).group_matcher(coarse=False)
    return cast("dict[str, int]", group_parameters(model, matcher, reverse=True))
