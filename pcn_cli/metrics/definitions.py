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
from pcn_cli.metrics.inputs import Floats, Inputs, MultiLabel, SingleLabel, Truths
from pcn_cli.metrics.intervals import Statistic, counted, mean, proportion, summed, weighted, with_interval
from pcn_cli.metrics.reliability import BINS, expected_calibration_error, reliability
from pcn_cli.metrics.selective import risk_area, risk_area_influence
from pcn_cli.records.metrics import Metric, Words

Weigh = Callable[[SingleLabel], Callable[[Floats], Floats]]
FOLDS = "cross_validated_"


@dataclass(frozen=True)
class Definition:
    """One metric; a name in braces in key and title stands for what differs, such as the k of top-k.

    Unless its row says otherwise it is a share, and the higher the better. `single` and `multi` compute it where a
    photo has one label, or may have several, and `both` in either case; they give None where it says nothing. What has
    none of them is measured by a function of its own. `weigh`, of what `pcn runs compare` compares and cross-validation
    tells of the probe, gives from weights (R, n) of the photos the values (R,).
    """

    key: str
    title: str
    unit: Literal["share", "number"] = "share"
    better: Literal["higher", "lower", ""] = "higher"
    shown: tuple[str, ...] = ()
    hub: str = ""
    hub_average: str = ""
    single: Callable[[SingleLabel], Metric | None] | None = None
    multi: Callable[[MultiLabel], Metric | None] | None = None
    both: Callable[[Inputs], Metric | None] | None = None
    weigh: Weigh | None = None

    @property
    def words(self) -> Words:
        """What is said of it wherever it is shown."""
        return Words(**{field.name: getattr(self, field.name) for field in fields(Words)})

    def measure(self, inputs: Inputs) -> Metric | None:
        """The metric of these inputs; None where it is not of their kind, or says nothing."""
        if self.both:
            return self.both(inputs)
        if isinstance(inputs, SingleLabel):
            return self.single(inputs) if self.single else None
        return self.multi(inputs) if self.multi and isinstance(inputs, MultiLabel) else None


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


def mean_average_precision(inputs: Inputs) -> tuple[float, Floats] | None:
    """It, and what one more of each photo adds to it (n,); None where no class has both photos and others."""
    return _mean_area(inputs, average_precision_score, curves.average_precision_influence)


def _mean_average_precision(inputs: Inputs) -> Metric | None:
    method, area = "mean average precision of the classes with photos", mean_average_precision(inputs)
    return summed(*area, inputs, method, most=1.0) if area else None


def _roc_auc(inputs: Inputs) -> Metric | None:
    method = "mean area under the ROC curve, each class against the rest"
    area = _mean_area(inputs, roc_auc_score, curves.roc_area_influence)
    return summed(*area, inputs, method, most=1.0) if area else None


def _mean_area(
    inputs: Inputs,
    measure: Callable[[Truths, Floats], float],
    influence: Callable[[Floats, Truths], Floats],
) -> tuple[float, Floats] | None:
    areas, influences = [], np.zeros(len(inputs.labels))
    for scores, own in inputs.rankings().values():
        areas.append(float(measure(own, scores)))
        influences += influence(scores, own)
    if not areas:
        return None
    return float(np.mean(areas)), influences / len(areas)


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
    method = "mean −ln of the classes' shares in training, without a look"
    return mean(guessed.losses, inputs, method) if guessed else None


