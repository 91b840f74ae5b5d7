"""Knowledge distillation: a second head learns the logits of a larger network, and is gone when training ends.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531, with a head of its own for the teacher, whose classes may be others. Its
logits are computed once, on the whole photos; augmentation does not reach them.
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcn_cli.errors import ModelError
from pcn_cli.tensors.network import Batches, Network
from pcn_cli.training.device import explain_memory, is_asynchronous
from pcn_cli.training.stop import StopRequest

TEMPERATURE = 2.0  # of both sides of the loss
SECOND_HEAD = "teacher_head"  # its name in the network


class Distillation:
    """The second head of a network, and the loss against the teacher's logits.

    The network gets the head as a submodule, so that optimizer, average and checkpoints hold it like the rest.
    `teacher_logits` are (photos, K'), `weight` is that of the teacher's loss beside that of the labels.

    Raises:
        ModelError: the network has a token for every class, so there is no one place for a second head.
    """

    def __init__(self, model: nn.Module, teacher_logits: Tensor, *, weight: float, seed: int) -> None:
        head = cast("Network", model).get_classifier()
        if not isinstance(head, nn.Linear):
            raise ModelError("a network with a token for every class cannot learn from a teacher")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            second = nn.Linear(head.in_features, teacher_logits.shape[1])
        model.add_module(SECOND_HEAD, second)
        self._model, self._teacher_logits, self._weight = model, teacher_logits, weight

    def forward(self, images: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (B, K) of images (B, …), and the teacher's loss for them, photos `indices` (B,)."""
        network = cast("Network", self._model)
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        second_logits = self._model.get_submodule(SECOND_HEAD)(features)
        return network.get_classifier()(features), self.loss(second_logits, indices)

    def loss(self, logits: Tensor, indices: Tensor) -> Tensor:
        """The weighted divergence of the second head's logits (B, K') from the teacher's of photos `indices` (B,)."""
        known = self._teacher_logits[indices].to(logits.device, non_blocking=is_asynchronous(logits.device))
        wanted = F.softmax(known.float() / TEMPERATURE, dim=1)
        found = F.log_softmax(logits.float() / TEMPERATURE, dim=1)
        # Times T², so that its gradient keeps its size beside that of the labels.
        return self._weight * TEMPERATURE**2 * F.kl_div(found, wanted, reduction="batchmean")

    def remove_head(self) -> None:
        """Take the second head off the network."""
        delattr(self._model, SECOND_HEAD)


def without_second_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors of a state."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{SECOND_HEAD}.")}


@torch.inference_mode()
def compute_teacher_logits(
    teacher: nn.Module,
    batches: Batches,
    *,
    device: torch.device,
    stop: StopRequest,
    bfloat16: bool = False,
    on_batch: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The teacher's logits (photos, K') in float16, in the order of the batches' indices."""
    pieces, indices = [], []
    with explain_memory("the teacher answered"):
        teacher = teacher.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        for number, batch in enumerate(batches.batches(), start=1):
            stop.check("stopped while the teacher answered")
            images = batch.inputs(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                pieces.append(teacher(images).cpu().half())
            indices.append(batch.indices)
            if on_batch is not None:
                on_batch(number, len(batches))
    return torch.cat(pieces)[torch.cat(indices).argsort()]
