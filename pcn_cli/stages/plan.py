"""Plan: what a training will do, settled before anything is written."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from pcn_cli.data.scan.decisions import count_decisions
from pcn_cli.data.scan.scan_photos import check_scan
from pcn_cli.files.machine import available_cores
from pcn_cli.metrics.findings import Observations, findings
from pcn_cli.models.build import pooling_of
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.base import Source
from pcn_cli.recipe.choose import Facts, choose
from pcn_cli.recipe.load import LoadedRecipe
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.codec import to_plain
from pcn_cli.records.decisions import Decision
from pcn_cli.records.metrics import Trunk
from pcn_cli.records.photos import PARTS, Part, Scan, SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import model_source, refuse_engine
from pcn_cli.stages.photos import check_leaks, gather_decisions, scan_folder, split_photos
from pcn_cli.stages.train.folds import ASIDE, check_folds
from pcn_cli.stages.train.known import count_known, count_seen, is_mirrored
from pcn_cli.stages.train.learning_curve import check_learning_curve
from pcn_cli.stages.train.tokens import learned_rows
from pcn_cli.training.device import Cost, choose_device, has_native_bf16, has_native_fp16, measure_cost
from pcn_cli.training.logistic import CS, fit_heads
from pcn_cli.training.query import MOST_PHOTOS, STRENGTHS

_STEP = 3.0  # a training step's time over its forward pass's
_REGRESSED = 500  # made-up photos that a regression is timed with
_STARTS = 2  # of the pooling, each with regressions and a search
_SEARCH_STEPS = 15  # of a search for a query, with each penalty
_DRAWING = 0.1  # seconds for a test photo's overlay and pictures
_LIBRARIES_GB = 0.7
_PICTURES_BYTES = 150_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known before training: the photos, their parts, the network, the resolved recipe with reasons.

    Where several models are to be compared, from the smallest to the largest, `source` and `recipe` are of the largest,
    `reasons` only say what is the same for all, and `asked` is the recipe in which all else is open. Comparing the
    others takes `compare_seconds`, where that was measured. `known` is of how many photos earlier runs left the tokens.
    """

    photos: Path
    scan: Scan
    rows: tuple[SplitRow, ...]
    source: Source
    recipe: Recipe
    reasons: dict[str, str]
    leaks: Observations
    cost: Cost | None = None
    compared: tuple[Trunk, ...] = ()
    asked: Recipe | None = None
    compare_seconds: float = 0.0
    download_bytes: int = 0
    decisions: tuple[Decision, ...] = ()
    known: dict[Part, int] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """What the run is called after: its model, or the number of those to choose from."""
        return f"best-of-{len(self.compared)}" if self.compared else self.source.name

    def count(self, part: str) -> int:
        """Number of photos in a part."""
        return sum(row.split == part for row in self.rows)

    def seconds(self) -> float | None:
        """About how long everything will take, where the cost was measured."""
        if self.cost is None:
            return None
        val, test = (self.count(part) for part in PARTS[1:])
        train, learned = self.count("train"), self._learned
        forward, step = self.cost.forward_seconds, _STEP * self.cost.forward_seconds
        forward *= 2 if self.recipe.evaluate.mirror else 1
        folds = self.recipe.evaluate.folds or 0
        measured = self._measured_views + 1  # passes over the other parts
        total = forward * (self._views * learned + measured * (val + test)) + _DRAWING * test
        total -= forward * sum(
            count * (self._views if part == "train" else self._measured_views) for part, count in self.known.items()
        )
        times = 1 + max(0, folds - 1) * (learned + val + test) * (1 - 1 / ASIDE) / max(learned, 1)
        total += times * self._probe_seconds(self.cost)
        if self.recipe.train.tune != "probe":
            epochs = self.recipe.train.epochs or 0
            total += epochs * (step * train + forward * val)
            total += (min(self.recipe.train.average_epochs, epochs) - 1) * forward * val
            total += min(self.recipe.train.final_epochs, epochs) * step * (train + val)
        return total + self.compare_seconds

    @property
    def _learned(self) -> int:
        """Training photos that the probe learns from."""
        return len(learned_rows(self.rows, seed=self.recipe.seed))

    @property
    def _views(self) -> int:
        """Views of each photo that the probe learns from."""
        return 2 if is_mirrored("train", self.recipe, photos=self._learned) else 1

    @property
    def _measured_views(self) -> int:
        """Views of each photo of the other parts."""
        return self._views if self.recipe.evaluate.folds else 1

    def _probe_seconds(self, cost: Cost) -> float:
        """What stands behind the tokens: the regressions, then the probe."""
        photos = self._learned
        if self.recipe.model.pooling == "per-class":
            regressions, starts = len(CS), 1
            probe = _STEP * cost.head_seconds * photos * self.recipe.train.probe_epochs
        else:
            regressions, starts = len(CS) + len(STRENGTHS), _STARTS
            probe = _STEP * cost.head_seconds * min(photos, MOST_PHOTOS) * _SEARCH_STEPS * len(STRENGTHS)
        solving = self._views * photos * (regressions * cost.regression_seconds + cost.head_seconds)
        return starts * solving + probe

    def scratch_bytes(self) -> float | None:
        """About how much disk the tokens take while the probe learns, where the cost was measured."""
        if self.cost is None or not self.recipe.train.probe_epochs:
            return None
        others = self.count("val") + self.count("test")
        return self.cost.token_numbers * (2 * self._views * self._learned + 4 * self._measured_views * others)

    def memory_gb(self) -> float | None:
        """About how much memory training will take, where the cost was measured."""
        if self.cost is None:
            return None
        train = self.recipe.train
        # Weights, gradient, two of AdamW, average, last good, and the best epochs.
        copies = 2 if train.tune == "probe" else 6 + min(train.average_epochs, train.epochs or 1)
        photos = self.recipe.evaluate.batch_size / 8 if train.tune == "probe" else train.micro_batch or 1
        return _LIBRARIES_GB + (copies * 4 * self.source.parameters + photos * self.cost.activation_mb * 1e6) / 1e9

    def run_bytes(self) -> float:
        """About how much disk the finished run takes: the weights, and each test photo's pictures."""
        return 4 * self.source.parameters + _PICTURES_BYTES * self.count("test")

    def run_contents(self) -> tuple[str, ...]:
        """What the finished run will hold."""
        run, recipe = RunDir(Path()), self.recipe
        asked = (
            (run.trunks, bool(self.compared)),
            (run.folds, recipe.evaluate.folds is not None),
            (run.learning_curve, recipe.evaluate.learning_curve),
            (run.history, recipe.train.tune != "probe" or recipe.model.pooling == "per-class"),
        )
        return (*RunDir.contents(), *(str(path) for path, is_wished in asked if is_wished))

    def plain(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "classes": self.scan.classes,
            "parts": {part: self.count(part) for part in PARTS},
            "unreadable": len(self.scan.unreadable),
            "ignored": len(self.scan.ignored),
            "model": self.model,
            "models": to_plain(self.compared),
            "download_bytes": self.download_bytes,
            "known": sum(self.known.values()),
            "seconds": self.seconds(),
            "memory_gb": self.memory_gb(),
            "run_bytes": self.run_bytes(),
            "scratch_bytes": self.scratch_bytes(),
            "recipe": asdict(self.recipe),
            "reasons": self.reasons,
            "findings": to_plain(findings(self.leaks)),
        }


