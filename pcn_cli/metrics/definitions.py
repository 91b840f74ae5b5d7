"""What is measured: METRICS has one row per metric, in display order: how it is computed and all that is said of it.

A new metric is one row here. Every number has its n, and the values are scikit-learn's. A class that no photo of the
measured part has cannot be judged: it is left out of the means over classes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, top_k_accuracy_score

from pcn_cli.metrics import curves
from pcn_cli.metrics.calibration import BINS, expected_calibration_error, reliability
from pcn_cli.metrics.inputs import Floats, Inputs, MultiLabel, SingleLabel, Truths
from pcn_cli.metrics.intervals import Statistic, counted, mean, proportion, summed, weighted, with_interval
from pcn_cli.metrics.selective import risk_area, risk_area_influence
from pcn_cli.records.metrics import Metric, Words

Weigh = Callable[[SingleLabel], Callable[[Floats], Floats]]
FOLDS = "cross_validated_"


@dataclass(frozen=True)
class Definition:
    """One metric; a name in braces in key and title stands for what differs, such as the k of top-k.

    `single` and `multi` compute it where a photo has one label, or may have several; they give None where it says
    nothing. What has neither is measured by a function of its own. `weigh`, of what `pcn runs compare` compares, gives
    from weights (R, n) of the photos the values (R,). `folds` says that cross-validation tells it of the probe.
    """

    key: str
    unit: Literal["share", "number"]
    better: Literal["higher", "lower", ""] = ""
    shown: tuple[str, ...] = ()
    title: str = ""  # the key with spaces where it is empty
    hub: str = ""
    hub_average: str = ""
    single: Callable[[SingleLabel], Metric | None] | None = None
    multi: Callable[[MultiLabel], Metric | None] | None = None
    weigh: Weigh | None = None
    folds: bool = False

    @property
    def words(self) -> Words:
        """What is said of it wherever it is shown."""
        known = {field.name: getattr(self, field.name) for field in fields(Words)}
        return Words(**known | {"title": self.title or self.key.replace("_", " ")})


def describe(key: str) -> Words:
    """What is said of the metric of this key; the key itself, as a plain number, where it is in no table."""
    for pattern, words in _PATTERNS:
        found = pattern.fullmatch(key)
        if found:
            return replace(words, title=words.title.format(**found.groupdict()))
    return Words(title=key.replace("_", " "), unit="number")


def described(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics with what is said of them, by key."""
    return {key: replace(metric, words=describe(key)) for key, metric in metrics.items()}


def macro_f1_of(truths: Truths, decided: Truths) -> float:
    """The mean F1 over the classes that some photos have, (n, K) each; 0 where there is none."""
    right, own, given = (truths & decided).sum(axis=0), truths.sum(axis=0), decided.sum(axis=0)
    return float(_mean_of_known(2 * right[None], (own + given)[None], own[None] > 0)[0])


# What the most probable class says, or the labels given.


def _accuracy(inputs: SingleLabel) -> Metric:
    method = "share of photos whose most probable class is the label"
    return proportion(int(inputs.right.sum()), inputs.right.size, method)


def _weigh_accuracy(inputs: SingleLabel) -> Callable[[Floats], Floats]:
    right = inputs.right / inputs.targets.size
    return lambda weights: np.asarray(weights @ right)


def _balanced_accuracy(inputs: SingleLabel) -> Metric:
    measured, own = inputs.measured, inputs.counts[1][inputs.measured]

    def recall(right: Floats, _: Floats) -> Floats:
        return np.asarray((right[:, measured] / own).mean(axis=1))

    return counted(inputs, "mean recall of the classes with photos", recall)


def _f1_of_counts(inputs: SingleLabel) -> Statistic:
    measured, own = inputs.measured, inputs.counts[1][inputs.measured]
    return lambda right, given: np.asarray((2 * right[:, measured] / (own + given[:, measured])).mean(axis=1))


def _macro_f1(inputs: SingleLabel) -> Metric:
    return counted(inputs, "mean F1 of the classes with photos", _f1_of_counts(inputs))


def _weigh_macro_f1(inputs: SingleLabel) -> Callable[[Floats], Floats]:
    given = (inputs.predicted[:, None] == np.arange(len(inputs.classes))).astype(np.float64)  # (n, K)
    right, f1 = given * inputs.right[:, None], _f1_of_counts(inputs)
    return lambda weights: f1(weights @ right, weights @ given)


