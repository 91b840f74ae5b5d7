"""Checkpoints that survive a kill at any instant and notice a flipped bit: safetensors and JSON, never pickle.

    step-00001234/{model,ema,optimizer,best,runners_up}.safetensors, state.json, MANIFEST.json      LAST

A checkpoint is written under a hidden name, every file and the folder are synced, MANIFEST.json (size and sha256 of
each file) comes last, then one rename makes it visible and LAST names it. What is hidden or has no manifest does not
exist.
"""

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from pcn_cli.errors import DivergedError, RunError
from pcn_cli.files.atomic import (
    check_free_space,
    explaining_refusal,
    sha256_of,
    sync,
    write_json,
    write_text,
)
from pcn_cli.files.reading import read_json
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.run import EpochRow
from pcn_cli.tensors.store import save_tensors
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.random_stream import RandomState
from pcn_cli.training.ranks import ALONE, Ranks

logger = logging.getLogger(__name__)
_NAME = re.compile(r"step-\d{8,}")
_TENSOR_FILES = ("model", "ema", "optimizer", "best", "runners_up")
_NOT_ALWAYS = ("best", "runners_up")


@dataclass(kw_only=True)
class Progress:
    """How far a fit has come; all of it goes into state.json.

    `position` counts the batches of `epoch` that are done, `step` all steps. `epoch_photos`, `epoch_seconds`,
    `loss_sum` and `loss_photos` (those of finite steps) are of the running epoch, `seconds` of everything.
    `lr_factor` is below 1 after a divergence. In float16 the loss is multiplied by `loss_scale`, which has fitted for
    `loss_scale_steps`.
    """

    plan: FitConfig  # the fit's config, under the name that every state.json has for it
    versions: dict[str, str]
    total_steps: int
    micro_batch: int
    fresh_norms: tuple[str, ...] = ()
    step: int = 0
    epoch: int = 0
    position: int = 0
    lr_factor: float = 1.0
    loss_scale: float = 0.0
    loss_scale_steps: int = 0
    bad_in_row: int = 0
    epoch_photos: int = 0
    epoch_seconds: float = 0.0
    loss_sum: float = 0.0
    loss_photos: int = 0
    seconds: float = 0.0
    best: Validation | None = None
    best_epoch: int = 0
    epochs_without_better: int = 0
    history: tuple[EpochRow, ...] = ()
    finished: bool = False
    stopped_early: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything a fit needs to go on: tensors by name on the CPU; `ema` and `best` are empty where there are none.

    `runners_up` are those of the best epochs but the very best, by EPOCH.NAME, where they are to be averaged.
    """

    progress: Progress
    random: RandomState
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    ema: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    runners_up: dict[str, Tensor] = field(default_factory=dict)


class Checkpoints:
    """Where a fit keeps its states: in a folder or, without one, the newest in memory; every so many `minutes`.

    Of several processes rank 0 alone keeps them, and gives them to the others.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        minutes: float,
        clock: Callable[[], float],
        on_note: Callable[[str], None],
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder, self._ranks = folder, ranks
        self._minutes, self._clock, self._on_note = minutes, clock, on_note
        self._saved_at = clock()
        self._in_memory: TrainState | None = None

    @property
    def is_due(self) -> bool:
        """Whether the last state is too old."""
        return self._clock() - self._saved_at >= self._minutes * 60

    def save(self, state: TrainState) -> None:
        """Keep `state`; errors as of `save_checkpoint`."""
        if self.folder is None:
            self._in_memory = state
        else:
            save_checkpoint(self.folder, state)
        self._saved_at = self._clock()

    def newest(self) -> TrainState | None:
        """The state saved last that is whole; errors as of `load_checkpoint`."""
        state = None
        if self._ranks.leads:
            state = self._in_memory
            if self.folder is not None:
                state = load_checkpoint(self.folder, on_warning=self._on_note)
        return state if self._ranks.world == 1 else _share(state, self._ranks)


def _share(state: TrainState | None, ranks: Ranks) -> TrainState | None:
    """The state that rank 0 has, everywhere; the weights of the best epochs, which nobody else needs, stay there."""
    own = None if state is None else {"progress": to_plain(state.progress), "random": to_plain(state.random)}
    plain = ranks.from_lead(own)
    if plain is None:
        return None
    tensors = {name: ranks.tensors_from_lead(getattr(state, name, None)) for name in ("model", "optimizer", "ema")}
    return state or TrainState(
        progress=from_plain(Progress, plain["progress"]), random=from_plain(RandomState, plain["random"]), **tensors
    )


