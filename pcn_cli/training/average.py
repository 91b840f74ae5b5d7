"""The average of a fit's best epochs: greedily, so that none takes part by which the validation photos were not better
answered.

Wortsman et al. 2022, arXiv:2203.05482, whose models are here the epochs of one fit.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pcn_cli.records.run import EpochRow
from pcn_cli.training.fit_config import Validation, is_better, rank
from pcn_cli.training.learner import Learner

State = dict[str, Tensor]
Validate = Callable[[nn.Module], Validation]


def rank_epochs(history: Sequence[EpochRow], *, monitor: str, most: int) -> list[int]:
    """The numbers of the best epochs, at most so many and the best first."""
    validations = {
        row.epoch: Validation(log_loss=row.val_loss, accuracy=row.val_accuracy, macro_f1=row.val_macro_f1)
        for row in history
    }
    return sorted(validations, key=lambda epoch: rank(validations[epoch], monitor=monitor))[:most]


def by_epoch(tensors: Mapping[str, Tensor]) -> dict[int, State]:
    """Weights by epoch from tensors by EPOCH.NAME, as checkpoints have them."""
    states: dict[int, State] = {}
    for key, tensor in tensors.items():
        epoch, name = key.split(".", 1)
        states.setdefault(int(epoch), {})[name] = tensor
    return states


def average_states(states: Sequence[State]) -> State:
    """The mean of weights on the CPU, name by name; what norms have gathered too, as the running average has it.

    What is no floating-point number is that of the first.
    """
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }


def average_best(
    learner: Learner, states: Mapping[int, State], epochs: Sequence[int], *, best: Validation, validate: Validate
) -> tuple[list[int], Validation, State]:
    """Which of the `epochs`, whose first is the best, were averaged, how good that is, and the weights.

    `states` are their weights by epoch, which of several processes rank 0 alone has; `best` is what the first gave.
    The learner's `eval_model` is left with other weights.
    """
    ranks, monitor = learner.ranks, learner.config.monitor
    averaged, weights = [epochs[0]], states.get(epochs[0], {})
    for epoch in epochs[1:]:
        tried = average_states([states[one] for one in (*averaged, epoch)]) if ranks.leads else {}
        learner.eval_model.load_state_dict(ranks.tensors_from_lead(tried))
        validation = validate(learner.eval_model)
        if is_better(validation, best, monitor=monitor):
            averaged, best, weights = [*averaged, epoch], validation, tried
    return averaged, best, weights
