"""What the frozen trunk gives: logistic regression on what the pooling makes of the tokens, then the probe, whose
pooling has learned as well. Once the validation photos have chosen, they are learned from too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcn_cli.data.split import fingerprint
from pcn_cli.metrics.calibration import fit_temperature
from pcn_cli.metrics.choice import is_better_beyond_chance, tempered_log_loss
from pcn_cli.models.head import AttentionNetwork
from pcn_cli.stages.train.context import Probabilities, Targets, TrainContext, validate
from pcn_cli.stages.train.tokens import probe_rows
from pcn_cli.training.balance import class_weights
from pcn_cli.training.fit import FitCallback
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.folds import divide_folds, most_folds
from pcn_cli.training.logistic import CS, LinearHead, choose_head, fit_head
from pcn_cli.training.probe import TokenHead, fit_probe, pooled_features, token_probabilities
from pcn_cli.training.query import QuerySearch
from pcn_cli.training.tokens import Tokens

REGRESSION, PROBE = "logistic regression", "probe"
FOLDS = 5  # of the validation photos, where they are learned from
FEW_LEARNED = 5_000  # training photos up to which no step is left out to save time
HALF_A_STEP = 3**0.5  # of C, which was tried in steps of three
MOST_LEARNED_AGAIN = 20_000  # photos; where there are more, those to choose by hardly add to them

State = dict[str, Tensor]
Features = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model on the frozen trunk: its tensors behind the tokens, and its answers to the validation photos (N, K).

    `loss` is their log-loss after a temperature, `head` what a regression solved on features of the pooling. Where the
    model learned from the validation photos as well, each was answered by one that had not seen its fold: `folds` (N,).
    """

    name: str
    probabilities: Probabilities
    loss: float
    state: State
    head: LinearHead | None = None
    folds: Targets | None = None


def fit_frozen(
    model: nn.Module, train: Tokens, val: Tokens, context: TrainContext, callback: FitCallback
) -> Iterator[Fitted]:
    """The logistic regression, then the probe where it is to be tried; `model` ends as it began."""
    begun = behind_tokens(model)
    first, *others = _pooling_starts(model)
    best = _solve_head(model, first, train, val, context, CS)
    tried = CS if len(train) <= FEW_LEARNED or best.head is None else _around(best.head.C)
    for other in [_solve_head(model, start, train, val, context, tried) for start in others]:
        if is_better_beyond_chance(val.targets, other.probabilities, best.probabilities, monitor=context.monitor):
            best = other
    yield best
    model.load_state_dict(begun, strict=False)
    if not context.tries_probe:
        return
    if cast("AttentionNetwork", model).class_tokens:
        probe = _fit_class_tokens(model, train, val, context, callback)
    else:
        probe = _learn_query(model, best, train, val, context)
    model.load_state_dict(begun, strict=False)
    yield probe


def choose_frozen(fitted: Sequence[Fitted], targets: Targets, context: TrainContext) -> Fitted:
    """The one to keep, of the regression and the probe, or of the regression alone: the probe if beyond chance better.

    Who asked for a token for each class asked for its maps, which the regression has not: there the probe is kept.
    """
    regression, probe = fitted[0], fitted[-1]
    if context.recipe.model.pooling == "per-class":
        return probe
    better = is_better_beyond_chance(targets, probe.probabilities, regression.probabilities, monitor=context.monitor)
    return probe if better else regression


