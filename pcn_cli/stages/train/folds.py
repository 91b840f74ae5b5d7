"""Cross-validate: a probe for each fold, so that every photo is answered by one that did not learn from it.

Each probe is made as the run's own is: of the photos outside its fold about one in seven picks its best epoch, and it
learns from the others.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pcn_cli.data.split import number_groups
from pcn_cli.errors import DataError
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import FoldAnswer
from pcn_cli.stages.callback import Callback
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.folds import Fold, answer_folds, divide_folds, most_folds, set_aside
from pcn_cli.training.learner import copy_state
from pcn_cli.training.probe import fit_probe, token_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenCache, TokenPick

MOST_PHOTOS = 20_000  # a probe for each fold takes too long beyond
ASIDE = 7  # one of so many photos picks the epoch: 69 % are learned from with five folds, as in the run's own split

_DOING = "cross-validating"


def check_folds(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]], *, folds: int) -> None:
    """Nothing, if the photos can be divided into so many folds.

    Raises:
        DataError: they are too many, or the largest class has too few that may be parted.
    """
    if len(rows) > MOST_PHOTOS:
        raise DataError(
            f"{len(rows):,} photos are too many for folds, which are for at most {MOST_PHOTOS:,}",
            "leave out --folds: a test part of that size is exact enough",
        )
    classes = sorted({row.label for row in rows})
    targets = np.array([classes.index(row.label) for row in rows])
    most = most_folds(targets, number_groups(rows, near_duplicates))
    needed = 4 if folds == 2 else folds  # outside any fold two must be left: to learn from and to choose by
    if most < needed:
        raise DataError(
            f"{folds} folds need {needed} photos of one class that may be parted, and no class has more than {most}",
            f"add photos, or use --folds {most}" if most > 2 else "add photos, or leave out --folds",
        )


def cross_validate(
    model: nn.Module,
    rows: Sequence[SplitRow],
    caches: Sequence[TokenCache],
    units: NDArray[np.int64],
    *,
    classes: Sequence[str],
    plan_for: Callable[[NDArray[np.int64]], FitConfig],
    judge: Callable[[NDArray[np.int64], NDArray[np.float64]], Validation],
    device: torch.device,
    folds: int,
    seed: int,
    callback: Callback,
    stop: StopRequest,
) -> tuple[FoldAnswer, ...]:
    """The answers to all `rows`, in their order, each by a probe that learned from none of its fold.

    Args:
        model: as the run's own probe began; it is left as it was.
        rows: the photos of the `caches`, in their order.
        caches: the trunk's tokens.
        units: (N,) equal numbers where photos belong together.
        classes: in the order of the logits.
        plan_for: the plan of a probe that learns from these targets.
        judge: makes a Validation of targets and probabilities.
        device: where to compute.
        folds: how many.
        seed: of the folds.
        callback: hears how many folds are done.
        stop: polled after each step.

    Raises:
        DataError: a fold leaves too few photos that may be parted.
        StoppedError: `stop` asked for it.
    """
    targets = np.concatenate([cache.targets for cache in caches])
    parts = divide_folds(targets, units, folds=folds, seed=seed)
    begun, done = copy_state(model), 0
    callback.on_progress(_DOING, done, folds)

    def answer(fold: Fold) -> NDArray[np.float64]:
        nonlocal done
        inner = set_aside(fold.learn, targets, units, share=ASIDE, seed=seed)
        model.load_state_dict(begun)
        result = fit_probe(
            model,
            TokenPick(caches, inner.learn),
            TokenPick(caches, inner.answer),
            judge,
            plan=plan_for(targets[inner.learn]),
            device=device,
            on_note=callback.on_note,
            stop=stop,
        )
        model.load_state_dict(result.best_state)
        done += 1
        callback.on_progress(_DOING, done, folds)
        return token_probabilities(model, TokenPick(caches, fold.answer), device=device)

    probabilities = answer_folds(parts, answer)
    model.load_state_dict(begun)
    numbers = np.zeros(len(rows), dtype=np.int64)
    for number, fold in enumerate(parts, start=1):
        numbers[fold.answer] = number
    return tuple(
        FoldAnswer(
            file=row.file,
            label=row.label,
            fold=int(number),
            predicted=classes[int(own.argmax())],
            probabilities=tuple(own.tolist()),
        )
        for row, number, own in zip(rows, numbers, probabilities, strict=True)
    )