def make_plan(
    photos: Path,
    loaded: LoadedRecipe,
    *,
    measure: bool,
    callback: Callback,
    models: Sequence[str] = (),
    offline: bool = False,
    crops: Path | None = None,
) -> Plan:
    """The plan for `photos`; what the network costs is measured for tuning, and where `measure` asks for it.

    With `measure` it is for a dry run, and nothing is written. `models` are those to be compared, where they are
    several; `crops` is where boxes are cut out into.
    """
    sources = {name: find_source(model_source(name)) for name in models or (loaded.recipe.model.name,)}
    for source in sources.values():
        source.check_available(offline=offline)  # before thousands of photos are read
    if loaded.recipe.train.teacher is not None:
        find_source(model_source(loaded.recipe.train.teacher)).check_available(offline=offline)
    data, group_by = loaded.recipe.data, loaded.recipe.split.group_by
    decisions = gather_decisions(loaded.recipe)
    scan = scan_folder(
        photos,
        labelling=data,
        group_by=group_by,
        decisions=decisions,
        crops=crops,
        remember=not measure,
        callback=callback,
    )
    if decisions.all:
        callback.on_note(f"decisions followed: {count_decisions(decisions.all)}")
    check_scan(scan, max_unreadable=data.max_unreadable, labelling=data)
    asked = loaded.recipe
    rows, divided, split_reasons = split_photos(scan, loaded)
    loaded = replace(loaded, recipe=divided)
    compare_seconds = 0.0
    *smaller, source = sorted(sources.values(), key=lambda one: one.parameters) if models else sources.values()
    # Of many training photos the probe sees a sample alone.
    seen = [*learned_rows(rows, seed=divided.seed), *(row for row in rows if row.split != "train")]
    for one in smaller:  # what does not go with one of them is told before anything is written
        recipe, _, cost = settle_recipe(loaded, rows, one, measure=measure, tuned=False)
        passes = count_seen([row for row in seen if row.split != "test"], recipe)
        compare_seconds += cost.forward_seconds * passes * (2 if recipe.evaluate.mirror else 1) if cost else 0.0
    recipe, reasons, cost = settle_recipe(loaded, rows, source, measure=measure)
    if recipe.evaluate.folds is not None:
        check_folds(rows, scan.near_duplicates, folds=recipe.evaluate.folds)
    if recipe.evaluate.learning_curve:
        check_learning_curve(rows, scan.near_duplicates, seed=recipe.seed)
    device = choose_device(recipe.train.device)
    return Plan(
        photos=photos,
        scan=scan,
        rows=rows,
        source=source,
        recipe=recipe,
        reasons=split_reasons if models else {**split_reasons, **reasons},
        leaks=check_leaks(rows, scan),
        cost=cost,
        compared=describe_trunks(sources) if models else (),
        asked=asked if models else None,
        compare_seconds=compare_seconds,
        download_bytes=sum(one.download_bytes for one in sources.values()),
        decisions=decisions.all,
        known=count_known(source, seen, recipe=recipe, device=device) if measure else {},
    )


