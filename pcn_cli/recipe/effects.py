"""Values of the user that nobody would notice in the chosen mode, or that contradict each other: never ignored."""

from typing import Any

from pcn_cli.errors import RecipeError
from pcn_cli.recipe.fields import read_value, recipe_fields
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import Recipe, TrainSection

# Key → the value that changes nothing, for what only counts while the trunk learns; no neutral value: always refused.
ONLY_TUNING: dict[str, Any] = {
    "model.drop_path": 0.0,
    "train.epochs": None,
    "train.lr": None,
    "train.micro_batch": None,
    "train.trunk_ratio": None,
    "train.mixup": 0.0,
    "train.cutmix": 0.0,
    "train.patience": None,
    "train.precision": None,
    "train.grad_checkpointing": False,
    "train.compile": False,
    "train.teacher": None,
    "train.teacher_weight": None,
    "train.teacher_size": None,
    "train.time": None,
    "augment.level": "none",
    "augment.flip": True,
}

_ONLY_TAUGHT = ("train.teacher_weight", "train.teacher_size")


def without_effect(loaded: LoadedRecipe, recipe: Recipe, *, classes: int) -> list[str]:
    """One line for every value of the user that nobody would notice, or that contradicts another."""
    refused: dict[str, str] = {}
    if recipe.train.tune == "probe":
        refused |= dict.fromkeys(ONLY_TUNING, "has no effect with train.tune=probe; add --tune all, or leave it out")
        if recipe.train.probe_epochs == 0:
            refused["train.probe_epochs"] = "must be at least 1 with train.tune=probe; or add --tune all"
    elif recipe.augment.level == "none":
        refused["augment.flip"] = "has no effect with augment.level=none"
    if recipe.train.tune != "probe":
        refused |= _refuse_teaching(recipe.train)
    if recipe.data.fit != "crop":
        refused["data.crop_pct"] = f"has no effect with data.fit={recipe.data.fit}"
    if recipe.evaluate.top_k >= classes:
        refused["evaluate.top_k"] = f"has no effect with {classes} classes"
    batch_size, micro_batch = recipe.train.batch_size, recipe.train.micro_batch
    if recipe.train.tune != "probe" and batch_size and micro_batch and batch_size % micro_batch:
        refused["train.micro_batch"] = f"should divide train.batch_size ({batch_size})"
    order = [key for key in recipe_fields() if key in refused and key in loaded.given]
    neutral = ONLY_TUNING if recipe.train.tune == "probe" else {}
    noticed = [key for key in order if neutral.get(key) is None or read_value(recipe, key) != neutral[key]]
    return [f"{loaded.origins[key]}: {refused[key]}" for key in noticed]


def _refuse_teaching(train: TrainSection) -> dict[str, str]:
    """Why the teacher's settings would not be noticed, or cannot be followed."""
    if train.teacher is None:
        return dict.fromkeys(_ONLY_TAUGHT, "has no effect without train.teacher")
    if train.mixup or train.cutmix:
        return {"train.teacher": "answers no mixed photos; set train.mixup=0 and train.cutmix=0, or leave it out"}
    return {}


def refuse(problems: list[str]) -> None:
    """Nothing, if there are no problems.

    Raises:
        RecipeError: there are; the message holds a line for each.
    """
    if problems:
        raise RecipeError("\n".join(problems), "leave these out, or change what they depend on")
