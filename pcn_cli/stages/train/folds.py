"""Cross-validation: a probe for each fold, so that every photo is predicted by one that did not learn from it.

Each probe is made as the run's own is: of the photos outside its fold about one in seven picks its best epoch, and it
learns from the others.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcn_cli.data.split import fingerprint, number_groups
from pcn_cli.errors import DataError
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import FoldAnswer
from pcn_cli.stages.train.context import NoteCallback, TrainContext, validate
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.folds import divide_folds, most_folds, set_aside
from pcn_cli.training.learner import copy_state
from pcn_cli.training.probe import fit_probe, token_probabilities
from pcn_cli.training.tokens import TokenCache, TokenPick

MOST_PHOTOS = 20_000  # a probe for each fold takes too long beyond
ASIDE = 7  # one of so many photos picks the epoch: 69 % are learned from with five folds, as in the run's own split
_DOING = "cross-validating"


def check_folds(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]], *, folds: int) -> None:
    """Check that the photos can be divided into so many folds.

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
    groups: NDArray[np.int64],
    context: TrainContext,
) -> tuple[FoldAnswer, ...]:
    """The answers to all `rows`, in their order, each by a probe that learned from none of its fold.

    `model` is as the run's own probe began, and left so; `rows` are the photos of the `caches`, in their order.
    """
    folds, seed, classes = context.recipe.evaluate.folds or 2, context.recipe.seed, context.classes
    targets = np.concatenate([cache.targets for cache in caches])
    data, begun = fingerprint(context.rows), copy_state(model)
    probabilities, numbers = np.empty((len(rows), len(classes))), np.empty(len(rows), dtype=np.int64)
    for number, fold in enumerate(divide_folds(targets, groups, folds=folds, seed=seed), start=1):
        context.callback.on_progress(_DOING, number - 1, folds)
        inner = set_aside(fold.learn, targets, groups, share=ASIDE, seed=seed)
        model.load_state_dict(begun)
        result = fit_probe(
            model,
            TokenPick(caches, inner.learn),
            TokenPick(caches, inner.held_out),
            validate,
            config=FitConfig.for_probe(context.recipe, targets[inner.learn], classes=classes, fingerprint=data),
            device=context.device,
            callback=NoteCallback(context),
            stop=context.stop,
        )
        model.load_state_dict(result.best_state)
        held_out = TokenPick(caches, fold.held_out)
        probabilities[fold.held_out] = token_probabilities(model, held_out, device=context.device)
        numbers[fold.held_out] = number
    context.callback.on_progress(_DOING, folds, folds)
    model.load_state_dict(begun)
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
