"""What a fit is asked to do, and how its epochs compare."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pcn_cli.errors import RunError
from pcn_cli.recipe.schema import Monitor, Recipe, Tune, parse_duration
from pcn_cli.records.arithmetic import AutocastPrecision
from pcn_cli.training.balance import class_weights

Phase = Literal["probe", "tune"]

PROBE_PATIENCE = 10  # epochs without a better validation


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Every number of a fit, resolved.

    `lr` is the head's rate at batch 64; the optimizer runs at lr × √(batch_size / 64). `trunk_ratio` is the stem's
    rate over the head's. `teacher` names whose logits are learned as well. `warmup` is a share of the steps.
    `micro_batch` photos go through the network at once, their gradients add up to those of `batch_size`. `time_limit`
    is in seconds. `fingerprint` tells the data apart, `classes` are in the order of the logits; a resumed fit must
    find both unchanged. `class_weights` are what a photo of each class weighs in the loss, () where all weigh the same;
    with `even_classes` photos are drawn so that classes come equally often. With `multi_label` a sample may have
    several classes, or none. The weights of at most `average_epochs` of the best epochs are averaged in the end.
    """

    phase: Phase = "tune"
    tune: Tune = "all"
    classes: tuple[str, ...]
    multi_label: bool = False
    fingerprint: str = ""
    epochs: int
    average_epochs: int = 1
    batch_size: int
    micro_batch: int
    lr: float
    weight_decay: float = 0.05
    clip_grad: float = 1.0
    warmup: float = 0.1
    trunk_ratio: float = 0.03
    ema: bool = True
    class_weights: tuple[float, ...] = ()
    even_classes: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    patience: int | None = None
    monitor: Monitor = "log_loss"
    precision: AutocastPrecision = "float32"
    grad_checkpointing: bool = False
    compile: bool = False
    teacher: str = ""
    teacher_weight: float = 1.0
    time_limit: float | None = None
    checkpoint_minutes: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.average_epochs, self.batch_size, self.micro_batch) < 1:
            raise ValueError("epochs, average_epochs, batch_size and micro_batch must be at least 1")

    @classmethod
    def for_tuning(
        cls, recipe: Recipe, targets: NDArray[np.int64], *, classes: Sequence[str], fingerprint: str
    ) -> Self:
        """The recipe's numbers for photos with these `targets`: class numbers (N,), or (N, K) of 0 and 1.

        A number that has the same name in the recipe's section train is taken from there.
        """
        train = recipe.train
        same: dict[str, Any] = {field.name: getattr(train, field.name, None) for field in fields(cls)}
        same = {name: value for name, value in same.items() if value is not None}
        batch_size = train.batch_size or 32
        default = {"epochs": 1, "batch_size": batch_size, "micro_batch": batch_size, "lr": train.probe_lr}
        return cls(
            **default | same,
            classes=tuple(classes),
            multi_label=targets.ndim == 2,
            fingerprint=fingerprint,
            class_weights=class_weights(targets, len(classes)) if train.balance == "loss" else (),
            even_classes=train.balance == "sampler",
            time_limit=parse_duration(train.time) if train.time else None,
            seed=recipe.seed,
        )

    @classmethod
    def for_probe(cls, recipe: Recipe, targets: NDArray[np.int64], *, classes: Sequence[str], fingerprint: str) -> Self:
        """The recipe's numbers for a probe; arguments as of `for_tuning`."""
        train = recipe.train
        return replace(
            cls.for_tuning(recipe, targets, classes=classes, fingerprint=fingerprint),
            phase="probe",
            tune="probe",
            epochs=train.probe_epochs,
            average_epochs=1,
            lr=train.probe_lr,
            patience=PROBE_PATIENCE,
            mixup=0.0,
            # Beside a part of another photo, a class token is of use only if it looks at its own class.
            cutmix=train.cutmix or 0.0 if recipe.model.pooling == "per-class" else 0.0,
            compile=False,
            teacher="",
            precision="float32",
            time_limit=None,
        )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How good a network is on the validation photos."""

    log_loss: float
    accuracy: float
    macro_f1: float


def rank(validation: Validation, *, monitor: str) -> tuple[float, ...]:
    """What sorts the better before the worse; equal macro-F1 is decided by log-loss."""
    return (-validation.macro_f1, validation.log_loss) if monitor == "macro_f1" else (validation.log_loss,)


def is_better(new: Validation, old: Validation | None, *, monitor: str) -> bool:
    """Whether `new` beats `old`."""
    return old is None or rank(new, monitor=monitor) < rank(old, monitor=monitor)


def check_same_config(saved: FitConfig, config: FitConfig) -> None:
    """Check that a fit saved under `saved` may go on under `config`; the RunError that is raised says what differs."""
    gone, new = sorted(set(saved.classes) - set(config.classes)), sorted(set(config.classes) - set(saved.classes))
    changes = [f"class {name} is gone" for name in gone] + [f"class {name} is new" for name in new]
    if saved.classes != config.classes and not changes:
        changes.append("the classes stand in another order")
    if saved.fingerprint != config.fingerprint:
        changes.append(f"data fingerprint {saved.fingerprint[:12]} → {config.fingerprint[:12]}")
    apart = {"classes", "fingerprint", "checkpoint_minutes", "micro_batch"}
    for name in (field.name for field in fields(FitConfig) if field.name not in apart):
        before, now = getattr(saved, name), getattr(config, name)
        if before != now:
            changes.append(f"{name} {before} → {now}")
    if changes:
        raise RunError(
            "the checkpoint belongs to other data or settings: " + "; ".join(changes),
            "start a new run, or bring back what changed",
        )
