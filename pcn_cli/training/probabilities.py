"""What logits mean: one class of all, or each for itself, as the losses of `objective.py` have it."""

from torch import Tensor


def to_probabilities(logits: Tensor, *, multi_label: bool, temperature: float = 1.0) -> Tensor:
    """Probabilities (B, K) float64 on the CPU; with `multi_label` each class has its own, otherwise they sum to 1."""
    exact = logits.cpu().double() / temperature  # some accelerators have no float64
    return exact.sigmoid() if multi_label else exact.softmax(dim=1)
