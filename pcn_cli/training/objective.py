"""What is minimised: timm's losses, with timm's mixup and CutMix where the plan asks for them.

Where a sample may have several classes it is binary cross-entropy, each class for itself; `to_probabilities` belongs to
the same choice.
"""

from collections.abc import Callable

from timm.data import Mixup
from timm.data.mixup import mixup_target
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import Tensor, cat, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class Objective:
    """The loss of a plan: `mix` a batch, then call the objective on logits and mixed targets.

    Args:
        classes: the number of logits.
        multi_label: whether targets are (B, K) of 0 and 1; they are not mixed, and smoothing draws them towards 0.5.
    """

    def __init__(
        self, *, classes: int, label_smoothing: float, mixup: float, cutmix: float, multi_label: bool = False
    ) -> None:
        if multi_label and (mixup > 0 or cutmix > 0):
            raise ValueError("photos with several labels are not mixed")
        self._classes, self._smoothing = classes, label_smoothing
        self._mixup: Mixup | None = None
        self._loss: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()
        if multi_label:
            self._loss = self._binary_loss
        elif mixup > 0 or cutmix > 0:
            self._mixup = Mixup(mixup, cutmix, label_smoothing=label_smoothing, num_classes=classes)
            self._loss = SoftTargetCrossEntropy()
        elif label_smoothing > 0:
            self._loss = LabelSmoothingCrossEntropy(label_smoothing)

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, …) and the targets that `__call__` takes; the given tensors stay as they are."""
        if self._mixup is None:
            return images, targets
        even = len(images) // 2 * 2  # timm mixes pairs: the odd one of a last batch stays itself
        left_over = mixup_target(targets[even:], self._classes, 1.0, self._smoothing)
        if even == 0:
            return images, left_over
        mixed, soft = self._mixup(images[:even].clone(), targets[:even])
        return cat([mixed, images[even:]]), cat([soft, left_over])

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over the samples of logits (B, K), in float32."""
        return self._loss(logits.float(), targets)

    def _binary_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and classes."""
        smoothed = targets.to(logits.dtype) * (1 - self._smoothing) + self._smoothing / 2
        return binary_cross_entropy_with_logits(logits, smoothed)


def to_probabilities(logits: Tensor, *, multi_label: bool, temperature: float = 1.0) -> Tensor:
    """Probabilities (B, K) float64 on the CPU; with `multi_label` each class has its own, otherwise they sum to 1."""
    exact = logits.cpu().double() / temperature  # some accelerators have no float64
    return exact.sigmoid() if multi_label else exact.softmax(dim=1)
