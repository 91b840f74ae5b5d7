"""What the recipe leaves open, chosen from facts about the photos, the machine and the model; one sentence for each.

Pure functions: the same recipe and facts give the same choices. A value of the user always stands; one
that could not be noticed in the chosen mode is refused. Choices without a meaning in that mode (such as
epochs of a probe) stay None, so that the recipe written into a run can be used again.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pcn_cli.errors import RecipeError
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import OPTIONS, Level, Need, Recipe, parse_duration
from pcn_cli.records.arithmetic import AutocastPrecision
from pcn_cli.records.model import Pooling
from pcn_cli.records.photos import Fit


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the choices are made from.

    `imbalance` is the photos of the largest class over those of the smallest, `device` the device that will be used,
    `memory_gb` what is free on it, `host_gb` in the
    machine, `activation_mb` what one photo of 224 × 224 pixels keeps for the backward pass in
    float32, `seconds_per_photo` a measured training step, where there is one; with `multi_label` a photo may have
    several labels.
    """

    train_photos: int
    classes: int
    imbalance: float = 1.0
    device: str = "cpu"
    native_bf16: bool = False
    native_fp16: bool = False
    cores: int = 1
    memory_gb: float = 8.0
    host_gb: float = math.inf
    input_size: int = 224
    multi_label: bool = False
    fit: Fit = "crop"
    crop_pct: float = 0.875
    pooling: Pooling = "single"
    activation_mb: float = 138.0
    seconds_per_photo: float | None = None

    @property
    def accelerated(self) -> bool:
        """Whether the device is more than the processor."""
        return _is_accelerator(self.device)

    @property
    def photos(self) -> str:
        """The number of photos to train on, as a reason."""
        return f"{self.train_photos:,} photos to train on"


class _Schedule(NamedTuple):
    """Starting values for up to `photos` to train on; `lr` is the head's at batch 64."""

    photos: float
    epochs: int
    lr: float
    level: Level
    mixup: float


SCHEDULES = (
    _Schedule(199, 60, 1e-3, "light", 0.0),
    _Schedule(1_999, 40, 1e-3, "light", 0.0),
    _Schedule(19_999, 20, 3e-4, "medium", 0.0),
    _Schedule(99_999, 12, 5e-4, "strong", 0.1),
    _Schedule(float("inf"), 10, 5e-4, "strong", 0.1),
)

IMBALANCE = 3  # largest class over smallest from which on rare classes are minded

_MOST_CLASS_TOKENS = 300  # a pass keeps a token, a map and a row of the hidden layer for each class of each photo
_FLOAT32_TO_BFLOAT16 = 0.58  # saved activations, measured on S60: 80 of 138 MB
_CHECKPOINTED = 0.054  # the same with checkpointing every 8 blocks: 7.5 of 138 MB
_DIVISORS = 100_000  # small divisors that are looked for: of a number beyond any batch not all
_WORKER_GB = 1.0  # a process of its own (0.4), batches on their way, and a photo of a hundred megapixels
_SPARE_MEMORY = 0.3  # for weights, optimizer and fragments


def choose_split(
    loaded: LoadedRecipe, photos: int, *, own_parts: Collection[str] = ()
) -> tuple[Recipe, dict[str, str]]:
    """The recipe with the shares of validation and test, which must be known before the training photos are counted.

    `photos` are all that can be read; the `own_parts` (train, val, test) that they come with are never changed, and a
    share that is given for one of them is refused.
    """
    _refuse(
        f"{loaded.origins[f'split.{part}']}: has no effect: the photos come with a {part} part"
        for part in ("val", "test")
        if part in own_parts and f"split.{part}" in loaded.origins
    )
    share, size = (0.15, "under") if photos < 5_000 else (0.10, "from")
    choices = _Choices(loaded)
    for part in ("val", "test"):
        if part not in own_parts:
            choices.add(f"split.{part}", share, f"{photos:,} photos, {size} 5,000")
    return choices.recipe, choices.reasons


def choose(loaded: LoadedRecipe, facts: Facts) -> tuple[Recipe, dict[str, str]]:
    """The recipe with everything chosen that it left open, and one sentence for each choice by dotted key.

    Raises:
        RecipeError: values of the user that would have no effect or contradict each other; all in one message.
    """
    choices = _Choices(loaded)
    for key, value in (("model.pooling", facts.pooling), ("data.size", facts.input_size), ("data.fit", facts.fit)):
        choices.add(key, value, "the model's own")
    if choices.recipe.data.fit == "crop":
        choices.add("data.crop_pct", facts.crop_pct, "the model's own")
    choices.add("train.device", facts.device, "the best device here" if facts.accelerated else "no accelerator")
    choices.add("train.workers", *choose_workers(facts.device, facts.cores, host_gb=facts.host_gb))
    choices.add("train.tune", *_tune(choices.recipe, facts))
    _choose_balance(choices, facts)
    recipe = choices.recipe
    _check_effect(loaded, recipe, facts)
    if recipe.model.pooling == "per-class":
        choices.add("train.cutmix", 1.0, "two photos in one teach each class token to look at its own class")
    if recipe.train.tune == "probe":
        choices.add("train.batch_size", _batch_size(facts.train_photos, most=64), facts.photos)
        for key, option in OPTIONS.items():
            if "tuning" in option.needs and option.chosen != "never":
                choices.add(key, option.neutral, "not used: the probe computes every photo's tokens once")
    else:
        _choose_tuning(choices, facts)
    return choices.recipe, choices.reasons


