"""What a run folder tells of itself: run.json and the epochs of its training."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

RunKind = Literal["train", "evaluate", "predict"]


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One finished stage: its seconds and the sha256 of each file it wrote, by path below the run."""

    seconds: float
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The state of a run folder."""

    status: Literal["running", "stopped", "failed", "finished"]
    created: str  # ISO 8601, UTC
    photos: str
    card: str
    argv: tuple[str, ...]
    versions: dict[str, str]
    device: str
    fingerprint: str = ""  # of the data: sha256 over the split's rows
    stages: dict[str, StageRecord] = field(default_factory=dict)
    kind: RunKind = "train"
    kept: str = ""  # the name of the candidate that the model folder holds
    devices: int = 1  # how many processes, one for each device, worked on it last


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """What one epoch gave; `seconds` and `images_per_second` count training only, `memory_mb` is the peak so far."""

    ARTIFACT: ClassVar = "history.csv"
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