def _macro_f1_of_labels(inputs: MultiLabel) -> Metric | None:
    def resampled(weights: Floats) -> Floats:
        right, own, given = _weighted_counts(inputs, weights)
        return _mean_of_known(2 * right, own + given, own > 0)

    method = "mean F1, at their thresholds, of the classes with photos"
    return weighted(inputs, resampled, method) if inputs.measured.size else None


def _micro_f1(inputs: MultiLabel) -> Metric | None:
    def resampled(weights: Floats) -> Floats:
        right, own, given = (table.sum(axis=1) for table in _weighted_counts(inputs, weights))
        return np.asarray(2 * right / np.maximum(own + given, np.finfo(np.float64).tiny))

    method = "F1, at the thresholds, of all decisions together"
    return weighted(inputs, resampled, method) if inputs.measured.size else None


def _exact_match(inputs: MultiLabel) -> Metric:
    right = (inputs.decided == inputs.truths).all(axis=1)
    return proportion(int(right.sum()), right.size, "share of photos with all labels right and none too many")


def _hamming_loss(inputs: MultiLabel) -> Metric:
    wrong = (inputs.decided != inputs.truths).mean(axis=1)
    return mean(wrong, inputs, "share of wrong decisions, one per photo and class, at the thresholds")


def _matthews(inputs: SingleLabel) -> Metric:
    n, own = float(inputs.targets.size), inputs.counts[1]

    def correlation(right: Floats, given: Floats) -> Floats:
        together = right.sum(axis=1) * n - given @ own
        spread = np.sqrt((n**2 - (given**2).sum(axis=1)) * (n**2 - (own**2).sum()))
        return np.asarray(np.divide(together, spread, out=np.zeros_like(together), where=spread > 0))

    method = "Matthews correlation of labels and answers, −1 to 1, 0 for guessing"
    return counted(inputs, method, correlation, lowest=-1)