def save_checkpoint(folder: Path, state: TrainState) -> Path:
    """The complete checkpoint made of `state`; the newest two stay, older and abandoned ones go.

    Raises:
        DivergedError: a tensor is not finite; nothing was written.
        ResourceError: disk full or not writable; the checkpoints before are as they were.
    """
    for name in _TENSOR_FILES:
        for key, tensor in getattr(state, name).items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise DivergedError(f"{key} ({name}) is not finite at step {state.progress.step}; nothing was saved")
    final = folder / f"step-{state.progress.step:08d}"
    part = folder / f".{final.name}.part"
    needed = sum(t.nbytes for name in _TENSOR_FILES for t in getattr(state, name).values()) + 1_000_000
    hint = "free some space, then go on from the checkpoint before"
    try:
        with explaining_refusal(final):
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            check_free_space(folder, needed, what="a checkpoint needs", hint=hint)
            part.mkdir()
            _write_files(part, state)
            if final.exists():  # damaged, or of before a divergence
                final.replace(folder / f".{final.name}.old")
            part.replace(final)
            sync(folder)
            write_text(folder / "LAST", f"{final.name}\n")
            _drop_others(folder, final.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, *, on_warning: Callable[[str], None] = logger.warning) -> TrainState | None:
    """The newest checkpoint that is whole, or None where there is none at all.

    A damaged newest one costs one warning, and the one before it is used.

    Raises:
        RunError: there are checkpoints, and all are damaged.
    """
    last, damages = folder / "LAST", []
    name = last.read_text(encoding="utf-8", errors="replace").strip() if last.is_file() else ""
    # The one that LAST names comes first: newer ones may belong to a future that was given up.
    for path in sorted(_find_complete(folder), key=lambda p: p.name != name):
        try:
            state = _read(path)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            damages.append(f"{path.name} is damaged ({error})")
            continue
        if damages:
            on_warning(f"{'; '.join(damages)}; going on from {path.name}")
        return state
    if damages:
        raise RunError(f"no checkpoint in {folder} is whole: {'; '.join(damages)}", "start a new run")
    return None


def _write_files(part: Path, state: TrainState) -> None:
    """Fill the hidden folder, manifest last."""
    for name in _TENSOR_FILES:
        tensors: dict[str, Tensor] = getattr(state, name)
        if tensors or name not in _NOT_ALWAYS:
            save_tensors(part / f"{name}.safetensors", tensors)
    write_json(part / "state.json", {"progress": to_plain(state.progress), "random": to_plain(state.random)})
    files = {p.name: {"size": p.stat().st_size, "sha256": sha256_of(p)} for p in sorted(part.iterdir())}
    write_json(part / "MANIFEST.json", {"files": files})
    sync(part)


def _read(path: Path) -> TrainState:
    """The state in one checkpoint folder; ValueError and friends where it is not what was written."""
    manifest = read_json(path / "MANIFEST.json", most=2**20)
    for name, facts in manifest["files"].items():
        if (path / name).stat().st_size != facts["size"]:
            raise ValueError(f"{name}: expected {facts['size']} bytes, found {(path / name).stat().st_size}")
        if (found := sha256_of(path / name)) != facts["sha256"]:
            raise ValueError(f"{name}: expected sha256 {facts['sha256'][:12]}, found {found[:12]}")
    written = read_json(path / "state.json")
    tensors = {
        name: safetensors.torch.load_file(path / f"{name}.safetensors")
        for name in _TENSOR_FILES
        if f"{name}.safetensors" in manifest["files"]
    }
    return TrainState(
        progress=from_plain(Progress, written["progress"]), random=from_plain(RandomState, written["random"]), **tensors
    )


def _find_complete(folder: Path) -> list[Path]:
    """Checkpoints with a manifest, newest first."""
    found = [p for p in folder.glob("step-*") if _NAME.fullmatch(p.name) and (p / "MANIFEST.json").is_file()]
    return sorted(found, key=lambda p: int(p.name[5:]), reverse=True)


def _drop_others(folder: Path, current: str) -> None:
    complete = _find_complete(folder)
    older = [p for p in complete if int(p.name[5:]) < int(current[5:])]
    kept = {current, *(p.name for p in older[:1])}
    for path in complete:
        if path.name not in kept:
            path.replace(folder / f".{path.name}.old")  # hidden first: a kill leaves no half checkpoint in sight
    _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what a kill or a replaced checkpoint left behind."""
    for path in [*folder.glob(".step-*.part"), *folder.glob(".step-*.old")]:
        shutil.rmtree(path, ignore_errors=True)