def learn_from_all(
    fitted: Fitted, model: nn.Module, train: Tokens, val: Tokens, groups: Numbers, context: TrainContext
) -> Fitted:
    """The same with its head solved anew on training and validation photos, where these can be divided into folds.

    `groups` (N,) are equal for validation photos that belong together. A head that did not see a photo's fold answers
    it as it would answer a new one, so temperature, thresholds and sets can be told from that; and, where photos are
    few, whether heads that learned from both parts want another C than the one that was chosen for fewer photos.
    """
    network, several = cast("AttentionNetwork", model), val.targets.ndim == 2
    labels = np.zeros(len(groups), dtype=np.int64) if several else val.targets
    count = min(FOLDS, most_folds(labels, groups))
    begun = fitted.head
    if begun is None or network.class_tokens or count < 2 or len(train) + len(val) > MOST_LEARNED_AGAIN:
        return fitted
    model.load_state_dict(fitted.state, strict=False)
    pool = partial(pooled_features, model, device=context.device)
    features = np.concatenate([pool(train, view=view) for view in range(train.views)] + [pool(val)])
    targets = np.concatenate([train.targets] * train.views + [val.targets])
    weights = np.ones(len(targets), dtype=np.float32) if (own := photo_weights(targets, context)) is None else own
    first = len(targets) - len(val)
    weights[first:] *= train.views  # a photo weighs as much, however often it was looked at

    def solve(kept: NDArray[np.bool_] | slice, C: float, start: LinearHead) -> LinearHead:
        return fit_head(
            features[kept],
            targets[kept],
            C=C,
            classes=len(context.classes),
            photo_weights=weights[kept],
            start=start,
        )

    def answer_folds(C: float, starts: Sequence[LinearHead]) -> tuple[Probabilities, list[LinearHead]]:
        answers, heads = np.empty_like(fitted.probabilities), list[LinearHead]()
        for fold, start in zip(folds, starts, strict=True):
            context.stop.check("stopped while the validation photos were learned from")
            kept = np.ones(len(targets), dtype=bool)
            kept[first + fold.held_out] = False
            heads.append(solve(kept, C, start))
            answers[fold.held_out] = heads[-1].probabilities(features[first + fold.held_out])
        return answers, heads

    folds, C = divide_folds(labels, groups, folds=count, seed=context.recipe.seed), begun.C
    probabilities, heads = answer_folds(C, [begun] * count)  # which has seen no validation photo
    if len(train) <= FEW_LEARNED:
        too_sure = fit_temperature(probabilities, val.targets.astype(bool) if several else val.targets) > 1
        other = C / HALF_A_STEP if too_sure else C * HALF_A_STEP
        answers, others = answer_folds(other, heads)  # each begins at the one that has not seen the same fold
        if validate(val.targets, answers).log_loss < validate(val.targets, probabilities).log_loss:
            C, probabilities, heads = other, answers, others
    numbers = np.empty(len(val), dtype=np.int64)
    for number, fold in enumerate(folds, start=1):
        numbers[fold.held_out] = number
    head = solve(slice(None), C, heads[-1])  # which has seen most of them
    return replace(
        fitted,
        probabilities=probabilities,
        loss=tempered_log_loss(val.targets, probabilities),
        state=fitted.state | head_state(head),
        head=head,
        folds=numbers,
    )


def answer(fitted: Fitted, model: nn.Module, tokens: Tokens, context: TrainContext) -> Probabilities:
    """What the model says of cached photos (N, K); `model` ends with its tensors."""
    model.load_state_dict(fitted.state, strict=False)
    if fitted.head and cast("AttentionNetwork", model).class_tokens:
        return fitted.head.probabilities(pooled_features(model, tokens, device=context.device))
    return token_probabilities(model, tokens, device=context.device)


def head_state(head: LinearHead) -> State:
    """The head as the tensors of a network."""
    return {"head.weight": torch.from_numpy(head.weight), "head.bias": torch.from_numpy(head.bias)}


def behind_tokens(model: nn.Module) -> State:
    """Copies of the tensors behind the tokens."""
    return {name: tensor.detach().clone() for name, tensor in TokenHead(model).state_dict().items()}


def _pooling_starts(model: nn.Module) -> list[State]:
    """What the pooling may begin as, by its tensors: average pooling, and where it is something else, as it is."""
    network, own = cast("AttentionNetwork", model), behind_tokens(model)
    if network.class_tokens or network.looks_evenly:
        return [own]
    network.pooling.start_averaging()
    averaging = behind_tokens(model)
    model.load_state_dict(own, strict=False)
    return [averaging, own]


