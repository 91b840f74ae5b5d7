"""Values of the user that nobody would notice in the chosen mode, or that contradict each other: never ignored."""

from pcn_cli.errors import RecipeError
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import OPTIONS, Need, Recipe
from pcn_cli.records.model import Pooling

# A pass keeps a token, a map and a row of the hidden layer for each class of each photo.
MOST_CLASS_TOKENS = 300


def without_effect(
    loaded: LoadedRecipe, recipe: Recipe, *, classes: int, own_pooling: Pooling = "single", multi_label: bool = False
) -> list[str]:
    """One line for every value of the user that nobody would notice, or that contradicts another."""
    refused: dict[str, str] = {}
    if multi_label:
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
        elif recipe.train.mixup or recipe.train.cutmix:
            refused["train.teacher"] = "answers no mixed photos; set train.mixup=0 and train.cutmix=0, or leave it out"
        if recipe.train.probe_epochs == 0:
            refused.setdefault("evaluate.folds", "has no effect without a probe; leave out train.probe_epochs=0")
    if recipe.data.fit != "crop":
        refused["data.crop_pct"] = f"has no effect with data.fit={recipe.data.fit}"
    if recipe.evaluate.top_k >= classes and not multi_label:
        refused["evaluate.top_k"] = f"has no effect with {classes} classes"
    if recipe.model.pooling == "per-class" and classes > MOST_CLASS_TOKENS:
        refused["model.pooling"] = f"per-class is for at most {MOST_CLASS_TOKENS} classes, found {classes:,}"
    elif recipe.model.pooling == "single" and own_pooling == "per-class":
        refused["model.pooling"] = "the model has a token per class, which cannot become a single one"
    batch_size, micro_batch = recipe.train.batch_size, recipe.train.micro_batch
    if recipe.train.tune != "probe" and batch_size and micro_batch and batch_size % micro_batch:
        refused["train.micro_batch"] = f"should divide train.batch_size ({batch_size})"
    return [
        f"{loaded.origins[key]}: {refused[key]}"
        for key, option in OPTIONS.items()
        if key in refused and key in loaded.given and (option.neutral is None or recipe.value(key) != option.neutral)
    ]


def _needing(need: Need) -> list[str]:
    return [key for key, option in OPTIONS.items() if need in option.needs]


def refuse(problems: list[str]) -> None:
    """Raise a RecipeError with a line for each of the problems, if there are any."""
    if problems:
        raise RecipeError("\n".join(problems), "leave these out, or change what they depend on")
