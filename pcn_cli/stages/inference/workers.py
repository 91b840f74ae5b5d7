"""What a recipe leaves to the machine that it runs on."""

import torch

from pcn_cli.files.machine import available_cores
from pcn_cli.recipe.choose import choose_workers
from pcn_cli.recipe.schema import Recipe


def loading_workers(recipe: Recipe, device: torch.device) -> int:
    """How many processes load photos: the recipe's number, or what suits this machine."""
    if recipe.train.workers is not None:
        return recipe.train.workers
    return choose_workers(str(device), available_cores())[0]