def _check_effect(loaded: LoadedRecipe, recipe: Recipe, facts: Facts) -> None:
    """Refuse every value of the user that nobody would notice in the chosen mode, or that contradicts another."""
    refused: dict[str, str] = {}
    if facts.multi_label:
        refused |= dict.fromkeys(_needing("one label"), "has no meaning where photos may have several labels")
    if recipe.train.tune == "probe":
        refused |= dict.fromkeys(
            _needing("tuning"), "has no effect with train.tune=probe; add --tune all, or leave it out"
        )
        if recipe.model.pooling == "per-class":
            del refused["train.cutmix"]
        if recipe.train.probe_epochs == 0:
            refused["train.probe_epochs"] = "must be at least 1 with train.tune=probe; or add --tune all"
    elif recipe.augment.level == "none" and recipe.train.probe_epochs == 0:
        refused["augment.flip"] = "has no effect with augment.level=none and without a probe"
    if recipe.train.tune != "probe":
        if recipe.train.teacher is None:
            refused |= dict.fromkeys(_needing("teacher"), "has no effect without train.teacher")
        elif recipe.model.pooling == "per-class":
            refused["train.teacher"] = "cannot teach a network with a token for every class"
        if recipe.train.probe_epochs == 0:
            for key in ("evaluate.folds", "evaluate.learning_curve"):
                refused.setdefault(key, "has no effect without a probe; leave out train.probe_epochs=0")
    if not recipe.augment.flip:
        refused["evaluate.mirror"] = "contradicts augment.flip=false; add --set evaluate.mirror=false"
    if recipe.data.fit != "crop":
        refused["data.crop_pct"] = f"has no effect with data.fit={recipe.data.fit}"
    if recipe.evaluate.top_k >= facts.classes and not facts.multi_label:
        refused["evaluate.top_k"] = f"has no effect with {facts.classes} classes"
    if recipe.model.pooling == "per-class" and facts.classes > _MOST_CLASS_TOKENS:
        refused["model.pooling"] = f"per-class is for at most {_MOST_CLASS_TOKENS} classes, found {facts.classes:,}"
    elif recipe.model.pooling == "single" and facts.pooling == "per-class":
        refused["model.pooling"] = "the model has a token per class, which cannot become a single one"
    batch_size, micro_batch = recipe.train.batch_size, recipe.train.micro_batch
    if recipe.train.tune != "probe" and batch_size and micro_batch and batch_size % micro_batch:
        refused["train.micro_batch"] = f"should divide train.batch_size ({batch_size})"
    _refuse(
        f"{loaded.origins[key]}: {refused[key]}"
        for key, option in OPTIONS.items()
        if key in refused and key in loaded.origins and (option.neutral is None or recipe.value(key) != option.neutral)
    )


def _needing(need: Need) -> list[str]:
    return [key for key, option in OPTIONS.items() if need in option.needs]


def _refuse(problems: Iterable[str]) -> None:
    if lines := "\n".join(problems):
        raise RecipeError(lines, "leave these out, or change what they depend on")


