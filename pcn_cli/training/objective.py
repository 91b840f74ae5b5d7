"""What is minimised: timm's losses, with timm's mixup and CutMix where the plan asks for them.

Where a sample may have several classes it is binary cross-entropy, each class for itself; `to_probabilities` belongs to
the same choice.
"""

from collections.abc import Callable, Sequence

from timm.data import Mixup
from timm.data.mixup import mixup_target
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import Tensor, cat, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


class Objective:
    """The loss of a plan: `mix` a batch, then call the objective on logits and mixed targets.

    Args:
        classes: the number of logits.
        multi_label: whether targets are (B, K) of 0 and 1; they are not mixed, and smoothing draws them towards 0.5.
        class_weights: what a photo of each class weighs, () for all the same; a mixed one weighs what its parts do.
    """

    def __init__(
        self,
        *,
        classes: int,
        label_smoothing: float,
        mixup: float,
        cutmix: float,
        multi_label: bool = False,
        class_weights: Sequence[float] = (),
    ) -> None:
        if multi_label and (mixup > 0 or cutmix > 0):
            raise ValueError("photos with several labels are not mixed")
        if multi_label and class_weights:
            raise ValueError("photos with several labels are not weighed by class")
        self._classes, self._smoothing, self._class_weights = classes, label_smoothing, tuple(class_weights)
        self._mixup: Mixup | None = None
        self._loss: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()
        if multi_label:
            self._loss = self._binary_loss
        elif mixup > 0 or cutmix > 0:
            self._mixup = Mixup(mixup, cutmix, label_smoothing=label_smoothing, num_classes=classes)
            self._loss = self._weighted_loss if class_weights else SoftTargetCrossEntropy()
        elif class_weights:
            self._loss = self._weighted_loss
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

    def _weighted_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over the samples of what each loses, times its weight."""
        soft = mixup_target(targets, self._classes, 1.0, self._smoothing) if targets.ndim == 1 else targets
        off = self._smoothing / self._classes
        shares = (soft - off) / (1 - self._smoothing)  # (B, K) of the classes in a sample, as before smoothing
        weights = shares @ shares.new_tensor(self._class_weights)
        return (weights * cross_entropy(logits, soft, reduction="none")).mean()

    def _binary_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and classes."""
        smoothed = targets.to(logits.dtype) * (1 - self._smoothing) + self._smoothing / 2
        return binary_cross_entropy_with_logits(logits, smoothed)


def to_probabilities(logits: Tensor, *, multi_label: bool, temperature: float = 1.0) -> Tensor:
    """Probabilities (B, K) float64 on the CPU; with `multi_label` each class has its own, otherwise they sum to 1."""
    exact = logits.cpu().double() / temperature  # some accelerators have no float64
    return exact.sigmoid() if multi_label else exact.softmax(dim=1)