def describe_trunks(sources: Mapping[str, Source]) -> tuple[Trunk, ...]:
    """The models of those names before they are compared, from the smallest to the largest."""
    trunks = (
        Trunk(model=model, name=one.name, parameters=one.parameters, licence=one.config().licence)
        for model, one in sources.items()
    )
    return tuple(sorted(trunks, key=lambda trunk: trunk.parameters))


def settle_recipe(
    loaded: LoadedRecipe, rows: tuple[SplitRow, ...], source: Source, *, measure: bool = False, tuned: bool = True
) -> tuple[Recipe, dict[str, str], Cost | None]:
    """The recipe with everything chosen for `source`, the reasons, and what it costs where that was measured.

    It is measured where `measure` asks for it, and where it may be `tuned`.
    """
    recipe, device = loaded.recipe, choose_device(loaded.recipe.train.device)
    refuse_engine(recipe.evaluate.engine, device)
    facts, cost = gather_facts(rows, source, device), None
    tuning = facts.accelerated or recipe.train.time or recipe.train.tune not in (None, "probe")
    if measure or (tuned and tuning):
        size = recipe.data.size or facts.input_size
        network = source.sketch(facts.classes, pooling=recipe.model.pooling)
        cost = measure_cost(network, size=size, device=device)
        if measure:
            seconds = _measure_regression(features=network.head_hidden_size, classes=facts.classes)
            cost = replace(cost, regression_seconds=seconds)
        # `choose` counts for 224 pixels.
        facts = replace(
            facts, activation_mb=cost.activation_mb * (224 / size) ** 2, seconds_per_photo=_STEP * cost.forward_seconds
        )
    recipe, reasons = choose(loaded, facts)
    return recipe, reasons, cost


def _measure_regression(*, features: int, classes: int) -> float:
    """The seconds for each photo of a regression with one strength of the penalty, on made-up features."""
    rng, targets = np.random.default_rng(0), np.arange(max(_REGRESSED, classes)) % classes
    made = rng.normal(size=(classes, features))[targets] + rng.normal(size=(len(targets), features))
    began, few = time.perf_counter(), CS[2:5]
    for _ in fit_heads(made.astype(np.float32), targets, few, classes=classes):
        pass
    return (time.perf_counter() - began) / (len(targets) * len(few))


def gather_facts(rows: tuple[SplitRow, ...], source: Source, device: torch.device) -> Facts:
    """What the automatic choices are made from."""
    train = [row for row in rows if row.split == "train"]
    counts, on_cuda = Counter(name for row in train for name in row.labels), device.type == "cuda"
    config = source.config()
    preprocessing = config.preprocessing
    return Facts(
        train_photos=len(train),
        classes=len(counts),
        multi_label=any(row.multi_label for row in rows),
        imbalance=max(counts.values(), default=1) / min(counts.values(), default=1),
        device=str(device),
        native_bf16=has_native_bf16(device),
        native_fp16=has_native_fp16(device),
        cores=available_cores(),
        host_gb=psutil.virtual_memory().available / 1e9,
        memory_gb=(torch.cuda.mem_get_info(device)[0] if on_cuda else psutil.virtual_memory().available) / 1e9,
        input_size=max(preprocessing.height, preprocessing.width),
        fit=preprocessing.fit,
        crop_pct=preprocessing.crop_pct,
        pooling=pooling_of(config),
    )