def _solve_head(
    model: nn.Module,
    start: State,
    train: Tokens,
    val: Tokens,
    context: TrainContext,
    CS: Sequence[float],
    *,
    near: LinearHead | None = None,
) -> Fitted:
    """The regression on what the pooling `start` gives, with the best of these C; `near` is one of a like pooling.

    Of many photos C is chosen on the photos as they are, each of which weighs as much as all its views.
    """
    model.load_state_dict(start, strict=False)
    views = [pooled_features(model, train, view=view, device=context.device) for view in range(train.views)]
    features, targets = np.concatenate(views), np.concatenate([train.targets] * train.views)
    val_features = pooled_features(model, val, device=context.device)
    choose = partial(choose_head, val_features=val_features, val_targets=val.targets, classes=len(context.classes))
    if train.views > 1 and len(CS) > 1 and len(train) > FEW_LEARNED:
        weights = photo_weights(train.targets, context)
        alone = np.full(len(train), train.views, np.float32) * (1 if weights is None else weights)
        near = choose(views[0], train.targets, CS, photo_weights=alone, start=near)
        CS = (near.C,)
    head = choose(features, targets, CS, photo_weights=photo_weights(targets, context), start=near)
    # Beside a token for each class it is compared, but no head of the network.
    state = start if cast("AttentionNetwork", model).class_tokens else start | head_state(head)
    probabilities = head.probabilities(val_features)
    loss = tempered_log_loss(val.targets, probabilities)
    return Fitted(name=REGRESSION, probabilities=probabilities, state=state, head=head, loss=loss)


def _around(C: float) -> tuple[float, ...]:
    """This one of the values of C, and its neighbours."""
    place = CS.index(C)
    return CS[max(0, place - 1) : place + 2]


def _learn_query(model: nn.Module, regression: Fitted, train: Tokens, val: Tokens, context: TrainContext) -> Fitted:
    """The best probe whose query was changed ever more freely from the regression's, its head solved anew each time.

    Where one is worse than what was there before, still freer ones are not tried.
    """
    assert regression.head is not None  # noqa: S101 - it solved one
    model.load_state_dict(regression.state, strict=False)
    weights, seed = photo_weights(train.targets, context), context.recipe.seed
    probes: list[Fitted] = []
    search = QuerySearch(model, train, regression.head, photo_weights=weights, seed=seed, stop=context.stop)
    for shift in search.shifts():
        pooling = cast("AttentionNetwork", model).pooling
        pooling.shift_query(shift)
        shifted = regression.state | {"pooling.q.bias": pooling.q.bias.detach().clone()}  # all else is shared
        near = probes[-1].head if probes else regression.head  # a query that was changed less is nearer
        probe = _solve_head(model, shifted, train, val, context, (regression.head.C,), near=near)
        probes.append(replace(probe, name=PROBE))
        model.load_state_dict(regression.state, strict=False)
        if probe.loss > min(regression.loss, *(one.loss for one in probes)):
            break
    return min(probes, key=lambda fitted: fitted.loss)


def _fit_class_tokens(
    model: nn.Module, train: Tokens, val: Tokens, context: TrainContext, callback: FitCallback
) -> Fitted:
    """The probe with a token for each class, trained step by step: the tokens must learn to look apart."""
    config = FitConfig.for_probe(
        context.recipe, train.targets, classes=context.classes, fingerprint=fingerprint(context.rows)
    )
    result = fit_probe(
        model,
        train,
        val,
        validate,
        config=config,
        device=context.device,
        files=[row.file for row in probe_rows(context)],
        callback=callback,
        stop=context.stop,
    )
    model.load_state_dict(result.best_state)
    probabilities = token_probabilities(model, val, device=context.device)
    loss = tempered_log_loss(val.targets, probabilities)
    return Fitted(name=PROBE, probabilities=probabilities, state=behind_tokens(model), loss=loss)


def photo_weights(targets: Targets, context: TrainContext) -> Features | None:
    """What each photo weighs (N,), where uneven classes are to be evened out."""
    if context.recipe.train.balance in (None, "none") or targets.ndim == 2:
        return None
    return np.array(class_weights(targets, len(context.classes)), dtype=np.float32)[targets]