def _weighted_counts(inputs: MultiLabel, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Right labels, true labels and given labels of each class, (R, K), for photos drawn as often as `weights` say."""
    tables = (inputs.truths & inputs.decided, inputs.truths, inputs.decided)
    right, own, given = (np.asarray(weights @ table.astype(np.float64)) for table in tables)
    return right, own, given


def _mean_of_known(values: NDArray[np.number], over: NDArray[np.number], known: Truths) -> Floats:
    """The mean of values / over (R, K) over the known classes of each row; 0 where none is known."""
    shares = np.divide(values, over, out=np.zeros(values.shape), where=known)
    return np.asarray(shares.sum(axis=1) / np.maximum(known.sum(axis=1), 1))


# What the probabilities say: how sure, how well calibrated, how well ordered.


def _log_loss(inputs: Inputs) -> Metric:
    return mean(inputs.losses, inputs, f"mean −ln p of {inputs.truth}")


def _weigh_log_loss(inputs: SingleLabel) -> Callable[[Floats], Floats]:
    losses = inputs.losses / inputs.targets.size
    return lambda weights: np.asarray(weights @ losses)


def _brier(inputs: Inputs) -> Metric:
    most = 1 if inputs.multi_label else 2
    return mean(inputs.squares, inputs, f"Brier score: mean squared distance from {inputs.truth}, 0 to {most}")


def _ece(inputs: Inputs) -> Metric:
    # No interval: the plain estimate is biased upwards, so no resampling of it holds the truth as often as it says.
    value = expected_calibration_error(reliability(*inputs.decisions))
    each = "photos and classes" if inputs.multi_label else "photos"
    method = f"expected calibration error, {BINS} bins of equally many {each}; biased upwards, no interval"
    return with_interval(value, inputs, method, None)


def _untempered(compute: Callable[[Inputs], Metric]) -> Callable[[Inputs], Metric | None]:
    """What `compute` gives without the temperature; None where that is 1."""

    def without(inputs: Inputs) -> Metric | None:
        if inputs.temperature == 1:
            return None
        found = compute(inputs.untempered())
        return replace(found, method=f"without the temperature: {found.method}")

    return without


def _top_k_accuracy(inputs: SingleLabel) -> Metric | None:
    if not 1 < inputs.top_k < len(inputs.classes):
        return None
    places = np.arange(len(inputs.classes))
    right = top_k_accuracy_score(inputs.targets, inputs.probabilities, k=inputs.top_k, labels=places, normalize=False)
    method = f"share of photos whose label is among the {inputs.top_k} most probable classes"
    return proportion(int(right), inputs.targets.size, method)


def _mean_average_precision(inputs: Inputs) -> Metric | None:
    method = "mean average precision of the classes with photos"
    return _mean_area(inputs, average_precision_score, curves.average_precision_influence, method)


def _roc_auc(inputs: Inputs) -> Metric | None:
    method = "mean area under the ROC curve, each class against the rest"
    return _mean_area(inputs, roc_auc_score, curves.roc_area_influence, method)


def _mean_area(
    inputs: Inputs,
    measure: Callable[[Truths, Floats], float],
    influence: Callable[[Floats, Truths], Floats],
    method: str,
) -> Metric | None:
    areas, influences = [], np.zeros(len(inputs.labels))
    for scores, own in inputs.rankings():
        areas.append(float(measure(own, scores)))
        influences += influence(scores, own)
    if not areas:
        return None
    return summed(float(np.mean(areas)), influences / len(areas), inputs, method, most=1.0)


def _aurc(inputs: SingleLabel) -> Metric:
    value = risk_area(inputs.confidences, inputs.right)
    method = "area under the risk–coverage curve: share of mistakes, averaged over all coverages"
    return summed(value, risk_area_influence(inputs.confidences, inputs.right), inputs, method, most=1.0)


# What must be beaten: answers without a look at the picture.


def _majority(inputs: Inputs) -> Metric | None:
    if not inputs.train_labels:
        return None
    names, counts = np.unique(list(inputs.train_labels), return_counts=True)
    guess = str(names[counts.argmax()])
    of = "set of labels" if inputs.multi_label else "class"
    method = f"always guessing {guess or 'none'}, the most frequent {of} in training"
    return proportion(list(inputs.labels).count(guess), len(inputs.labels), method)


def _prior_precision(inputs: MultiLabel) -> Metric | None:
    guessed = inputs.guessed()
    found = _mean_average_precision(guessed) if guessed else None
    method = "mean average precision of the classes' shares in training, which put no photo before another"
    return replace(found, method=f"{method}; {found.method.partition('; ')[2]}") if found else None


def _prior_log_loss(inputs: Inputs) -> Metric | None:
    guessed = inputs.guessed()
    return (
        mean(guessed.losses, inputs, "mean −ln of the classes' shares in training, without a look") if guessed else None
    )


_TABLE, _CARD, _BASELINE = ("table",), ("table", "card"), ("baseline",)
_CONFIDENCE, _FOLDS, _POINTING = ("confidence",), ("folds",), ("pointing",)
METRICS: tuple[Definition, ...] = (
    Definition("accuracy", "share", "higher", _CARD, single=_accuracy, weigh=_weigh_accuracy, folds=True),
    Definition("balanced_accuracy", "share", "higher", _CARD, single=_balanced_accuracy),
    Definition(
        "macro_f1",
        "share",
        "higher",
        _CARD,
        hub="f1",
        hub_average="macro",
        single=_macro_f1,
        multi=_macro_f1_of_labels,
        weigh=_weigh_macro_f1,
        folds=True,
        title="macro F1",
    ),
    Definition("micro_f1", "share", "higher", _TABLE, multi=_micro_f1, title="micro F1"),
    Definition("exact_match", "share", "higher", _TABLE, multi=_exact_match),
    Definition("hamming_loss", "number", "lower", _TABLE, multi=_hamming_loss),
    Definition("mcc", "number", "higher", _CARD, hub="matthews_correlation", single=_matthews, title="MCC"),
    Definition(
        "log_loss",
        "number",
        "lower",
        _CARD,
        single=_log_loss,
        multi=_log_loss,
        weigh=_weigh_log_loss,
        folds=True,
        title="log-loss",
    ),
    Definition(
        "log_loss_untempered",
        "number",
        "lower",
        _CONFIDENCE,
        single=_untempered(_log_loss),
        multi=_untempered(_log_loss),
        title="log-loss at T = 1",
    ),
    Definition("brier", "number", "lower", _TABLE, single=_brier, multi=_brier, title="Brier score"),
    Definition("ece", "share", "lower", _CARD, single=_ece, multi=_ece, title="ECE"),
    Definition("ece_untempered", "share", "lower", _CONFIDENCE, single=_untempered(_ece), title="ECE at T = 1"),
    Definition("top_{top_k}_accuracy", "share", "higher", _TABLE, single=_top_k_accuracy, title="top-{top_k} accuracy"),
    Definition(
        "mean_average_precision",
        "share",
        "higher",
        _CARD,
        single=_mean_average_precision,
        multi=_mean_average_precision,
    ),
    Definition("roc_auc", "share", "higher", _TABLE, single=_roc_auc, multi=_roc_auc, title="ROC area"),
    Definition("aurc", "number", "lower", _TABLE, single=_aurc, title="AURC"),
    Definition(
        "baseline_majority",
        "share",
        "higher",
        _BASELINE,
        single=_majority,
        title="always guessing the most frequent class",
    ),
    Definition(
        "baseline_majority_set",
        "share",
        "higher",
        _BASELINE,
        multi=_majority,
        title="exact match of always guessing the most frequent set of labels",
    ),
    Definition(
        "baseline_prior_average_precision",
        "share",
        "higher",
        _BASELINE,
        multi=_prior_precision,
        title="mean average precision of the classes' shares in training",
    ),
    Definition(
        "baseline_prior_log_loss",
        "number",
        "lower",
        _BASELINE,
        single=_prior_log_loss,
        multi=_prior_log_loss,
        title="log-loss of the classes' shares in training",
    ),
)

# What functions of their own measure: calibration, folds, pointing, candidates, and the checks of the maps.
OTHERS: tuple[Definition, ...] = (
    Definition("temperature", "number", "", _CONFIDENCE),
    Definition("threshold", "share", "", _CONFIDENCE),
    Definition("threshold_validation_coverage", "share", "higher", _CONFIDENCE),
    Definition("threshold_validation_accuracy", "share", "higher", _CONFIDENCE),
    Definition("threshold_coverage", "share", "higher", _CONFIDENCE),
    Definition("threshold_accuracy", "share", "higher", _CONFIDENCE),
    Definition("conformal_{level}_coverage", "share", "higher", _CONFIDENCE, title="{level} % sets: coverage"),
    Definition("conformal_{level}_set_size", "number", "lower", _CONFIDENCE, title="{level} % sets: set size"),
    Definition("conformal_{level}_empty", "share", "lower", _CONFIDENCE, title="{level} % sets: empty"),
    *(
        Definition(FOLDS + row.key, row.unit, row.better, _FOLDS, title=f"cross-validated {row.words.title}")
        for row in METRICS
        if row.folds
    ),
    Definition(f"{FOLDS}accuracy_spread", "share", "lower", _FOLDS, title="cross-validated accuracy: spread"),
    Definition("pointing_game", "share", "higher", _POINTING, title="strongest patch inside the object's box"),
    Definition("pointing_game_right", "share", "higher", _POINTING, title="strongest patch inside the box where right"),
    Definition("pointing_game_center", "share", "higher", _POINTING, title="middle of the photo inside the box"),
    Definition("pointing_game_random", "share", "higher", _POINTING, title="random place inside the box"),
    Definition("baseline_logistic", "share", "higher", ("candidates",), title="logistic regression"),
    Definition("accuracy_even", "share", "higher", title="accuracy with even attention"),
    Definition("accuracy_permuted", "share", "higher", title="accuracy with permuted attention"),
    Definition("accuracy_lost", "share", "higher"),
    Definition("srg", "number", "higher", title="SRG"),
    Definition("srg_gain", "number", "higher", title="SRG gain"),
    Definition("correlation_{of}", "number"),
    Definition("label_agreement", "share", "higher"),
    Definition("drop_looked_at", "share"),
    Definition("drop_random", "share"),
    Definition("drop_difference", "share", "higher"),
    *(Definition(name, "share") for name in ("look", "evidence", "center", "random")),
    Definition("{candidate}_mean_average_precision", "share", "higher"),
    Definition("{candidate}_accuracy", "share", "higher"),
)

_PATTERNS = tuple(
    (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(row.key))), row.words) for row in (*METRICS, *OTHERS)
)
