"""The numbers of a fit, from the recipe and the photos it learns from."""

from dataclasses import replace

from pcn_cli.data.split import fingerprint
from pcn_cli.recipe.schema import parse_duration
from pcn_cli.stages.train.context import Targets, Work
from pcn_cli.training.balance import class_weights
from pcn_cli.training.fit_config import FitConfig

PROBE_PATIENCE = 10  # epochs without a better validation


def fit_config(work: Work, targets: Targets) -> FitConfig:
    """The recipe's numbers for a fit on photos with these `targets`."""
    train = work.recipe.train
    batch_size = train.batch_size or 32
    return FitConfig(
        phase="tune",
        tune=train.tune or "all",
        classes=work.classes,
        multi_label=work.config.multi_label,
        fingerprint=fingerprint(work.rows),
        epochs=train.epochs or 1,
        batch_size=batch_size,
        micro_batch=train.micro_batch or batch_size,
        lr=train.lr or train.probe_lr,
        weight_decay=train.weight_decay,
        clip_grad=train.clip_grad,
        warmup=train.warmup,
        trunk_ratio=train.trunk_ratio,
        ema=train.ema,
        class_weights=class_weights(targets, len(work.classes)) if train.balance == "loss" else (),
        even_classes=train.balance == "sampler",
        label_smoothing=train.label_smoothing,
        mixup=train.mixup or 0.0,
        cutmix=train.cutmix or 0.0,
        patience=train.patience,
        monitor=train.monitor or "log_loss",
        precision=train.precision or "float32",
        grad_checkpointing=train.grad_checkpointing,
        compile=train.compile,
        teacher=train.teacher or "",
        teacher_weight=train.teacher_weight,
        time_limit=parse_duration(train.time) if train.time else None,
        checkpoint_minutes=train.checkpoint_minutes,
        seed=work.recipe.seed,
    )


def probe_config(work: Work, targets: Targets) -> FitConfig:
    """The recipe's numbers for a probe on photos with these `targets`."""
    train = work.recipe.train
    return replace(
        fit_config(work, targets),
        phase="probe",
        tune="probe",
        epochs=train.probe_epochs,
        lr=train.probe_lr,
        patience=PROBE_PATIENCE,
        mixup=0.0,
        # Beside a part of another photo, a class token is of use only if it looks at its own class.
        cutmix=train.cutmix or 0.0 if work.recipe.model.pooling == "per-class" else 0.0,
        compile=False,
        teacher="",
        precision="float32",
        time_limit=None,
    )
