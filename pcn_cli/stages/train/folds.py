"""Cross-validation: a model on the frozen trunk for each fold, so that one answers each photo that never saw it.

Each is made as the run's own is: about one in seven of the photos outside its fold chooses, and it learns from the
others, in the end from all.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcn_cli.data.split import number_groups
from pcn_cli.errors import DataError
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import FoldAnswer
from pcn_cli.stages.train.context import NoteCallback, Probabilities, TrainContext
from pcn_cli.stages.train.frozen import answer, behind_tokens, choose_frozen, fit_frozen, learn_from_all
from pcn_cli.training.folds import divide_folds, most_folds, set_aside
from pcn_cli.training.tokens import TokenCache, TokenPick

Numbers = NDArray[np.int64]

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
    groups: Numbers,
    context: TrainContext,
) -> tuple[FoldAnswer, ...]:
    """The answers to all `rows`, in their order, each by a model that learned from none of its fold.

    `model` is as the run's own probe began, and left so; `rows` are the photos of the `caches`, in their order.
    """
    folds, seed, classes = context.recipe.evaluate.folds or 2, context.recipe.seed, context.classes
    targets = np.concatenate([cache.targets for cache in caches])
    begun = behind_tokens(model)
    probabilities, numbers = np.empty((len(rows), len(classes))), np.empty(len(rows), dtype=np.int64)
    for number, fold in enumerate(divide_folds(targets, groups, folds=folds, seed=seed), start=1):
        context.callback.on_progress(_DOING, number - 1, folds)
        inner = set_aside(fold.learn, targets, groups, share=ASIDE, seed=seed)
        learn, aside, held_out = (TokenPick(caches, places) for places in (*inner, fold.held_out))
        fitted = list(fit_frozen(model, learn, aside, context, NoteCallback(context)))
        kept = choose_frozen(fitted, aside.targets, context)
        kept = learn_from_all(kept, model, learn, aside, groups[inner.held_out], context)
        probabilities[fold.held_out] = answer(kept, model, held_out, context)
        model.load_state_dict(begun, strict=False)
        numbers[fold.held_out] = number
    context.callback.on_progress(_DOING, folds, folds)
    return list_answers(rows, numbers, probabilities, classes)


def list_answers(
    rows: Sequence[SplitRow], folds: Numbers, probabilities: Probabilities, classes: Sequence[str]
) -> tuple[FoldAnswer, ...]:
    """The answers (N, K) to `rows`, whose `folds` are (N,), as the run keeps them."""
    return tuple(
        FoldAnswer(
            file=row.file,
            label=row.label,
            fold=int(fold),
            predicted=classes[int(own.argmax())],
            probabilities=tuple(own.tolist()),
        )
        for row, fold, own in zip(rows, folds, probabilities, strict=True)
    )
