"""What is minimised: timm's losses, with timm's mixup and CutMix where the plan asks for them."""

from timm.data import Mixup
from timm.data.mixup import mixup_target
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import Tensor, cat, nn


class Objective:
    """The loss of a plan: `mix` a batch, then call the objective on logits and mixed targets.

    Args:
        classes: the number of logits.
    """

    def __init__(self, *, classes: int, label_smoothing: float, mixup: float, cutmix: float) -> None:
        self._classes, self._smoothing = classes, label_smoothing
        self._mixup: Mixup | None = None
        self._loss: nn.Module = nn.CrossEntropyLoss()
        if mixup > 0 or cutmix > 0:
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
        loss: Tensor = self._loss(logits.float(), targets)
        return loss