def choose_workers(device: str, cores: int, *, host_gb: float = math.inf) -> tuple[int, str]:
    """How many processes should load photos for `device`, and why; `host_gb` is the memory that is free for them."""
    if _is_accelerator(device):
        wanted, reason = min(16, max(1, cores - 1)), f"{cores} cores, one left for the main process"
    elif cores <= 2:
        return 0, f"{cores} cores, which the network needs itself"
    else:
        wanted, reason = min(4, max(1, cores // 4)), f"a quarter of {cores} cores; the network needs the rest"
    if host_gb / _WORKER_GB < wanted:
        return int(
            host_gb / _WORKER_GB
        ), f"{host_gb:.1f} GB of memory are free, and each process may need {_WORKER_GB:g}"
    return wanted, reason


class _Choices:
    """A recipe on its way to completeness."""

    def __init__(self, loaded: LoadedRecipe) -> None:
        self.recipe = loaded.recipe
        self.reasons: dict[str, str] = {}

    def add(self, key: str, value: Any, reason: str) -> None:  # noqa: ANN401 - fields have many types
        """Set `key` where the user left it open."""
        if self.recipe.value(key) is None:
            self.recipe = self.recipe.replace({key: value})
            self.reasons[key] = reason


def _is_accelerator(device: str) -> bool:
    return device.partition(":")[0] != "cpu"


def _tune(recipe: Recipe, facts: Facts) -> tuple[str, str]:
    if not facts.accelerated and recipe.train.time is None:
        return "probe", "no accelerator: the probe is about 75 times sooner; --tune all tunes everything"
    if facts.train_photos <= SCHEDULES[0].photos:
        return "pooling", f"{facts.photos} are too few to tune everything; --tune all does it all the same"
    return "all", f"{facts.photos} are enough; the tuned model is kept only if it beats the probe beyond chance"


def _choose_balance(choices: _Choices, facts: Facts) -> None:
    """What uneven classes ask for, which have no meaning where photos have several labels."""
    if facts.multi_label:
        several = "photos may have several labels"
        choices.add("train.balance", "none", several)
        choices.add("train.monitor", "log_loss", f"{several}, and their thresholds are chosen afterwards")
        for key in ("train.mixup", "train.cutmix"):
            choices.add(key, 0.0, "photos with several labels are not mixed")
        return
    reason = f"the largest class has {facts.imbalance:.1f} times the photos of the smallest"
    uneven = facts.imbalance >= IMBALANCE
    balance, monitor, less = ("loss", "macro_f1", "") if uneven else ("none", "log_loss", f", less than {IMBALANCE}")
    choices.add("train.balance", balance, reason + less)
    choices.add("train.monitor", monitor, reason + less)


def _choose_tuning(choices: _Choices, facts: Facts) -> None:
    schedule = next(one for one in SCHEDULES if facts.train_photos <= one.photos)
    choices.add("train.epochs", *_epochs(choices.recipe, facts, schedule))
    choices.add("train.lr", schedule.lr, facts.photos)
    choices.add("train.mixup", schedule.mixup, facts.photos)
    choices.add("train.cutmix", 0.0, "photos stay whole; 1 mixes two of them")
    choices.add("augment.level", schedule.level, facts.photos)
    patience = max(5, round((choices.recipe.train.epochs or 1) / 4))
    choices.add("train.patience", patience, "a quarter of the epochs, at least 5")
    choices.add("train.precision", *_precision(facts))
    most, where = (64, "") if facts.accelerated else (32, ", without an accelerator")
    micro_batch = choices.recipe.train.micro_batch or 1
    whole = -(-_batch_size(facts.train_photos, most=most) // micro_batch) * micro_batch
    choices.add("train.batch_size", whole, facts.photos + where)
    choices.add("train.micro_batch", *_micro_batch(choices.recipe, facts))


def _precision(facts: Facts) -> tuple[AutocastPrecision, str]:
    """The fastest arithmetic that the device has of its own."""
    if facts.native_bf16:
        return "bfloat16", "native on this device"
    if facts.native_fp16:
        return "float16", "this card has no native bfloat16; the loss is scaled"
    return "float32", "no native bfloat16 here"


def _batch_size(photos: int, *, most: int) -> int:
    """The largest power of two from 8 to `most` that leaves at least eight steps to an epoch."""
    return max((size for size in (8, 16, 32, 64) if size <= most and size * 8 <= photos), default=8)


def _epochs(recipe: Recipe, facts: Facts, schedule: _Schedule) -> tuple[int, str]:
    """The epochs of the schedule, or as many as end within the time limit."""
    if recipe.train.time is None or not facts.seconds_per_photo:
        return schedule.epochs, facts.photos
    fitting = int(0.85 * parse_duration(recipe.train.time) / (facts.train_photos * facts.seconds_per_photo))
    if fitting >= schedule.epochs:
        return schedule.epochs, facts.photos
    return max(1, fitting), f"what fits in {recipe.train.time} at {facts.seconds_per_photo:.2g} s per photo"


def _micro_batch(recipe: Recipe, facts: Facts) -> tuple[int, str]:
    """The largest divisor of the batch whose activations fit into the free memory."""
    batch_size, side = recipe.train.batch_size or 1, recipe.data.size or facts.input_size
    if facts.device.startswith("cuda"):
        return batch_size, "tried on the card; halved where its memory runs out, with the same gradient"
    per_photo = facts.activation_mb / 1024 * (side / 224) ** 2
    per_photo *= 1 if recipe.train.precision == "float32" else _FLOAT32_TO_BFLOAT16
    per_photo *= _CHECKPOINTED if recipe.train.grad_checkpointing else 1
    limit = facts.memory_gb * (1 - _SPARE_MEMORY) / per_photo
    size = _largest_divisor(batch_size, max(1, int(limit)))
    return size, f"needs about {size * per_photo:.1f} of {facts.memory_gb:.1f} GB"


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is not above `limit`, which is at least 1."""
    small = (n for n in range(1, min(math.isqrt(number), _DIVISORS) + 1) if number % n == 0)
    return max(one for n in small for one in (n, number // n) if one <= limit)
