"""Knowledge distillation: a second head learns the logits of a larger network, and is gone when training ends.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531, with a head of its own for the teacher, whose classes may be others. The
teacher is asked anew in every step, on the very cut that the network sees, mixed photos too: Beyer et al. 2022,
arXiv:2106.05237, who call it function matching.
"""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcn_cli.errors import ModelError
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.network import Network

TEMPERATURE = 2.0  # of both sides of the loss
SECOND_HEAD = "teacher_head"  # its name in the network


class Teacher(nn.Module):
    """A trained network that answers to images which were prepared for another one.

    Args:
        network: in evaluation mode; its `num_classes` are counted.
        wanted: the size, interpolation, mean and deviation that it was trained with.
        given: the mean and deviation of the images that it will be asked about.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, wanted: Preprocessing, *, given: Preprocessing) -> None:
        super().__init__()
        self.network, self.num_classes = network.requires_grad_(False), int(cast("int", network.num_classes))
        self._size, self._interpolation = (wanted.height, wanted.width), wanted.interpolation
        means, deviations = (
            torch.tensor([getattr(one, name) for one in (given, wanted)], dtype=torch.float64).view(2, 1, 3, 1, 1)
            for name in ("mean", "std")
        )
        self.register_buffer("factor", (deviations[0] / deviations[1]).float())
        self.register_buffer("shift", ((means[0] - means[1]) / deviations[1]).float())

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The logits (B, num_classes) of images (B, 3, H, W) of any size, normalised as was `given`."""
        if images.shape[2:] != self._size:
            images = F.interpolate(images, size=self._size, mode=self._interpolation, antialias=True)
        images = images * self.factor + self.shift
        answers: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return answers


class Distillation:
    """The second head of a network, and the loss against the teacher's logits.

    The network gets the head as a submodule, so that optimizer, average and checkpoints hold it like the rest; the
    teacher stays outside of it. `weight` is that of the teacher's loss beside that of the labels.

    Raises:
        ModelError: the network has a token for every class, so there is no one place for a second head.
    """

    def __init__(self, model: nn.Module, teacher: Teacher, *, weight: float, seed: int) -> None:
        head = cast("Network", model).get_classifier()
        if not isinstance(head, nn.Linear):
            raise ModelError("a network with a token for every class cannot learn from a teacher")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            second = nn.Linear(head.in_features, teacher.num_classes)
        model.add_module(SECOND_HEAD, second)
        self._model, self._teacher, self._weight = model, teacher, weight

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (B, K) of images (B, 3, H, W), and the teacher's loss for them."""
        network = cast("Network", self._model)
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        second_logits = self._model.get_submodule(SECOND_HEAD)(features)
        return network.get_classifier()(features), self.loss(second_logits, self._teacher(images))

    def loss(self, logits: Tensor, answers: Tensor) -> Tensor:
        """The weighted divergence of the second head's logits (B, K') from the teacher's `answers` (B, K')."""
        wanted = F.softmax(answers.float() / TEMPERATURE, dim=1)
        found = F.log_softmax(logits.float() / TEMPERATURE, dim=1)
        # Times T², so that its gradient keeps its size beside that of the labels.
        return self._weight * TEMPERATURE**2 * F.kl_div(found, wanted, reduction="batchmean")

    def remove_head(self) -> None:
        """Take the second head off the network."""
        delattr(self._model, SECOND_HEAD)


def without_second_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors of a state."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{SECOND_HEAD}.")}
