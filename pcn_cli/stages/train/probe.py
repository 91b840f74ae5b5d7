"""Probe: the pooling and its head on cached tokens; beside it the plain baseline, and what the tokens say of photos."""

import shutil
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcn_cli.data.similar.neighbours import MOST_PHOTOS
from pcn_cli.data.split import number_groups
from pcn_cli.files.atomic import write_with
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.store import CANDIDATES, NEIGHBOURS, SCAN, SUSPECTS, write_folds
from pcn_cli.stages.train.context import Work
from pcn_cli.stages.train.fit_config import probe_config
from pcn_cli.stages.train.folds import cross_validate
from pcn_cli.stages.train.history import History
from pcn_cli.stages.train.neighbours import tie_neighbours
from pcn_cli.stages.train.suspects import doubt_by_features
from pcn_cli.stages.train.validation import judge
from pcn_cli.training.probe import fit_probe, logistic_baseline, token_probabilities
from pcn_cli.training.tokens import TokenCache, cache_tokens

State = dict[str, Tensor]
PROBE_PHOTOS = 20_000  # above this many the probe learns from a sample
PROBE_SAMPLE = 10_000
NEIGHBOUR_CELLS = 4  # a side: with the place of things told apart even a weak network compares well


def train_probe(model: nn.Module, work: Work) -> State:
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
    sample = _draw_sample(work)
    for part, own in (("train", sample), ("val", work.part("val")), ("test", work.part("test"))):
        caches[part] = cache_tokens(
            model,
            work.batches(own, batch_size=work.recipe.evaluate.batch_size),
            device=work.device,
            folder=work.run.checkpoints,
            flip=work.recipe.augment.flip and (part == "train" or folds is not None),
            on_batch=partial(work.callback.on_progress, f"computing tokens ({part})"),
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
        units = number_groups(rows, SCAN.read(work.run).near_duplicates)
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
                plan_for=partial(probe_config, work),
                judge=judge,
                device=work.device,
                folds=folds,
                seed=work.recipe.seed,
                callback=work.callback,
                stop=work.stop,
            )
            write_folds(work.run, answers, work.classes)
        plan = probe_config(work, train_tokens.targets)
        history = History(work.run, work.callback, epochs=plan.epochs)
        result = fit_probe(
            model,
            train_tokens,
            val_tokens,
            judge,
            plan=plan,
            device=work.device,
            on_epoch=history.add,
            on_note=work.callback.on_note,
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
        work.candidate("logistic regression", judge(val_tokens.targets, guessed).log_loss, guessed_test),
    )
    CANDIDATES.write(work.run, candidates)
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
        NEIGHBOURS.write(work.run, tie_neighbours(rows, cells, units))
    suspects = doubt_by_features(rows, features, units, classes=work.classes, strength=strength, seed=work.recipe.seed)
    SUSPECTS.write(work.run, suspects)


def _draw_sample(work: Work) -> list[SplitRow]:
    """The training rows that the probe learns from: all, or a drawn sample of many."""
    rows = work.part("train")
    if len(rows) <= PROBE_PHOTOS:
        return rows
    chosen = np.random.default_rng(work.recipe.seed).permutation(len(rows))[:PROBE_SAMPLE]
    return [rows[index] for index in sorted(chosen)]