_TABLE, _CARD, _BASELINE = ("table",), ("table", "card"), ("baseline",)
_CONFIDENCE, _FOLDS, _POINTING = ("confidence",), ("folds",), ("pointing",)
METRICS: tuple[Definition, ...] = (
    Definition("accuracy", "accuracy", shown=_CARD, single=_accuracy, weigh=_weigh_accuracy),
    Definition("balanced_accuracy", "balanced accuracy", shown=_CARD, single=_balanced_accuracy),
    Definition(
        "macro_f1",
        "macro F1",
        shown=_CARD,
        hub="f1",
        hub_average="macro",
        single=lambda inputs: counted(inputs, "mean F1 of the classes with photos", _f1_of_counts(inputs)),
        multi=_macro_f1_of_labels,
        weigh=_weigh_macro_f1,
    ),
    Definition("micro_f1", "micro F1", shown=_TABLE, multi=_micro_f1),
    Definition("exact_match", "exact match", shown=_TABLE, multi=_exact_match),
    Definition("hamming_loss", "hamming loss", "number", "lower", _TABLE, multi=_hamming_loss),
    Definition("mcc", "MCC", "number", "higher", _CARD, hub="matthews_correlation", single=_matthews),
    Definition("log_loss", "log-loss", "number", "lower", _CARD, both=_log_loss, weigh=_weigh_log_loss),
    Definition("log_loss_untempered", "log-loss at T = 1", "number", "lower", _CONFIDENCE, both=_untempered(_log_loss)),
    Definition("brier", "Brier score", "number", "lower", _TABLE, both=_brier),
    Definition("ece", "ECE", "share", "lower", _CARD, both=_ece),
    Definition("ece_untempered", "ECE at T = 1", "share", "lower", _CONFIDENCE, single=_untempered(_ece)),
    Definition("top_{top_k}_accuracy", "top-{top_k} accuracy", shown=_TABLE, single=_top_k_accuracy),
    Definition("mean_average_precision", "mean average precision", shown=_CARD, both=_mean_average_precision),
    Definition("roc_auc", "ROC area", shown=_TABLE, both=_roc_auc),
    Definition("aurc", "AURC", "number", "lower", _TABLE, single=_aurc),
    Definition("baseline_majority", "always guessing the most frequent class", shown=_BASELINE, single=_majority),
    Definition(
        "baseline_majority_set",
        "exact match of always guessing the most frequent set of labels",
        shown=_BASELINE,
        multi=_majority,
    ),
    Definition(
        "baseline_prior_average_precision",
        "mean average precision of the classes' shares in training",
        shown=_BASELINE,
        multi=_prior_precision,
    ),
    Definition(
        "baseline_prior_log_loss",
        "log-loss of the classes' shares in training",
        "number",
        "lower",
        _BASELINE,
        both=_prior_log_loss,
    ),
)

# What functions of their own measure: calibration, folds, pointing, candidates, and the checks of the maps.
OTHERS: tuple[Definition, ...] = (
    Definition("temperature", "temperature", "number", "", _CONFIDENCE),
    Definition("threshold", "threshold", "share", "", _CONFIDENCE),
    Definition("threshold_validation_coverage", "threshold validation coverage", shown=_CONFIDENCE),
    Definition("threshold_validation_accuracy", "threshold validation accuracy", shown=_CONFIDENCE),
    Definition("threshold_coverage", "threshold coverage", shown=_CONFIDENCE),
    Definition("threshold_accuracy", "threshold accuracy", shown=_CONFIDENCE),
    Definition("conformal_{level}_coverage", "{level} % sets: coverage", shown=_CONFIDENCE),
    Definition("conformal_{level}_set_size", "{level} % sets: set size", "number", "lower", _CONFIDENCE),
    Definition("conformal_{level}_empty", "{level} % sets: empty", "share", "lower", _CONFIDENCE),
    *(
        Definition(FOLDS + row.key, f"cross-validated {row.title}", row.unit, row.better, _FOLDS)
        for row in METRICS
        if row.weigh
    ),
    Definition(f"{FOLDS}accuracy_spread", "cross-validated accuracy: spread", "share", "lower", _FOLDS),
    Definition("pointing_game", "strongest tile inside the object's box", shown=_POINTING),
    Definition("pointing_game_right", "strongest tile inside the box where right", shown=_POINTING),
    Definition("pointing_game_center", "middle of the photo inside the box", shown=_POINTING),
    Definition("pointing_game_random", "random place inside the box", shown=_POINTING),
    *(
        Definition(f"mask_{key}{of}", f"{words}{end}", shown=_POINTING)
        for key, words in (
            ("pointing", "strongest tile on the mask"),
            ("energy", "share of the map on the mask"),
            ("overlap", "best overlap with the mask"),
        )
        for of, end in (
            ("", ""),
            ("_evidence", ", by the evidence"),
            ("_center", ", of the photo's middle"),
            ("_random", ", by chance"),
        )
    ),
    Definition("baseline_logistic", "logistic regression", shown=("candidates",)),
    Definition("accuracy_even", "accuracy with even attention"),
    Definition("accuracy_permuted", "accuracy with permuted attention"),
    Definition("accuracy_lost", "accuracy lost"),
    Definition("srg", "SRG", "number", "higher"),
    Definition("srg_gain", "SRG gain", "number", "higher"),  # only in runs of before: srg less that of random orders
    Definition("correlation_{of}", "correlation {of}", "number", ""),
    Definition("label_agreement", "label agreement"),
    Definition("drop_looked_at", "drop looked at", "share", ""),
    Definition("drop_random", "drop random", "share", ""),
    Definition("drop_difference", "drop difference"),
    *(Definition(name, name, "share", "") for name in ("look", "evidence", "center", "random")),
    Definition("{candidate}_mean_average_precision", "{candidate} mean average precision"),
    Definition("{candidate}_accuracy", "{candidate} accuracy"),
)

_PATTERNS = tuple(
    (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(row.key))), row.words) for row in (*METRICS, *OTHERS)
)
