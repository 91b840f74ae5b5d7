"""Learning curve: regressions on the same features, each learned from a share of the photos; would more help?

The test photos measure them, as nothing is chosen by this; C is chosen on the validation photos, as for the model.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcn_cli.data.split import number_groups
from pcn_cli.errors import DataError
from pcn_cli.metrics.inputs import as_truths, model_inputs
from pcn_cli.metrics.learning_curve import Share, measure_learning_curve
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.store import SCAN
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.frozen import Fitted, behind_tokens, photo_weights
from pcn_cli.stages.train.tokens import learned_rows
from pcn_cli.training.logistic import LinearHead, choose_head
from pcn_cli.training.probe import pooled_features
from pcn_cli.training.shares import FEWEST, PARTS, divide_shares
from pcn_cli.training.tokens import TokenCache

Numbers = NDArray[np.int64]
_DOING = "measuring the learning curve"


def check_learning_curve(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]], *, seed: int) -> None:
    """Check that half of the training photos can be compared with all.

    Raises:
        DataError: a class has too few of them.
    """
    learned = learned_rows(rows, seed=seed)
    groups = number_groups(learned, near_duplicates)
    if len(divide_shares(_number_labels(learned)[1], groups, seed=seed)) == 1:
        name, photos = _scarcest(learned, groups)
        raise DataError(
            f"a learning curve needs {FEWEST} photos of every class in both halves of the training photos;"
            f" {name} has {photos} in all that may be parted",
            f"add photos of {name}, or leave out --learning-curve",
        )


def draw_learning_curve(
    model: nn.Module, regression: Fitted, caches: Sequence[TokenCache], context: TrainContext
) -> LearningCurve | None:
    """The curve of the `regression`; `model` stays as it is, and the `caches` hold train, validation and test photos.

    None where no class of the test photos can be measured.
    """
    train, val, test = caches
    rows, seed = learned_rows(context.rows, seed=context.recipe.seed), context.recipe.seed
    groups = number_groups(rows, SCAN.read(context.run).near_duplicates)
    shares = divide_shares(train.targets, groups, seed=seed)
    begun = behind_tokens(model)
    model.load_state_dict(regression.state, strict=False)
    pool = partial(pooled_features, model, device=context.device)
    views, val_features, test_features = [pool(train, view=view) for view in range(train.views)], pool(val), pool(test)
    model.load_state_dict(begun, strict=False)

    def learn(places: Numbers) -> LinearHead:
        targets = np.concatenate([train.targets[places]] * train.views)
        return choose_head(
            np.concatenate([features[places] for features in views]),
            targets,
            val_features=val_features,
            val_targets=val.targets,
            classes=len(context.classes),
            photo_weights=photo_weights(targets, context),
        )

    labels, measured = [row.label for row in context.part("test")], []
    for done, (draws, own) in enumerate(shares.items()):
        context.stop.check("stopped while the learning curve was measured")
        context.callback.on_progress(_DOING, done, len(shares))
        heads = [regression.head if draws == 1 and regression.head else learn(places) for places in own]
        answers = [model_inputs(labels, head.probabilities(test_features), context.model_config) for head in heads]
        measured.append(Share(len(rows) // draws, answers))
    context.callback.on_progress(_DOING, len(shares), len(shares))
    left_out = [parts for parts in PARTS if parts not in shares]
    scarce, _ = _scarcest(rows, groups) if left_out else ("", 0)
    return measure_learning_curve(measured[::-1], left_out=left_out, scarce=scarce)


def _scarcest(rows: Sequence[SplitRow], groups: Numbers) -> tuple[str, int]:
    """The class with the fewest photos, and how many these are; those of one group, which stay together, are one."""
    own: dict[str, set[int]] = {}
    for row, group in zip(rows, groups.tolist(), strict=True):
        for name in row.labels:
            own.setdefault(name, set()).add(group)
    name = min(sorted(own), key=lambda name: len(own[name]))
    return name, len(own[name])


def _number_labels(rows: Sequence[SplitRow]) -> tuple[list[str], Numbers]:
    """The classes that the photos have, and which each has: numbers (N,), or (N, K) of 0 and 1."""
    names = sorted({name for row in rows for name in row.labels})
    if any(row.multi_label for row in rows):
        return names, as_truths([row.label for row in rows], names).astype(np.int64)
    return names, np.array([names.index(row.label) for row in rows])
