"""Train: the probe on cached tokens, then tuning; the better of the two by validation log-loss becomes the model."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import Tensor, nn

from pcn_cli.data.augment import Augmentation
from pcn_cli.data.loaders import PhotoBatches
from pcn_cli.data.neighbours import MOST_PHOTOS
from pcn_cli.data.split import fingerprint, number_units, read_split
from pcn_cli.files.atomic import write_with
from pcn_cli.metrics.answers import collect_answers
from pcn_cli.metrics.confidence import mean_average_precision
from pcn_cli.metrics.decisions import accuracy
from pcn_cli.metrics.multi_label.answers import as_truths
from pcn_cli.metrics.multi_label.answers import collect_answers as collect_multi_answers
from pcn_cli.metrics.multi_label.calibration import decision_loss
from pcn_cli.metrics.multi_label.table import macro_f1_value
from pcn_cli.models.build import read_teacher, start_model
from pcn_cli.models.folder import save_model_folder
from pcn_cli.recipe.duration import parse_duration
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Candidate
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.records.preprocessing import Preprocessing
from pcn_cli.records.training import EpochRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record, recording_stage, update_record
from pcn_cli.stages.calibrate import calibrate_model
from pcn_cli.stages.candidates_file import read_candidates, write_candidates
from pcn_cli.stages.cross_validate import cross_validate
from pcn_cli.stages.folds_file import write_folds
from pcn_cli.stages.history_file import read_history, write_history
from pcn_cli.stages.listener import Listener
from pcn_cli.stages.load_model import Fetcher, model_source
from pcn_cli.stages.machine import loading_workers
from pcn_cli.stages.neighbours import write_neighbours
from pcn_cli.stages.replay import record_replay
from pcn_cli.stages.suspects import doubt_by_features
from pcn_cli.stages.suspects_file import write_suspects
from pcn_cli.training.balance import class_weights, even_order
from pcn_cli.training.device import choose_device
from pcn_cli.training.fit import fit
from pcn_cli.training.learner import copy_state
from pcn_cli.training.objective import to_probabilities
from pcn_cli.training.plan import FitPlan, FitResult, Validation
from pcn_cli.training.probe import fit_probe, logistic_baseline, token_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teaching import ask_teacher
from pcn_cli.training.tokens import TokenCache, cache_tokens

PROBE_PHOTOS = 20_000  # above this many the probe learns from a sample
PROBE_SAMPLE = 10_000
NEIGHBOUR_CELLS = 4  # a side: with the place of things told apart even a weak network compares well
PROBE_PATIENCE = 10  # epochs without a better validation

State = dict[str, Tensor]
Probabilities = NDArray[np.float64]
Targets = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the parts of training share."""

    run: RunDir
    recipe: Recipe
    rows: tuple[SplitRow, ...]
    root: Path
    classes: tuple[str, ...]
    config: ModelConfig
    device: torch.device
    fetch: Fetcher
    listener: Listener
    stop: StopRequest

    def part(self, name: Part) -> list[SplitRow]:
        """The rows of a part, in the order of the split."""
        return [row for row in self.rows if row.split == name]

    def batches(
        self,
        rows: Sequence[SplitRow],
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> PhotoBatches:
        """The photos of `rows` in batches: shuffled or drawn, and varied, for training, in order otherwise.

        `preprocessing` is the model's own where it is None.
        """
        targets, draw = self.targets(rows), None
        if augmentation is not None and self.recipe.train.balance == "sampler":
            draw = partial(even_order, targets, self.recipe.seed)
        return PhotoBatches(
            self.root,
            [row.file for row in rows],
            targets,
            batch_size=batch_size,
            preprocessing=preprocessing or self.config.preprocessing,
            augmentation=augmentation,
            seed=self.recipe.seed,
            workers=loading_workers(self.recipe, self.device),
            shuffle=augmentation is not None,
            draw=draw,
        )

    def targets(self, rows: Sequence[SplitRow]) -> Targets:
        """The class index of each photo, (N,); of 0 and 1, (N, K), where photos may have several labels."""
        if self.config.multi_label:
            return as_truths([row.label for row in rows], self.classes).astype(np.int64)
        return np.array([self.classes.index(row.label) for row in rows])

    def candidate(self, name: str, val_log_loss: float, probabilities: Probabilities) -> Candidate:
        """A candidate with the figure that its `probabilities` of the test part reach."""
        labels = [row.label for row in self.part("test")]
        if self.config.multi_label:
            answers = collect_multi_answers(labels, probabilities, self.classes)
            return Candidate(
                name=name, val_log_loss=val_log_loss, mean_average_precision=mean_average_precision(answers)
            )
        figure = accuracy(collect_answers(labels, probabilities, self.classes))
        return Candidate(name=name, val_log_loss=val_log_loss, accuracy=figure)


def train_run(run: RunDir, recipe: Recipe, *, fetch: Fetcher, listener: Listener, stop: StopRequest) -> None:
    """Train as the recipe says and put the better model into the run; the caller holds the run."""
    rows = read_split(run.split)
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    model, config = start_model(
        model_source(recipe.model.name),
        classes,
        fetch=fetch,
        pretrained=recipe.model.pretrained,
        size=recipe.data.size,
        fit=recipe.data.fit,
        crop_pct=recipe.data.crop_pct,
        pooling=recipe.model.pooling,
        drop_path=recipe.model.drop_path,
        dropout=recipe.model.dropout,
        seed=recipe.seed,
    )
    config = replace(config, multi_label=any(row.multi_label for row in rows))
    with recording_stage(
        run, "train", (run.model, run.history, run.candidates, run.suspects, run.neighbours, run.folds)
    ):
        work = Work(
            run=run,
            recipe=recipe,
            rows=rows,
            root=Path(read_record(run).photos),
            classes=classes,
            config=config,
            device=choose_device(recipe.train.device),
            fetch=fetch,
            listener=listener,
            stop=stop,
        )
        if config.multi_label:
            listener.on_note(
                "several labels per photo: accuracy means all labels of a photo right, each given from 0.5 on"
            )
        kept, state = _train(model, work)
        model.load_state_dict(state)
        calibrated = calibrate_model(
            model,
            config,
            work.part("val"),
            root=work.root,
            device=work.device,
            batch_size=recipe.evaluate.batch_size,
            workers=loading_workers(recipe, work.device),
            seed=recipe.seed,
            target_accuracy=recipe.evaluate.target_accuracy,
            listener=listener,
        )
        save_model_folder(run.model, model, calibrated)
        record_replay(run.model, work.part("val"), root=work.root)
        update_record(run, kept=kept)


def _train(model: nn.Module, work: Work) -> tuple[str, State]:
    """Which model is kept, "probe" or "tuned", and its weights."""
    if work.recipe.train.probe_epochs:
        model.load_state_dict(_probe(model, work))
    kept, state = "probe", copy_state(model)
    candidates = {candidate.name: candidate for candidate in read_candidates(work.run)}
    if work.recipe.train.tune != "probe":
        tuned = _tune(model, work)
        if "probe" not in candidates or tuned.best.log_loss < candidates["probe"].val_log_loss:
            kept, state = "tuned", tuned.best_state
        model.load_state_dict(tuned.best_state)
        batches = work.batches(work.part("test"), batch_size=work.recipe.evaluate.batch_size)
        candidates["tuned"] = work.candidate("tuned", tuned.best.log_loss, _probabilities(model, batches, work))
    order = [candidates[name] for name in ("tuned", "probe", "logistic regression") if name in candidates]
    write_candidates(work.run, [replace(candidate, kept=candidate.name == kept) for candidate in order])
    return kept, state


def _probe(model: nn.Module, work: Work) -> State:
    """The weights of the probe; they and the candidates it gives are kept, so that a resumed run has them already.

    Within the probe there are no checkpoints: it takes less time than they would, and gives the same bits again.
    """
    done = work.run.probe
    if done.is_file() and work.run.candidates.is_file():
        state: State = load_file(done)
        return state
    folds = work.recipe.evaluate.folds
    work.run.checkpoints.mkdir(parents=True, exist_ok=True)
    for abandoned in work.run.checkpoints.glob("pcn-tokens-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    caches = {}
    sample = _probe_sample(work)
    for part, own in (("train", sample), ("val", work.part("val")), ("test", work.part("test"))):
        caches[part] = cache_tokens(
            model,
            work.batches(own, batch_size=work.recipe.evaluate.batch_size),
            device=work.device,
            folder=work.run.checkpoints,
            flip=work.recipe.augment.flip and (part == "train" or folds is not None),
            on_batch=partial(work.listener.on_progress, f"computing tokens ({part})"),
            stop=work.stop,
        )
    with caches["train"] as train_tokens, caches["val"] as val_tokens, caches["test"] as test_tokens:
        train_features, val_features, test_features = (tokens.mean_features() for tokens in caches.values())
        baseline = logistic_baseline(
            train_features,
            train_tokens.targets,
            val_features=val_features,
            val_targets=val_tokens.targets,
            features=np.concatenate([val_features, test_features]),
            classes=len(work.classes),
        )
        rows = [*sample, *work.part("val"), *work.part("test")]
        units = number_units(rows, json.loads(work.run.scan.read_text(encoding="utf-8")).get("near_duplicates", []))
        if not work.config.multi_label:
            _check_photos(
                work,
                rows,
                [*caches.values()],
                units,
                features=np.concatenate([train_features, val_features, test_features]),
                strength=baseline.strength,
            )
        if folds is not None:
            answers = cross_validate(
                model,
                rows,
                [*caches.values()],
                units,
                classes=work.classes,
                plan_for=partial(_probe_plan, work),
                judge=_judge,
                device=work.device,
                folds=folds,
                seed=work.recipe.seed,
                listener=work.listener,
                stop=work.stop,
            )
            write_folds(work.run, answers, work.classes)
        plan = _probe_plan(work, train_tokens.targets)
        history = _History(work, epochs=plan.epochs)
        result = fit_probe(
            model,
            train_tokens,
            val_tokens,
            _judge,
            plan=plan,
            device=work.device,
            on_epoch=history.add,
            on_note=work.listener.on_note,
            stop=work.stop,
        )
        model.load_state_dict(result.best_state)
        test_probabilities = token_probabilities(
            model, test_tokens, device=work.device, multi_label=work.config.multi_label
        )
    guessed, guessed_test = np.split(baseline.probabilities, [len(val_tokens)])
    # safetensors wants plain memory; loading puts the numbers back into channels-last.
    tensors = {name: tensor.contiguous() for name, tensor in result.best_state.items()}
    write_with(done, lambda part: save_file(tensors, part))
    candidates = (
        work.candidate("probe", result.best.log_loss, test_probabilities),
        work.candidate("logistic regression", _judge(val_tokens.targets, guessed).log_loss, guessed_test),
    )
    write_candidates(work.run, candidates)
    return result.best_state


def _check_photos(
    work: Work,
    rows: Sequence[SplitRow],
    caches: Sequence[TokenCache],
    units: NDArray[np.int64],
    *,
    features: NDArray[np.float32],
    strength: float,
) -> None:
    """Put into the run what the frozen trunk's tokens say of the photos: doubtful labels, pictures in two parts.

    `units` (N,) are equal where photos belong together, `features` (N, C) are the photos' mean tokens, `strength` is
    the C of a regression that suits them.
    """
    if len(rows) <= MOST_PHOTOS:
        cells = np.concatenate([tokens.cell_features(NEIGHBOUR_CELLS) for tokens in caches])
        write_neighbours(work.run, rows, cells, units)
    suspects = doubt_by_features(rows, features, units, classes=work.classes, strength=strength, seed=work.recipe.seed)
    write_suspects(work.run, suspects)


def _probe_sample(work: Work) -> list[SplitRow]:
    """The training rows that the probe learns from: all, or a drawn sample of many."""
    rows = work.part("train")
    if len(rows) <= PROBE_PHOTOS:
        return rows
    chosen = np.random.default_rng(work.recipe.seed).permutation(len(rows))[:PROBE_SAMPLE]
    return [rows[index] for index in sorted(chosen)]


def _tune(model: nn.Module, work: Work) -> FitResult:
    """The tuned weights, from the checkpoints on where there are any."""
    train_rows = work.part("train")
    plan = _fit_plan(work, work.targets(train_rows))
    augmentation = Augmentation(
        level=work.recipe.augment.level or "light",
        flip=work.recipe.augment.flip,
        preprocessing=work.config.preprocessing,
        seed=work.recipe.seed,
    )
    taught = _ask_teacher(work) if plan.teacher else None
    val_rows = work.part("val")
    val_batches = work.batches(val_rows, batch_size=work.recipe.evaluate.batch_size)
    val_targets = work.targets(val_rows)
    history = _History(work, epochs=plan.epochs)
    result = fit(
        model,
        work.batches(train_rows, batch_size=plan.batch_size, augmentation=augmentation),
        lambda judged: _judge(val_targets, _probabilities(judged, val_batches, work)),
        plan=plan,
        device=work.device,
        taught=taught,
        checkpoints=work.run.checkpoints,
        resume=True,
        on_step=work.listener.on_step,
        on_epoch=history.add,
        on_note=work.listener.on_note,
        stop=work.stop,
    )
    history.complete(result.history)
    return result


def _ask_teacher(work: Work) -> Tensor:
    """The teacher's answers to the training photos; they are kept, so that a resumed run has them already."""
    done, train = work.run.taught, work.recipe.train
    if not done.is_file():
        teacher, preprocessing = read_teacher(model_source(train.teacher), fetch=work.fetch, size=train.teacher_size)
        answers = ask_teacher(
            teacher,
            work.batches(work.part("train"), batch_size=work.recipe.evaluate.batch_size, preprocessing=preprocessing),
            device=work.device,
            bfloat16=train.precision == "bfloat16",
            on_batch=partial(work.listener.on_progress, "asking the teacher"),
            stop=work.stop,
        )
        work.run.checkpoints.mkdir(parents=True, exist_ok=True)
        write_with(done, lambda part: save_file({"answers": answers}, part))
    taught: Tensor = load_file(done)["answers"]
    return taught


def _probe_plan(work: Work, targets: Targets) -> FitPlan:
    """The recipe's numbers for a probe on photos with these `targets`."""
    train = work.recipe.train
    return replace(
        _fit_plan(work, targets),
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


def _fit_plan(work: Work, targets: Targets) -> FitPlan:
    """The recipe's numbers for a fit on photos with these `targets`."""
    train = work.recipe.train
    batch_size = train.batch_size or 32
    return FitPlan(
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


class _History:
    """history.csv while it grows: rows of before a stop stay, an epoch that is done again replaces its row."""

    def __init__(self, work: Work, *, epochs: int) -> None:
        self._path, self._listener, self._epochs = work.run.history, work.listener, epochs
        self._rows = {(row.phase, row.epoch): row for row in read_history(work.run.history)}

    def add(self, row: EpochRow) -> None:
        """Keep `row` on the disk and tell of it."""
        self.complete((row,))
        self._listener.on_epoch(row, self._epochs)

    def complete(self, rows: Sequence[EpochRow]) -> None:
        """Put `rows` on the disk; a stop may have come between a checkpoint and its row."""
        self._rows.update({(row.phase, row.epoch): row for row in rows})
        write_history(self._path, [self._rows[key] for key in sorted(self._rows)])  # "probe" comes before "tune"


def _judge(targets: Targets, probabilities: Probabilities) -> Validation:
    if targets.ndim == 2:
        return _judge_classes(targets.astype(bool), probabilities)
    predicted = probabilities.argmax(axis=1)
    exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    return Validation(
        log_loss=float(log_loss(targets, exact, labels=np.arange(probabilities.shape[1]))),
        accuracy=float(accuracy_score(targets, predicted)),
        macro_f1=float(f1_score(targets, predicted, average="macro", zero_division=0)),
    )


def _judge_classes(truths: NDArray[np.bool_], probabilities: Probabilities) -> Validation:
    """The same where photos may have several labels, each given from 0.5 on: thresholds are not chosen yet."""
    decided = probabilities >= 0.5
    return Validation(
        log_loss=decision_loss(truths, probabilities),
        accuracy=float((decided == truths).all(axis=1).mean()),
        macro_f1=macro_f1_value(truths, decided),
    )


@torch.inference_mode()
def _probabilities(model: nn.Module, batches: PhotoBatches, work: Work) -> Probabilities:
    """(N, K) float64, in the order of the batches."""
    pieces = []
    for batch in batches.batches():
        work.stop.check("stopped while measuring")
        images = batch.images.to(work.device, memory_format=torch.channels_last)
        pieces.append(to_probabilities(model(images), multi_label=work.config.multi_label).numpy())
    return np.concatenate(pieces)
