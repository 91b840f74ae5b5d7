"""What is minimised: timm's losses, with timm's mixup and CutMix where the config asks for them.

Where a sample may have several classes it is binary cross-entropy, each class for itself; `probabilities.py` belongs to
the same choice.
"""

from collections.abc import Callable

from timm.data import Mixup
from timm.data.mixup import mixup_target
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import Tensor, cat, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pcn_cli.training.fit_config import FitConfig


class Objective:
    """The loss of a config: `mix` a batch, then call the objective on logits and mixed targets.

    With several labels per photo targets are (B, K) of 0 and 1; they are not mixed, and smoothing draws them towards
    0.5. With class weights a mixed photo weighs what its parts do.
    """

    def __init__(self, config: FitConfig) -> None:
        mixes = config.mixup > 0 or config.cutmix > 0
        if config.multi_label and mixes:
            raise ValueError("photos with several labels are not mixed")
        if config.multi_label and config.class_weights:
            raise ValueError("photos with several labels are not weighed by class")
        self._classes, self._smoothing = len(config.classes), config.label_smoothing
        self._class_weights, self._mixup = config.class_weights, None
        self._on_device: Tensor | None = None  # the class weights; to bring them to a card means to wait for it
        self._loss: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()
        if config.multi_label:
            self._loss = self._binary_loss
        elif mixes:
            self._mixup = Mixup(config.mixup, config.cutmix, label_smoothing=self._smoothing, num_classes=self._classes)
            self._loss = self._weighted_loss if self._class_weights else SoftTargetCrossEntropy()
        elif self._class_weights:
            self._loss = self._weighted_loss
        elif self._smoothing > 0:
            self._loss = LabelSmoothingCrossEntropy(self._smoothing)

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
        if self._on_device is None or self._on_device.device != shares.device:
            self._on_device = shares.new_tensor(self._class_weights)
        weights = shares @ self._on_device
        return (weights * cross_entropy(logits, soft, reduction="none")).mean()

    def _binary_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and classes."""
        smoothed = targets.to(logits.dtype) * (1 - self._smoothing) + self._smoothing / 2
        return binary_cross_entropy_with_logits(logits, smoothed)
