"""Plan: what a training will do, settled before anything is written."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from pcn_cli.data.scan import check_scan
from pcn_cli.data.split import split_scan
from pcn_cli.errors import DataError
from pcn_cli.models.build import SourceFacts, describe_source
from pcn_cli.recipe.choose import Facts, choose, choose_split
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import PARTS, Scan, SplitRow
from pcn_cli.stages.listener import Listener
from pcn_cli.stages.load_model import model_source
from pcn_cli.stages.scan import inspect
from pcn_cli.training.device import choose_device, has_native_bf16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known before training: the photos, their parts, the network, the resolved recipe with reasons."""

    photos: Path
    scan: Scan
    rows: tuple[SplitRow, ...]
    source: SourceFacts
    recipe: Recipe
    reasons: dict[str, str]

    def count(self, part: str) -> int:
        """Number of photos in a part."""
        return sum(row.split == part for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "classes": self.scan.classes,
            "parts": {part: self.count(part) for part in PARTS},
            "unreadable": len(self.scan.unreadable),
            "ignored": len(self.scan.ignored),
            "model": self.source.name,
            "download_bytes": self.source.download_bytes,
            "recipe": self.recipe.model_dump(mode="json"),
            "reasons": self.reasons,
        }


def make_plan(photos: Path, loaded: LoadedRecipe, *, listener: Listener) -> Plan:
    """The plan for `photos`.

    Raises:
        DataError: the photos cannot be trained on.
        RecipeError: the recipe asks for what has no effect.
        ModelError: there is no such network.
    """
    labels = loaded.recipe.data.labels
    scan = inspect(photos, labels=labels, listener=listener)
    check_scan(scan, max_unreadable=loaded.recipe.data.max_unreadable)
    own_parts = {photo.split for photo in scan.photos if photo.split}
    recipe, split_reasons = choose_split(loaded, len(scan.photos), own_parts=own_parts)
    rows = split_scan(scan, seed=recipe.seed, val=recipe.split.val or 0.0, test=recipe.split.test or 0.0)
    _check_parts(rows)
    source = describe_source(model_source(recipe.model.name))
    facts = gather_facts(rows, recipe, source)
    recipe, reasons = choose(replace(loaded, recipe=recipe), facts)
    return Plan(photos=photos, scan=scan, rows=rows, source=source, recipe=recipe, reasons={**split_reasons, **reasons})


def gather_facts(rows: tuple[SplitRow, ...], recipe: Recipe, source: SourceFacts) -> Facts:
    """What the automatic choices are made from."""
    labels = [row.label for row in rows if row.split == "train"]
    counts = [labels.count(label) for label in set(labels)]
    device = choose_device(recipe.train.device)
    return Facts(
        train_photos=len(labels),
        classes=len(counts),
        imbalance=max(counts) / min(counts),
        device=str(device),
        native_bf16=has_native_bf16(device),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=_free_memory(device) / 1e9,
        input_size=source.input_size,
        crop_pct=source.crop_pct,
    )


def _check_parts(rows: tuple[SplitRow, ...]) -> None:
    for part, name in (("train", "training"), ("val", "validation"), ("test", "the test")):
        if not any(row.split == part for row in rows):
            raise DataError(
                f"no photo is left for {name}: {len(rows)} photos are too few to be divided",
                "add photos: every class needs at least three that differ",
            )


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
