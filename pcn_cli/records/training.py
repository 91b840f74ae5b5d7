"""One row of a training history."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """What one epoch gave; `seconds` and `images_per_second` count training only, `memory_mb` is the peak so far."""

    phase: str  # "probe" or "tune"
    epoch: int
    step: int
    lr: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_macro_f1: float
    seconds: float
    images_per_second: float
    memory_mb: float
